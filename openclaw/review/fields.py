"""The names under which reviewers speak of what is in an entry: in columns, in conditions, in counts."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from pydantic import JsonValue

from openclaw.action import utc
from openclaw.audit import Entry
from openclaw.errors import ConfigurationError
from openclaw.review.entries import call, detail, event, part, reasons

COLUMNS = ("kind", "run", "workflow", "agent", "tool", "call_id", "effect")
"""Names that are columns of the database too."""

_ALIASES: Mapping[str, tuple[str, ...]] = {
    "args": ("input", "tool", "args"),
    "input": ("input",),
    "body": (),
    "roles": ("input", "principal", "roles"),
    "chain": ("input", "principal", "chain"),
    "on_behalf_of": ("input", "principal", "on_behalf_of"),
    "thread": ("input", "run", "thread"),
    "tags": ("input", "tool", "tags"),
    "flow": ("input", "flow"),
    "rules": ("decision", "rules"),
    "code": ("decision", "code"),
    "obligations": ("decision", "obligations"),
    "refused_by": ("refused_by",),
    "engine": ("engine",),
    "revision": ("revision",),
    "approval": ("approval",),
    "answer": ("answer",),
    "by": ("by",),
    "decision": ("decision",),
    "status": ("status",),
    "duration_ms": ("duration_ms",),
    "error": ("error",),
    "used": ("used",),
    "tokens": ("used", "tokens"),
    "microusd": ("used", "microusd"),
    "verdict": ("verdict",),
    "comment": ("comment",),
    "flags": ("flags",),
    "of": ("of",),
}
"""Other names, by where they stand in a body. What leads to an object goes on with dots: ``args.amount``."""

_MADE = ("seq", "at", "event", "reason", "call", "detail", "leaf")

NAMES = tuple(sorted((*COLUMNS, *_MADE, *_ALIASES)))


def check_name(name: str) -> str:
    """``name``, if entries have such a field; what follows a dot is theirs to have.

    Raises:
        ConfigurationError: they have not.
    """
    first = name.split(".", 1)[0]
    if first in _ALIASES or (first == name and name in NAMES):
        return name
    near = difflib.get_close_matches(first, NAMES, n=1)
    if not near and first == name:
        raise ConfigurationError(
            f"entries have no field `{name}`",
            hint=f"an argument of a call is `args.{name}`; fields are {', '.join(NAMES)}, args.NAME and body.PATH",
        )
    raise ConfigurationError(
        f"entries have no field `{name}`",
        hint=f"did you mean `{near[0]}`?" if near else f"fields are {', '.join(NAMES)}, args.NAME and body.PATH",
    )


def value(entry: Entry, name: str) -> JsonValue:
    """What stands under a name in an entry; None where it is not there, as is an empty column."""
    match name:
        case "seq":
            return entry.seq
        case "at":
            return utc(entry.at)
        case "event":
            return event(entry) or None
        case "reason":
            return "; ".join(reasons(entry)) or None
        case "call":
            return call(entry) if entry.kind == "decision" else None
        case "detail":
            return detail(entry) or None
        case "leaf":
            return entry.leaf
        case _ if name in COLUMNS:
            return getattr(entry, name) or None
        case _:
            first, *rest = name.split(".")
            return part(entry.body, *_ALIASES[first], *rest)


__all__ = ["COLUMNS", "NAMES", "check_name", "value"]
