"""Numbers, spans and moments as people read them."""

from __future__ import annotations

import datetime as dt

import pytest

from openclaw.cli import show


@pytest.mark.parametrize(
    ("microusd", "shown"),
    [(0, "$0.00"), (1, "$0.000001"), (1_500_000, "$1.50"), (1_234_560_000, "$1,234.56"), (-40_000, "-$0.04")],
)
def test_money_is_exact_and_has_two_decimals_at_least(microusd: int, shown: str) -> None:
    assert show.usd(microusd) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 µs"),
        (0.00085, "850 µs"),
        (0.012, "12 ms"),
        (0.9996, "1.0 s"),
        (1.26, "1.3 s"),
        (59.96, "1 min 00 s"),
        (125, "2 min 05 s"),
        (12_000, "3 h 20 min"),
    ],
)
def test_spans_have_two_units_at_most(seconds: float, shown: str) -> None:
    assert show.duration(seconds) == shown


def test_moments_are_shown_in_utc() -> None:
    at = dt.datetime(2026, 11, 23, 12, 0, 0, 1500, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    assert show.moment(at) == "2026-11-23 10:00:00.001Z"


def test_a_heading_in_a_pipe_is_not_as_wide_as_the_pipe(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    show.heading("1. The task is done")
    assert capsys.readouterr().out == "1. The task is done " + "─" * 80 + "\n"


def test_a_word_that_is_longer_than_the_line_is_not_broken(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    digest = f"sha256:{'5c' * 32}"
    show.fields(
        [("the policy", digest), ("again", f"other policies than the recorded ones ({digest}) answer the same")]
    )
    assert capsys.readouterr().out.splitlines() == [
        f"the policy  {digest}",
        "again       other policies than the recorded ones",
        f"            ({digest})",
        "            answer the same",
    ]


@pytest.mark.parametrize("width", [80, 200])
def test_one_endless_name_does_not_spoil_every_line(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    columns = [show.Column("id"), show.Column("agent"), show.Column("tool"), show.Column("why", wide=True)]
    identifier = "ask-01a22ea909cc-18874d1d"
    show.table(columns, [(identifier, "x" * 500, "refund", "y" * 500), (identifier, "triage", "refund", "")])
    out = capsys.readouterr().out.splitlines()
    assert max(map(len, out)) <= width
    assert out[1].startswith(f"{identifier}  xxx")
    assert "…  refund" in out[1]
    assert out[2].split() == [identifier, "triage", "refund"]
