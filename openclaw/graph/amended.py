"""What a model is told of a call whose arguments an approver has changed before it ran."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from langchain_core.messages import ToolMessage
from langgraph.types import Command

from openclaw.gate import Amended

AMENDED = "openclaw_changed"
"""Under this name a ``ToolMessage`` says in ``additional_kwargs`` what was changed: ``{"by": …, "args": {…}}``."""

_IS_NOTE = "approved this call with other arguments, and it ran with these: "

_VALUE_MAX = 500
"""Characters of one value in the note."""


def note(amended: Amended) -> str:
    """What stands before the result."""
    changes = ", ".join(f"{name} = {_brief(value)}" for name, value in amended.args.items())
    return f"[{amended.by} {_IS_NOTE}{changes}]"


def with_change(result: object, amended: Amended, call_id: str) -> object:
    """The result of a call with that note, where it goes to a model."""
    if isinstance(result, ToolMessage):
        return _told(result, amended)
    if isinstance(result, Command):
        command = cast("Any", result)
        update: object = command.update
        if isinstance(update, Mapping) and "messages" in update:
            messages = cast("Mapping[str, Any]", update)["messages"]
            told = [_told(it, amended) if _answers(it, call_id) else it for it in cast("list[object]", messages)]
            return replace(command, update={**cast("Mapping[str, Any]", update), "messages": told})
    return cast("object", result)


def noted(error: Exception, amended: Amended | None) -> None:
    """Note on what a call has raised that its arguments had been changed."""
    if amended is not None:
        error.add_note(note(amended))


def note_of(error: Exception) -> str:
    """That note, for a model; empty where there is none."""
    notes = cast("list[str]", getattr(error, "__notes__", []))
    return next((f"{one}\n" for one in notes if _IS_NOTE in one), "")


def _answers(message: object, call_id: str) -> bool:
    return isinstance(message, ToolMessage) and message.tool_call_id == call_id


def _told(message: object, amended: Amended) -> ToolMessage:
    assert isinstance(message, ToolMessage)
    content = cast("str | list[Any]", message.content)  # pyright: ignore[reportUnknownMemberType]
    said = note(amended)
    told = f"{said}\n{content}" if isinstance(content, str) else [{"type": "text", "text": said}, *content]
    facts = {AMENDED: {"by": amended.by, "args": dict(amended.args)}}
    return message.model_copy(update={"content": told, "additional_kwargs": {**message.additional_kwargs, **facts}})


def _brief(value: object) -> str:
    shown = json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= _VALUE_MAX else f"{shown[: _VALUE_MAX - 1]}…"


__all__ = ["AMENDED", "note", "note_of", "noted", "with_change"]
