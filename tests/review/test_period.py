"""Times as auditors name them."""

from __future__ import annotations

import datetime as dt

import pytest

from openclaw.errors import ConfigurationError
from openclaw.review.period import Period, moment_since
from tests.support.story import BEGAN

NOW = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("text", "since", "until"),
    [
        ("2026", "2026-01-01", "2027-01-01"),
        ("2026-Q4", "2026-10-01", "2027-01-01"),
        ("2026-12", "2026-12-01", "2027-01-01"),
        ("2026-W01", "2025-12-29", "2026-01-05"),
        ("2024-02-29", "2024-02-29", "2024-03-01"),
        ("2026-11-01..2026-11-08", "2026-11-01", "2026-11-08"),
        ("2026-11-01..", "2026-11-01", "2026-11-24T12:00"),
        ("7d..1d", "2026-11-17T12:00", "2026-11-23T12:00"),
    ],
)
def test_a_time_has_a_beginning_and_an_end(text: str, since: str, until: str) -> None:
    found = Period.parse(text, NOW)
    assert (found.since, found.until) == tuple(
        dt.datetime.fromisoformat(one).replace(tzinfo=dt.UTC) for one in (since, until)
    )


@pytest.mark.parametrize(
    "text", ["", "soon", "2026-13", "2026-00", "2026-Q5", "2026-W54", "2026-02-30", "0000", "..1d", "1d..7d", "9999"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="`"):
        Period.parse(text, NOW)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2h", BEGAN - dt.timedelta(hours=2)),
        ("90s", BEGAN - dt.timedelta(seconds=90)),
        ("1w", BEGAN - dt.timedelta(days=7)),
        ("2026-11-20", dt.datetime(2026, 11, 20, tzinfo=dt.UTC)),
        ("2026-11-20T10:00:00+02:00", dt.datetime(2026, 11, 20, 8, tzinfo=dt.UTC)),
    ],
)
def test_since_is_a_span_or_a_time(text: str, moment: dt.datetime) -> None:
    assert moment_since(text, BEGAN) == moment


@pytest.mark.parametrize("text", ["", "2", "h", "-2h", "yesterday", "999999999999w", "9999999w"])
def test_since_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        moment_since(text, BEGAN)
