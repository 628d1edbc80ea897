"""The one interface that every policy engine implements, and the one reading of what engines answer."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol, TypeGuard, cast

from pydantic import ValidationError

from openclaw import encoding
from openclaw.decision import OBLIGATION_KINDS, Decision, DecisionCode, Effect, Obligation
from openclaw.policy.results import Results

if TYPE_CHECKING:
    from pydantic import JsonValue

ENTRY_POINT = "openclaw/decision"
"""Path of the rule that every engine is asked for: ``data.openclaw.decision``."""

NO_POLICY = "no policy allows this"
"""The reason that the shipped combining rules give where no rule of the author applies."""

INPUT_DEPTH_MAX = 100
"""Nesting of an input: engines parse JSON recursively, and the smallest of their own limits is 128."""

INPUT_BYTES_MAX = 16 * 1024 * 1024
"""Size of an input in canonical JSON."""


REMEMBERED_MAX = 256
"""Answers of engines that are kept in the form that callers get."""

REMEMBERED_BYTES_MAX = 4096
"""Size of such an answer as JSON."""


class BadInput(ValueError):
    """An input that no engine is asked about: outside the domain of RFC 8785, too deep or too large."""


class PolicyEngine(Protocol):
    """Decides on policy inputs. Safe to use from many threads and event loops at once.

    ``evaluate`` and ``aevaluate`` never raise for what happens while deciding: a clear answer of the policy is that
    answer, and anything else is a deny whose ``code`` says what happened. Cancellation passes through.
    """

    @property
    def name(self) -> str:
        """Engine and version, such as ``regorus 0.14.1``."""
        ...

    @property
    def revision(self) -> str:
        """``sha256:…`` of the policies and data that are loaded."""
        ...

    @property
    def results(self) -> Results:
        """What the policies say of results, by which the gate knows whether to ask about them; may change with them."""
        ...

    def evaluate(self, input: Mapping[str, JsonValue]) -> Decision:  # noqa: A002 - the contract's own name
        """Decide on one input, within the engine's deadline."""
        ...

    async def aevaluate(self, input: Mapping[str, JsonValue]) -> Decision:  # noqa: A002
        """The same decision, without blocking the event loop for longer than an embedded evaluation takes."""
        ...

    def close(self) -> None:
        """Give back processes and connections. Decisions after this are denials."""
        ...


_QUICK = json.JSONEncoder(sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_ORDER = json.JSONEncoder(sort_keys=True)
# A float, or an integer that may lie beyond 2^53: RFC 8785 writes the first in its own way and refuses the second.
_DELICATE_NUMBER = re.compile(r"""(?:":|[,\[])-?\d+(?:[.eE]|\d{15})""")


def encode(input: Mapping[str, JsonValue]) -> bytes:  # noqa: A002
    """The RFC 8785 bytes of an input, which is all that an engine ever sees of it.

    Raises:
        BadInput: it has no such bytes (pass it through ``canonical.plain``), or it is too deep or too large.
    """
    known = encoding.native(input)
    if known is not None:  # Plain objects, whose number, depth and text are bounded below what is refused here.
        return known
    try:
        text = _QUICK.encode(input)
        # The standard library's C encoder writes the same bytes six times as fast, but for numbers that are not small
        # integers and keys beyond the Basic Multilingual Plane, which RFC 8785 sorts by UTF-16.
        if _DELICATE_NUMBER.search(text) or (not text.isascii() and max(text) > "\uffff"):
            import rfc8785  # Hardly any input needs it, and the first decision does not wait for it.

            encoded = rfc8785.dumps(cast("dict[str, JsonValue]", input))
        else:
            encoded = text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInput(f"the input is outside the domain of RFC 8785: {error}") from error
    if len(encoded) > INPUT_BYTES_MAX:
        raise BadInput(f"the input has {len(encoded):,} bytes: at most {INPUT_BYTES_MAX:,} are decided on")
    if text.count("[") + text.count("{") > INPUT_DEPTH_MAX and _deeper_than(input, INPUT_DEPTH_MAX):
        raise BadInput(f"the input is nested more than {INPUT_DEPTH_MAX} levels deep")
    return encoded


def _deeper_than(value: object, levels: int) -> bool:
    if not isinstance(value, dict | list | tuple):
        return False
    below = cast("dict[str, object]", value).values() if isinstance(value, dict) else cast("list[object]", value)
    return levels == 0 or any(_deeper_than(item, levels - 1) for item in below)


def read_json(answer: bytes | None, *, revision: str, engine: str) -> Decision:
    """``read_answer`` of JSON bytes; None where the entry point is undefined."""
    if answer is None or len(answer) > REMEMBERED_BYTES_MAX:
        return _read_json(answer, revision, engine)
    return _remembered(answer, revision, engine)


def _read_json(answer: bytes | None, revision: str, engine: str) -> Decision:
    try:
        value = None if answer is None else STRICT.decode(answer.decode())
    except (ValueError, RecursionError) as error:
        reason = f"the engine's answer is not JSON: {error}"
        return Decision.deny(reason, code="malformed", revision=revision, engine=engine)
    if answer is not None and value is None:
        return Decision.deny("the policy's decision is null", code="malformed", revision=revision, engine=engine)
    return read_answer(value, revision=revision, engine=engine)


def _in_order(answer: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """The answer with its lists sorted, since engines order the members of a set in their own ways."""
    ordered = dict(answer)
    for field in ("reasons", "rules", "obligations"):
        members = answer.get(field)
        if isinstance(members, list) and len(members) > 1:
            ordered[field] = sorted(members, key=_ORDER.encode)
    return ordered


_FIELDS = frozenset({"effect", "reasons", "rules", "obligations"})


def _well_formed(answer: dict[str, JsonValue], revision: str, engine: str) -> Decision | None:
    """The decision of an answer that has all its fields in their types, all in ASCII; None says that pydantic must look.

    What validation would find is known already, and the validators, which take longer to build than all else that stands
    before the first decision of a process, are built where an answer needs them.
    """
    if answer.keys() != _FIELDS:
        return None
    effect, reasons, rules, duties = answer["effect"], answer["reasons"], answer["rules"], answer["obligations"]
    if not _is_plain(effect) or effect not in _EFFECTS or not isinstance(duties, list):
        return None
    if not _all_plain(reasons) or not _all_plain(rules):
        return None
    obligations: list[Obligation] = []
    for duty in duties:
        if not isinstance(duty, dict) or not _is_plain(duty.get("kind")) or duty.keys() & _PARAMETERS:
            return None
        obligations.append(Obligation.model_construct(set(duty), **duty))
    return Decision.model_construct(
        effect=_EFFECTS[effect],
        reasons=tuple(reasons),
        rules=tuple(rules),
        obligations=tuple(obligations),
        revision=revision,
        engine=engine,
    )


def _is_plain(value: JsonValue) -> TypeGuard[str]:
    """Whether this is a text, and one without the surrogates that validation refuses."""
    return isinstance(value, str) and value.isascii()


def _all_plain(value: JsonValue) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(map(_is_plain, value))


_PARAMETERS = frozenset({"cls", "_fields_set"})
"""Names that ``model_construct`` has for itself."""

_EFFECTS: dict[JsonValue, Effect] = {effect.value: effect for effect in Effect}


def _not_json(name: str) -> object:
    raise ValueError(f"`{name}` is not a JSON number")


STRICT = json.JSONDecoder(parse_constant=_not_json)
"""Reads JSON without what Python's reader takes beyond it: NaN and the infinities."""

# A policy has few answers, and says each of them many times: to read one takes longer than to find it again.
_remembered = lru_cache(REMEMBERED_MAX)(_read_json)


def read_answer(answer: JsonValue, *, revision: str, engine: str) -> Decision:
    """The decision in what an engine returned for the entry point.

    Strict, and the same for all engines: only an object with a known effect and known obligations is a decision, and an
    ``allow`` with anything amiss is a deny. ``None`` stands for undefined.
    """

    def deny(reason: str, code: DecisionCode) -> Decision:
        return Decision.deny(reason, code=code, revision=revision, engine=engine)

    if answer is None:
        return deny("the policy gives no decision: `data.openclaw.decision` is undefined", "undefined")
    if not isinstance(answer, dict):
        return deny(f"the policy's decision is not an object but {type(answer).__name__}", "malformed")
    unknown = sorted(answer.keys() - _FIELDS)
    if unknown:
        return deny(f"the policy's decision has unknown fields: {', '.join(unknown)}", "malformed")
    ordered = _in_order(answer)
    decision = _well_formed(ordered, revision, engine)
    if decision is None:
        try:
            decision = Decision.model_validate({**ordered, "revision": revision, "engine": engine})
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            return deny(f"the policy's decision is malformed at `{where}`: {first['msg']}", "malformed")
    foreign = sorted({duty.kind for duty in decision.obligations} - OBLIGATION_KINDS)
    if foreign:
        return deny(
            f"the policy demands what the gate does not understand: obligation {', '.join(foreign)}", "obligation"
        )
    if decision.reasons == (NO_POLICY,) and not decision.allowed and not decision.rules:
        return decision.model_copy(update={"code": "no_policy"})
    return decision
