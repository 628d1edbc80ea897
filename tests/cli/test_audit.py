"""``openclaw audit`` on a real log."""

from __future__ import annotations

from pathlib import Path

from openclaw.audit import Proof, Verifier
from tests.cli.conftest import Command
from tests.support.sqlite_files import sqlite_file


def test_list_shows_the_log_in_its_order(desk: Path, openclaw: Command) -> None:
    said = openclaw("audit", "list", "--limit", "6", "--run", "run-0001")
    assert said.code == 0
    assert said.out == (
        "SEQ  2026-11-23 UTC  EVENT     AGENT    TOOL    DETAIL\n"
        " 10  10:00:01        done      refunds  refund  of 9\n"
        " 11  10:00:01        deny      refunds  refund  the account is not the customer's own · refund(acco…\n"
        ' 12  10:00:01        ask       refunds  refund  a refund above 50 needs a person · refund(account="…\n'
        " 13  10:01:36        approved  refunds  refund  ask-0001 by eva: order checked\n"
        ' 14  10:01:36        allow     refunds  refund  refund(account="DE-77", amount=120, order="A-18")\n'
        " 15  10:01:36        done      refunds  refund  of 14\n"
    )
    assert said.err == "the last 6 entries; --before 10 shows those before them\n"


def test_list_filters_compose(desk: Path, openclaw: Command) -> None:
    said = openclaw("audit", "list", "--json", "--kind", "decision", "--agent", "refunds", "--effect", "deny")
    assert [entry["seq"] for entry in said.json] == [11, 21]


def test_list_after_an_entry_goes_on_from_it(desk: Path, openclaw: Command) -> None:
    said = openclaw("audit", "list", "--json", "--after", "3", "--limit", "2", "--tool", "lookup_order")
    assert [entry["seq"] for entry in said.json] == [5, 6]


def test_list_as_json_of_nothing_is_an_empty_array(desk: Path, openclaw: Command) -> None:
    said = openclaw("audit", "list", "--json", "--agent", "nobody")
    assert said.json == []


def test_list_of_nothing_says_so(desk: Path, openclaw: Command) -> None:
    said = openclaw("audit", "list", "--agent", "nobody")
    assert (said.code, said.out, said.err) == (0, "", "no entries\n")


def test_entries_as_json_have_the_shape_of_their_schema(desk: Path, openclaw: Command) -> None:
    schema = openclaw("schema", "entry").json
    for entry in openclaw("audit", "list", "--json").json:
        assert entry.keys() == schema["properties"].keys()


def test_show_prints_the_entry_whole(desk: Path, openclaw: Command) -> None:
    said = openclaw("audit", "show", "11")
    assert said.code == 0
    head, _, body = said.out.partition("\n\n")
    assert head.splitlines()[:11] == [
        "entry       11",
        "at          2026-11-23 10:00:01.520Z",
        "kind        decision",
        "event       deny",
        "run         run-0001",
        "workflow    returns",
        "agent       refunds",
        "tool        refund",
        "call id     call_3",
        'call        refund(account="ACME-1", amount=9000, order="A-17")',
        "reason      the account is not the customer's own",
    ]
    assert '"refused_by": "policy"' in body


def test_show_of_an_entry_that_is_not_there_is_wrong_usage(desk: Path, openclaw: Command) -> None:
    said = openclaw("audit", "show", "99")
    assert (said.code, said.out) == (2, "")
    assert said.err == "error: there is no entry 99; the log has 23 entries, counted from 1\n"


def test_verify_holds_on_a_whole_log(desk: Path, openclaw: Command) -> None:
    said = openclaw("audit", "verify", "--json")
    assert said.code == 0
    assert said.json["ok"] is True
    assert (said.json["size"], said.json["outside"], said.json["problems"]) == (23, 1, [])


def test_verify_names_the_entry_that_was_changed(desk: Path, openclaw: Command) -> None:
    change(desk, "UPDATE openclaw_entry SET agent = 'triage' WHERE seq = 11")
    said = openclaw("audit", "verify")
    assert said.code == 1
    assert "verdict      broken" in said.out
    assert said.err.startswith("error: entry 11 was changed: it does not fit its leaf hash\n")
    assert openclaw("audit", "verify", "--json").json["problems"][0]["seq"] == 11


def test_verify_names_the_entry_behind_which_the_tail_was_cut(desk: Path, openclaw: Command) -> None:
    change(desk, "DELETE FROM openclaw_entry WHERE seq > 20")
    said = openclaw("audit", "verify")
    assert said.code == 1
    assert "error: the log ends at entry 20, but a signed checkpoint covers 22: its tail was cut" in said.err


def test_verify_without_the_key_says_where_it_looked(desk: Path, openclaw: Command) -> None:
    (desk / "openclaw.db.key").unlink()
    said = openclaw("audit", "verify")
    assert said.code == 2
    assert (
        "the signing key of this log is not at `openclaw.db.key`; name its file with --key or OPENCLAW_KEY" in said.err
    )
    assert not (desk / "openclaw.db.key").exists()


def test_verify_takes_the_key_from_elsewhere(desk: Path, openclaw: Command) -> None:
    safe = desk / "safe"
    safe.mkdir()
    for name in ("key", "checkpoints"):
        (desk / f"openclaw.db.{name}").rename(safe / f"desk.{name}")
    said = openclaw("audit", "verify", "--key", str(safe / "desk.key"), "--json")
    assert (said.code, said.json["outside"]) == (0, 1)


def test_open_lists_what_was_let_through_and_has_no_outcome(desk: Path, openclaw: Command) -> None:
    said = openclaw("audit", "open", "--json")
    assert [(entry["seq"], entry["tool"]) for entry in said.json] == [(22, "lookup_order")]


def test_timeline_tells_a_run_with_its_question_and_answer(desk: Path, openclaw: Command) -> None:
    said = openclaw("audit", "timeline", "run-0001")
    assert said.code == 0
    assert said.out == (
        "run run-0001  returns  thread customer-17\n"
        "├── triage\n"
        "│   ├──  3  model acme/small-1  done  812 ms, 1,001 tokens, $0.000163\n"
        '│   └──  5  lookup_order(order="A-17")  done  12 ms\n'
        "└── refunds\n"
        "    ├──  7  model acme/small-1  done  650 ms, 1,264 tokens, $0.000201\n"
        '    ├──  9  refund(account="DE-77", amount=40, order="A-17")  done  35 ms\n'
        '    ├── 11  refund(account="ACME-1", amount=9000, order="A-17")  deny\n'
        "    │   └── the account is not the customer's own\n"
        '    └── 14  refund(account="DE-77", amount=120, order="A-18")  ask → approved → done  48 ms\n'
        "        └── approved by eva: order checked\n"
        "2026-11-23 10:00:00.001Z, 1 min 37 s: 5 done, 1 denied, 2,265 tokens, $0.000364\n"
    )


def test_timeline_without_a_run_tells_the_last_one(desk: Path, openclaw: Command) -> None:
    story = openclaw("audit", "timeline", "--json").json
    assert story["run"] == "run-0002"
    steps = [step for turn in story["turns"] for step in turn["steps"]]
    assert [step["state"] for step in steps] == ["failed", "waiting", "done", "denied", "open"]


def test_timeline_of_an_unknown_run_is_wrong_usage(desk: Path, openclaw: Command) -> None:
    said = openclaw("audit", "timeline", "run-9999")
    assert said.code == 2
    assert said.err.startswith("error: there is no run `run-9999` in the log")


def test_a_proof_can_be_checked_with_the_public_key_alone(desk: Path, openclaw: Command) -> None:
    said = openclaw("audit", "prove", "11")
    proof = Proof.model_validate(said.json)
    checkpoint = proof.check(Verifier.parse(proof.key))
    assert (said.code, proof.read().seq, checkpoint.size) == (0, 11, 23)


def test_a_proof_file_is_checked_without_any_database(desk: Path, openclaw: Command, tmp_path: Path) -> None:
    said = openclaw("audit", "prove", "11")
    file, key = tmp_path / "proof.json", said.json["key"]
    file.write_text(said.out)
    good = openclaw("--store", "sqlite:///nowhere.db", "audit", "verify", str(file), "--public-key", key)
    assert (good.code, good.out.splitlines()[-1]) == (0, "verdict  holds")
    assert good.out.splitlines()[1] == "entry    11 of 23: decision deny refunds refund"
    file.write_text(said.out.replace('\\"deny\\"', '\\"allow\\"'))
    forged = openclaw("audit", "verify", str(file), "--public-key", key)
    assert (forged.code, forged.err.startswith("error: the entry is not in the log")) == (1, True)
    assert openclaw("audit", "verify", str(file)).code == 2
    file.write_text("{}")
    assert openclaw("audit", "verify", str(file), "--public-key", key).code == 2


def test_the_log_is_verified_with_the_public_key_where_no_key_file_is(desk: Path, openclaw: Command) -> None:
    key = openclaw("audit", "prove", "11").json["key"]
    (desk / "openclaw.db.key").unlink()
    assert openclaw("audit", "verify").code == 2
    assert openclaw("audit", "verify", "--public-key", key).code == 0


def test_checkpoint_prints_a_signed_note_and_keeps_it_outside(desk: Path, openclaw: Command) -> None:
    before = (desk / "openclaw.db.checkpoints").read_text().count("\n")
    said = openclaw("audit", "checkpoint")
    assert said.code == 0
    assert said.out.startswith("openclaw-0001\n23\n")
    assert said.err.startswith("public key: openclaw-0001+")
    assert (desk / "openclaw.db.checkpoints").read_text().count("\n") == before + 1
    assert openclaw("audit", "verify", "--json").json["checkpoints"] == 4


def change(desk: Path, statement: str) -> None:
    with sqlite_file(desk / "openclaw.db") as connection:
        connection.execute(statement)


def test_show_says_how_the_entry_stands(desk: Path, openclaw: Command) -> None:
    assert (
        "proof       holds: 5 hashes lead to the root of checkpoint 23, of 22 entries\n"
        in openclaw("audit", "show", "11").out
    )
    (desk / "openclaw.db.key").unlink()
    assert "proof       unsigned: " in openclaw("audit", "show", "11").out
    assert "proof  pending: " in openclaw("audit", "show", "23").out
    change(desk, "UPDATE openclaw_entry SET agent = 'triage' WHERE seq = 11")
    assert "proof       broken: the entry was changed" in openclaw("audit", "show", "11").out


def test_explain_without_policies_tells_what_was_recorded(desk: Path, openclaw: Command) -> None:
    said = openclaw("audit", "explain", "13")
    assert said.code == 0
    assert said.out.startswith("entry       12, about which entry 13 is\n")
    assert said.out.endswith("again       not decided again: name the policies with --policies\n")
    assert openclaw("audit", "explain", "11", "--json").json["recorded"]["decided_by"] == "policy"
    assert openclaw("audit", "explain", "1").code == 2


def test_a_timeline_can_be_drawn(desk: Path, openclaw: Command) -> None:
    said = openclaw("audit", "timeline", "run-0001", "--svg", "run.svg")
    assert (said.code, said.out, said.err) == (0, "", "drew the run `run-0001` in run.svg\n")
    assert "<title>run run-0001</title>" in (desk / "run.svg").read_text()
    said = openclaw("audit", "timeline", "run-0001", "--svg", "two.svg", "--png", "two.png")
    assert said.err == "drew the run `run-0001` in two.svg\ndrew the run `run-0001` in two.png\n"
    assert (desk / "two.svg").read_text() == (desk / "run.svg").read_text()
    assert (desk / "two.png").read_bytes().startswith(b"\x89PNG\r\n")
    said = openclaw("audit", "timeline", "--svg", "none/run.svg")
    assert said.code == 2
    assert said.err.startswith("error: `none/run.svg` cannot be written")
    assert not [*desk.glob(".run.svg*")]
