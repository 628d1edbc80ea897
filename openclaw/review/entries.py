"""What an entry says, in the words in which a reviewer thinks of it. Reads every shape of body, also of a damaged entry."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import JsonValue

from openclaw.audit.mask import is_mark

if TYPE_CHECKING:
    from openclaw.audit import AuditLog, Entry, EntryKind
    from openclaw.audit.reading import Seen

ARGUMENT_MAX = 40
"""Characters of one argument in a line."""

PAGE = 500
"""Entries that are held at a time where many are read."""


def entries_of(
    log: AuditLog, kind: EntryKind, *, since: dt.datetime | None = None, seen: Seen | None = None
) -> Iterator[Entry]:
    """The entries of one kind, oldest first, a page at a time; ``since`` leaves out what was recorded before it.

    ``seen`` hears how far the reading has come.
    """
    after, size = 0, log.size() if seen is not None else 0
    while page := log.entries(kind=kind, after=after, limit=PAGE):
        yield from (entry for entry in page if since is None or entry.at >= since)
        after = page[-1].seq
        if seen is not None:
            seen(after, max(after, size))


def part(body: JsonValue, *path: str) -> JsonValue:
    """The value below ``path`` in a body, or None where any step of it is missing."""
    for step in path:
        if not isinstance(body, dict):
            return None
        body = body.get(step)
    return body


def text(body: JsonValue, *path: str) -> str:
    """``part`` as text; the empty string where it is missing or no text."""
    found = part(body, *path)
    return found if isinstance(found, str) else ""


def number(body: JsonValue, *path: str) -> int:
    """``part`` as an integer; 0 where it is missing or none."""
    found = part(body, *path)
    return found if isinstance(found, int) and not isinstance(found, bool) else 0


def texts(body: JsonValue, *path: str) -> tuple[str, ...]:
    """``part`` as texts; empty where it is missing or no list."""
    found = part(body, *path)
    return tuple(map(str, found)) if isinstance(found, list) else ()


def event(entry: Entry) -> str:
    """What happened, in one word: ``allow``, ``deny``, ``done``, ``approved``, ``limit``, ``checkpoint``, …"""
    match entry.kind:
        case "decision":
            return entry.effect
        case "outcome":
            return text(entry.body, "status")
        case "approval":
            return text(entry.body, "answer") or text(entry.body, "event")
        case "reservation":
            return text(entry.body, "event")
        case "hold":
            return "hold" if text(entry.body, "event") == "add" else "release"
        case "policy" | "halt" | "exception":
            return text(entry.body, "event") or entry.kind
        case "checkpoint" | "erasure":
            return entry.kind
        case "review":
            return text(entry.body, "verdict") or "note"


def reasons(entry: Entry) -> tuple[str, ...]:
    """Why a decision is what it is: the reasons of whoever refused, or else those of the policy."""
    return texts(entry.body, "reasons") or texts(entry.body, "decision", "reasons")


def detail(entry: Entry) -> str:
    """The rest of the story, in one line."""
    body = entry.body
    match entry.kind:
        case "decision" if text(body, "input", "kind") == "result":
            said = "; ".join(reasons(entry)) if entry.effect != "allow" else ""
            return f"the result of {number(body, 'of')}" + (f": {said}" if said else "")
        case "decision":
            said = "; ".join(reasons(entry))
            return f"{said} · {call(entry)}" if said and entry.effect != "allow" else call(entry)
        case "outcome":
            shown = f", result {text(body, 'shown')}" if text(body, "shown") else ""
            return f"of {number(body, 'decision')}{shown}" + (f": {text(body, 'error')}" if text(body, "error") else "")
        case "approval":
            return _approval(body)
        case "exception":
            return _exception(body)
        case "reservation":
            return text(body, "refused") or text(body, "account") or text(body, "reservation")
        case "checkpoint":
            return f"of {number(body, 'size')} entries{_what_else(body)}"
        case "hold":
            return f"{text(body, 'hold')} by {text(body, 'by')}: {text(body, 'reason')}"
        case "erasure":
            return f"{text(body, 'subject')[:24]}… by {text(body, 'by')}"
        case "review":
            said = "; ".join(filter(None, (*(f"#{flag}" for flag in texts(body, "flags")), text(body, "comment"))))
            return f"of {number(body, 'of')} by {text(body, 'by')}" + (f": {said}" if said else "")
        case "policy" if text(body, "event"):
            return _policy(body)
        case "policy":
            return text(body, "revision")
        case "halt" if text(body, "event"):
            names = [f"{name} {text(body, name)}" for name in ("workflow", "agent", "run") if text(body, name)]
            why = text(body, "reason")
            return f"{', '.join(names) or 'everything'} by {text(body, 'by')}" + (f": {why}" if why else "")
        case "halt":
            return text(body, "reason") or text(body, "scope")


def _approval(body: JsonValue) -> str:
    """Who has said what to a question, or who may say something from now on."""
    why = text(body, "reason")
    if approver := text(body, "approver"):
        roles = ", ".join(texts(body, "roles"))
        return f"{approver}" + (f" ({roles})" if roles else "") + f" by {text(body, 'by')}"
    said = f"{text(body, 'approval')} by {text(body, 'by')}"
    needed = number(body, "needed")
    said += f", {number(body, 'agreed')} of {needed}" if needed else ""
    changed = part(body, "changed", "args")
    if isinstance(changed, dict):
        said += f", with {', '.join(f'{name}={brief(value)}' for name, value in changed.items())}"
    return said + (f": {why}" if why else "")


def _exception(body: JsonValue) -> str:
    """What a person has opened or closed, or what has passed under it."""
    said, why = f"{text(body, 'exception')} by {text(body, 'by')}", text(body, "reason")
    if text(body, "event") == "used":
        lifted = "; ".join(texts(body, "plain", "reasons"))
        said = f"{said}, use {number(body, 'use')} of {number(body, 'of')}: entry {number(body, 'decision')}"
        return said + (f" in spite of {lifted}" if lifted else "")
    scope = part(body, "scope")
    if isinstance(scope, dict):
        names = [f"{name} {value}" for name in ("workflow", "agent", "tool") if (value := text(scope, name))]
        uses = number(body, "uses")
        said += f", {', '.join((*names, *texts(scope, 'args')))}, {uses} {'use' if uses == 1 else 'uses'}"
        said += f" until {text(body, 'expires_at')[:19]}Z"
    return said + (f": {why}" if why else "")


def lifted(entry: Entry) -> str:
    """Which exception was looked at for a decision, and what it has lifted; empty where there was none."""
    said = part(entry.body, "exception")
    if entry.kind != "decision" or not isinstance(said, dict):
        return ""
    name = f"{text(said, 'id')} by {text(said, 'by')}"
    if part(said, "lifted") is not True:
        return f"{name}: {text(said, 'fault') or 'the policy lifts nothing for it'}"
    use = f", use {number(said, 'use')} of {number(said, 'of')}" if number(said, "use") else ", not used"
    plain = "; ".join(texts(said, "plain", "reasons"))
    return f"{name}{use}, in spite of {plain}" if plain else f"{name}{use}"


def _policy(body: JsonValue) -> str:
    """What became of policies that changed, or what a candidate has differed in."""
    if text(body, "event") == "shadow":
        return f"{number(body, 'changed')} of {number(body, 'compared')} changed by candidate {text(body, 'candidate')}"
    who = "candidate " if part(body, "shadow") is True else ""
    why = "; ".join(texts(body, "reasons")[:2])
    return who + (f"{text(body, 'candidate') or text(body, 'where')}: {why}" if why else text(body, "revision"))


def _what_else(body: JsonValue) -> str:
    """What a checkpoint entry records besides: a new key, or a prune."""
    by = f" by {text(body, 'by')}" if text(body, "by") else ""
    if text(body, "rotation"):
        return f"; a new key signs from now on{by}"
    if text(body, "pruned"):
        return f"; entries 1 to {number(body, 'pruned_size')} were pruned{by}"
    return ""


def call(entry: Entry) -> str:
    """What a decision was about: ``refund(order="A-17", amount=40)``, or the provider and name of a model."""
    return brief_call(part(entry.body, "input"), entry.tool)


def brief_call(asked: JsonValue, name: str) -> str:
    """A policy input as a call, such as ``refund(order="A-17", amount=40)``; ``name`` where it does not say."""
    if text(asked, "kind") == "model":
        return "/".join(filter(None, (text(asked, "model", "provider"), text(asked, "model", "name")))) or name
    args = part(asked, "tool", "args")
    if not isinstance(args, dict):
        return name
    if is_mark(args):
        return f"{name}({_hidden(args)})"
    return f"{name}({', '.join(f'{key}={brief(value)}' for key, value in args.items())})"


def brief(value: JsonValue) -> str:
    """A value in at most ``ARGUMENT_MAX`` characters; one that is hidden says how."""
    if is_mark(value):
        return _hidden(value)
    shown = json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= ARGUMENT_MAX else shown[: ARGUMENT_MAX - 1] + "…"


def _hidden(value: JsonValue) -> str:
    """``masked``, ``sealed`` or ``large``: what became of a value that is not there."""
    return next(iter(value)).removeprefix("$") if isinstance(value, dict) else ""
