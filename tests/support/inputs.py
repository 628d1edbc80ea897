"""Policy inputs that nobody thought of, near enough to real ones that rules of the shipped library fire on them."""

from __future__ import annotations

from hypothesis import strategies as st
from pydantic import JsonValue

Input = dict[str, JsonValue]

_NAMES = st.sampled_from(["triage", "refunds", "orders", "ann", ""])
_TRUST = st.sampled_from(["trusted", "untrusted", "unknown"])
_TEXTS = st.one_of(
    st.sampled_from(
        ["order 17", "/srv/desk/a.txt", "../etc/passwd", "https://api.example.com/x", "http://evil.example/"]
    ),
    st.sampled_from(
        ["select 1", "drop table salaries", "ls -l; rm -rf /", "ann@example.com", "DE89370400440532013000"]
    ),
    st.sampled_from(["EUR", "sk-live-0123456789abcdef", "A\nB\t\"'\\", "\u0000", "é\u202e", "1,000,000", ""]),
    st.text(max_size=8),
)
_LEAVES = st.none() | st.booleans() | st.integers(-10, 1000) | st.integers(-(2**53) + 1, 2**53 - 1) | _TEXTS
_VALUES = st.recursive(
    _LEAVES | st.floats(allow_nan=False, allow_infinity=False, width=32),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=4), below, max_size=3),
    max_leaves=6,
)
_ARGS = ["amount", "currency", "path", "url", "query", "command", "customer", "iban", "agent", "note"]


def _some(**fields: st.SearchStrategy[JsonValue]) -> st.SearchStrategy[JsonValue]:
    """An object with some of these fields."""
    return st.fixed_dictionaries({}, optional=fields)


def _lists(members: list[str]) -> st.SearchStrategy[JsonValue]:
    return st.lists(st.sampled_from(members), max_size=3)


_ORIGIN = st.fixed_dictionaries(
    {"trust": _TRUST, "seen_in": _lists(["prompt", "read_mail"]), "whole": st.booleans(), "trivial": st.booleans()}
)
_PARTS: dict[str, st.SearchStrategy[JsonValue]] = {
    "principal": _some(
        agent=_NAMES,
        workflow=_NAMES,
        org=st.just("default"),
        roles=_lists(["reader", "writer", "payer"]),
        on_behalf_of=st.sampled_from(["user:ann", "ann", ""]),
        chain=_lists(["triage", "refunds", "orders"]),
    ),
    "run": _some(id=st.text(max_size=5), thread=st.text(max_size=5), step=st.integers(0, 50), calls=st.integers(0, 50)),
    "tool": _some(
        name=st.sampled_from(["refund", "lookup_order", "log_in", "run", "transfer_to_refunds"]),
        args=st.dictionaries(st.sampled_from(_ARGS), _VALUES, max_size=4),
        tags=_lists(["read", "write", "money", "send", "delete"]),
        call_id=st.text(max_size=5),
    ),
    "model": _some(
        provider=st.sampled_from(["acme", "house"]),
        name=st.sampled_from(["small-1", "large"]),
        sites=_lists(["eu", "us", "on-premises"]),
    ),
    "flow": _some(
        untrusted=st.booleans(),
        complete=st.booleans(),
        sources=st.lists(_some(kind=st.just("tool"), tool=st.just("read_mail"), trust=_TRUST), max_size=2),
        args=st.dictionaries(st.sampled_from(_ARGS), _ORIGIN, max_size=3),
    ),
    "budget": _some(
        remaining=st.dictionaries(st.sampled_from(["tokens", "microusd", "calls"]), st.integers(-5, 200_000))
    ),
    "approval": st.none() | _some(by=st.sampled_from(["ann", "user:ann", "bob", "refunds"]), at=st.just("2026-11-23")),
    "now": st.sampled_from(["2026-11-23T10:00:00.000000Z", "2026-12-25T23:00:00.000000Z", "soon"]),
    "kind": st.sampled_from(["tool", "model", "handoff", "memory", "result"]),
}


@st.composite
def inputs(draw: st.DrawFn) -> Input:
    """An input; now and then with a part that is missing, or that is something else altogether."""
    document = draw(st.fixed_dictionaries(_PARTS))
    for name in draw(st.lists(st.sampled_from(sorted(_PARTS)), max_size=2)):
        if draw(st.booleans()):
            document.pop(name, None)
        else:
            document[name] = draw(_VALUES)
    return document
