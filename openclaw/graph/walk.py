"""The walk: what a graph holds, before it runs.

From each node it follows everything that can hold a tool or a model: runnables and what they are made of, functions and
their closures, defaults and the globals they name, partials, bound methods and their objects, the methods and attributes of
classes that they name, containers, subgraphs, what merges values in the state, the bodies of tools. What can be sealed is
returned to be sealed; what cannot is refused here, by node and name. What only comes to be while the graph runs is left to
the tripwire.
"""

from __future__ import annotations

import collections
import functools
import inspect
import sys
import types
import weakref
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, cast

from langchain_core.language_models import BaseChatModel, BaseLLM
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langgraph.pregel import Pregel
from langgraph.pregel.remote import RemoteGraph
from langgraph.store.base import BaseStore

from openclaw.canonical import printable
from openclaw.errors import ConfigurationError, OpenClawError
from openclaw.graph import seal
from openclaw.graph.memory import GovernedStore

_OBJECTS_MAX = 200_000
_FOREIGN = frozenset({"langchain", "langchain_core", "langgraph", "langsmith", "openclaw", "pydantic"})
"""Packages whose code is not read: it is known. Their objects are followed by what they hold."""

_ATOMS = (str, bytes, int, float, complex, bool, type(None), types.BuiltinFunctionType)
_CACHED = type(functools.lru_cache(lambda: None))


@dataclass(slots=True)
class Found:
    """What a graph holds: objects, each with the node where it was first met."""

    tools: list[BaseTool] = field(default_factory=list[BaseTool])
    models: list[BaseChatModel] = field(default_factory=list[BaseChatModel])
    graphs: list[Pregel[Any, Any, Any, Any]] = field(default_factory=list[Pregel[Any, Any, Any, Any]])
    nodes: dict[int, str] = field(default_factory=dict[int, str])


def find(graph: Pregel[Any, Any, Any, Any]) -> Found:
    """Everything governable in ``graph``.

    Raises:
        ConfigurationError: something in it cannot be governed.
    """
    walker = _Walker()
    walker.graph(graph, "")
    walker.inside_of_tools()
    for node, function, owner in walker.functions:
        tools = walker.tools_of(function)
        if tools and owner not in tools:
            tool = min(tools)
            raise ConfigurationError(
                f"node `{node}` calls the function behind tool `{tool}` directly, round the gate",
                hint=f"call `{tool}.invoke(…)` there",
            )
    return walker.found


class _Walker:
    def __init__(self) -> None:
        self.found = Found()
        # Each function that is held, by which node, and inside of which tool: what a tool does within its own call is its own.
        self.functions: list[tuple[str, types.FunctionType, str]] = []
        self._behind: dict[int, set[str]] = defaultdict(set)
        # By owner, "" for what is reached without passing through a tool. Those come first, so that they are judged strictly.
        self._visited: dict[str, set[int]] = defaultdict(set)
        self._owned: list[tuple[object, str, str]] = []
        # Objects are told apart by identity, so those that are made on the way must not be freed on the way.
        self._held: list[object] = []
        self._known: set[int] = set()
        self._bound: dict[tuple[int, int], types.MethodType] = {}

    def tools_of(self, function: types.FunctionType) -> set[str]:
        """The tools that ``function`` is the function of: those of one class share theirs."""
        raw = seal.raw_function(function)
        return self._behind.get(id(function)) or ({raw} if raw is not None else set())

    def graph(self, graph: Pregel[Any, Any, Any, Any], above: str) -> None:
        """Walk the nodes of a graph, and the functions that route between them."""
        self._visited[""].add(id(graph))
        self.found.graphs.append(graph)
        builder = getattr(graph, "builder", None)
        for name, node in cast("dict[str, Any]", graph.nodes).items():
            self._walk([node.bound, *node.writers, node.retry_policy, node.cache_policy], above + name)
        for name, branches in getattr(builder, "branches", {}).items():
            self._walk([branch.path for branch in branches.values()], above + str(name))
        for name, spec in getattr(builder, "nodes", {}).items():
            self._walk([spec.runnable], above + str(name))
        for name, channel in cast("dict[str, Any]", vars(graph)["channels"]).items():
            self._walk([getattr(channel, "operator", None)], f"{above}{name} (state)")

    def inside_of_tools(self) -> None:
        """Walk what only tools hold, each tool's by itself."""
        while self._owned:
            thing, node, owner = self._owned.pop()
            self._walk([thing], node, owner)

    def _walk(self, roots: Iterable[object], node: str, owner: str = "") -> None:
        visited, strictly = self._visited[owner], self._visited[""]
        pending = list(roots)
        while pending:
            thing = pending.pop()
            if type(thing) in _ATOMS or id(thing) in visited or id(thing) in strictly:
                continue
            visited.add(id(thing))
            if id(thing) not in self._known:
                self._known.add(id(thing))
                self._held.append(thing)
            if len(self._held) > _OBJECTS_MAX:
                raise ConfigurationError(
                    f"node `{node}` holds more than {_OBJECTS_MAX:,} objects, too many to look through",
                    hint="let its functions take large data from the state instead of closing over it",
                )
            pending.extend(self._look(thing, node, owner))

    def _look(self, thing: object, node: str, owner: str) -> list[object]:
        """What is held by one object. Looking at it may run code of its class, which may raise whatever it likes."""
        try:
            return [] if isinstance(thing, _ATOMS) else list(self._visit(thing, node, owner))
        except OpenClawError:
            raise
        except Exception as error:
            raise ConfigurationError(
                f"node `{node}` holds an object of class `{type(thing).__qualname__}` that cannot be looked into: "
                f"{type(error).__name__}: {printable(error)}",
                hint="let the node's functions take it from the state or make it when they run, instead of holding it",
            ) from error

    def _visit(self, thing: object, node: str, owner: str) -> Iterator[object]:
        if isinstance(thing, BaseTool):
            self._visited[""].add(id(thing))
            yield from self._tool(thing, node)
        elif isinstance(thing, BaseChatModel):
            self._visited[""].add(id(thing))
            self.found.models.append(thing)
            self.found.nodes[id(thing)] = node
        elif isinstance(thing, RemoteGraph):
            _refuse(
                node, "remote graph", thing.name or "", "a graph on another server governs itself; call it from a tool"
            )
        elif isinstance(thing, BaseStore) and not isinstance(thing, GovernedStore):
            _refuse(
                node,
                "memory",
                type(thing).__name__,
                "take the store from the runtime, with `compile(…, store=…)`, or hold `Governance.govern_store(store)`",
            )
        elif isinstance(thing, GovernedStore):
            return
        elif isinstance(thing, BaseLLM):
            _refuse(node, "text model", type(thing).__name__, "use a chat model, which can be metered")
        elif isinstance(thing, Pregel):
            self.graph(cast("Pregel[Any, Any, Any, Any]", thing), f"{node}/")
        elif type(thing).__name__ == "_ConfigurableModel":
            _refuse(
                node,
                "model",
                "chosen at run time",
                'name the model when it is made: `init_chat_model("provider:name")`',
            )
        else:
            yield from _members(thing)
            yield from self._named(thing)
            if isinstance(thing, types.FunctionType):
                self.functions.append((node, thing, owner))

    def _tool(self, tool: BaseTool, node: str) -> Iterator[object]:
        self.found.tools.append(tool)
        self.found.nodes[id(tool)] = node
        for function in seal.inner_functions(tool):
            if isinstance(function, types.FunctionType):
                self._behind[id(function)].add(tool.name)
                # The function belongs to its tool: what it holds is followed, but meeting it here is no accusation.
                self._held.append(function)
                inside = [*_function(function), *self._named(self._method(function, tool))]
                self._owned += [(held, node, tool.name) for held in inside]
            else:
                yield function
        yield from (value for key, value in vars(tool).items() if key not in {"func", "coroutine", "args_schema"})

    def _named(self, thing: object) -> Iterator[object]:
        """The methods and attributes of classes that code names: of what it is bound to, closes over or finds in globals."""
        call = _attribute(type(thing), "__call__")
        if isinstance(call, types.FunctionType):
            yield self._method(call, thing)
        function = thing.__func__ if isinstance(thing, types.MethodType) else thing
        if not isinstance(function, types.FunctionType) or not _own(function.__module__):
            return
        names = set(_names(function.__code__))
        pending = [thing.__self__] if isinstance(thing, types.MethodType) else list(_function(function))
        seen: set[int] = set()
        while pending:
            holder = pending.pop()
            if id(holder) in seen or isinstance(holder, BaseTool | BaseChatModel | Pregel):
                continue
            seen.add(id(holder))
            kind = holder if isinstance(holder, type) else type(holder)
            space = {} if holder is kind else cast("dict[str, object]", getattr(holder, "__dict__", {}))
            for name in names:
                if name in space:
                    pending.append(space[name])
                    continue
                member = _attribute(kind, name)
                for found in self._members_of(member, holder, kind):
                    pending.append(found)
                    yield found

    def _members_of(self, member: object, holder: object, kind: type) -> Iterator[object]:
        """What a member of a class gives where it is reached through ``holder``."""
        match member:
            case None:
                return
            case types.FunctionType():
                yield self._method(member, holder)
            case classmethod():
                yield self._method(cast("classmethod[Any, ..., object]", member).__func__, kind)
            case staticmethod():
                yield member.__func__
            case property() if member.fget is not None:
                yield self._method(member.fget, holder)
            case functools.cached_property():
                yield self._method(cast("functools.cached_property[object]", member).func, holder)
            case types.MemberDescriptorType():
                with suppress(AttributeError):  # a slot that was never filled
                    yield member.__get__(holder, kind) if holder is not kind else None
            case _:
                yield member

    def _method(self, function: Any, holder: object) -> object:
        """The method as it is reached, always the same object: methods that call each other end somewhere."""
        if not isinstance(function, types.FunctionType):
            return cast("object", function)
        key = (id(function), id(holder))
        if key not in self._bound:
            self._bound[key] = types.MethodType(function, holder)
        return self._bound[key]


def _attribute(kind: type, name: str) -> object:
    """A member of a class that somebody wrote for this program, or None."""
    for base in kind.__mro__:
        if name in vars(base):
            return vars(base)[name] if _own(base.__module__) else None
    return None


def _members(thing: object) -> Iterator[object]:
    """What an object holds that could be, or hold, a tool or a model."""
    match thing:
        case types.FunctionType():
            yield from _function(thing)
        case types.MethodType():
            yield thing.__self__
            yield thing.__func__
        case functools.partial():
            yield thing.func
            yield from cast("tuple[object, ...]", thing.args)
            yield from cast("dict[str, object]", thing.keywords).values()
        case dict() | types.MappingProxyType():
            yield from cast("Mapping[object, object]", thing).values()
        case list() | tuple() | set() | frozenset() | collections.deque():
            yield from cast("Iterable[object]", thing)
        case collections.UserDict() | collections.UserList():
            yield vars(cast("object", thing)).get("data")
        case collections.ChainMap():
            yield from cast("collections.ChainMap[object, object]", thing).maps
        case weakref.ref():
            yield cast("weakref.ref[object]", thing)()
        case _ if isinstance(thing, _CACHED):
            yield thing.__wrapped__
        case types.ModuleType() | types.CodeType() | type():
            return
        case _:
            yield from _object(thing)


def _object(thing: object) -> Iterator[object]:
    """The state of an object, read without running any code of its class."""
    kind = type(thing)
    if not (
        isinstance(thing, Runnable | types.SimpleNamespace) or _framework(kind.__module__) or _own(kind.__module__)
    ):
        return  # A connection, a client, a lock: other people's machinery, where no agent's tools are kept.
    yield from cast("dict[str, object]", getattr(cast("object", thing), "__dict__", {})).values()
    for base in kind.__mro__:
        for member in vars(base).values():
            if isinstance(member, types.MemberDescriptorType):
                try:
                    yield member.__get__(thing, kind)
                except AttributeError:
                    continue  # A slot that was never filled.


def _function(function: types.FunctionType) -> Iterator[object]:
    """What a function holds on to. Code of known packages is not read, but its closures are followed."""
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:
            continue  # Not filled yet: a name that is assigned later.
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()
    wrapped = getattr(function, "__wrapped__", None)
    if wrapped is not None:
        yield wrapped
    if _own(function.__module__):
        yield from _globals(function)


def _globals(function: types.FunctionType) -> Iterator[object]:
    names = set(_names(function.__code__))
    for name in names:
        value = function.__globals__.get(name)
        if issubclass(type(value), types.ModuleType):  # not `isinstance`, which asks the object what it is
            # `import tools; tools.refund.invoke(…)`: the attribute is among the same names.
            space = vars(value) if _own(cast("types.ModuleType", value).__name__) else {}
            yield from (space[other] for other in names if other in space)
        elif value is not None:
            yield value


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if inspect.iscode(constant):
            yield from _names(constant)


def _framework(module: str | None) -> bool:
    """LangChain, LangGraph and what is built on them: their plain objects hold agents' parts."""
    return (module or "").startswith(("langchain", "langgraph", "deepagents", "openclaw.graph"))


@functools.cache
def _own(module: str | None) -> bool:
    """Code that somebody wrote for this program: not of the standard library, not installed as a package."""
    name = module or ""
    if not name or name.partition(".")[0] in _FOREIGN or name.partition(".")[0] in sys.stdlib_module_names:
        return False
    file = getattr(sys.modules.get(name), "__file__", None)
    return file is None or not {"site-packages", "dist-packages"} & set(PurePath(file).parts)


def _refuse(node: str, what: str, name: str, hint: str) -> None:
    raise ConfigurationError(f"node `{node}` holds a {what} that cannot be governed: `{name}`", hint=hint)
