"""What goes into a model call and what may come out of it, in tokens, before the call is made.

Input is counted with the model's own tokenizer where it carries one (LangChain's ``custom_get_token_ids``); then it is held as
counted. Everywhere else it is estimated, and a quarter more than the estimate is held (``MARGIN``) and eight tokens
(``FRAME``), since text that is taken for shorter than the provider counts it would be an overdraft. What a provider counts
beyond even that is recorded in full: the overdraft of one call, after which the account admits nothing more.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.utils import count_tokens_approximately, get_buffer_string
from langchain_core.outputs import ChatResult

from openclaw.errors import ConfigurationError

DEFAULT_OUTPUT_TOKENS = 1024
"""Held for the output of a call whose model declares no maximum; the call is capped at it where the model can be told."""

OUTPUT_TOKENS_MAX = 2**31 - 1
"""Most output tokens that one call may ask for: far beyond any model, and a sum of millions of holds stays exact."""

MARGIN = (5, 4)
"""What is held for an estimated input, as a fraction of the estimate: a quarter more."""

FRAME = 8
"""Tokens that are held on top of it: of a short text a fraction is less than what a provider puts around it."""

_TOKENS_PER_MESSAGE = 4
_CHARS_PER_TOKEN = 4
_MAX_NAMES = ("max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens", "num_predict")
_UNLIMITED = (-1, -2)
"""What some providers take for "as much as there is room for"; such a call is told a limit."""


@dataclass(frozen=True, slots=True)
class Input:
    """The input of one call: its ``tokens`` as counted or estimated, and what is ``held`` for it."""

    tokens: int
    held: int


def input_of(model: BaseChatModel, messages: Sequence[BaseMessage], tools: object) -> Input:
    """Count or estimate what a call sends."""
    schemas = cast("list[Any]", tools) if isinstance(tools, list) else []
    tokenize = getattr(model, "custom_get_token_ids", None)
    if callable(tokenize):
        texts = [get_buffer_string([message]) for message in messages]
        texts += [json.dumps(schema, default=str) for schema in schemas]
        counted = sum(len(cast("list[int]", tokenize(text))) for text in texts)
        counted += _TOKENS_PER_MESSAGE * len(messages)
        return Input(counted, counted)
    tokens = _estimate(messages, schemas)
    more, of = MARGIN
    return Input(tokens, -(-tokens * more // of) + FRAME)


def quarters_of(chunk: BaseMessage) -> int:
    """What a chunk of a stream adds to its output, in quarters of a token: they add up where single chunks are short."""
    text = str(chunk.text) + "".join(str(call.get("args") or "") for call in getattr(chunk, "tool_call_chunks", ()))
    foreign = len(text) - len(text.encode("ascii", "ignore"))
    return len(text) + foreign * (_CHARS_PER_TOKEN - 1)


def output_of(message: BaseMessage | None) -> int:
    """Estimate what a model wrote."""
    return approximate([message]) if message is not None else 0


def approximate(messages: Iterable[BaseMessage], schemas: Sequence[Any] = ()) -> int:
    """A token for four characters of ASCII, and one for each other character, of which a tokenizer makes one or more."""
    listed = list(messages)
    roughly = count_tokens_approximately(listed, chars_per_token=_CHARS_PER_TOKEN, tools=list(schemas) or None)
    foreign = sum(len(text) - len(text.encode("ascii", "ignore")) for text in (str(it.text) for it in listed))
    return roughly + foreign * (_CHARS_PER_TOKEN - 1) // _CHARS_PER_TOKEN


def _estimate(messages: Sequence[BaseMessage], schemas: Sequence[Any]) -> int:
    """By the length of the text; or, where that is more, what the provider counted of it the last time and the text since.

    Never more than a token for each character: what was counted may have been of a longer transcript than this one.
    """
    roughly = approximate(messages, schemas)
    for at in range(len(messages) - 1, -1, -1):
        reported = usage_of(messages[at]) if isinstance(messages[at], AIMessage) else None
        if reported is not None:
            since = approximate(messages[at + 1 :]) if at + 1 < len(messages) else 0
            return max(roughly, min(sum(reported) + since, roughly * _CHARS_PER_TOKEN))
    return roughly


def usage_of(message: BaseMessage | None) -> tuple[int, int] | None:
    """Input and output as the provider reports them; None where it reports nothing, or nothing that can be true."""
    usage = getattr(message, "usage_metadata", None)
    if not isinstance(usage, Mapping):
        return None
    counts = cast("Mapping[str, object]", usage)
    given, produced = counts.get("input_tokens"), counts.get("output_tokens")
    if not isinstance(given, int) or not isinstance(produced, int) or given < 0 or produced < 0 or not given + produced:
        return None
    return given, produced


def cached_of(message: BaseMessage | None) -> tuple[int, int]:
    """Of the input, what the provider has read from its cache, and what it has written to it. Parts of it, never on top."""
    usage = getattr(message, "usage_metadata", None)
    details = cast("Mapping[str, object]", usage).get("input_token_details") if isinstance(usage, Mapping) else None
    if not isinstance(details, Mapping):
        return 0, 0
    parts = (cast("Mapping[str, object]", details).get(name) for name in ("cache_read", "cache_creation"))
    read, written = (part if isinstance(part, int) and part > 0 else 0 for part in parts)
    return read, written


def output_limit(model: BaseChatModel, kwargs: Mapping[str, object]) -> tuple[int, str]:
    """The most that may come out, and the argument by which the call has to be told so; empty if it knows.

    Raises:
        ConfigurationError: the declared limit is no number of tokens, or beyond what any model can write.
    """
    for holder in (kwargs, _declared(model)):
        for name in _MAX_NAMES:
            declared = holder.get(name)
            if isinstance(declared, int | float | str) and declared not in _UNLIMITED:
                return _number_of_tokens(name, declared), ""
    return DEFAULT_OUTPUT_TOKENS, "max_tokens" if "max_tokens" in type(model).model_fields else ""


def _number_of_tokens(name: str, declared: object) -> int:
    why = "which is no number of tokens"
    if isinstance(declared, int) and not isinstance(declared, bool) and declared > 0:
        if declared <= OUTPUT_TOKENS_MAX:
            return declared
        why = f"and no call may ask for more than {OUTPUT_TOKENS_MAX} tokens"
    raise ConfigurationError(
        f"`{name}` is {declared!r}, {why}", hint="give the number of tokens that an answer may have"
    )


def tellable(model: BaseChatModel, kwargs: Mapping[str, object]) -> str:
    """The argument by which one call of the model can be told a lower limit than its own; empty if there is none."""
    for holder in (kwargs, _declared(model)):
        for name in _MAX_NAMES:
            if holder.get(name) is not None:
                # Ollama reads `num_predict` from its options only: as an argument of a call it would go unheard.
                return "" if name == "num_predict" else name
    return "max_tokens" if "max_tokens" in type(model).model_fields else ""


def reported_by(result: ChatResult) -> tuple[int, int] | None:
    """The provider's own count of input and output, where it tells of any."""
    # Providers that return several candidates repeat the total of the call on each of them.
    counts = [usage_of(generation.message) for generation in result.generations]
    known = [count for count in counts if count is not None]
    return max(known, key=sum) if known else None


def provider_tools(tools: object) -> str:
    """The name of a tool in a request that the provider would run itself, or the empty string."""
    for spec in cast("list[object]", tools) if isinstance(tools, list) else []:
        if not isinstance(spec, Mapping):
            continue
        described = cast("Mapping[str, object]", spec)
        if not described.keys() & {"function", "input_schema", "parameters", "function_declarations"}:
            return str(described.get("name") or described.get("type") or next(iter(described), "unknown"))
    return ""


def _declared(model: BaseChatModel) -> dict[str, object]:
    return {name: getattr(model, name, None) for name in _MAX_NAMES}


__all__ = [
    "DEFAULT_OUTPUT_TOKENS",
    "FRAME",
    "MARGIN",
    "OUTPUT_TOKENS_MAX",
    "Input",
    "approximate",
    "cached_of",
    "input_of",
    "output_limit",
    "output_of",
    "provider_tools",
    "quarters_of",
    "reported_by",
    "tellable",
    "usage_of",
]
