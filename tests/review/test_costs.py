"""Who spent what, and what work costs: the sums are those of the ledger, and every figure is what its definition says."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from openclaw.action import ModelCall, Principal
from openclaw.audit.reading import Reader
from openclaw.budget import Energy, Usage
from openclaw.budget.account import label_accounts
from openclaw.errors import ConfigurationError, VerificationError
from openclaw.gate import Outcome, Permit, Request
from openclaw.review import showback
from openclaw.review.costs import BY, CostReport, Costs, read_by
from openclaw.review.spending import refusals, spending
from tests.support.story import BEGAN, StillClock, Story, tell_on, told


def costs(story: Story, by: str = "agent", zone: str = "UTC", **between: dt.datetime) -> CostReport:
    reader, made = Reader(story.governance.gate._store), Costs(read_by(by), zone=zone)
    for spent in spending(reader, **between):
        made.add(spent)
    for run, seq in refusals(reader, **between):
        made.refuse(run, seq)
    return made.report(open_runs={entry.run for entry in story.governance.audit.open_actions()})


def think(
    story: Story, model: str, used: Usage, *, workflow: str = "returns", status: str = "done", **labels: str
) -> None:
    principal = Principal(agent="writer", workflow=workflow)
    also = dict.fromkeys(label_accounts(principal.account, labels))
    request = Request(
        action=ModelCall(principal=principal, name=model), run=story.run, hold=Usage(tokens=10), also=also
    )
    permit = story.gate.admit(request)
    assert isinstance(permit, Permit), permit
    story.gate.finish(permit, Outcome(status=status, usage=used))  # type: ignore[arg-type]
    story.gate.flush()


def test_the_sums_are_those_of_the_ledger(store_url: str, tmp_path: Path) -> None:
    with told(store_url, tmp_path) as story:
        tell_on(story)
        found = costs(story)
        posted = {it.account.rsplit("/", 1)[-1]: it.posted for it in story.governance.ledger.accounts()}
    assert [group.name for group in found.groups] == ["refunds", "triage"]
    for group in found.groups:
        assert group.used == {unit: posted[group.name].amount(unit) for unit in group.used}
    assert found.total.used["microusd"] == posted["default"].microusd == 364


def test_runs_actions_and_outcomes_are_told_apart(tmp_path: Path) -> None:
    with told("sqlite:///" + str(tmp_path / "a.db"), tmp_path) as story:
        tell_on(story)
        found = costs(story)
    assert (found.total.actions, found.total.done, found.total.approved) == (7, 6, 1)
    assert {group.name: group.actions for group in found.outcomes} == {"done": 6, "failed": 1}
    # The second run is open: one action of it was cut off, another asks a person.
    assert (found.total.runs, found.total.completed_runs) == (2, 1)
    assert found.total.microusd_per_completed_run == found.total.microusd_per_approved_action == 364
    assert found.total.tokens_per_action == 324  # 2265 / 7, rounded up
    assert next(group for group in found.groups if group.name == "triage").microusd_per_approved_action is None


@pytest.mark.parametrize("by", BY)
def test_every_grouping_has_everything_that_belongs_to_it(by: str, tmp_path: Path) -> None:
    with told("sqlite:///" + str(tmp_path / "a.db"), tmp_path) as story:
        tell_on(story)
        found = costs(story, by)
    expected = {
        "agent": ["refunds", "triage"],
        "workflow": ["returns"],
        "org": ["default"],
        "label": ["(none)"],
        "model": ["acme/small-1"],
        "tool": ["refund", "lookup_order"],
        "outcome": ["done", "failed"],
        "hour": ["2026-11-23T10:00Z"],
        "day": ["2026-11-23"],
        "week": ["2026-11-23"],
        "month": ["2026-11"],
    }
    names = [group.name for group in found.groups]
    assert names == expected[by] if by != "run" else len(names) == 2
    actions = sum(group.actions for group in found.groups)
    assert actions == {"model": 2, "tool": 5}.get(by, found.total.actions)


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("team", {"payments": 30, "sales": 4, "(none)": 2265}),
        ("customer", {"acme": 14, "(none)": 2285}),
        ("label", {"customer=acme": 14, "team=payments": 30, "team=sales": 4, "(none)": 2265}),
    ],
)
def test_groups_are_made_by_any_label(by: str, expected: dict[str, int], store_url: str, tmp_path: Path) -> None:
    with told(store_url, tmp_path) as story:
        tell_on(story)
        think(story, "small-1", Usage(tokens=10), team="payments", customer="acme")
        think(story, "small-1", Usage(tokens=20), team="payments")
        think(story, "small-1", Usage(tokens=4), team="sales", customer="acme")
        found = costs(story, by)
        posted = story.governance.ledger.balance("org/default/team/payments").posted.tokens
    assert {group.name: group.used["tokens"] for group in found.groups} == expected
    assert found.total.used["tokens"] == 2299
    assert posted == 30


@pytest.mark.parametrize(
    ("by", "zone", "expected"),
    [
        ("hour", "Asia/Kolkata", "2026-11-01T00:00+05:30"),
        ("hour", "UTC", "2026-10-31T19:00Z"),
        ("day", "Asia/Kolkata", "2026-11-01"),
        ("day", "America/New_York", "2026-10-31"),
        ("week", "Asia/Kolkata", "2026-10-26"),
        ("week", "Pacific/Kiritimati", "2026-10-26"),
        ("month", "Asia/Kolkata", "2026-11"),
        ("month", "UTC", "2026-10"),
    ],
)
def test_windows_are_of_the_calendar_of_a_time_zone(by: str, zone: str, expected: str, tmp_path: Path) -> None:
    clock = StillClock(dt.datetime(2026, 10, 31, 19, 5, tzinfo=dt.UTC))
    with told("sqlite:///" + str(tmp_path / "a.db"), tmp_path, clock=clock) as story:
        think(story, "small-1", Usage(tokens=10))
        found = costs(story, by, zone)
    assert found.groups[-1].name == expected
    assert found.zone == zone


def test_the_hour_that_a_clock_goes_through_twice_is_two_hours(tmp_path: Path) -> None:
    clock = StillClock(dt.datetime(2026, 10, 25, 0, 30, tzinfo=dt.UTC))  # 02:30 in Berlin, and again an hour later
    with told("sqlite:///" + str(tmp_path / "a.db"), tmp_path, clock=clock) as story:
        before = len(costs(story, "hour", "Europe/Berlin").groups)
        clock.pass_ms(3_600_000)
        think(story, "small-1", Usage(tokens=10))
        names = [group.name for group in costs(story, "hour", "Europe/Berlin").groups]
    assert before == 1
    assert names == ["2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00"]


def test_a_label_that_is_called_like_a_figure_is_a_column_of_its_own(tmp_path: Path) -> None:
    with told("sqlite:///" + str(tmp_path / "a.db"), tmp_path) as story:
        think(story, "small-1", Usage(tokens=10), runs="fast")
        head = showback.columns(costs(story, "runs"))
    assert head[0] == "label_runs"
    assert len(set(head)) == len(head)


def test_since_is_included_and_until_is_not(store_url: str, tmp_path: Path) -> None:
    with told(store_url, tmp_path) as story:
        tell_on(story)
        [first, *_, last] = list(spending(Reader(story.governance.gate._store)))
        assert costs(story, since=last.at).total.actions == 1
        assert costs(story, until=last.at).total.actions == 6
        assert costs(story, until=first.at).total.actions == 0
        assert costs(story, since=BEGAN + dt.timedelta(days=400)).total.actions == 0


def test_a_model_call_without_a_price_is_named_and_never_counts_as_free(tmp_path: Path) -> None:
    with told("sqlite:///" + str(tmp_path / "a.db"), tmp_path) as story:
        think(story, "homemade", Usage(tokens=9, input_tokens=9))
        found = costs(story, "model")
    assert {group.name: group.unpriced for group in found.groups} == {"acme/small-1": 0, "homemade": 1}
    assert found.total.unpriced == 1


def test_a_run_that_ends_in_a_refusal_is_not_complete(tmp_path: Path) -> None:
    with told("sqlite:///" + str(tmp_path / "a.db"), tmp_path) as story:
        assert costs(story).total.completed_runs == 1
        story.ask("refunds", "refund", order="A-17", amount=9000, account="ACME-1")
        assert costs(story).total.completed_runs == 0
        story.act("triage", "lookup_order", took_ms=1, order="A-17")  # it went on after all
        assert costs(story).total.completed_runs == 1


def test_what_becomes_known_late_is_counted_once(tmp_path: Path) -> None:
    """A process that was given up for dead ends its action after all: the ledger has what it used, and so has the report."""
    with told("sqlite:///" + str(tmp_path / "a.db"), tmp_path) as story:
        before = costs(story).total
        principal = Principal(agent="triage", workflow="returns")
        request = Request(
            action=ModelCall(principal=principal, name="small-1", provider="acme"),
            run=story.run,
            hold=Usage(tokens=100, microusd=10),
        )
        permit = story.gate.admit(request)
        assert isinstance(permit, Permit), permit
        store = story.gate._store
        executions = story.gate._executions
        store.run(lambda unit: story.gate._conclude(unit, executions.one_running(unit, permit.seq), None))
        assert costs(story).total.used["tokens"] == before.used["tokens"] + 100
        story.gate.finish(permit, Outcome(status="done", usage=Usage(tokens=130, input_tokens=130, microusd=7)))
        story.gate.flush()
        found = costs(story)
        posted = story.governance.ledger.balance("org/default").posted
    assert found.total.used["tokens"] == posted.tokens == before.used["tokens"] + 130
    assert found.total.used["microusd"] == posted.microusd == before.used["microusd"] + 10
    assert found.total.actions == before.actions + 1


def test_an_entry_that_was_changed_ends_the_report_with_its_number(tmp_path: Path) -> None:
    with told("sqlite:///" + str(tmp_path / "a.db"), tmp_path) as story:
        store = story.gate._store
        with store.engine.connect() as connection:
            connection.exec_driver_sql("UPDATE openclaw_entry SET body = '{' WHERE kind = 'outcome'")
            connection.commit()
        with pytest.raises(VerificationError, match=r"entry \d+ cannot be read"):
            costs(story)


def test_what_groups_cannot_be_made_by_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="cannot be grouped by `a/frog`") as caught:
        read_by("a/frog")
    assert "agent, workflow" in caught.value.hint


def test_groups_are_rows_of_a_spreadsheet(tmp_path: Path) -> None:
    with told("sqlite:///" + str(tmp_path / "a.db"), tmp_path, clock=StillClock()) as story:
        found = costs(story)
    rows = [dict(zip(showback.columns(found), row, strict=True)) for row in showback.rows(found)]
    assert [row["agent"] for row in rows] == ["refunds", "triage"]
    assert rows[1] | {"usd": "0.000163", "usd_per_approved_action": None, "tokens": 1001} == rows[1]


def test_energy_is_a_sum_of_ranges_and_what_has_no_estimate_is_counted(tmp_path: Path) -> None:
    with told("sqlite:///" + str(tmp_path / "a.db"), tmp_path) as story:
        story.gate.energy = Energy(zone="WOR")
        for model in ("gpt-4o", "gpt-4o", "no-such-model-9"):
            principal = Principal(agent="writer", workflow="returns")
            action = ModelCall(principal=principal, name=model, provider="openai")
            permit = story.gate.admit(Request(action=action, run=story.run, hold=Usage(tokens=10)))
            assert isinstance(permit, Permit), permit
            story.clock.pass_ms(2_000)
            used = Usage(tokens=100, output_tokens=100, microusd=1)
            story.gate.finish(permit, Outcome(status="done", usage=used))
            story.gate.flush()
        [known, _] = [it for it in costs(story, "model").groups if it.name.startswith("openai/")]
        total = costs(story).total
        assert next(it for it in costs(story, "model").groups if it.name == "acme/small-1").mwh is None
    once = Energy(zone="WOR").estimate("gpt-4o", "openai", 100, 2.0)
    assert (list(known.mwh or ()), list(known.co2e_mg or ())) == (
        [2 * it for it in once["mwh"]],
        [2 * it for it in once["co2e_mg"]],
    )
    assert (known.energy_unknown, total.energy_unknown) == (0, 3)  # two calls of the story were made without
    assert total.mwh == known.mwh
