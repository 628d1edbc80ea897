"""Times as auditors name them: a year, a quarter, a month, a week, a day, or from one moment to another. All in UTC."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass

from openclaw.errors import ConfigurationError

_SPAN = re.compile(r"(\d+)([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_HINT = "write 2026, 2026-Q4, 2026-11, 2026-W48, 2026-11-23 or FROM..TO, as in 2026-11-01..2026-12-01 or 7d.."


def span_of(text: str) -> dt.timedelta | None:
    """The span that ``text`` means (``90s``, ``30m``, ``2h``, ``7d``, ``1w``); None where it means none.

    Raises:
        ConfigurationError: it is longer than time goes back.
    """
    span = _SPAN.fullmatch(text)
    if span is None:
        return None
    try:
        return dt.timedelta(**{_UNITS[span.group(2)]: int(span.group(1))})
    except OverflowError as error:
        raise ConfigurationError(f"`{text}` is longer than time goes back") from error


def moment_since(text: str, now: dt.datetime, zone: dt.tzinfo = dt.UTC) -> dt.datetime:
    """The moment that ``text`` means: a span before ``now`` (``90s``, ``30m``, ``2h``, ``7d``, ``1w``), or a date or time.

    A date or time that says no zone of its own is of ``zone``.

    Raises:
        ConfigurationError: it is neither.
    """
    if (span := span_of(text)) is not None:
        try:
            return now - span
        except OverflowError as error:
            raise ConfigurationError(f"`{text}` is longer than time goes back") from error
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(
            f"`{text}` is neither a span nor a time", hint="write 2h, 7d, 2026-11-23 or 2026-11-23T10:00:00Z"
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


@dataclass(frozen=True, slots=True)
class Period:
    """From ``since`` on, and before ``until``; ``name`` is how it was called."""

    name: str
    since: dt.datetime
    until: dt.datetime

    @classmethod
    def parse(cls, text: str, now: dt.datetime) -> Period:
        """The time that ``text`` names; a span in it is before ``now``, and so is an end that is left out.

        Raises:
            ConfigurationError: it names none, or one that ends before it begins.
        """
        if ".." in text:
            first, _, last = text.partition("..")
            if not first:
                raise ConfigurationError(f"`{text}` has no beginning", hint=_HINT)
            found = cls(text, moment_since(first, now), moment_since(last, now) if last else now)
        else:
            found = cls(text, *_named(text))
        if found.since >= found.until:
            raise ConfigurationError(f"`{text}` ends before it begins", hint=_HINT)
        return found


def _named(text: str) -> tuple[dt.datetime, dt.datetime]:
    try:
        if found := re.fullmatch(r"(\d{4})", text):
            return _month(int(found[1]), 1), _month(int(found[1]), 13)
        if found := re.fullmatch(r"(\d{4})-Q([1-4])", text):
            first = 3 * int(found[2]) - 2
            return _month(int(found[1]), first), _month(int(found[1]), first + 3)
        if found := re.fullmatch(r"(\d{4})-(\d{2})", text):
            if not 1 <= int(found[2]) <= 12:
                raise ConfigurationError(f"`{text}` is no month", hint=_HINT)
            return _month(int(found[1]), int(found[2])), _month(int(found[1]), int(found[2]) + 1)
        if found := re.fullmatch(r"(\d{4})-W(\d{2})", text):
            day = _midnight(dt.date.fromisocalendar(int(found[1]), int(found[2]), 1))
            return day, day + dt.timedelta(days=7)
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            day = _midnight(dt.date.fromisoformat(text))
            return day, day + dt.timedelta(days=1)
    except (ValueError, OverflowError) as error:
        raise ConfigurationError(f"`{text}` is no time: {error}", hint=_HINT) from error
    raise ConfigurationError(f"`{text}` names no time", hint=_HINT)


def _month(year: int, month: int) -> dt.datetime:
    """The beginning of a month; the thirteenth is the first of the next year."""
    return dt.datetime(year + (month - 1) // 12, (month - 1) % 12 + 1, 1, tzinfo=dt.UTC)


def _midnight(day: dt.date) -> dt.datetime:
    return dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC)


__all__ = ["Period", "moment_since", "span_of"]
