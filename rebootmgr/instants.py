"""Instants as files, messages and people write them (RFC 3339)."""

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rebootmgr.errors import UsageError
from rebootmgr.spans import decode_span
from rebootmgr.text import harmless

YEARS: Final = range(1970, 3000)
"""What the clock of a host can show (Linux keeps it below 2263) and what people mean, with room
for every sum and difference that is made of it."""


def encode_instant(at: datetime | None, *, timespec: str = "auto") -> str | None:
    """Write an instant in UTC with a Z, None where there is none.

    `timespec` is that of datetime.isoformat: "auto" is exact, "seconds" cuts off what is less.
    """
    if at is None:
        return None
    return at.astimezone(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def decode_instant(written: str, zone: tzinfo | None = None) -> datetime:
    """Read an instant, in `zone` where it names none, as UTC.

    ValueError's text is what it should have been; OverflowError where UTC has no such year.
    """
    try:
        at = datetime.fromisoformat(written)
    except ValueError:
        raise ValueError("a time") from None
    if at.tzinfo is None and zone is None:
        raise ValueError("a time with an offset")
    return (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC)


_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NEAR_DAYS: Final = {"yesterday": -1, "today": 0, "tomorrow": 1}
_TYPED: Final = re.compile(
    rf"""
    (?:(?P<weekday>{"|".join((*_DAYS, *(name[:3] for name in _DAYS)))}),?(?:\ |$))?
    (?:(?P<date>\d{{4}}-\d\d-\d\d)|(?P<near>yesterday|today|tomorrow))?
    (?:(?P<between>\ |t)?(?P<time>\d{{1,2}}:\d\d(?::\d\d(?:\.\d{{1,6}})?)?))?
    (?:\ ?(?P<offset>z|[+-]\d\d:\d\d)
     |\ (?P<zone>[a-z0-9_+-]{{1,32}}(?:/[a-z0-9_+-]{{1,32}}){{0,2}}))?
    """,
    re.VERBOSE | re.ASCII | re.IGNORECASE,
)
_EPOCH: Final = re.compile(r"@(\d{1,12})(?:\.\d+)?", re.ASCII)
_CURE: Final = 'write 22:00, tomorrow 08:00, Mon 08:00, +2h, 2026-12-31 or "2026-12-31 22:00"'


def decode_typed_instant(
    typed: str, zone: tzinfo, *, now: datetime, coming: bool = False
) -> datetime:
    """Read what somebody typed, in `zone` where it names none, as UTC; UsageError with the cure.

    As in systemd.time(7), "Parsing Timestamps", and a day of the week alone is the next such day.
    `coming`: it is to be ahead, so a time of day that is over is that of the next day.
    """
    words = re.sub(r"^in (?=\d)", "+", " ".join(typed.split()))
    try:
        at = _relative(words, now) or _on_a_day(words, zone, now, coming=coming)
        if at is not None and at.year in YEARS:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # there is no such date or time, or no clock shows it
    raise UsageError(f'"{harmless(typed)}" cannot be read as a time; {_CURE}')


def _relative(words: str, now: datetime) -> datetime | None:
    """Read what is a span away, or counted in seconds since 1970; None if it is neither."""
    if words == "now":
        return now
    if epoch := _EPOCH.fullmatch(words):
        return datetime.fromtimestamp(int(epoch[1]), UTC)
    if words.endswith(" ago"):
        return now - decode_span(words.removesuffix(" ago"))
    if words.endswith(" left"):
        return now + decode_span(words.removesuffix(" left"))
    if words[:1] in {"+", "-"}:
        span = decode_span(words[1:])
        return now + span if words[0] == "+" else now - span
    return None


def _on_a_day(words: str, zone: tzinfo, now: datetime, *, coming: bool) -> datetime | None:
    """Read a day, a time of day, or both; ValueError where there is no such."""
    found = _TYPED.fullmatch(words)
    if found is None or not (found["weekday"] or found["date"] or found["near"] or found["time"]):
        return None
    if found["between"] and not (found["date"] or found["near"]):
        return None
    if found["time"] and not found["between"] and (found["date"] or found["near"]):
        return None
    zone = _zone(found["offset"], found["zone"]) or zone
    clock = time.fromisoformat((found["time"] or "00:00").zfill(5))
    today = now.astimezone(zone).date()
    weekday = _weekday(found["weekday"])
    if found["date"]:
        day = date.fromisoformat(found["date"])
        if weekday is not None and day.weekday() != weekday:
            text = f"{day} is a {_DAYS[day.weekday()].capitalize()}; correct the day or the date"
            raise UsageError(text)
        return datetime.combine(day, clock, zone)
    day = today + timedelta(days=_NEAR_DAYS[found["near"].lower()] if found["near"] else 0)
    if weekday is not None:
        day += timedelta(days=(weekday - day.weekday()) % 7)
    at = datetime.combine(day, clock, zone)
    if coming and not found["near"] and at.astimezone(UTC) <= now:
        at = datetime.combine(day + timedelta(days=1 if weekday is None else 7), clock, zone)
    return at


def _weekday(name: str | None) -> int | None:
    """Say which day of the week this is, from 0 for Monday."""
    short = [each[:3] for each in _DAYS]
    return None if name is None else short.index(name[:3].lower())


def _zone(offset: str | None, name: str | None) -> tzinfo | None:
    """Give the zone that was typed, None if none was; ValueError if there is no such."""
    if offset:
        return datetime.fromisoformat(f"2000-01-01T00:00{offset.upper()}").tzinfo
    if name is None:
        return None
    if name.upper() in {"UTC", "Z"}:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError) as error:  # OSError: `Europe` is a directory
        raise ValueError(name) from error
