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
from pydantic import JsonValue

from openclaw.action import utc
from openclaw.audit import chunks, entry
from openclaw.audit.chunks import at, in_python, nodes_fit, nodes_in_python, subtrees
from openclaw.audit.entry import (
    Draft,
    Line,
    body_bytes,
    entry_bytes,
    entry_leaf,
    rows_bytes,
    written,
    written_in_python,
)
from openclaw.audit.merkle import Edge
from openclaw.audit.rows import NODES
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
    assert chunks._nodes_fit is not nodes_in_python
    assert entry._native_entry is not entry._left


@given(sequences, times, drafts)
def test_an_entry_is_written_the_same_with_and_without_the_native_extension(seq: int, at: str, draft: Draft) -> None:
    line = Line.of(draft)
    assert written(seq, at, line) == written_in_python(seq, at, line)


@pytest.mark.parametrize("body", [{"n": 1.5}, {"n": 2**60}, {"t": "x" * (1 << 21)}, {"a": ("no", "list")}])
def test_what_the_extension_leaves_is_written_by_python(body: dict[str, JsonValue]) -> None:
    line = Line("halt", "", "", "", "", "", "", body)
    stored, leaf = written(1, "2026-11-23T10:00:00.000000Z", line)
    assert (
        hashlib.sha256(b"\x00" + entry_bytes(1, "2026-11-23T10:00:00.000000Z", line, stored.encode())).digest() == leaf
    )


@given(st.integers(1, 5), st.data())
def test_the_nodes_beside_the_entries_of_a_chunk_are_those_that_they_complete(height: int, data: st.DataObject) -> None:
    """A chunk of ``2**height`` rows somewhere in a log; one bit of it is turned, or one row forged."""
    edge, rows = Edge(), list[list[object]]()
    for seq in range(1, (2 << height) + 1):
        stored = list(row(seq, "2026-11-23T10:00:00.000000Z", Draft(kind="halt")))
        completed = edge.append(stored[10])  # type: ignore[arg-type]
        rows.append([*stored, b"".join(digest for _, _, digest in completed) or None])
    rows = rows[1 << height :]
    built = in_python([tuple(it) for it in rows])
    assert built is not None

    def both() -> bool | None:
        given = [tuple(it) for it in rows]
        assert nodes_fit(given, built) is nodes_in_python(given, built)
        return nodes_fit(given, built)

    assert both() is True
    at = data.draw(st.integers(0, len(rows) - 1))
    nodes = rows[at][NODES]
    if isinstance(nodes, bytes) and at < len(rows) - 1:
        rows[at][NODES] = data.draw(
            st.sampled_from([None, b"", nodes[:-1], nodes + b"x", bytes([nodes[0] ^ 1]) + nodes[1:], nodes.hex(), 7])
        )
        assert both() is False
    elif at < len(rows) - 1:
        rows[at][NODES] = data.draw(st.sampled_from([b"", bytes(32), "x"]))
        assert both() is False
    for it in rows:
        it[NODES] = None
    assert both() is None
