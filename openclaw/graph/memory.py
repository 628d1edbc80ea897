"""Shared memory: a LangGraph store in which every read and write is a governed action of kind ``memory``.

The gate sees ``get``, ``put``, ``delete`` and ``search`` with their namespace, key, value, query and filter as arguments;
listing namespaces is a ``search`` that says ``"namespaces": true``. What is refused raises ``Refused``; where a tool asked, the
model is told.

Beside each value stands where it came from (``openclaw.graph.labels``). What outsiders have said in one run is theirs in every
run that reads it, under the name of the tool that they said it through; what the person or a trusted tool has said stays
trusted. Of any other value nobody knows: it is untrusted, unless whoever governs the store vouches for what is written there.
"""

from __future__ import annotations

import copy
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, cast

from langgraph.errors import GraphBubbleUp
from langgraph.store.base import BaseStore, GetOp, Item, ListNamespacesOp, MatchCondition, Op, PutOp, Result, SearchOp
from pydantic import JsonValue

from openclaw.action import MemoryAccess
from openclaw.canonical import plain, printable
from openclaw.errors import ConfigurationError, Refused
from openclaw.gate import Admission, Outcome, Permit, Refusal, Replayed, Request, Shown, Waiting
from openclaw.graph import scope as scopes
from openclaw.graph.bodies import taint
from openclaw.graph.kept import pack, unpack
from openclaw.graph.labels import UNFIT, UNKNOWN, Label, Trust, labelled, unlabelled
from openclaw.graph.refusals import waiting

if TYPE_CHECKING:
    from openclaw.audit import Privacy


class GovernedStore(BaseStore):
    """A store whose every operation passes the gate of the run that it is made in; outside of any run it refuses.

    Args:
        inner: where the values really are. Whoever holds it can reach them without a gate, so keep it out of the graph.
        trust: of values of which nobody knows where they came from: ``trusted`` if nobody writes here but who is vouched for.
    """

    def __init__(self, inner: BaseStore, *, trust: Trust = "untrusted") -> None:
        self._inner = inner
        self._trust: Trust = trust
        config = cast("Mapping[str, Any] | None", getattr(inner, "index_config", None))
        self._embedded: list[str] | None = None if config is None else list(config.get("fields") or ["$"])
        self.supports_ttl = inner.supports_ttl
        self.ttl_config = inner.ttl_config

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Each operation by itself, in order; the first that is refused ends it."""
        return [self._one(op) for op in ops]

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """``batch`` on an event loop."""
        return [await self._aone(op) for op in ops]

    def _one(self, op: Op) -> Result:
        access = _Access(op, self._trust, self._embedded)
        admission = access.gate.admit(access.request)
        if not isinstance(admission, Permit):
            return access.not_permitted(admission)
        try:
            with access.running():
                access.returned(self._inner.batch([access.granted(admission)])[0])
            if access.gate.reads(admission):
                access.answered(access.gate.show(admission, access.outcome, access.seen))
            return access.result()
        finally:
            access.finish(admission)

    async def _aone(self, op: Op) -> Result:
        access = _Access(op, self._trust, self._embedded)
        admission = await access.gate.aadmit(access.request)
        if not isinstance(admission, Permit):
            return access.not_permitted(admission)
        try:
            with access.running():
                access.returned((await self._inner.abatch([access.granted(admission)]))[0])
            if access.gate.reads(admission):
                access.answered(await access.gate.ashow(admission, access.outcome, access.seen))
            return access.result()
        finally:
            access.finish(admission)


def govern_store(store: BaseStore, *, trust: Trust = "untrusted") -> GovernedStore:
    """``store`` behind the gate; one that is already there is given back.

    Raises:
        ConfigurationError: it is no LangGraph store.
    """
    if isinstance(store, GovernedStore):
        return store
    if not isinstance(store, BaseStore):  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all typed
        raise ConfigurationError(
            f"`{type(store).__name__}` is no LangGraph store", hint="give a BaseStore, such as InMemoryStore()"
        )
    return GovernedStore(store, trust=trust)


class _Access:
    """One operation: as the policy sees it, and what becomes of it. It is cut off until something else is known."""

    def __init__(self, op: Op, trust: Trust, embedded: Sequence[str] | None) -> None:
        name, args = _described(op)
        self._op = op
        self._trust: Trust = trust
        self._embedded = embedded
        self._scope = scopes.require(f"memory {name}")
        self.gate = self._scope.gate
        where = scopes.task()
        self._execution = scopes.execution(self._scope, where, name=f"memory {name}", call_id="", args=args)
        self._action = MemoryAccess(principal=self._scope.principal, name=name, args=args)
        self.request = Request(
            action=self._action,
            run=self._scope.moment(),
            flow=self._scope.shared.describe(args),
            key=self._execution.key,
            can_wait=where.checkpointed,
            remembers=False,
        )
        self._result: Result = None
        self._labels: list[Label] = []
        self.outcome = Outcome(status="cancelled")

    @property
    def seen(self) -> JsonValue:
        """The result as the policy sees it: the value, or the values in order."""
        return plain(_values(self._result))

    def granted(self, permit: Permit) -> Op:
        """The operation with the arguments of the permit, which an obligation may have rewritten."""
        given = cast("MemoryAccess", permit.action).args
        op = self._op if given is self._action.args else _rewritten(self._op, given)
        if not isinstance(op, PutOp) or op.value is None:
            return op
        flow = self.request.flow if op is self._op else self._scope.shared.describe({"value": op.value})
        return labelled(op, UNFIT if flow is None else Label.of(flow, "value"), self.gate.privacy, self._embedded)

    @contextmanager
    def running(self) -> Generator[None]:
        try:
            yield
        except GraphBubbleUp:
            raise
        except Exception as error:
            self.outcome = replace(self.outcome, status="failed", error=f"{type(error).__name__}: {printable(error)}")
            raise

    def returned(self, result: Result) -> None:
        self._result, self._labels = _bare(result, self.gate.privacy)
        self.outcome = replace(self.outcome, status="done", result=plain(_values(self._result)), replay=self._kept())

    def _kept(self) -> bytes:
        labels = [[label.trust, list(label.origins)] for label in self._labels]
        return pack({"result": self._result, "labels": labels}) if self.request.key is not None else b""

    def finish(self, permit: Permit) -> None:
        """It has ended."""
        self.gate.finish(permit, self.outcome)
        self._scope.shared.ended(self._execution, self.outcome.status, permit)

    def answered(self, shown: Shown) -> None:
        """The gate has said what may be seen of it."""
        if shown.refused is None and shown.changed:
            self._result = _with_values(self._result, shown.value)
        self.outcome = replace(self.outcome, shown=shown, replay=self._kept() if shown.refused is None else b"")

    def result(self) -> Result:
        """What is handed on, with what it says to the flow."""
        shown = self.outcome.shown
        if shown is not None and shown.refused is not None:
            raise shown.refused
        for value, label in zip(_listed(_values(self._result)), self._labels, strict=True):
            for source in label.sources(self._trust):
                self._scope.shared.see(source, value)
                if source.trust == "untrusted":
                    taint()
        return self._result

    def not_permitted(self, admission: Admission) -> Result:
        match admission:
            case Replayed(result=stored):
                kept = cast("dict[str, Any]", unpack(stored) or {"result": None, "labels": []})
                self._result = kept["result"]
                self._labels = [Label(trust, tuple(origins)) for trust, origins in kept["labels"]]
                return self.result()
            case Waiting():
                self._scope.shared.comes_again(self._execution)
                raise waiting(admission, self._action)
            case Refusal(error=refused):
                raise refused
            case _:
                raise TypeError(f"the gate answered with {type(admission).__name__}")


# --- Operations as arguments ------------------------------------------------------------------------------------------


def _described(op: Op) -> tuple[Literal["get", "put", "search", "delete"], dict[str, object]]:
    match op:
        case GetOp():
            return "get", {"namespace": list(op.namespace), "key": op.key}
        case PutOp(value=None):
            return "delete", {"namespace": list(op.namespace), "key": op.key}
        case PutOp():
            return "put", {"namespace": list(op.namespace), "key": op.key, "value": op.value}
        case SearchOp():
            args: dict[str, object] = {"namespace": list(op.namespace_prefix), "limit": op.limit, "offset": op.offset}
            args |= {} if op.query is None else {"query": op.query}
            return "search", args | ({} if op.filter is None else {"filter": op.filter})
        case ListNamespacesOp():
            return "search", {
                "namespaces": True,
                "match": [[item.match_type, list(item.path)] for item in op.match_conditions or ()],
                "limit": op.limit,
                "offset": op.offset,
            }
    raise Refused(f"the store was asked for an unknown operation `{type(op).__name__}`", source="gate")


def _rewritten(op: Op, args: Mapping[str, object]) -> Op:
    given = cast("dict[str, Any]", dict(args))
    match op:
        case GetOp():
            return op._replace(namespace=tuple(given["namespace"]), key=given["key"])
        case PutOp():
            return op._replace(namespace=tuple(given["namespace"]), key=given["key"], value=given.get("value"))
        case SearchOp():
            return op._replace(
                namespace_prefix=tuple(given["namespace"]),
                limit=given["limit"],
                offset=given["offset"],
                query=given.get("query"),
                filter=given.get("filter"),
            )
        case ListNamespacesOp():
            match = tuple(MatchCondition(match_type=kind, path=tuple(path)) for kind, path in given["match"])
            return op._replace(match_conditions=match or None, limit=given["limit"], offset=given["offset"])
    raise AssertionError("INVARIANT: described before")


def _bare(result: Result, privacy: Privacy) -> tuple[Result, list[Label]]:
    """The result as a graph sees it, and the label of each value in it."""
    if isinstance(result, Item):
        item, label = unlabelled(result, privacy)
        return item, [label]
    if not isinstance(result, list):
        return result, []
    pairs = [unlabelled(one, privacy) if isinstance(one, Item) else (one, UNKNOWN) for one in result]
    return cast("Result", [item for item, _ in pairs]), [label for _, label in pairs]


def _values(result: Result) -> object:
    if isinstance(result, Item):
        return result.value
    if isinstance(result, list):
        return [item.value if isinstance(item, Item) else list(item) for item in result]
    return result


def _with_values(result: Result, shown: JsonValue) -> Result:
    """The result with what may be seen of its values, in order."""
    if isinstance(result, Item):
        return _with_value(result, shown)
    if isinstance(result, list) and isinstance(shown, list) and len(shown) == len(result):
        pairs = zip(cast("list[Any]", result), shown, strict=True)
        return cast(
            "Result",
            [
                _with_value(item, one) if isinstance(item, Item) else tuple(cast("list[str]", one))
                for item, one in pairs
            ],
        )
    raise Refused("what was left of the result is not what it was of", source="gate")


def _with_value(item: Item, shown: JsonValue) -> Item:
    if not isinstance(shown, dict):
        raise Refused("what was left of a value in memory is no object", source="gate")
    changed = copy.copy(item)
    changed.value = cast("dict[str, Any]", shown)
    return changed


def _listed(values: object) -> list[object]:
    if values is None:
        return []
    return cast("list[object]", values) if isinstance(values, list) else [values]


__all__ = ["GovernedStore", "govern_store"]
