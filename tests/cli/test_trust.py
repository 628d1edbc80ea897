"""``openclaw audit prove | verify | rotate-key | hold | prune`` and the places outside, as a person types them."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from openclaw.audit import Proof, Signer, Verifier
from tests.cli.conftest import Command
from tests.support import witness
from tests.support.sqlite_files import sqlite_file

AFTER = "2026-11-23T10:01:00Z"


def test_a_consistency_proof_is_printed_and_checked_offline(desk: Path, openclaw: Command) -> None:
    said = openclaw("audit", "prove", "--from", "10", "--to", "20")
    file = desk / "proof.json"
    file.write_text(said.out)
    key = said.json["key"]
    good = openclaw("--store", "sqlite:///nowhere.db", "audit", "verify", str(file), "--public-key", key)
    assert (good.code, "the log of 10 is the beginning of the log of 20" in good.out) == (0, True)
    assert openclaw("audit", "verify", str(file), "--public-key", key, "--json").json == {
        "ok": True,
        "origin": "openclaw-0001",
        "old": 10,
        "new": 20,
    }
    forged = json.loads(said.out)
    file.write_text(json.dumps({**forged, "old": forged["new"], "new": forged["old"]}))
    bad = openclaw("audit", "verify", str(file), "--public-key", key)
    assert (bad.code, bad.err) == (1, "error: there is no consistency proof from 20 to 10 leaves\n")


def _reorder(database: sqlite3.Connection) -> None:
    for before, after in ((11, -1), (12, 11), (-1, 12)):
        database.execute("UPDATE openclaw_entry SET seq = ? WHERE seq = ?", (after, before))


def _add(database: sqlite3.Connection) -> None:
    columns = "at, kind, run, workflow, agent, tool, call_id, effect, body, leaf"
    for seq in range(25, 11, -1):
        database.execute("UPDATE openclaw_entry SET seq = seq + 1 WHERE seq = ?", (seq,))
    database.execute(
        f"INSERT INTO openclaw_entry (seq, {columns}) SELECT 12, {columns} FROM openclaw_entry WHERE seq = 11"
    )


def _swap_for_an_older_copy(database: sqlite3.Connection) -> None:
    with sqlite_file("older.db") as older:
        older.backup(database)


def _run(statement: str) -> Callable[[sqlite3.Connection], object]:
    return lambda database: database.execute(statement)


@pytest.mark.parametrize(
    ("change", "seq"),
    [
        pytest.param(_run("UPDATE openclaw_entry SET agent = 'nobody' WHERE seq = 11"), 11, id="edited"),
        pytest.param(_run("DELETE FROM openclaw_entry WHERE seq = 1"), 1, id="removed-first"),
        pytest.param(_run("DELETE FROM openclaw_entry WHERE seq = 11"), 11, id="removed-amid"),
        pytest.param(_run("DELETE FROM openclaw_entry WHERE seq = 25"), 25, id="removed-last"),
        pytest.param(_run("DELETE FROM openclaw_entry WHERE seq > 15"), 16, id="tail-cut"),
        pytest.param(_swap_for_an_older_copy, 24, id="older-copy"),
        pytest.param(_reorder, 11, id="reordered-pair"),
        pytest.param(_add, 12, id="added-amid"),
    ],
)
def test_verify_finds_what_was_done_and_names_the_entry(
    desk: Path, openclaw: Command, change: Callable[[sqlite3.Connection], object], seq: int
) -> None:
    shutil.copy(desk / "openclaw.db", desk / "older.db")
    for _ in range(2):  # of 23 entries, and of 24
        assert openclaw("audit", "checkpoint").code == 0
    assert openclaw("audit", "verify", "--json").json["size"] == 25
    with sqlite_file(desk / "openclaw.db") as database:
        change(database)
    said = openclaw("audit", "verify", "--json")
    assert said.code == 1
    assert said.json["ok"] is False
    problem = said.json["problems"][0]
    assert problem["seq"] == seq, said.json["problems"]
    # Of a tail that is gone it is said where the log ends.
    assert re.search(rf"entry {seq}\b|entry {seq - 1}\b", problem["message"]), problem


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "give either SEQ or --from SIZE"),
        (("3", "--from", "2"), "give either SEQ or --from SIZE"),
        (("3", "--to", "9"), "give it with --from"),
        (("--from", "99"), "there is no consistency proof from 99"),
        (("--from", "9", "--to", "99"), "the log has 23 entries, not 99"),
        (("99",), "there is no entry 99"),
    ],
)
def test_a_proof_of_what_is_not_there_is_wrong_usage(
    desk: Path, openclaw: Command, arguments: tuple[str, ...], says: str
) -> None:
    said = openclaw("audit", "prove", *arguments)
    assert (said.code, said.out) == (2, "")
    assert says in said.err


def test_a_new_key_signs_on_and_old_proofs_stay_good(desk: Path, openclaw: Command) -> None:
    before = Proof.model_validate(openclaw("audit", "prove", "11").json)
    rotated = openclaw("audit", "rotate-key", "--by", "eva", "--reason", "yearly", "--json").json
    assert rotated["old"] == before.key
    after = Proof.model_validate(openclaw("audit", "prove", "11").json)
    assert after.key == rotated["new"] != before.key
    for proof in (before, after):
        proof.check(Verifier.parse(before.key))
    for key in (rotated["old"], rotated["new"]):
        assert openclaw("audit", "verify", "--public-key", key).code == 0
    shown = openclaw("audit", "verify").out
    assert f"`{rotated['new']}` signs now" in " ".join(shown.split())
    assert "a new key signs from now on by eva" in openclaw("audit", "list", "--kind", "checkpoint").out
    stranger = str(Signer("openclaw-0001", bytes(32)).verifier)
    assert openclaw("audit", "verify", "--public-key", stranger).code == 1
    assert openclaw("audit", "rotate-key").code == 2


def test_a_key_from_the_environment_is_rotated_into_a_file(
    desk: Path, openclaw: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (desk / "openclaw.db.key").read_text()
    (desk / "openclaw.db.key").unlink()
    monkeypatch.setenv("OPENCLAW_KEY", text)
    assert openclaw("audit", "verify").code == 0
    refused = openclaw("audit", "rotate-key", "--by", "eva")
    assert (refused.code, "name a file for the new key" in refused.err) == (2, True)
    said = openclaw("audit", "rotate-key", "--by", "eva", "--to", "new.key")
    assert (said.code, "let OPENCLAW_KEY or --key name it" in said.err) == (0, True)
    monkeypatch.setenv("OPENCLAW_KEY", "new.key")
    monkeypatch.setenv("OPENCLAW_CHECKPOINTS", "openclaw.db.checkpoints")
    said = openclaw("audit", "checkpoint")
    assert (said.code, said.err.startswith("public key: openclaw-0001+")) == (0, True)
    assert openclaw("audit", "verify").code == 0


def test_a_key_that_is_no_key_is_wrong_usage_and_not_shown(
    desk: Path, openclaw: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENCLAW_KEY", "PRIVATE+KEY+openclaw-0001+cfd56b6c+c2VjcmV0")
    said = openclaw("audit", "verify")
    assert (said.code, "c2VjcmV0" in said.err) == (2, False)


def test_verify_does_not_hold_where_the_file_outside_is_gone(desk: Path, openclaw: Command) -> None:
    (desk / "openclaw.db.checkpoints").unlink()
    said = openclaw("audit", "verify")
    assert said.code == 1
    assert "no checkpoint is left in `openclaw.db.checkpoints`, where the log says that 1 were kept" in said.err
    inside = openclaw("audit", "verify", "--inside-only")
    assert inside.code == 0
    assert "warning: the log also keeps its checkpoints in `file`, which was not asked" in inside.err
    assert openclaw("doctor").code == 1


def test_several_places_are_named_by_option(desk: Path, openclaw: Command) -> None:
    places = ("--checkpoints", "other.checkpoints", "--checkpoints", f"file://{desk}/objects")
    assert openclaw("audit", "checkpoint", *places).code == 0
    assert (desk / "other.checkpoints").read_text().count("note") == 1
    (made,) = (desk / "objects" / "openclaw-0001").iterdir()
    assert made.name.startswith("00000000000000000023-")
    assert openclaw("audit", "verify", "--json", *places).json["outside"] == 2


def test_a_witness_cosigns_what_is_proven(desk: Path, openclaw: Command) -> None:
    key = openclaw("audit", "checkpoint", "--json").json["key"]
    with witness.running(desk / "witness.json", key) as url:
        place = ("--checkpoints", f"witness+{url}#{witness.vkey()}")
        note = openclaw("audit", "checkpoint", "--json", *place).json["note"]
        assert "\n— witness.example/w1 " in note
        said = openclaw("audit", "prove", "11", *place)
        assert openclaw("audit", "verify", *place).code == 0
    file = desk / "proof.json"
    file.write_text(said.out)
    good = openclaw("audit", "verify", str(file), "--public-key", key, "--witness", witness.vkey())
    assert (good.code, "witness  witness.example/w1, 20" in good.out) == (0, True)
    other = openclaw("audit", "verify", str(file), "--public-key", key, "--witness", witness.vkey("w2"))
    assert (other.code, other.err) == (1, "error: the checkpoint is not cosigned by `w2`\n")


def test_holds_are_laid_listed_and_released(desk: Path, openclaw: Command) -> None:
    assert openclaw("audit", "hold", "list").err == "no legal holds\n"
    laid = openclaw("audit", "hold", "add", "--by", "eva", "--reason", "case 4711", "--run", "run-0001", "--json").json
    assert (laid["active"], laid["filter"]) == (True, {"run": "run-0001"})
    assert [hold["id"] for hold in openclaw("audit", "hold", "list", "--json").json] == [laid["id"]]
    released = openclaw("audit", "hold", "release", laid["id"], "--by", "ann", "--reason", "closed")
    assert (released.code, "released by" in released.out) == (0, True)
    assert openclaw("audit", "hold", "list", "--json").json == []
    assert len(openclaw("audit", "hold", "list", "--all", "--json").json) == 1
    again = openclaw("audit", "hold", "release", laid["id"], "--by", "ann", "--reason", "closed")
    assert (again.code, "was released already by `ann`" in again.err) == (2, True)
    events = openclaw("audit", "list", "--kind", "hold")
    assert [line.split()[2] for line in events.out.splitlines()[1:]] == ["hold", "release"]


@pytest.mark.parametrize("missing", [("--reason", "x"), ("--by", "eva")])
def test_a_hold_needs_a_name_and_a_reason(desk: Path, openclaw: Command, missing: tuple[str, str]) -> None:
    assert openclaw("audit", "hold", "add", *missing).code == 2


def test_prune_says_what_would_go_and_removes_it(desk: Path, openclaw: Command) -> None:
    young = openclaw("audit", "prune", "--before", AFTER, "--by", "eva")
    assert (young.code, "entries stay for at least 183 days" in young.err) == (2, True)
    plan = openclaw("audit", "prune", "--before", AFTER, "--minimum-age", "0", "--dry-run", "--json").json
    assert (plan["first"], plan["last"], plan["dry_run"]) == (1, 12, True)
    nobody = openclaw("audit", "prune", "--before", AFTER, "--minimum-age", "0")
    assert (nobody.code, "a prune needs a name" in nobody.err) == (2, True)
    done = openclaw("audit", "prune", "--before", AFTER, "--minimum-age", "0", "--by", "eva", "--reason", "retention")
    assert (done.code, done.out) == (0, "pruned  1 to 12\n")
    assert openclaw("audit", "verify", "--json").json["pruned"] == 12
    assert "entries 1 to 12 were pruned by eva" in openclaw("audit", "list", "--kind", "checkpoint").out
    assert openclaw("audit", "show", "12").code == 2
    proof = openclaw("audit", "prove", "14")
    assert Proof.model_validate(proof.json).check(Verifier.parse(proof.json["key"])).size >= 23
    assert openclaw("audit", "timeline", "run-0001").code == 0  # what remains of a run can still be told
    assert openclaw("audit", "prune", "--before", "soon", "--by", "eva").code == 2


def test_what_keeps_entries_is_said(desk: Path, openclaw: Command) -> None:
    openclaw("audit", "hold", "add", "--by", "eva", "--reason", "case 4711", "--agent", "refunds")
    said = openclaw("audit", "prune", "--before", AFTER, "--minimum-age", "0", "--dry-run")
    assert said.out.splitlines()[0] == "would go  1 to 6"
    assert "by eva: case 4711" in said.out
