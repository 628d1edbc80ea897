"""``openclaw audit list``, ``tail`` and ``view`` on a real log, through pipes and terminals."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.support.sqlite_files import sqlite_file
from tests.support.terminal import program


def test_columns_can_be_chosen(desk: Path, openclaw: Command) -> None:
    said = openclaw(
        "audit", "list", "--tool", "refund", "--arg", "amount>100", "--columns", "seq,event,args.amount,reason"
    )
    assert said.out == (
        "SEQ  EVENT  ARGS.AMOUNT  REASON\n"
        " 11  deny          9000  the account is not the customer's own\n"
        " 12  ask            120  a refund above 50 needs a person\n"
        " 14  allow          120  a refund above 50 needs a person\n"
    )


def test_an_unknown_column_is_wrong_usage_and_names_the_near_one(desk: Path, openclaw: Command) -> None:
    said = openclaw("audit", "list", "--columns", "seq,agnet")
    assert (said.code, said.err) == (2, "error: entries have no field `agnet`; did you mean `agent`?\n")
    said = openclaw("audit", "list", "--where", "amount > 100")
    assert said.err.startswith(
        "error: entries have no field `amount`; an argument of a call is `args.amount`; fields are "
    )
    said = openclaw("audit", "list", "--since", "2h", "--until", "7d")
    assert (said.code, said.err) == (2, "error: no time is from `2h` on and before `7d`; change --since or --until\n")


def test_a_condition_that_is_none_is_wrong_usage(desk: Path, openclaw: Command) -> None:
    said = openclaw("audit", "list", "--where", "open('x')")
    assert said.code == 2
    assert said.err.startswith("error: `open('x')` may not stand in a condition; it is made of fields")


def test_since_and_until_take_spans_and_times(desk: Path, openclaw: Command) -> None:
    # The present is a minute after the last entry, the answer of a person 95 seconds after the question.
    assert openclaw("audit", "list", "--json", "--since", "2m").json[0]["seq"] == 13
    assert openclaw("audit", "list", "--json", "--until", "2m").json[-1]["seq"] == 12
    assert openclaw("audit", "list", "--since", "yesterday").code == 2


def test_pages_before_and_after_an_entry(desk: Path, openclaw: Command) -> None:
    said = openclaw("audit", "list", "--limit", "2", "--before", "10", "--columns", "seq")
    assert (said.out, said.err) == ("SEQ\n  8\n  9\n", "the last 2 entries; --before 8 shows those before them\n")
    said = openclaw("audit", "list", "--limit", "2", "--after", "8", "--columns", "seq")
    assert (said.out, said.err) == ("SEQ\n  9\n 10\n", "2 entries; --after 10 shows those after them\n")


def test_csv_is_read_back_and_holds_no_formula(desk: Path, openclaw: Command) -> None:
    with sqlite_file(desk / "openclaw.db") as database:
        database.execute("UPDATE openclaw_entry SET agent = '=HYPERLINK(\"x\")' WHERE seq = 11")
    said = openclaw("audit", "list", "--csv", "--effect", "deny", "--columns", "seq,agent,reason,args")
    rows = list(csv.reader(io.StringIO(said.out)))
    assert rows[0] == ["seq", "agent", "reason", "args"]
    assert rows[1] == [
        "11",
        '\'=HYPERLINK("x")',
        "the account is not the customer's own",
        json.dumps({"account": "ACME-1", "amount": 9000, "order": "A-17"}),
    ]
    assert openclaw("audit", "list", "--csv", "--json").code == 2


def test_all_goes_through_the_whole_log_from_the_first(desk: Path, openclaw: Command) -> None:
    assert [one["seq"] for one in openclaw("audit", "list", "--all", "--json", "--limit", "2").json] == list(
        range(1, 24)
    )
    assert openclaw("audit", "list", "--all", "--agent", "nobody").err == "no entries\n"
    assert len(openclaw("audit", "list", "--all").out.splitlines()) == 24


def test_views_keep_filters_and_columns(desk: Path, openclaw: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENCLAW_VIEWS", str(desk / "own" / "views.json"))
    assert openclaw("audit", "view", "list").err.startswith("no saved views")
    first = openclaw("audit", "list", "--effect", "deny", "--columns", "seq,reason", "--save", "denials")
    assert openclaw("audit", "list", "--view", "denials").out == first.out
    narrower = openclaw("audit", "list", "--view", "denials", "--reason", "budget", "--json").json
    assert [one["seq"] for one in narrower] == [21]
    assert openclaw("audit", "view", "list").out == "denials  columns seq,reason, effect deny\n"
    assert openclaw("audit", "list", "--view", "other").err == "error: there is no view `other`; there are denials\n"
    assert openclaw("audit", "view", "remove", "denials").code == 0
    assert openclaw("audit", "view", "list", "--json").json == {}
    assert openclaw("audit", "list", "--save", "empty").code == 2


@pytest.mark.parametrize("text", ["[]", "{", '{"a": 1}'])
def test_a_file_that_holds_no_views_is_said_so(
    text: str, desk: Path, openclaw: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    (desk / "views.json").write_text(text)
    monkeypatch.setenv("OPENCLAW_VIEWS", "views.json")
    said = openclaw("audit", "list", "--view", "a")
    assert said.code == 2
    assert "`views.json`" in said.err


@pytest.mark.parametrize("width", [80, 200])
def test_a_table_is_as_wide_as_the_terminal(
    width: int, desk: Path, openclaw: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    out = openclaw("audit", "list", "--run", "run-0001").out.splitlines()
    assert max(map(len, out)) == 80 if width == 80 else 140 < max(map(len, out)) <= 200
    assert any(line.endswith("…") for line in out) is (width == 80)


def test_tail_shows_the_last_entries(desk: Path, openclaw: Command) -> None:
    said = openclaw("audit", "tail", "-n", "2", "--columns", "seq,event")
    assert said.out == "  22  allow\n  23  checkpoint\n"
    lines = openclaw("audit", "tail", "-n", "3", "--json", "--kind", "decision").out.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [19, 21, 22]


@pytest.mark.parametrize(
    "command", [("list", "--text", "nowhere"), ("list", "--all", "--tool", "none"), ("tail", "--run", "none")]
)
def test_nothing_found_is_said_and_not_left_to_be_guessed(
    command: tuple[str, ...], desk: Path, openclaw: Command
) -> None:
    said = openclaw("audit", *command)
    assert (said.code, said.out, said.err) == (0, "", "no entries\n")


def test_a_terminal_gets_colours_unless_it_wants_none(desk: Path) -> None:
    coloured = program("audit", "list", "--effect", "deny").read()
    assert "\x1b[31mdeny" in coloured
    assert "\x1b[31m" not in program("audit", "list", "--effect", "deny", NO_COLOR="1").read()


def test_tail_follows_what_comes_and_ends_quietly_at_ctrl_c(desk: Path) -> None:
    from openclaw.audit import AuditLog
    from openclaw.store import Store

    child = program("audit", "tail", "-f", "--kind", "halt", "--every", "0.05", "-n", "1")
    store = Store.open(f"sqlite:///{desk / 'openclaw.db'}")
    log = AuditLog(store, None)
    try:
        for number in range(3):
            log.append({"kind": "halt", "body": {"reason": f"stop number {number}"}})
        child.expect("stop number 2")
        log.append({"kind": "policy", "body": {"revision": "not shown"}})
        log.append({"kind": "halt", "body": {"reason": "one more"}})
        child.expect("one more")
        child.sendintr()
        rest = child.read()
    finally:
        log.close()
        store.close()
    child.close()
    assert child.exitstatus == 130
    assert "Traceback" not in rest
    assert "not shown" not in rest


def test_listing_needs_no_write_access(desk: Path, openclaw: Command) -> None:
    (desk / "openclaw.db").chmod(0o444)
    assert openclaw("audit", "list", "--effect", "deny").code == 0
    shutil.copy(desk / "openclaw.db", desk / "copy.db")
    assert openclaw("audit", "tail", "--store", "sqlite:///copy.db").code == 0
