"""What a model sees of what a tool returned, as data; and the same result again with something cut from it.

``seen`` is what the policy is asked about. Text that is a JSON object or array is a structure, as for information flow.
What has no form in JSON is the text that LangChain makes of it; pydantic objects are their fields, unless they tell about
themselves in their own way.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from langchain_core.messages import BaseMessage
from langchain_core.tools import BaseTool, ToolException
from langgraph.types import Command
from pydantic import BaseModel, JsonValue

from openclaw.errors import ConfigurationError

_DEPTH_MAX = 64
_MESSAGES_DEPTH_MAX = 4
"""How deep in a result messages are looked for."""

_ENDS = {"{": "}", "[": "]"}


def seen(response: object, tool: BaseTool) -> JsonValue:
    """What a model will see of ``response``, which ``tool`` returned."""
    return _seen(_content(response, tool), ())


def entering(response: object, tool: BaseTool) -> object:
    """What comes into the context with ``response``, as it is: a text stays one, for the transcript has it so, too."""
    return entered(_content(response, tool))


def entered(content: object, depth: int = 0) -> object:
    """The same of a result of which nothing else is known: messages are what they say, a command is what it writes."""
    kind = type(content)  # not `isinstance`, which asks the object what it is
    if issubclass(kind, BaseMessage):
        return cast("BaseMessage", content).content
    if issubclass(kind, Command):
        return entered(cast("Command[Any]", content).update, depth)
    if depth >= _MESSAGES_DEPTH_MAX:
        return content
    if kind is dict:
        return {key: entered(value, depth + 1) for key, value in cast("dict[object, object]", content).items()}
    if kind is list or kind is tuple:
        return [entered(value, depth + 1) for value in cast("Sequence[object]", content)]
    return content


def handed_on(response: object, tool: BaseTool, value: JsonValue) -> object:
    """``response`` with ``value`` for what is seen of it. An artifact, which no model sees, stays.

    Raises:
        ConfigurationError: it is of a kind of which nothing can be cut.
    """
    if _is_pair(response, tool):
        pair = cast("tuple[object, object]", response)
        return _rebuilt(pair[0], value), pair[1]
    return _rebuilt(response, value)


def told(error: Exception, text: str) -> Exception:
    """``error`` saying ``text`` instead; a ToolException where its kind does not let itself be told what to say."""
    error.args = (text,)
    error.__cause__ = error.__context__ = None
    if hasattr(error, "__notes__"):
        error.__notes__.clear()
    return error if str(error) == text else ToolException(text)


def _content(response: object, tool: BaseTool) -> object:
    return cast("tuple[object, object]", response)[0] if _is_pair(response, tool) else response


def _is_pair(response: object, tool: BaseTool) -> bool:
    return (
        tool.response_format == "content_and_artifact"
        and isinstance(response, tuple)
        and len(cast("tuple[object, ...]", response)) == 2
    )


def _seen(value: object, above: tuple[int, ...]) -> JsonValue:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return value if above else _parsed(value)
    if id(value) in above or len(above) >= _DEPTH_MAX:
        return repr(value)
    inside = (*above, id(value))
    if isinstance(value, BaseMessage):
        return _seen(cast("object", value.content), above if isinstance(value.content, str) else inside)
    if isinstance(value, Command):
        return _seen(cast("Command[Any]", value).update, inside)
    if isinstance(value, BaseModel) and _is_plain_model(value):
        return {name: _seen(item, inside) for name, item in _fields(value).items()}
    if isinstance(value, Mapping):
        members = cast("Mapping[object, object]", value)
        found = {str(key): _seen(item, inside) for key, item in members.items()}
        return found if len(found) == len(members) else repr(members)
    if isinstance(value, list | tuple):
        return [_seen(item, inside) for item in cast("Sequence[object]", value)]
    return repr(value) if above else str(value)


def _parsed(text: str) -> JsonValue:
    stripped = text.strip()
    if not stripped or _ENDS.get(stripped[0]) != stripped[-1]:
        return text
    try:
        return json.loads(stripped, object_pairs_hook=_once, parse_constant=_never)
    except (ValueError, RecursionError):
        return text


def _once(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a key that comes twice: who reads the text sees both values")
    return members


def _never(name: str) -> JsonValue:
    raise ValueError(f"`{name}` is not JSON")


def _is_plain_model(value: BaseModel) -> bool:
    kind = type(value)
    return kind.__str__ is BaseModel.__str__ and kind.__repr__ is BaseModel.__repr__


def _fields(value: BaseModel) -> dict[str, object]:
    names = (*type(value).model_fields, *type(value).model_computed_fields)
    return {name: getattr(value, name, None) for name in names} | (value.model_extra or {})


def _rebuilt(content: object, value: JsonValue) -> object:
    if isinstance(content, BaseMessage):
        return content.model_copy(update={"content": _text(value)})
    if isinstance(content, Command):
        return _commanded(cast("Command[Any]", content), value)
    if isinstance(content, list | tuple) and any(isinstance(item, BaseMessage | Command) for item in content):  # pyright: ignore[reportUnknownVariableType]
        items = cast("Sequence[object]", content)
        if not isinstance(value, list) or len(value) != len(items):
            raise ConfigurationError("a result of several messages cannot be cut as a whole", hint="deny it instead")
        return [_rebuilt(item, new) for item, new in zip(items, value, strict=True)]
    return _text(value) if isinstance(content, str) else value


def _commanded(command: Command[Any], value: JsonValue) -> Command[Any]:
    update = command.update
    if not isinstance(update, Mapping) or not isinstance(value, dict):
        raise ConfigurationError("a command of this form cannot be cut", hint="deny it instead")
    known = cast("Mapping[str, object]", update)
    before = cast("dict[str, JsonValue]", _seen(known, ()))
    changed = {
        key: item if value.get(key) == before[key] else _rebuilt(item, value[key])
        for key, item in known.items()
        if key in value
    }
    return dataclasses.replace(command, update=changed)


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


__all__ = ["entered", "entering", "handed_on", "seen", "told"]
