"""OpenTelemetry: spans, token metrics and log records by the GenAI semantic conventions, over OTLP/HTTP or as OTLP JSON lines.

Names and requirements are those of semantic-conventions-genai v0.1.0, written out here: all of it is in development, and the
packaged constants follow no single version of it.

    invoke_agent AGENT      INTERNAL   one turn of an agent in a run: what it did until it handed over or came to rest
      chat MODEL            CLIENT     one model call, with its tokens
      execute_tool TOOL     INTERNAL   one tool call, hand-off or refused call
    gen_ai.client.inference.usage.input_tokens, .output_tokens      counters, delta; of failed calls too, with 0
    gen_ai.client.inference.usage.cache_read.input_tokens, .cache_write.input_tokens    parts of the input, where known
    log records             every entry of the log, ``openclaw.audit.KIND``

A run is a trace. Trace and span identifiers derive from the log's name and the entry's number, so an entry that is sent again
has the same ones. The end of a turn is not in the log: a turn is over when its agent has handed over, or when none of its
calls is under way and nothing has come for a minute.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import importlib.metadata
import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import JsonValue

from openclaw.audit import AuditLog, Entry
from openclaw.errors import AuditError, ConfigurationError
from openclaw.review.entries import event, number, part, reasons, text
from openclaw.review.export_otlp import Otlp
from openclaw.review.export_sinks import Parcel

CONVENTIONS = "0.1.0"
REST_SECONDS = 60
"""A turn in which no call is under way is over after so long without another entry."""

ABANDONED_SECONDS = 3600
"""A turn is over after so long in any case: its call was cut off."""

_KNOWN_MAX = 10_000
_NANOS = 1_000_000_000
_MEMORY = {"get": "search_memory", "search": "search_memory", "put": "upsert_memory", "delete": "delete_memory"}
_Attributes = dict[str, Any]


@dataclass(slots=True)
class _Turn:
    """One agent at work in one run, from its first entry on. Times are nanoseconds since 1970."""

    run: str
    agent: str
    seq: int
    began: int
    last: int
    under_way: int = 0
    thread: str = ""
    provider: str = ""
    model: str = ""
    error: str = ""
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is needed of a decision when its outcome comes."""

    kind: str
    provider: str
    model: str
    thread: str
    began: int
    turn: str
    args: JsonValue
    attributes: Mapping[str, JsonValue]


class OtelGenAi:
    """OTLP by the GenAI conventions.

    Args:
        content: send what the log holds of arguments, results and reasons, too (opt-in in the conventions). What the log
            hides stays hidden.
        service: ``service.name`` of the resource.

    Raises:
        ConfigurationError: the protocol's package is not installed.
    """

    name = "otel"

    def __init__(self, *, content: bool = False, service: str = "openclaw") -> None:
        self._otlp = Otlp(
            resource={"service.name": service, "telemetry.sdk.name": "openclaw", "telemetry.sdk.language": "python"},
            scope=("openclaw", importlib.metadata.version("openclaw-governance")),
            attributes={"openclaw.gen_ai.conventions": CONVENTIONS},
        )
        self._content = content
        self._turns: dict[str, _Turn] = {}
        self._asked: OrderedDict[int, _Asked] = OrderedDict()

    def begin(self, log: AuditLog, state: dict[str, JsonValue]) -> None:
        """Go on with the turns that were not over."""
        self._log = log
        turns = state.get("turns")
        try:
            self._turns = {key: _Turn(**turn) for key, turn in (turns if isinstance(turns, dict) else {}).items()}  # type: ignore[arg-type]
        except TypeError as error:
            raise ConfigurationError("the cursor was kept by another version", hint="name another cursor") from error

    def state(self) -> dict[str, JsonValue]:
        """The turns that are not over."""
        return {"turns": {key: asdict(turn) for key, turn in self._turns.items()}}

    def rest(self, now: dt.datetime | None, *, text: bool) -> list[Parcel]:
        """The turns that are over at ``now``; all of them at the end."""
        at = None if now is None else _nanos(now)
        over = [key for key, turn in self._turns.items() if at is None or _is_over(turn, at)]
        return self._otlp.traces([self._turn_span(self._turns.pop(key)) for key in over], text=text) if over else []

    def pack(self, entries: Sequence[Entry], *, text: bool) -> list[Parcel]:
        """Spans, metrics and log records of some entries."""
        spans, points, records = list[Any](), list[Any](), list[Any]()
        for entry in entries:
            points += self._points(entry)  # before the spans, which let go of what was asked
            spans += self._spans(entry)
            records.append(self._record(entry))
        parcels = self._otlp.traces(spans, text=text) if spans else []
        parcels += self._otlp.metrics(points, text=text) if points else []
        return parcels + self._otlp.logs(records, text=text)

    # -- spans ---------------------------------------------------------------------------------------------------

    def _spans(self, entry: Entry) -> list[Any]:
        if text(entry.body, "input", "kind") == "result":
            return []  # what may be seen of a result is no call of its own; a log record tells of it
        if entry.kind == "decision":
            asked = self._remember(entry)
            ended = self._begin(entry, asked) if entry.run else []
            # What was let through is a span once its outcome is known; what was not is one now, of no length.
            return ended if entry.effect == "allow" else [*ended, self._call_span(entry, asked, 0)]
        if entry.kind != "outcome":
            return []
        decision = number(entry.body, "decision")
        asked = self._asked.pop(decision, None) or self._read(decision)
        if asked is None:
            return []  # its decision is no longer in the log; the log record tells of it all the same
        return [self._call_span(entry, asked, decision), *self._end(entry, asked)]

    def _remember(self, entry: Entry) -> _Asked:
        body = entry.body
        asked = _Asked(
            kind=text(body, "input", "kind"),
            provider=text(body, "input", "model", "provider"),
            model=text(body, "input", "model", "name"),
            thread=text(body, "input", "run", "thread"),
            began=_nanos(entry.at),
            turn=_turn_key(entry),
            args=part(body, "input", "tool", "args"),
            attributes={"openclaw.effect": entry.effect, "openclaw.policy.revision": text(body, "revision")},
        )
        self._asked[entry.seq] = asked
        while len(self._asked) > _KNOWN_MAX:
            self._asked.popitem(last=False)
        return asked

    def _read(self, seq: int) -> _Asked | None:
        try:
            return self._remember(self._log.entry(seq))
        except AuditError:
            return None

    def _begin(self, entry: Entry, asked: _Asked) -> list[Any]:
        """Count a call into its agent's turn; the span of the turn before it, if that is over."""
        ended, turn = list[Any](), self._turns.get(asked.turn)
        if turn is not None and _is_over(turn, asked.began):
            ended, turn = [self._turn_span(self._turns.pop(asked.turn))], None
        if turn is None:
            turn = _Turn(entry.run, entry.agent, entry.seq, asked.began, asked.began, thread=asked.thread)
            self._turns[asked.turn] = turn
        turn.last = max(turn.last, asked.began)
        turn.under_way += entry.effect == "allow"
        turn.provider, turn.model = asked.provider or turn.provider, asked.model or turn.model
        return ended

    def _end(self, entry: Entry, asked: _Asked) -> list[Any]:
        """Count an outcome into the turn; the turn's span, if the agent has handed over."""
        turn = self._turns.get(asked.turn)
        if turn is None:
            return []
        turn.last = max(turn.last, asked.began + number(entry.body, "duration_ms") * 1_000_000)
        turn.under_way = max(0, turn.under_way - 1)
        turn.input_tokens += number(entry.body, "used", "input_tokens")
        turn.output_tokens += number(entry.body, "used", "output_tokens")
        if asked.kind == "handoff" and event(entry) == "done":
            return [self._turn_span(self._turns.pop(asked.turn))]
        return []

    def _turn_span(self, turn: _Turn) -> Any:
        attributes: _Attributes = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": turn.agent,
            "gen_ai.provider.name": turn.provider,
            "gen_ai.request.model": turn.model,
            "gen_ai.conversation.id": turn.thread,
            "gen_ai.usage.input_tokens": turn.input_tokens,
            "gen_ai.usage.output_tokens": turn.output_tokens,
            "openclaw.run": turn.run,
        }
        return self._otlp.span(
            trace=self._trace(turn.run, turn.seq),
            span=self._identity("turn", turn.run, turn.agent, turn.seq)[:8],
            name=f"invoke_agent {turn.agent}".strip(),
            client=False,
            began=turn.began,
            ended=turn.last,
            attributes=_present(attributes),
        )

    def _call_span(self, entry: Entry, asked: _Asked, decision: int) -> Any:
        seq = decision or entry.seq
        turn = self._turns.get(asked.turn)
        name, attributes = self._named(entry, asked)
        error = _error(entry)
        attributes |= {
            "gen_ai.agent.name": entry.agent,
            "gen_ai.conversation.id": asked.thread,
            "error.type": error,
            "openclaw.run": entry.run,
            "openclaw.seq": seq,
            "openclaw.outcome.seq": entry.seq if decision else 0,
            "openclaw.cost.microusd": number(entry.body, "used", "microusd"),
            **asked.attributes,
        }
        if self._content:
            attributes |= self._contents(entry, asked)
        return self._otlp.span(
            trace=self._trace(entry.run, seq),
            span=self._identity("call", seq)[:8],
            parent=self._identity("turn", turn.run, turn.agent, turn.seq)[:8] if turn is not None else b"",
            name=name,
            client=asked.kind == "model",
            began=asked.began,
            ended=asked.began + number(entry.body, "duration_ms") * 1_000_000,
            attributes=_present(attributes),
            error=("; ".join(reasons(entry)) if self._content else error) if error else "",
        )

    def _named(self, entry: Entry, asked: _Asked) -> tuple[str, _Attributes]:
        if asked.kind == "model":
            return f"chat {asked.model}", {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": asked.provider or "unknown",
                "gen_ai.request.model": asked.model,
                "gen_ai.usage.input_tokens": number(entry.body, "used", "input_tokens"),
                "gen_ai.usage.output_tokens": number(entry.body, "used", "output_tokens"),
                **{f"gen_ai.usage.{name}": count for name, count in _cached(entry).items()},
            }
        if asked.kind == "memory":
            operation = _MEMORY.get(entry.tool, "search_memory")
            return operation, {"gen_ai.operation.name": operation}
        return f"execute_tool {entry.tool}", {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": entry.tool,
            "gen_ai.tool.type": "function",
            "gen_ai.tool.call.id": entry.call_id,
        }

    def _contents(self, entry: Entry, asked: _Asked) -> _Attributes:
        said: _Attributes = {"openclaw.reasons": list(reasons(entry)), "openclaw.error": text(entry.body, "error")}
        if asked.args is not None:
            said["gen_ai.tool.call.arguments"] = json.dumps(asked.args)
        result = part(entry.body, "result", "result")
        if result is not None:
            said["gen_ai.tool.call.result"] = json.dumps(result)
        return said

    # -- metrics and records -------------------------------------------------------------------------------------

    def _points(self, entry: Entry) -> Iterable[Any]:
        if entry.kind != "outcome":
            return []
        asked = self._asked.get(number(entry.body, "decision")) or self._read(number(entry.body, "decision"))
        if asked is None or asked.kind != "model":
            return []
        attributes = _present(
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": asked.provider or "unknown",
                "gen_ai.request.model": asked.model,
                "gen_ai.token.modality": "unknown",
            }
        )
        ended = asked.began + number(entry.body, "duration_ms") * 1_000_000
        counted = {f"{kind}_tokens": number(entry.body, "used", f"{kind}_tokens") for kind in ("input", "output")}
        return [
            (f"gen_ai.client.inference.usage.{name}", count, asked.began, ended, attributes)
            for name, count in (counted | _cached(entry)).items()
        ]

    def _record(self, entry: Entry) -> Any:
        seq = number(entry.body, "decision") or entry.seq
        attributes: _Attributes = {
            "openclaw.seq": entry.seq,
            "openclaw.kind": entry.kind,
            "openclaw.event": event(entry),
            "openclaw.effect": entry.effect,
            "openclaw.run": entry.run,
            "openclaw.workflow": entry.workflow,
            "gen_ai.agent.name": entry.agent,
            "gen_ai.tool.name": entry.tool,
            "gen_ai.tool.call.id": entry.call_id,
            "openclaw.leaf": entry.leaf,
        }
        called = entry.kind in ("decision", "outcome")
        return self._otlp.record(
            at=_nanos(entry.at),
            name=f"openclaw.audit.{entry.kind}",
            body=json.dumps(entry.body) if self._content else event(entry),
            warn=entry.effect == "deny" or entry.kind == "exception" or event(entry) in ("failed", "rejected", "halt"),
            attributes=_present(attributes),
            trace=self._trace(entry.run, seq) if called else b"",
            span=self._identity("call", seq)[:8] if called else b"",
        )

    def _trace(self, run: str, seq: int) -> bytes:
        return self._identity("run", run)[:16] if run else self._identity("entry", seq)[:16]

    def _identity(self, *parts: str | int) -> bytes:
        return hashlib.sha256(json.dumps([self._log.origin, *parts]).encode()).digest()


def _turn_key(entry: Entry) -> str:
    return json.dumps([entry.run, entry.agent])


def _is_over(turn: _Turn, at: int) -> bool:
    still = at - turn.last
    return still > (ABANDONED_SECONDS if turn.under_way else REST_SECONDS) * _NANOS


def _cached(entry: Entry) -> dict[str, int]:
    """What of a model call's input was read from the provider's cache, and written to it; empty where that is not known."""
    if not part(entry.body, "cached"):
        return {}
    return {
        "cache_read.input_tokens": number(entry.body, "cached", "read"),
        "cache_write.input_tokens": number(entry.body, "cached", "written"),
    }


def _error(entry: Entry) -> str:
    """``error.type``: the exception's name, or who refused; the empty string where nothing went wrong."""
    if entry.effect == "deny":
        return f"refused_by_{text(entry.body, 'refused_by') or 'policy'}"
    if event(entry) == "failed":
        return text(entry.body, "error").partition(":")[0] or "_OTHER"
    return event(entry) if event(entry) in ("cancelled", "unknown") else ""


def _present(attributes: _Attributes) -> _Attributes:
    return {
        name: value for name, value in attributes.items() if value not in ("", None, [], 0) or name.endswith("_tokens")
    }


def _nanos(at: dt.datetime) -> int:
    since = at - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return (since.days * 86_400 + since.seconds) * _NANOS + since.microseconds * 1000


__all__ = ["CONVENTIONS", "OtelGenAi"]
