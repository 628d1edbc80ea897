"""Keys and signed notes."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from openclaw.audit import Signer, Verifier
from openclaw.audit.note import open_checkpoint
from openclaw.errors import AuditError, VerificationError

SEED = bytes(range(32))


def test_a_key_is_made_on_first_use_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "log.key"
    made = Signer.load(path, "openclaw/x")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().startswith("PRIVATE+KEY+openclaw/x+")
    assert str(Signer.load(path, "ignored").verifier) == str(made.verifier)
    assert [file.name for file in path.parent.iterdir()] == ["log.key"]


@pytest.mark.parametrize("text", ["", "hello", "PRIVATE+KEY+a+b", "PRIVATE+KEY+a+00000000+!!!", "PUBLIC+KEY+a+b+AQ=="])
def test_a_file_that_holds_no_key_is_one_clear_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "log.key"
    path.write_text(text)
    with pytest.raises(AuditError, match="holds no signing key; expected one line"):
        Signer.load(path, "openclaw/x")
    assert path.read_text() == text


def test_a_checkpoint_is_a_signed_note() -> None:
    signer = Signer("openclaw/x", SEED)
    checkpoint = signer.checkpoint("openclaw/x", 7, b"\x05" * 32)
    lines = checkpoint.note.split("\n")
    assert lines[:2] == ["openclaw/x", "7"]
    assert lines[3] == ""
    assert lines[4].startswith("— openclaw/x ")
    assert open_checkpoint(checkpoint.note, Verifier.parse(str(signer.verifier))) == checkpoint


def test_every_changed_character_of_a_checkpoint_is_found() -> None:
    signer = Signer("openclaw/x", SEED)
    note = signer.checkpoint("openclaw/x", 7, b"\x05" * 32).note
    for at, character in enumerate(note[:-1]):
        changed = note[:at] + chr(ord(character) ^ 1) + note[at + 1 :]
        with pytest.raises(VerificationError):
            open_checkpoint(changed, signer.verifier)


@pytest.mark.parametrize("text", ["", "name", "name+00000000+AQ==", "name+zz+!!", "name+00000000+Ag=="])
def test_a_text_that_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(AuditError, match="public key"):
        Verifier.parse(text)


def test_secrets_differ_by_purpose_and_key() -> None:
    one, other = Signer("a", SEED), Signer("a", SEED[::-1])
    assert len({one.secret("x"), one.secret("y"), other.secret("x")}) == 3
    assert one.secret("x") == Signer("b", SEED).secret("x")
