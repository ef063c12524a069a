"""Spans of time as people write them: systemd.time(7), "Parsing Time Spans"."""

import re
from datetime import timedelta
from typing import Final

from rebootmgr.errors import UsageError
from rebootmgr.text import harmless

LONGEST: Final = timedelta(days=3653)

_US: Final = {
    "us": 1,
    "ms": 1000,
    "s": 1_000_000,
    "min": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
    "w": 604_800_000_000,
    "month": 2_629_800_000_000,  # a twelfth of the year, as systemd has it
    "y": 31_557_600_000_000,
}
_NAMES: Final = {
    "us": ("usec", "us", "µs", "μs"),
    "ms": ("msec", "ms"),
    "s": ("seconds", "second", "sec", "s", ""),
    "min": ("minutes", "minute", "min", "m"),
    "h": ("hours", "hour", "hr", "h"),
    "d": ("days", "day", "d"),
    "w": ("weeks", "week", "w"),
    "month": ("months", "month", "M"),
    "y": ("years", "year", "y"),
}
_UNITS: Final = {name: _US[unit] for unit, names in _NAMES.items() for name in names}
_WRITTEN: Final = ("w", "d", "h", "min", "s", "ms", "us")
_PART: Final = re.compile(r"\s*(\d{1,18})(?:\.(\d{1,9}))?(?![\d.])\s*([a-zA-Zµμ]*)\s*", re.ASCII)
_CURE: Final = "write 90s, 2h 30m, 3d or 1week, see systemd.time(7)"


def decode_span(written: str) -> timedelta:
    """Read a span, to the microsecond; UsageError for junk, for nothing and beyond `LONGEST`."""
    total, place = 0, 0
    while place < len(written) or not written:
        part = _PART.match(written, place)
        if part is None or part[3] not in _UNITS:
            raise UsageError(f'"{harmless(written)}" is no length of time; {_CURE}')
        unit, fraction = _UNITS[part[3]], part[2] or "0"
        total += int(part[1]) * unit + int(fraction) * unit // 10 ** len(fraction)
        place = part.end()
    if total < 1:
        raise UsageError(f'"{harmless(written)}" is too short; {_CURE}')
    if total > LONGEST // timedelta(microseconds=1):
        raise UsageError(f'"{harmless(written)}" is longer than ten years; write less')
    return timedelta(microseconds=total)


def encode_span(span: timedelta) -> str:
    """Write a span as `decode_span` reads it, in as few units as say it exactly: `2h 30min`."""
    left = span // timedelta(microseconds=1)
    parts = []
    for unit in _WRITTEN:
        count, left = divmod(left, _US[unit])
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts) or "0s"
