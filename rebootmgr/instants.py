"""Instants as files, messages and people write them (RFC 3339)."""

import re
from datetime import UTC, datetime, tzinfo
from typing import Final

from rebootmgr.errors import UsageError
from rebootmgr.text import harmless

YEARS: Final = range(1970, 3000)
"""What the clock of a host can show (Linux keeps it below 2263) and what people mean, with room
for every sum and difference that is made of it."""
_LOCAL: Final = re.compile(r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d)?)?", re.ASCII)
_RFC_3339: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII
)


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


def decode_typed_instant(typed: str, zone: tzinfo) -> datetime:
    """Read what somebody typed, in `zone` where it names none, as UTC; UsageError with the cure."""
    is_legal = _RFC_3339.fullmatch(typed) or _LOCAL.fullmatch(typed)
    if is_legal and int(typed[:4]) in YEARS:
        try:
            return decode_instant(typed.upper(), zone)
        except ValueError:
            pass  # no such date; the same cure
    cure = 'write 2026-12-31, "2026-12-31 22:00" or 2026-12-31T22:00:00Z'
    raise UsageError(f'"{harmless(typed)}" is no time; {cure}')
