"""The tripwire: one process-wide LangChain hook that refuses raw tools and models which start inside a run.

The walk finds most of them when a graph is compiled. What it cannot see, such as a tool built while the graph runs, trips
here. Outside of runs the hook lets everything pass: it is no business of ours what else a process does.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, NoReturn, cast

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage
from langchain_core.tracers.context import register_configure_hook

from openclaw.errors import Ungoverned
from openclaw.graph import calls, metering, scope

_lock = threading.Lock()
_armed = False


class Tripwire(BaseCallbackHandler):
    """Raises ``Ungoverned`` for a raw tool or model about to start inside a run."""

    raise_error = True
    run_inline = True

    def on_tool_start(self, serialized: Mapping[str, Any] | None, input_str: str, **_: Any) -> None:
        """Refuse a tool that is not a sealed one on its way in."""
        name = str((serialized or {}).get("name", "unknown"))
        if scope.current() is not None and not calls.starting(name):
            _refuse("tool", name)

    def on_chat_model_start(
        self, serialized: Mapping[str, Any] | None, messages: list[list[BaseMessage]], **_: Any
    ) -> None:
        """Refuse a chat model that does not carry the mark of a sealed one."""
        if scope.current() is None or (serialized or {}).get(metering.SEALED_MARK) or metering.inside_admitted_call():
            return
        _refuse("model", _class_name(serialized))

    def on_llm_start(self, serialized: Mapping[str, Any] | None, prompts: list[str], **_: Any) -> None:
        """Refuse every text model: none can be metered."""
        if scope.current() is not None and not metering.inside_admitted_call():
            _refuse("model", _class_name(serialized))


_hook: ContextVar[Tripwire | None] = ContextVar("openclaw_tripwire", default=Tripwire())  # noqa: B039 - stateless


def arm() -> None:
    """Install the hook in this process, once."""
    global _armed
    with _lock:
        if not _armed:
            register_configure_hook(_hook, inheritable=True, handle_class=Tripwire)
            _armed = True


def _class_name(serialized: Mapping[str, Any] | None) -> str:
    path = cast("list[object]", (serialized or {}).get("id") or ["unknown"])
    return str(path[-1])


def _refuse(what: str, name: str) -> NoReturn:
    raise Ungoverned(
        f"raw {what} `{name}` was started inside a governed run",
        name=name,
        hint=f"give it to its agent, or govern it: `Governance.govern{'_model' if what == 'model' else ''}`",
    )
