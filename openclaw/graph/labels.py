"""Where a value in memory came from, kept beside it: a member of the value that says so, sealed with the key of the log.

A label holds for exactly this value under this key of this namespace. So it goes with the value through every kind of store,
and dies with it; one that does not fit, because somebody changed the value, moved it or made the label up, makes the value
untrusted. A value is one: it is as untrusted as the most untrusted part of it.
"""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from langgraph.store.base import Item, PutOp
from pydantic import JsonValue

from openclaw.canonical import digest
from openclaw.errors import AuditError
from openclaw.flow import Source

if TYPE_CHECKING:
    from openclaw.audit import Privacy

MEMBER = "openclaw_flow"
"""The member of a value that is its label. Graphs never see it; whoever reads the store round them does."""

MEMORY = "memory"
"""The name of a source of which nothing more is known than that it was read from memory."""

Trust = Literal["trusted", "untrusted"]


@dataclass(frozen=True, slots=True)
class Label:
    """What is known of a value: its trust; ``origins`` are the tools that outsiders said it through. None: nobody knows."""

    trust: Trust | None = None
    origins: tuple[str, ...] = ()

    @classmethod
    def of(cls, flow: Mapping[str, JsonValue], name: str) -> Label:
        """The label of argument ``name``, from the flow of the run that writes it.

        What nobody has said is the outsiders' where any were read: it may be a paraphrase of them.
        """
        outsiders = {source.label: source.name for source in _untrusted(flow)}
        args = cast("dict[str, dict[str, JsonValue]]", flow.get("args") or {})
        entry = args.get(name) or {}
        if entry.get("trust") == "trusted" and flow.get("complete") is True:
            return cls("trusted")
        seen_in = cast("list[str]", entry.get("seen_in") or [])
        named = [outsiders[label] for label in seen_in if label in outsiders]
        if entry.get("trust") == "untrusted" and named:
            return cls("untrusted", tuple(named))
        return cls("untrusted", tuple(outsiders.values())) if outsiders else cls()

    def sources(self, otherwise: Trust) -> list[Source]:
        """What a value with this label is to the flow of a run that reads it; ``otherwise``: the trust where nobody knows."""
        if self.trust == "untrusted":
            return [Source(kind="tool", name=name, trust="untrusted", via=MEMORY) for name in self.origins or (MEMORY,)]
        return [Source(kind="tool", name=MEMORY, trust=self.trust or otherwise)]


UNKNOWN = Label()
UNFIT = Label("untrusted")
"""The label of a value whose own does not fit, or that is written where nobody knows what was read before."""


def labelled(op: PutOp, label: Label, privacy: Privacy, index: Sequence[str] | None) -> PutOp:
    """The write of a value with its label beside it. ``index``: what the store embeds of a value by default."""
    assert op.value is not None, "INVARIANT: a value is written"
    value = {name: member for name, member in op.value.items() if name != MEMBER}
    said = json.dumps({"trust": label.trust, "origins": label.origins}).encode()
    sealed = privacy.seal_label(said, _about(op.namespace, op.key, value))
    wanted = op.index
    if wanted is None and index is not None and "$" in index and value and all(map(str.isidentifier, value)):
        # The label is no part of what the value says, and so not of what is embedded of it.
        wanted = [*value, *(path for path in index if path != "$")]
    return op._replace(value={**value, MEMBER: base64.b64encode(sealed).decode()}, index=wanted)


def unlabelled(item: Item, privacy: Privacy) -> tuple[Item, Label]:
    """An item as a graph sees it, and its label."""
    if MEMBER not in item.value:
        return item, UNKNOWN
    value = {name: member for name, member in item.value.items() if name != MEMBER}
    label = _opened(item.value[MEMBER], _about(item.namespace, item.key, value), privacy)
    bare = copy.copy(item)
    bare.value = value
    return bare, label


def _opened(token: object, about: str, privacy: Privacy) -> Label:
    try:
        said = json.loads(privacy.open_label(base64.b64decode(str(token), validate=True), about))
    except (AuditError, ValueError):
        return UNFIT
    return Label(said["trust"], tuple(said["origins"]))


def _about(namespace: Sequence[str], key: str, value: Mapping[str, object]) -> str:
    return f"memory {digest([list(namespace), key, value])}"


def _untrusted(flow: Mapping[str, JsonValue]) -> list[Source]:
    listed = cast("list[dict[str, str]]", flow.get("sources") or [])
    return [
        Source(kind="tool", name=source["tool"], trust="untrusted")
        for source in listed
        if source.get("trust") == "untrusted" and "tool" in source
    ]


__all__ = ["MEMBER", "MEMORY", "UNFIT", "UNKNOWN", "Label", "labelled", "unlabelled"]
