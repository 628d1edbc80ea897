"""Was this ever passed? Found by every kind of digest and in the clear; what was never passed is not found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from openclaw.audit import AuditLog, Draft
from openclaw.audit.lookup import values_of
from openclaw.audit.veil import LARGE_CHARS, Seal, take_result
from openclaw.store import Store, Transaction


def document(**args: Any) -> dict[str, Any]:
    return {"kind": "tool", "tool": {"name": "pay", "args": args}}


@pytest.fixture
def filled(log: AuditLog) -> AuditLog:
    """Entries that hold ``hunter22``, ``4711``, ``true``, a long text and a result, each in one way; 8 holds none."""

    def write(transaction: Transaction) -> None:
        seals = [Seal(("args.diagnosis",), "eva")]
        veils = [
            log.privacy.veil(transaction, document(password="hunter22")),
            log.privacy.veil(transaction, document(pin=4711, on=True), fields=["args.on"]),
            log.privacy.veil(transaction, document(diagnosis="hunter22"), seals=seals),
            log.privacy.veil(transaction, document(note="say hunter22 twice")),
            log.privacy.veil(transaction, document(content="hunter22 " + "x" * LARGE_CHARS)),
        ]
        for veil in veils:
            log.record(transaction, Draft(kind="decision", effect="allow", body={"input": veil.document}))
        kept = veils[0].result(take_result({"rows": [1, 2]}), full=False)
        log.record(transaction, Draft(kind="outcome", body={"result": kept}))
        log.record(transaction, Draft(kind="outcome", body={"error": veils[0].text("bad hunter22")}))
        log.record(transaction, Draft(kind="outcome", body={"error": "nothing of the kind", "n": 1}))

    log._store.run(write)
    return log


def found(log: AuditLog, text: str) -> list[tuple[int, str]]:
    return [(match.seq, match.how) for match in log.lookup(text)]


def test_a_value_is_found_however_it_is_kept(filled: AuditLog) -> None:
    expected = [(1, "masked"), (3, "sealed"), (4, "clear"), (5, "clear"), (7, "masked")]
    assert found(filled, "hunter22") == expected
    assert found(filled, "hunter22\n") == expected


def test_types_are_told_apart(filled: AuditLog) -> None:
    assert found(filled, "4711") == [(2, "masked")]
    assert found(filled, "true") == [(2, "masked")]
    assert found(filled, '"4711"') == []
    assert found(filled, "1") == []


def test_a_long_text_and_a_result_are_found_whole(filled: AuditLog) -> None:
    assert (5, "large") in found(filled, "hunter22 " + "x" * LARGE_CHARS)
    assert found(filled, '{"rows": [1,2]}') == [(6, "result")]


@pytest.mark.parametrize(
    "text", ["", "hunter23", "\ud800", "x'; DROP TABLE--", "%", "null", '{"a":', "\0", "[" * 100_000]
)
def test_what_was_never_passed_is_not_found(filled: AuditLog, text: str) -> None:
    assert found(filled, text) == []


def test_digits_of_digests_identifiers_and_moments_were_not_passed(log: AuditLog) -> None:
    """A pin of four digits is in every other digest by chance; whoever looks for the whole of one finds it."""
    digest, hold, now = "sha256:" + "4712" * 16, "hold-01a22ded4712-3b643508", "2026-11-30T19:28:04.471275Z"
    body = {"revision": digest, "reservation": {"id": hold}, "input": {"now": now}, "says": f"held {hold}"}
    log.append(Draft(kind="decision", run="r", body=body))
    assert found(log, "4712") == []
    assert found(log, hold) == found(log, digest) == found(log, "2026-11-30") == [(1, "clear")]
    log.append(Draft(kind="decision", run="r", body={"note": f"{digest} and pin 4712"}))
    assert found(log, "4712") == [(2, "clear")]


def test_what_is_forgotten_is_not_found_any_more(filled: AuditLog) -> None:
    filled.forget("eva", by="officer")
    assert (3, "sealed") not in found(filled, "hunter22")


def test_many_entries_are_looked_through_page_by_page(log: AuditLog) -> None:
    def write(transaction: Transaction) -> None:
        for number in range(1100):
            veil = log.privacy.veil(transaction, document(token="same" if number % 2 else number))
            log.record(transaction, Draft(kind="decision", effect="allow", body={"input": veil.document}))

    log._store.run(write)
    assert len(log.lookup("same")) == 550


def test_the_forms_of_a_text() -> None:
    assert values_of("5\n") == ["5\n", "5", 5]
    assert values_of('"a"') == ['"a"', "a"]
    assert values_of("[1.0, NaN]") == ["[1.0, NaN]", [1.0, {"$float": "NaN"}]]
    assert values_of("plain") == ["plain"]


def test_a_copy_that_nobody_may_write_is_enough(filled: AuditLog, store_url: str, tmp_path: Path) -> None:
    url = sa.engine.make_url(store_url)
    if url.get_backend_name() == "postgresql":  # as on a replica: nothing but reading is allowed
        with filled._store.engine.connect() as connection:
            connection.exec_driver_sql(f'ALTER DATABASE "{url.database}" SET default_transaction_read_only = on')
    else:
        filled._store.close()
        (tmp_path / "copy.db").write_bytes(Path(str(url.database)).read_bytes())
        (tmp_path / "copy.db").chmod(0o444)
        store_url = f"sqlite:///{tmp_path / 'copy.db'}"
    store = Store.open(store_url, create=False, readonly=True)
    copy = AuditLog(store, filled._notary.key)
    assert [match.seq for match in copy.lookup("hunter22")] == [1, 3, 4, 5, 7]
    assert copy.revealed(copy.entry(3)).body["input"]["tool"]["args"] == {"diagnosis": "hunter22"}  # type: ignore[index, call-overload]
    copy.verify().require()
    store.close()
