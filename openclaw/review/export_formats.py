"""The formats that are the entries themselves: lines of JSON, and CloudEvents."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Sequence
from typing import Protocol

from pydantic import JsonValue

from openclaw.audit import AuditLog, Entry
from openclaw.review.export_sinks import Parcel


class Format(Protocol):
    """How entries are packed. A format may remember something from one page to the next; ``state`` goes into the cursor."""

    @property
    def name(self) -> str:
        """What the cursor calls it."""
        ...

    def begin(self, log: AuditLog, state: dict[str, JsonValue]) -> None:
        """Go on where ``state`` was left."""
        ...

    def pack(self, entries: Sequence[Entry], *, text: bool) -> list[Parcel]:
        """Some entries, for a sink that takes lines (``text``), or request bodies."""
        ...

    def rest(self, now: dt.datetime | None, *, text: bool) -> list[Parcel]:
        """What is still held back and need not be any more at ``now``; at the end (None), all of it."""
        ...

    def state(self) -> dict[str, JsonValue]:
        """What has to be remembered."""
        ...


class Plain:
    """Base of the formats that remember nothing."""

    def begin(self, log: AuditLog, state: dict[str, JsonValue]) -> None:
        """Nothing to go on with."""

    def rest(self, now: dt.datetime | None, *, text: bool) -> list[Parcel]:
        """Nothing is held back."""
        return []

    def state(self) -> dict[str, JsonValue]:
        """Nothing."""
        return {}


class JsonLines(Plain):
    """One entry a line, as ``openclaw audit list --json`` prints it; ``openclaw schema entry`` has its JSON Schema."""

    name = "jsonl"

    def pack(self, entries: Sequence[Entry], *, text: bool) -> list[Parcel]:
        """The lines, also as the body of a request (application/x-ndjson)."""
        return [Parcel(lines(entry.model_dump(mode="json") for entry in entries))]


class CloudEvents(Plain):
    """CloudEvents 1.0.2 in JSON, structured; a request carries a batch (application/cloudevents-batch+json).

    ``source`` names the log and ``id`` is its name and the entry's number: together they are the same whenever an entry is
    sent again, which is how consumers tell copies (section "id" of the specification).
    """

    name = "cloudevents"

    def begin(self, log: AuditLog, state: dict[str, JsonValue]) -> None:
        """Take the log's name."""
        self._origin = log.origin

    def pack(self, entries: Sequence[Entry], *, text: bool) -> list[Parcel]:
        """One event a line, or all of them in one array."""
        events = [self.event(entry) for entry in entries]
        if text:
            return [Parcel(lines(events))]
        return [Parcel(json.dumps(events).encode(), "application/cloudevents-batch+json")]

    def event(self, entry: Entry) -> dict[str, JsonValue]:
        """One entry as an event."""
        event: dict[str, JsonValue] = {
            "specversion": "1.0",
            "id": f"{self._origin}/{entry.seq}",
            "source": f"/openclaw/log/{self._origin}",
            "type": f"openclaw.audit.{entry.kind}",
            "time": entry.at.isoformat().replace("+00:00", "Z"),
            "datacontenttype": "application/json",
            "data": entry.model_dump(mode="json"),
        }
        return event | ({"subject": entry.tool} if entry.tool else {})


def lines(values: Iterable[object]) -> bytes:
    """JSON values one a line; what could end a line is escaped in them."""
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


__all__ = ["CloudEvents", "Format", "JsonLines", "Plain", "lines"]
