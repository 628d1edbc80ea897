"""Keys: made, found, refused; a key service's; and one key after another, with proofs that stay good."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from openclaw.audit import AuditLog, Draft, ExternalKey, Proof, Signer, Verifier, open_key
from openclaw.audit.rotation import KeyChain, open_rotation, sign_rotation
from openclaw.errors import AuditError, VerificationError
from openclaw.store import Store

SECRET = bytes(range(32))


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    opened = Store.open(store_url)
    yield opened
    opened.close()


def fill(log: AuditLog, count: int) -> None:
    for number in range(count):
        log.append(Draft(kind="decision", tool="t", effect="allow", body={"n": number}))


class Service:
    """A key service: it holds the private key, and signs or does not."""

    def __init__(self) -> None:
        self.key = Ed25519PrivateKey.generate()
        self.public = self.key.public_key().public_bytes_raw()
        self.error: Exception | None = None
        self.free = threading.Event()
        self.free.set()
        self.asked = 0

    def sign(self, text: bytes) -> bytes:
        self.asked += 1
        self.free.wait(30)
        if self.error is not None:
            raise self.error
        return self.key.sign(text)


# -- made and found ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o277])
def test_a_key_is_its_owners_alone_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        Signer.load(tmp_path / "log.key", "openclaw/x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "log.key").stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o777])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "log.key"
    Signer.load(path, "openclaw/x")
    path.chmod(mode)
    with pytest.raises(AuditError, match=f"can be read by others on this machine; chmod 600 {path}"):
        Signer.load(path, "openclaw/x")


def test_threads_that_make_a_key_at_once_get_one_key(tmp_path: Path) -> None:
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(str(Signer.load(tmp_path / "log.key", "x").verifier)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_the_environment_names_a_file_or_holds_the_key_itself(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Signer.load(tmp_path / "log.key", store.origin)
    monkeypatch.setenv("OPENCLAW_KEY", str(tmp_path / "log.key"))
    assert str(open_key(store).verifier) == str(made.verifier)
    monkeypatch.setenv("OPENCLAW_KEY", made.text())
    assert str(open_key(store).verifier) == str(made.verifier)
    assert str(open_key(store, made.text()).verifier) == str(made.verifier)
    monkeypatch.setenv("OPENCLAW_KEY", "PRIVATE+KEY+secret stuff")
    with pytest.raises(AuditError, match="`OPENCLAW_KEY` holds no signing key") as raised:
        open_key(store)
    assert "stuff" not in str(raised.value)


def test_a_damaged_key_is_told_from_a_good_one(tmp_path: Path) -> None:
    path = tmp_path / "log.key"
    text = Signer.load(path, "openclaw/x").text()
    path.write_text(text[:-10] + ("A" if text[-10] != "A" else "B") + text[-9:])
    with pytest.raises(AuditError, match=r"does not fit its own id: it is damaged|holds no signing key"):
        Signer.load(path, "openclaw/x")


def test_a_signed_log_whose_key_is_gone_gets_no_other_one(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "log.key"
    log = AuditLog(store, open_key(store, path, create=True))
    fill(log, 1)
    log.checkpoint()
    path.unlink()
    with pytest.raises(AuditError, match="and another one could not go on in its place"):
        open_key(store, path, create=True)
    assert not path.exists()


def test_without_a_key_nothing_is_signed_and_nothing_masked(store: Store) -> None:
    log = AuditLog(store, None, every_entries=2)
    fill(log, 5)
    assert log.entries(kind="checkpoint") == []
    with pytest.raises(AuditError, match="has no key of the log"):
        log.checkpoint()
    with pytest.raises(AuditError, match="nothing can be masked"):
        log.privacy.keyed(1)


def test_another_key_does_not_sign_a_log_that_has_one(store: Store) -> None:
    own = AuditLog(store, Signer(store.origin, bytes(32)))
    fill(own, 3)
    own.checkpoint()
    other = AuditLog(store, Signer(store.origin, bytes(range(32))))
    with pytest.raises(AuditError, match="this log's checkpoints are signed by"):
        other.checkpoint()
    assert own.verify().ok


# -- a key service -------------------------------------------------------------------------------------------------


def test_a_key_service_signs_checkpoints_and_proofs(store: Store) -> None:
    service = Service()
    log = AuditLog(store, ExternalKey(service.sign, service.public, secret=SECRET).named(store.origin))
    fill(log, 5)
    log.checkpoint()
    log.prove(2).check(Verifier.parse(str(log.verifier)))
    assert log.verify().ok
    log.close()


def test_a_slow_key_service_holds_no_writer_up(store: Store) -> None:
    service = Service()
    key = ExternalKey(service.sign, service.public, secret=SECRET).named(store.origin)
    log = AuditLog(store, key, every_entries=5)
    service.free.clear()
    fill(log, 30)  # returns, although the first checkpoint is still being signed
    assert log.entries(kind="checkpoint") == []
    service.free.set()
    log.close()
    (made,) = log.entries(kind="checkpoint")
    assert made.body["size"] < made.seq - 1, "entries came while it was signed"
    assert log.verify().ok


@pytest.mark.parametrize("error", [RuntimeError("throttled"), TimeoutError("no answer"), KeyError("gone")])
def test_a_key_service_that_fails_is_told_and_does_not_stop_the_log(store: Store, error: Exception) -> None:
    service = Service()
    key = ExternalKey(service.sign, service.public, secret=SECRET).named(store.origin)
    log = AuditLog(store, key, every_entries=5)
    service.error = error
    fill(log, 7)
    log.close()
    assert log.size() == 7
    assert "no checkpoint could be signed: the key service does not sign" in log.verify().warnings[0]
    with pytest.raises(AuditError, match="the key service does not sign"):
        log.checkpoint()


def test_a_signature_of_another_key_is_not_relied_on(store: Store) -> None:
    service, other = Service(), Service()
    log = AuditLog(store, ExternalKey(service.sign, other.public, secret=SECRET).named(store.origin))
    fill(log, 1)
    with pytest.raises(AuditError, match="does not fit the public key"):
        log.checkpoint()


def test_a_key_service_needs_a_secret_of_its_own_for_masking(tmp_path: Path) -> None:
    service = Service()
    with pytest.raises(TypeError, match="secret"):
        ExternalKey(service.sign, service.public)  # type: ignore[call-arg]
    with pytest.raises(AuditError, match="has 5 bytes, which is too short"):
        ExternalKey(service.sign, service.public, secret=b"short")
    with pytest.raises(AuditError, match="the public key cannot be read"):
        ExternalKey(service.sign, b"short", secret=SECRET)
    file = tmp_path / "mask.secret"
    one = ExternalKey(service.sign, service.public, secret=file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert ExternalKey(Service().sign, Service().public, secret=file).secret("x") == one.secret("x")
    file.chmod(0o644)
    with pytest.raises(AuditError, match="can be read by others"):
        ExternalKey(service.sign, service.public, secret=file)
    file.chmod(0o600)
    file.write_text("hello")
    with pytest.raises(AuditError, match="holds no secret"):
        ExternalKey(service.sign, service.public, secret=file)


# -- one key after another -----------------------------------------------------------------------------------------


def test_a_rotation_is_recorded_and_everything_stays_good(store: Store, tmp_path: Path, outside: Path) -> None:
    path = tmp_path / "log.key"
    log = AuditLog(store, Signer.load(path, store.origin), outside=outside)
    first = log.verifier
    masked = log.privacy.keyed({"x": 1})
    proofs = []
    for _ in range(3):
        fill(log, 4)
        proofs.append(log.prove(log.size()))
        log.rotate_key(by="eva", reason="yearly")
    fill(log, 4)
    proofs.append(log.prove(log.size()))
    last = log.verifier
    assert str(Signer.load(path, store.origin).verifier) == str(last)
    assert len(log.verify().keys) == 4
    for trusted in (first, last):
        assert log.verify(trusted).problems == ()
    for proof in proofs:
        proof.check(first)
    proofs[-1].check(last)
    for proof in proofs:
        proof.check(Verifier.parse(proof.key))
    with pytest.raises(VerificationError, match="to which no rotation leads from the trusted key"):
        proofs[-1].check(Signer("other", bytes(32)).verifier)
    with pytest.raises(VerificationError):
        proofs[0].check(last)  # it was made before there was a way to that key
    assert "to which no rotation leads" in log.verify(Signer("other", bytes(32)).verifier).problems[0].message
    again = AuditLog(store, Signer.load(path, store.origin))
    assert again.privacy.keyed({"x": 1}) == masked
    assert [entry.body.get("by") for entry in log.entries(kind="checkpoint") if "rotation" in entry.body] == ["eva"] * 3


def test_a_process_with_the_old_key_goes_on_with_the_new_one(store_url: str, tmp_path: Path) -> None:
    path = tmp_path / "log.key"
    stores = Store.open(store_url), Store.open(store_url)
    one, other = (AuditLog(store, Signer.load(path, store.origin), every_entries=5) for store in stores)
    fill(one, 6)
    other.rotate_key(by="eva")
    fill(one, 12)
    one.checkpoint()
    assert str(one.verifier) == str(other.verifier)
    assert one.verify().ok
    for store in stores:
        store.close()


def test_a_process_that_cannot_read_the_new_key_signs_nothing_and_says_so(store_url: str, tmp_path: Path) -> None:
    stores = Store.open(store_url), Store.open(store_url)
    old = Signer.load(tmp_path / "log.key", stores[0].origin)
    holder = AuditLog(
        stores[0], Signer.parse(old.text()), every_entries=5
    )  # from the environment: no file to read again
    fill(holder, 3)
    AuditLog(stores[1], old).rotate_key(by="eva")
    fill(holder, 12)
    assert "this log's checkpoints are signed by" in " ".join(holder.verify(old.verifier).warnings)
    assert holder.verify(old.verifier).ok
    with pytest.raises(AuditError, match="this log's checkpoints are signed by"):
        holder.checkpoint()
    for store in stores:
        store.close()


def test_a_crash_between_the_record_and_the_file_leaves_a_key_that_goes_on(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.key"
    log = AuditLog(store, Signer.load(path, store.origin))
    fill(log, 2)
    monkeypatch.setattr(Signer, "promote", lambda _: None)  # killed here
    log.rotate_key(by="eva")
    after = AuditLog(store, Signer.load(path, store.origin))
    fill(after, 2)
    after.checkpoint()
    assert after.verify().ok


def test_a_key_from_the_environment_is_rotated_into_a_new_file(store: Store, tmp_path: Path) -> None:
    log = AuditLog(store, Signer.parse(Signer.generate(store.origin).text()))
    fill(log, 2)
    with pytest.raises(AuditError, match="in no file that could be replaced"):
        log.rotate_key(by="eva")
    log.rotate_key(by="eva", to=tmp_path / "new.key")
    assert str(Signer.load(tmp_path / "new.key", store.origin).verifier) == str(log.verifier)
    with pytest.raises(AuditError, match="is there already"):
        log.rotate_key(by="eva", to=tmp_path / "new.key")


def test_a_log_goes_over_to_a_key_service(store: Store) -> None:
    old, service = Signer(store.origin, bytes(32)), Service()
    log = AuditLog(store, old)
    fill(log, 2)
    with pytest.raises(AuditError, match="has another secret"):
        log.rotate_key(ExternalKey(service.sign, service.public, secret=SECRET).named(store.origin), by="eva")
    log.rotate_key(ExternalKey(service.sign, service.public, secret=old.root).named(store.origin), by="eva")
    fill(log, 2)
    log.checkpoint()
    assert log.verify(old.verifier).ok


def test_a_rotation_needs_a_name_and_something_to_sign(store: Store, tmp_path: Path) -> None:
    log = AuditLog(store, Signer.load(tmp_path / "log.key", store.origin))
    with pytest.raises(AuditError, match="the log is empty"):
        log.rotate_key(by="eva")
    with pytest.raises(AuditError, match="needs a name"):
        log.rotate_key(by=" ")


def test_a_forged_rotation_is_not_followed(store: Store) -> None:
    """Someone without the old key writes a rotation to a key of his own, with a checkpoint note that he found."""
    owner, thief = Signer(store.origin, bytes(32)), Signer(store.origin, bytes(range(32)))
    log = AuditLog(store, owner)
    fill(log, 3)
    log.checkpoint()
    forged = sign_rotation(
        thief, Signer(store.origin, bytes(range(1, 33))), origin=store.origin, size=3, root=bytes(32)
    )
    note = forged.note.replace(str(thief.verifier), str(owner.verifier))
    with pytest.raises(VerificationError):
        open_rotation(note)
    body = {"note": log.entries(kind="checkpoint")[0].body["note"], "size": 3, "rotation": note, "next_key": "x"}
    log.append(Draft(kind="checkpoint", body=body))
    assert not log.verify().ok


def test_a_key_that_was_rotated_away_signs_nothing_later() -> None:
    first, second = Signer("log", bytes(32)), Signer("log", bytes(range(32)))
    rotation = sign_rotation(first, second, origin="log", size=10, root=bytes(32))
    for trusted in (first.verifier, second.verifier):
        chain = KeyChain(trusted, [open_rotation(rotation.note)])
        chain.open_checkpoint(first.checkpoint("log", 10, bytes(32)).note)
        chain.open_checkpoint(second.checkpoint("log", 10, bytes(32)).note)
        chain.open_checkpoint(second.checkpoint("log", 11, bytes(32)).note)
        for late in (first.checkpoint("log", 11, bytes(32)), second.checkpoint("log", 9, bytes(32))):
            with pytest.raises(VerificationError, match="signed by a key that was not the log's at that size"):
                chain.open_checkpoint(late.note)
    with pytest.raises(VerificationError, match="the keys are those of another log"):
        KeyChain(first.verifier, [rotation]).open_checkpoint(second.checkpoint("other", 11, bytes(32)).note)
    third = Signer("log", bytes(range(2, 34)))
    loose = sign_rotation(third, first, origin="log", size=12, root=bytes(32))
    with pytest.raises(VerificationError, match="does not follow from the one before"):
        KeyChain(first.verifier, [rotation, loose])


def test_every_changed_character_of_a_rotation_is_found() -> None:
    first, second = Signer("log", bytes(32)), Signer("log", bytes(range(32)))
    note = sign_rotation(first, second, origin="log", size=10, root=bytes(32)).note
    for at, character in enumerate(note[:-1]):
        changed = note[:at] + chr(ord(character) ^ 1) + note[at + 1 :]
        with pytest.raises(VerificationError):
            open_rotation(changed)


def test_a_rotated_proof_is_read_back_from_json(sqlite_url: str, tmp_path: Path) -> None:
    store = Store.open(sqlite_url)
    log = AuditLog(store, Signer.load(tmp_path / "log.key", store.origin))
    first = log.verifier
    fill(log, 2)
    log.rotate_key(by="eva")
    proof = Proof.model_validate_json(log.prove(1).model_dump_json())
    assert proof.check(first).size == log.verify().size - 1
    store.close()
