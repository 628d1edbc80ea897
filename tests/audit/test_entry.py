"""The bytes of an entry: what `verify` builds for a million rows is what the log hashed, whatever stands in them."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from openclaw.action import utc
from openclaw.audit import chunks
from openclaw.audit.chunks import at, in_python, subtrees
from openclaw.audit.entry import Draft, body_bytes, entry_bytes, entry_leaf, rows_bytes
from openclaw.audit.merkle import Edge
from openclaw.audit.walk import recompute
from openclaw.policy.regorus import available
from tests.conftest import require

texts = st.text(st.characters(exclude_categories=["Cs"]))
times = st.datetimes(timezones=st.just(dt.UTC)).map(utc)
values = st.recursive(
    st.none() | st.booleans() | texts | st.integers(-(2**53) + 1, 2**53 - 1),
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=8,
)
drafts = st.builds(
    Draft,
    kind=st.sampled_from(["decision", "outcome", "checkpoint", "hold"]),
    run=texts,
    workflow=texts,
    agent=texts,
    tool=texts,
    call_id=texts,
    effect=st.sampled_from(["", "allow", "ask", "deny"]),
    body=st.dictionaries(texts, values, max_size=3),
)
sequences = st.integers(1, 2**53 - 1)


def row(seq: int, at: str, draft: Draft) -> tuple[object, ...]:
    body = body_bytes(draft)
    columns = (draft.kind, draft.run, draft.workflow, draft.agent, draft.tool, draft.call_id, draft.effect)
    return (seq, at, *columns, body.decode(), entry_leaf(seq, at, draft, body))


@given(sequences, times, drafts)
def test_the_fast_way_and_the_careful_way_give_the_canonical_bytes(seq: int, at: str, draft: Draft) -> None:
    fields = {**draft.model_dump(), "seq": seq, "at": at}
    expected = rfc8785.dumps(fields)
    stored = row(seq, at, draft)
    assert entry_bytes(seq, at, draft, body_bytes(draft)) == expected
    assert rows_bytes([stored]) == [expected]
    assert in_python([stored]) == [stored[10]]
    assert subtrees([stored]) == [stored[10]]
    assert recompute(stored) == (hashlib.sha256(b"\x00" + expected).digest(), "")
    assert json.loads(expected) == fields


@given(
    sequences, times, drafts, st.integers(1, 9), st.one_of(st.none(), st.binary(), st.integers(), st.floats(), texts)
)
def test_a_forged_column_of_any_type_is_found(seq: int, at: str, draft: Draft, column: int, forged: object) -> None:
    stored = list(row(seq, at, draft))
    if stored[column] == forged and type(stored[column]) is type(forged):
        return
    stored[column] = forged
    leaf, complaint = recompute(stored)
    assert complaint
    assert leaf != stored[10]
    assert in_python([tuple(stored)]) is None
    assert subtrees([tuple(stored)]) is None
    with contextlib.suppress(TypeError, ValueError):  # then the careful way takes over
        assert rows_bytes([stored]) != rows_bytes([row(seq, at, draft)])


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb"])
def test_a_text_without_utf_8_is_found(text: str) -> None:
    stored = list(row(1, "2026-11-23T10:00:00.000000Z", Draft(kind="halt")))
    stored[6] = text
    assert recompute(stored)[1] == "it holds a text that has no UTF-8 form"
    with pytest.raises(ValueError, match="surrogates"):
        rows_bytes([stored])


@given(st.lists(drafts, min_size=1, max_size=40))
def test_a_chunk_has_the_subtrees_of_its_leaves(several: list[Draft]) -> None:
    rows = [row(seq, "2026-11-23T10:00:00.000000Z", draft) for seq, draft in enumerate(several, 1)]
    built = in_python(rows)
    assert built == subtrees(rows)
    assert built is not None
    edge = Edge()
    for stored in rows:
        for level, index, digest in edge.append(stored[10]):  # type: ignore[arg-type]
            assert at(built[level], index) == digest


def test_a_log_is_verified_by_the_native_extension_where_it_is_built() -> None:
    require("native", available(), "a Rust toolchain, then `make native`")
    assert chunks._subtrees is not in_python
