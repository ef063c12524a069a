"""Times on the command line."""

import re
from datetime import UTC, datetime, tzinfo
from typing import Final

from rebootmgr.errors import UsageError
from rebootmgr.text import harmless

_YEARS: Final = range(1970, 3000)
_LOCAL: Final = re.compile(r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d)?)?", re.ASCII)
_RFC_3339: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII
)


def read_instant(written: str, zone: tzinfo) -> datetime:
    """Read a time, in `zone` where it names none, as UTC; UsageError with the cure for others."""
    if _RFC_3339.fullmatch(written) or _LOCAL.fullmatch(written):
        try:
            at = datetime.fromisoformat(written.upper())
        except ValueError:
            pass  # no such date; the same cure
        else:
            if at.year in _YEARS:
                return (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC)
    cure = 'write 2026-12-31, "2026-12-31 22:00" or 2026-12-31T22:00:00Z'
    raise UsageError(f'"{harmless(written)}" is no time; {cure}')
