"""``openclaw budget`` and ``openclaw approvals`` on a real store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command

REFUNDS = "org/default/workflow/returns/agent/refunds"


def test_budget_list_shows_what_is_left(desk: Path, openclaw: Command) -> None:
    said = openclaw("budget", "list")
    assert said.code == 0
    rows = [line.split() for line in said.out.splitlines()]
    assert rows[0] == ["ACCOUNT", "WINDOW", "UNIT", "LIMIT", "SPENT", "HELD", "LEFT"]
    assert ["org/default/workflow/returns", "total", "tokens", "20,000", "2,265", "0", "17,735"] in rows
    assert ["org/default/workflow/returns", "total", "usd", "$0.50", "$0.000364", "$0.00", "$0.499636"] in rows
    assert [REFUNDS, "total", "calls", "3", "3", "0", "0"] in rows


def test_budget_show_has_one_account_and_those_below(desk: Path, openclaw: Command) -> None:
    found = openclaw("budget", "show", "org/default/workflow/returns", "--json").json
    assert [balance["account"] for balance in found] == [
        "org/default/workflow/returns",
        "org/default/workflow/returns/agent/refunds",
        "org/default/workflow/returns/agent/triage",
    ]
    assert found[0]["remaining"] == {"tokens": 17735, "calls": 4, "microusd": 499636}


def test_budget_show_of_an_unused_account_says_that_nothing_is_limited(desk: Path, openclaw: Command) -> None:
    said = openclaw("budget", "show", "org/other")
    assert (said.code, said.out, said.err) == (0, "", "nothing is limited and nothing spent\n")


def test_budget_set_overrules_what_the_program_declared_and_is_recorded(desk: Path, openclaw: Command) -> None:
    said = openclaw("budget", "set", REFUNDS, "--calls", "10", "--usd", "2.50", "--json")
    assert said.code == 0
    assert said.json["limits"] == {"calls": 10, "microusd": 2_500_000}
    entry = openclaw("audit", "list", "--kind", "reservation", "--limit", "1", "--json").json[0]
    assert entry["body"]["event"] == "limit"
    assert entry["body"]["account"] == REFUNDS
    assert openclaw("audit", "verify").code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["refunds", "--calls", "1"], "error: `refunds` is not an account; expected pairs such as"),
        (
            [REFUNDS],
            "error: a budget limits at least one unit: tokens, input_tokens, output_tokens, calls, usd, seconds or mwh",
        ),
        ([REFUNDS, "--usd", "0.0000001"], "error: `--usd`: `0.0000001` is finer than a micro-USD"),
        ([REFUNDS, "--usd", "much"], "error: `--usd`: `much` is not an amount of money"),
        ([REFUNDS, "--calls", "-1"], "error: `--calls`: Input should be greater than or equal to 0"),
    ],
)
def test_a_meaningless_budget_is_wrong_usage(desk: Path, openclaw: Command, arguments: list[str], message: str) -> None:
    said = openclaw("budget", "set", *arguments)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(message)


def test_a_limit_below_what_is_spent_is_taken_and_says_what_that_means(desk: Path, openclaw: Command) -> None:
    said = openclaw("budget", "set", "org/default/workflow/returns", "--tokens", "10")
    assert said.code == 0
    assert said.err == (
        "more tokens are spent already: org/default/workflow/returns admits nothing until the limit is raised\n"
    )
    assert openclaw("budget", "set", "org/default/workflow/returns", "--tokens", "5000").err == ""


def test_approvals_list_shows_what_waits(desk: Path, openclaw: Command) -> None:
    said = openclaw("approvals", "list")
    assert said.code == 0
    assert said.out == (
        "ID        STATE    AGENT    CALL                                    WHY\n"
        'ask-0002  pending  refunds  refund(order="B-2", amount=75, accoun…  a refund above 50 needs a person\n'
    )


def test_approvals_list_all_shows_the_answered_too(desk: Path, openclaw: Command) -> None:
    found = openclaw("approvals", "list", "--all", "--json").json
    assert [(question["id"], question["state"], question["answered_by"]) for question in found] == [
        ("ask-0001", "used", "eva"),
        ("ask-0002", "pending", ""),
    ]


def test_an_approval_is_recorded_with_the_name_of_who_gave_it(desk: Path, openclaw: Command) -> None:
    said = openclaw("approvals", "approve", "ask-0002", "--by", "eva", "--reason", "known customer")
    assert said.code == 0
    assert said.out == 'approved  refund(order="B-2", amount=75, account="DE-99") of refunds, by eva\n'
    entry = openclaw("audit", "list", "--kind", "approval", "--limit", "1", "--json").json[0]
    assert (entry["body"]["answer"], entry["body"]["by"], entry["body"]["reason"]) == (
        "approved",
        "eva",
        "known customer",
    )
    said = openclaw("approvals", "list")
    assert (said.out, said.err) == ("", "no questions wait for an answer\n")
    assert openclaw("audit", "verify").code == 0


def test_a_rejection_shows_in_the_timeline(desk: Path, openclaw: Command) -> None:
    assert openclaw("approvals", "reject", "ask-0002", "--by", "eva", "--reason", "who is this?", "--json").code == 0
    said = openclaw("audit", "timeline", "run-0002")
    assert "ask → rejected" in said.out
    assert "rejected by eva: who is this?" in said.out


def test_an_answer_is_given_once(desk: Path, openclaw: Command) -> None:
    openclaw("approvals", "reject", "ask-0002", "--by", "eva")
    said = openclaw("approvals", "approve", "ask-0002", "--by", "mallory")
    assert said.code == 2
    assert said.err == "error: `ask-0002` is already rejected by `eva`; an answer is given once\n"


def test_an_answer_needs_a_name(desk: Path, openclaw: Command) -> None:
    said = openclaw("approvals", "approve", "ask-0002")
    assert said.code == 2
    assert "--by" in said.err
    said = openclaw("approvals", "approve", "ask-0002", "--by", " ")
    assert said.code == 2
    assert said.err.startswith("error: an answer needs a name")


def test_a_question_that_is_not_there_is_wrong_usage(desk: Path, openclaw: Command) -> None:
    said = openclaw("approvals", "approve", "ask-9", "--by", "eva")
    assert said.code == 2
    assert said.err == "error: there is no question `ask-9`; see `openclaw approvals list`\n"


def test_a_person_needs_no_key_of_the_log_to_answer(desk: Path, openclaw: Command) -> None:
    (desk / "openclaw.db.key").rename(desk / "elsewhere")
    said = openclaw("approvals", "approve", "ask-0002", "--by", "eva", "--reason", "gh" + "p_" + "A1b2C3d4E5" * 4)
    assert said.code == 2
    assert "holds what looks like a secret" in said.err
    assert "leave it out, or name the key: OPENCLAW_KEY" in said.err
    said = openclaw("approvals", "approve", "ask-0002", "--by", "eva", "--reason", "known customer")
    assert (said.code, said.err) == (0, "")
    [entry] = openclaw("audit", "list", "--kind", "approval", "--limit", "1", "--json").json
    assert (entry["body"]["by"], entry["body"]["reason"]) == ("eva", "known customer")


def test_a_priority_is_set_and_its_shares_are_shown(desk: Path, openclaw: Command) -> None:
    account = "org/default/workflow/returns"
    assert openclaw("budget", "set", "org/default", "--tokens", "10000", "--seconds", "60", "--window", "day").code == 0
    said = openclaw("budget", "set", account, "--priority", "3")
    assert said.code == 0
    for word in ("SHARES OF", "BORROWED", "org/default/workflow/returns", "7,500"):
        assert word in said.out
    assert "org/default, the rest" in openclaw("budget", "list").out
    [org] = [
        it
        for it in json.loads(openclaw("budget", "list", "--json").out)
        if it["account"] == "org/default" and it["window"] == "day"
    ]
    assert {(it["account"], it["unit"], it["share"]) for it in org["shares"]} == {
        (account, "tokens", 7_500),
        (account, "milliseconds", 45_000),
        ("org/default", "tokens", 2_500),
        ("org/default", "milliseconds", 15_000),
    }
    refused = openclaw("budget", "set", "org/default/agent/solo", "--priority", "3")
    assert (refused.code, refused.out) == (2, "")
    assert "cannot have a priority" in refused.err
