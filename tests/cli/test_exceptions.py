"""``openclaw exceptions``: opening, proof, listing, closing, and what is said when it cannot be."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest

from openclaw.cli import books
from tests.cli.conftest import Command
from tests.support.sqlite_files import sqlite_file
from tests.support.story import StillClock

OPEN = ("exceptions", "open", "--agent", "refunds", "--by", "eva", "--reason", "the bank is down")


def test_what_is_opened_is_listed_shown_and_closed(desk: Path, openclaw: Command) -> None:
    said = openclaw(*OPEN, "--tool", "refund", "--arg", "amount<=500", "--uses", "3", "--for", "2h")
    assert said.code == 0
    assert said.out.startswith("opened  exc-0001: agent refunds, tool refund with amount<=500, 3 uses until 2026-11-23")
    assert said.err == "entry 24 waits for the review of somebody else: see `openclaw review`\n"
    found: Any = openclaw("exceptions", "list", "--json").json
    [one] = found
    assert (one["id"], one["state"], one["seconds"], one["used"], one["uses"]) == ("exc-0001", "open", 7200, 0, 3)
    assert one["scope"] == {"agent": "refunds", "tool": "refund", "args": ["amount<=500"]}
    assert (one["waiting"], one["decisions"], one["proof"]) == ([24], [], "")
    assert not {"seal", "signed"} & one.keys()
    shown: Any = openclaw("exceptions", "show", "exc-0001", "--json").json
    assert shown == one
    assert openclaw("audit", "note", "24", "--by", "tom", "--verdict", "agreed").err == ""
    assert "reviewed   entry 24: agreed by tom" in openclaw("exceptions", "show", "exc-0001").out
    assert "by tom" in openclaw("exceptions", "list").out
    closed = openclaw("exceptions", "close", "exc-0001", "--by", "tom", "--reason", "the bank is back")
    assert closed.out == (
        "closed  exc-0001: agent refunds, tool refund with amount<=500, 0 of 3 used, by tom: the bank is back\n"
    )
    assert openclaw("exceptions", "list").err == "no exceptions are open\n"
    assert "closed" in openclaw("exceptions", "list", "--all").out
    assert "closed     2026-11-23" in openclaw("exceptions", "show", "exc-0001").out


def test_without_any_it_says_so(desk: Path, openclaw: Command) -> None:
    assert openclaw("exceptions", "list").err == "no exceptions are open\n"
    assert openclaw("exceptions", "list", "--all").err == "no exceptions\n"
    assert openclaw("exceptions", "list", "--json").json == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--by", "eva", "--reason", "x"), "an exception from everything is none; name what it covers: `--agent`"),
        (("--agent", "a", "--by", "eva", "--reason", " "), "an exception needs a reason"),
        (("--agent", "a", "--by", " ", "--reason", "x"), "an exception needs the name of a person"),
        (("--agent", "a", "--by", "eva", "--reason", "x", "--for", "soon"), "`--for soon` is no time"),
        (("--agent", "a", "--by", "eva", "--reason", "x", "--for", "8d"), "write 30m, 2h or 1d, 7d at most"),
        (("--agent", "a", "--by", "eva", "--reason", "x", "--for", "99999999999w"), "is longer than time goes back"),
        (("--agent", "a", "--by", "eva", "--reason", "x", "--uses", "0"), "is used 1 to 1,000 times, not 0"),
        (("--agent", "a", "--by", "eva", "--reason", "x", "--arg", "amount"), "`amount` is no condition"),
    ],
)
def test_what_is_no_exception_is_one_clear_error(
    desk: Path, openclaw: Command, arguments: tuple[str, ...], says: str
) -> None:
    said = openclaw("exceptions", "open", *arguments)
    assert said.code == 2
    assert says in said.err
    assert said.err.count("\n") == 1
    assert openclaw("exceptions", "list", "--all", "--json").json == []


def test_an_exception_that_there_is_not_is_one_clear_error(desk: Path, openclaw: Command) -> None:
    for command in (("show", "exc-9"), ("close", "exc-9", "--by", "tom")):
        said = openclaw("exceptions", *command)
        assert (said.code, said.err) == (
            2,
            "error: there is no exception `exc-9`; see `openclaw exceptions list --all`\n",
        )


def test_who_has_a_key_or_a_token_proves_it_and_the_log_is_verified_with_it(
    desk: Path, openclaw: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    openclaw("approvals", "enroll", "eva", "--role", "on-call", "--new-key", "eva.key", "--by", "root")
    bare = openclaw(*OPEN)
    assert bare.code == 2
    assert "an exception of `eva` must be authenticated, and this one is not; give `--sign-with FILE`" in bare.err
    assert openclaw(*OPEN, "--sign-with", "eva.key").code == 0
    [shown] = openclaw("exceptions", "list", "--json").json  # type: ignore[misc]
    assert (shown["by"], shown["proof"]) == ("eva", "signature")
    assert "by         eva, signed" in openclaw("exceptions", "show", shown["id"]).out
    assert re.search(r"signed +by eva, holds under eva\+", openclaw("audit", "show", str(shown["seq"])).out)
    verified = openclaw("audit", "verify", "--inside-only")
    assert verified.code == 0, verified
    assert "1 signed, each compared with the key of who gave it" in verified.out
    token: Any = openclaw("approvals", "enroll", "tom", "--new-token", "--by", "root", "--json").json
    monkeypatch.setenv("OPENCLAW_APPROVER_TOKEN", token["new_token"])
    said = openclaw("exceptions", "open", "--agent", "refunds", "--by", "tom", "--reason", "x", "--json")
    assert (said.code, said.json["proof"]) == (0, "token")  # type: ignore[index]
    assert token["new_token"] not in openclaw("audit", "export", "--format", "jsonl").out


def test_without_the_key_of_the_log_only_a_key_of_ones_own_opens_one(desk: Path, openclaw: Command) -> None:
    openclaw("approvals", "enroll", "eva", "--new-key", "eva.key", "--by", "root")
    Path("openclaw.db.key").rename("elsewhere.key")
    said = openclaw("exceptions", "open", "--agent", "refunds", "--by", "ann", "--reason", "x")
    assert said.code == 2
    assert (
        "an exception is sealed with the key of the log, which is not here; name it with OPENCLAW_KEY, or" in said.err
    )
    assert openclaw(*OPEN, "--sign-with", "eva.key").code == 0


def test_the_openers_own_verdict_is_recorded_and_does_not_count(desk: Path, openclaw: Command) -> None:
    openclaw(*OPEN)
    said = openclaw("audit", "note", "24", "--by", "user:Eva", "--verdict", "agreed")
    assert said.code == 0
    assert said.err == "`user:Eva` has opened the exception: entry 24 waits until somebody else has judged it\n"
    assert openclaw("audit", "note", "24", "--by", "eva", "--comment", "it was me").err == ""
    found: Any = openclaw("review", "--kind", "exception", "--json").json
    [waits] = found
    assert (waits["what"], waits["entry"]["seq"], waits["last"]) == ("exception", 24, None)
    assert openclaw("audit", "note", "24", "--by", "tom", "--verdict", "disputed").err == ""
    assert openclaw("review", "--kind", "exception", "--json").json == []


def test_it_waits_in_the_queue_long_after_it_is_over(desk: Path, openclaw: Command, monkeypatch: Any) -> None:
    openclaw(*OPEN, "--for", "30m")
    assert isinstance(books.CLOCK, StillClock)
    books.CLOCK.pass_ms(90 * 24 * 3600 * 1000)
    assert "expired" in openclaw("exceptions", "list", "--all").out
    found: Any = openclaw("review", "--kind", "exception", "--json").json
    [waits] = found
    assert waits["entry"]["seq"] == 24


def test_the_counts_show_it(desk: Path, openclaw: Command) -> None:
    assert "exceptions" not in openclaw("audit", "stats").out
    openclaw(*OPEN)
    said = openclaw("audit", "stats")
    assert "exceptions     1 opened, 0 uses: see `openclaw exceptions list --all`" in said.out
    counted: Any = openclaw("audit", "stats", "--json").json
    assert (counted["exceptions"], counted["excepted"]) == (1, 0)
    assert [one["seq"] for one in openclaw("audit", "list", "--kind", "exception", "--json").json] == [24]  # type: ignore[attr-defined]


def test_a_database_from_before_says_what_it_lacks_and_gets_it_from_a_command_that_writes(
    desk: Path, openclaw: Command
) -> None:
    with sqlite_file("openclaw.db") as old:
        old.execute("DROP TABLE openclaw_exception_use")
        old.execute("DROP TABLE openclaw_exception")
    said = openclaw("exceptions", "list")
    assert said.code == 2
    assert "was written by an older openclaw and has no table `openclaw_exception` yet; open it once" in said.err
    assert openclaw("review").code == 0
    assert openclaw("doctor").code == 0
    assert openclaw(*OPEN).code == 0
    assert openclaw("exceptions", "list", "--json").json != []
    assert openclaw("audit", "verify", "--inside-only").code == 0


def test_what_was_made_of_a_row_by_hand_is_shown_as_what_it_is(desk: Path, openclaw: Command) -> None:
    openclaw(*OPEN)
    with sqlite_file("openclaw.db") as forged:
        forged.execute("UPDATE openclaw_exception SET seq = 3")
    said = openclaw("exceptions", "show", "exc-0001")
    assert said.code == 0
    assert "fault      does not count: there is no entry 3 that opened it\n" in said.out


def test_a_reviewer_who_is_enrolled_proves_who_they_are(desk: Path, openclaw: Command) -> None:
    """Else whoever opened it would type another name."""
    openclaw(*OPEN)
    openclaw("approvals", "enroll", "tom", "--new-key", "tom.key", "--by", "root")
    said = openclaw("audit", "note", "24", "--by", "tom", "--verdict", "agreed")
    assert said.code == 2
    assert "a review of `tom` must be authenticated, and this one is not; give `--sign-with FILE`" in said.err
    assert openclaw("audit", "note", "24", "--by", "tom", "--comment", "I am looking at it").code == 0
    assert openclaw("audit", "note", "11", "--by", "tom", "--verdict", "agreed").code == 0  # a denial is no exception
    assert openclaw("review", "--kind", "exception", "--json").json != []
    given = openclaw("audit", "note", "24", "--by", "tom", "--verdict", "agreed", "--sign-with", "tom.key", "--json")
    body: Any = openclaw("audit", "show", str(given.json["seq"]), "--json").json  # type: ignore[index]
    assert "openclaw review v1" in str(body)
    assert openclaw("review", "--kind", "exception", "--json").json == []


def test_what_was_opened_with_proof_is_reviewed_with_proof(desk: Path, openclaw: Command, tmp_path: Path) -> None:
    openclaw("approvals", "enroll", "eva", "--new-key", "eva.key", "--by", "root")
    opened: Any = openclaw(*OPEN, "--sign-with", "eva.key", "--json").json
    seq = str(opened["seq"])
    said = openclaw("audit", "note", seq, "--by", "somebody", "--verdict", "agreed")
    assert said.code == 2
    assert "`somebody` is not enrolled, so nothing proves who reviews it; see `openclaw approvals enroll`" in said.err
    wrong = openclaw("audit", "note", seq, "--by", "eva", "--verdict", "agreed", "--sign-with", "openclaw.db.key")
    assert "the review is not signed by the key of `eva`" in wrong.err
    token: Any = openclaw("approvals", "enroll", "tom", "--new-token", "--by", "root", "--json").json
    (tmp_path / "tom.token").write_text(token["new_token"])
    assert openclaw("audit", "note", seq, "--by", "tom", "--verdict", "agreed", "--token-file", "tom.token").code == 0
    assert openclaw("review", "--kind", "exception", "--json").json == []


def test_working_through_the_queue_goes_on_after_an_exception_that_cannot_be_judged(
    desk: Path, openclaw: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    openclaw("approvals", "enroll", "eva", "--new-key", "eva.key", "--by", "root")
    openclaw(*OPEN, "--sign-with", "eva.key")
    openclaw("halt", "--agent", "refunds", "--by", "eva")
    monkeypatch.setattr("sys.stdin", io.StringIO("a\n\na\n\n"))
    said = openclaw("review", "--by", "somebody", "--since", "1m")
    assert said.code == 0
    assert "`somebody` is not enrolled" in said.err
    assert said.err.endswith("1 of 2 judged\n")
