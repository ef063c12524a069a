"""When a configuration is open, by brute force: it reads the TOML itself and paints minutes.

It shares nothing with rebootmgr: local times are looked up among the candidates of a day, rules
are matched day by day, openings are runs of painted minutes.
"""

import hashlib
import tomllib
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

BEFORE: Final = timedelta(days=12)
AFTER: Final = timedelta(days=460)
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MINUTE_S: Final = 60.0

Span = tuple[float, float]  # [start, end), POSIX time


@dataclass(frozen=True, slots=True)
class Almanac:
    """The openings of one host around one season."""

    periodic: bool
    covered: Span
    freezes: tuple[Span, ...]
    openings: tuple[Span, ...]

    def covers(self, at: datetime) -> bool:
        """Whether it can say anything about an instant."""
        return _find((self.covered,), at.timestamp()) is not None

    def is_frozen(self, at: datetime) -> bool:
        """Whether a freeze holds."""
        return _find(self.freezes, at.timestamp()) is not None

    def opening_at(self, at: datetime) -> Span | None:
        """The opening that an instant lies in."""
        return _find(self.openings, at.timestamp())

    def later_than(self, at: datetime) -> tuple[Span, ...]:
        """The openings that begin later, within 400 days of the begin of that day."""
        now = at.timestamp()
        horizon = (at.replace(hour=0, minute=0, second=0) + timedelta(days=400)).timestamp()
        return tuple(span for span in self.openings if now < span[0] < horizon)


@lru_cache(maxsize=128)
def almanac(toml: str, splay_minutes: int, node: str, season: datetime) -> Almanac:
    """Lay out a drop-in for one host."""
    updates: dict[str, Any] = tomllib.loads(toml)["updates"]
    periodic = updates.get("periodic", {})
    zone = ZoneInfo(periodic.get("time_zone", "UTC"))
    sheet = _Sheet(season - BEFORE, season + AFTER)
    is_periodic = "periodic" in updates["strategy"]
    covered = sheet.origin, sheet.origin + len(sheet.paint) * MINUTE_S
    windows: tuple[Span, ...] = (covered,)
    if is_periodic:
        for window in periodic["window"]:
            _paint_window(sheet, window, zone)
        windows = tuple(_splayed(sheet.runs(), splay_minutes, node))
        sheet.clear()
    for freeze in updates.get("blackout", ()):
        _paint_freeze(sheet, freeze, zone)
    freezes = tuple(sheet.runs())
    openings = tuple(piece for window in windows for piece in _without(window, freezes))
    return Almanac(is_periodic, covered, freezes, openings)


class _Sheet:
    """A line of minutes to paint on."""

    def __init__(self, first: datetime, last: datetime) -> None:
        self.first = first
        self.origin = first.timestamp()
        self.days = (last - first).days
        self.paint = bytearray(self.days * 24 * 60)

    def clear(self) -> None:
        self.paint = bytearray(len(self.paint))

    def cover(self, start: datetime, end: datetime) -> None:
        """Paint from one instant to another."""
        low = max(0, round((start.timestamp() - self.origin) / MINUTE_S))
        high = min(len(self.paint), round((end.timestamp() - self.origin) / MINUTE_S))
        if low < high:
            self.paint[low:high] = b"\1" * (high - low)

    def runs(self) -> Iterator[Span]:
        """Every painted stretch."""
        end = 0
        while (start := self.paint.find(1, end)) >= 0:
            end = self.paint.find(0, start)
            end = len(self.paint) if end < 0 else end
            yield self.origin + start * MINUTE_S, self.origin + end * MINUTE_S

    def local_days(self) -> Iterator[date]:
        """Every day that may matter, with some around."""
        first = self.first.date() - timedelta(days=12)
        return (first + timedelta(days=n) for n in range(self.days + 24))


def _paint_window(sheet: _Sheet, window: dict[str, Any], zone: ZoneInfo) -> None:
    zone = ZoneInfo(window["time_zone"]) if "time_zone" in window else zone
    at = time.fromisoformat(window["start_time"])
    length = timedelta(minutes=window["length_minutes"])
    if "rrule" in window:
        matches = _matcher(window["rrule"], window.get("start_date", date(2000, 1, 3)))
    else:
        wanted = {DAYS.index(day[:3].lower()) for day in window["days"]}
        matches = _weekdays(wanted)
    for day in filter(matches, sheet.local_days()):
        start = instant(datetime.combine(day, at), zone)
        sheet.cover(start, start + length)


def _paint_freeze(sheet: _Sheet, freeze: dict[str, Any], zone: ZoneInfo) -> None:
    start, end = (_local(freeze[name], zone) for name in ("start", "end"))
    sheet.cover(instant(start, zone), instant(end, zone))
    if "rrule" in freeze:
        matches = _matcher(freeze["rrule"], start.date())
        for day in filter(matches, sheet.local_days()):
            begin = datetime.combine(day, start.time())
            sheet.cover(instant(begin, zone), instant(begin + (end - start), zone))


def _local(written: date | datetime, zone: ZoneInfo) -> datetime:
    if not isinstance(written, datetime):
        return datetime.combine(written, time())
    return written.astimezone(zone).replace(tzinfo=None) if written.tzinfo else written


def instant(local: datetime, zone: ZoneInfo) -> datetime:
    """RFC 5545 §3.3.5: the first of two, or with the offset before the gap."""
    around = (local + timedelta(hours=hours) for hours in (-26, 26))
    offsets = [each.replace(tzinfo=zone).utcoffset() or timedelta() for each in around]
    candidates = sorted((local - offset).replace(tzinfo=UTC) for offset in offsets)
    real = [each for each in candidates if each.astimezone(zone).replace(tzinfo=None) == local]
    return real[0] if real else (local - offsets[0]).replace(tzinfo=UTC)


def _weekdays(wanted: set[int]) -> Callable[[date], bool]:
    return lambda day: day.weekday() in wanted


def _matcher(rule: str, first: date) -> Callable[[date], bool]:
    """Only for the rules that stand in `calendars`."""
    parts = dict(part.split("=") for part in rule.split(";"))
    match parts:
        case {"FREQ": "MONTHLY", "BYDAY": "2SU"}:
            return lambda day: (
                day >= first and day.weekday() == DAYS.index("sun") and (8 <= day.day <= 14)
            )
        case {"FREQ": "WEEKLY", "INTERVAL": "2", "BYDAY": "FR,SU"}:
            monday = first - timedelta(days=first.weekday())
            return lambda day: (
                day >= first
                and (day - monday).days // 7 % 2 == 0
                and day.weekday() in {DAYS.index("fri"), DAYS.index("sun")}
            )
        case {"FREQ": "DAILY"}:
            return lambda day: day >= first
        case {"FREQ": "YEARLY"}:
            return lambda day: day >= first and (day.month, day.day) == (first.month, first.day)
        case _:
            raise ValueError(rule)


def _splayed(spans: Iterator[Span], splay_minutes: int, node: str) -> Iterator[Span]:
    share = int.from_bytes(hashlib.sha256(node.encode()).digest()[:8], "big") / 2**64
    for start, end in spans:
        yield start + min(share * splay_minutes * MINUTE_S, (end - start) / 2), end


def _without(span: Span, holes: tuple[Span, ...]) -> Iterator[Span]:
    start, end = span
    for low, high in holes:
        if low < end and high > start:
            if start < low:
                yield start, low
            start = high
    if start < end:
        yield start, end


def _find(spans: tuple[Span, ...], at: float) -> Span | None:
    place = bisect_right(spans, (at, float("inf"))) - 1
    return spans[place] if place >= 0 and at < spans[place][1] else None
