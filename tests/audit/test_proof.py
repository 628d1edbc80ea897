"""Proofs: offline, of either kind, and not one bit of them may change. Their cost is counted in reads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from openclaw.audit import AuditLog, ConsistencyProof, Draft, Proof, Signer, Verifier, read_proof
from openclaw.errors import AuditError, VerificationError
from openclaw.store import Store

SIGNER = Signer("openclaw-1", bytes(range(32)))


@pytest.fixture
def grown(tmp_path: Path) -> Iterator[AuditLog]:
    """A log of 13 entries and a checkpoint."""
    store = Store.open(f"sqlite:///{tmp_path / 'a.db'}")
    log = AuditLog(store, SIGNER)
    store.run(lambda transaction: [log.record(transaction, Draft(kind="halt", body={"n": n})) for n in range(13)])
    log.checkpoint()
    yield log
    store.close()


def flips(text: str) -> Iterator[str]:
    """Every text that differs in one bit, as far as it is a text."""
    for at, character in enumerate(text):
        for bit in range(8):
            changed = chr(ord(character) ^ (1 << bit))
            yield text[:at] + changed + text[at + 1 :]


def test_every_flipped_bit_of_a_proof_file_is_refused(grown: AuditLog) -> None:
    """Of the whole file: a flip is refused, or changes nothing that the proof says."""
    proof = grown.prove(6)
    text = proof.model_dump_json()
    harmless: set[str] = set()
    for flipped in flips(text):
        try:
            found = Proof.model_validate_json(flipped)
            found.check(SIGNER.verifier)
        except (VerificationError, ValueError):
            continue
        # The key in the file is a hint that nobody trusts; and JSON has more than one spelling.
        harmless |= {name for name in Proof.model_fields if getattr(found, name) != getattr(proof, name)}
        assert found.model_copy(update={"key": proof.key, "checkpoint": proof.checkpoint}) == proof
    assert harmless <= {"key", "checkpoint"}


def test_what_may_change_in_a_note_is_only_what_nobody_signed(grown: AuditLog) -> None:
    proof = grown.prove(6)
    for flipped in flips(proof.checkpoint):
        try:
            checked = proof.model_copy(update={"checkpoint": flipped}).check(SIGNER.verifier)
        except (VerificationError, ValueError):
            continue
        raise AssertionError(f"taken: {flipped!r}: {checked}")


def test_every_flipped_bit_of_a_consistency_proof_is_refused(grown: AuditLog) -> None:
    proof = grown.prove_consistency(6, 13)
    for name in ("old", "new"):
        for flipped in flips(getattr(proof, name)):
            with pytest.raises((VerificationError, ValueError)):
                proof.model_copy(update={name: flipped}).check(SIGNER.verifier)
    for at, step in enumerate(proof.path):
        for flipped in flips(step):
            with pytest.raises(VerificationError):
                proof.model_copy(update={"path": (*proof.path[:at], flipped, *proof.path[at + 1 :])}).check(
                    SIGNER.verifier
                )


@pytest.mark.parametrize("index", [-1, 0, 4, 6, 12, 13, 2**70])
def test_a_proof_for_another_place_is_refused(grown: AuditLog, index: int) -> None:
    with pytest.raises(VerificationError):
        grown.prove(6).model_copy(update={"index": index}).check(SIGNER.verifier)


@pytest.mark.parametrize("path", [(), ("00" * 32,), ("00" * 31,), ("zz",), ("AA" * 32,), ("00" * 32,) * 64])
def test_a_path_of_another_form_is_refused(grown: AuditLog, path: tuple[str, ...]) -> None:
    for proof in (grown.prove(6), grown.prove_consistency(6, 13)):
        with pytest.raises(VerificationError):
            proof.model_copy(update={"path": path}).check(SIGNER.verifier)


def test_any_two_sizes_are_joined(grown: AuditLog) -> None:
    for new in range(1, 15):
        for old in range(1, new + 1):
            proof = ConsistencyProof.model_validate_json(grown.prove_consistency(old, new).model_dump_json())
            one, other = proof.check(Verifier.parse(str(SIGNER.verifier)))
            assert (one.size, other.size) == (old, new)


def test_a_proof_joins_the_very_checkpoints_that_were_given_out(grown: AuditLog) -> None:
    kept = grown.entries(kind="checkpoint")[0].body["note"]
    grown.append(Draft(kind="halt"))
    proof = grown.prove_consistency(13)
    assert proof.old == kept
    assert proof.check(SIGNER.verifier)[1].size == 15


@pytest.mark.parametrize(("old", "new"), [(0, 5), (6, 5), (5, 99), (-1, 4)])
def test_sizes_that_cannot_be_joined_are_refused(grown: AuditLog, old: int, new: int) -> None:
    with pytest.raises(AuditError, match=r"there is no consistency proof|the log has 14 entries, not 99"):
        grown.prove_consistency(old, new)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"old": 1}', '"x"', "\x00", '{"entry": "e", "odd": 1}'])
def test_a_file_that_holds_no_proof_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "proof.json"
    file.write_text(text)
    with pytest.raises(AuditError, match="holds no proof"):
        read_proof(file)


def test_a_proof_file_is_read_as_what_it_is(grown: AuditLog, tmp_path: Path) -> None:
    file = tmp_path / "proof.json"
    for proof in (grown.prove(3), grown.prove_consistency(3, 7)):
        file.write_text(json.dumps(proof.model_dump()))
        assert read_proof(file) == proof


@pytest.mark.parametrize("size", [100, 1_000, 10_000])
def test_a_proof_costs_a_few_reads_however_long_the_log_is(tmp_path: Path, size: int) -> None:
    store = Store.open(f"sqlite:///{tmp_path / 'a.db'}")
    log = AuditLog(store, SIGNER)
    store.run(lambda transaction: [log.record(transaction, Draft(kind="halt", body={"n": n})) for n in range(size)])
    log.checkpoint()
    asked: list[str] = []

    def count(*arguments: object) -> None:
        asked.append(str(arguments[2]))

    event.listen(store.engine, "before_cursor_execute", count)
    for seq in (1, size // 3, size):
        asked.clear()
        log.prove(seq)
        nodes = sum("SELECT openclaw_entry.nodes" in text or "openclaw_entry.leaf" in text for text in asked)
        # Each hash of the path stands for a subtree; those at the right edge are made of a few stored ones.
        assert nodes <= 2 * size.bit_length(), nodes
        assert len(asked) <= 2 * size.bit_length() + 12
    event.remove(store.engine, "before_cursor_execute", count)
    store.close()


def test_an_append_stores_one_entry_and_a_node_at_most_for_each_level(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path / 'a.db'}")
    log = AuditLog(store, SIGNER)
    with store.peek() as connection:
        nodes = sa.text("SELECT coalesce(sum(length(nodes)), 0) / 32 FROM openclaw_entry")
        for size in range(1, 130):
            before = connection.execute(nodes).scalar_one()
            log.append(Draft(kind="halt"))
            made = connection.execute(nodes).scalar_one() - before
            assert made == (size & -size).bit_length() - 1  # as many as the size has zeros at its end
    store.close()
