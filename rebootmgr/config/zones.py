"""Names of time zones."""

import re
from datetime import UTC, tzinfo
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from rebootmgr.text import nearest

LOCALTIME: Final = "localtime"

# Relative, without dots: a name can never lead out of the zoneinfo directory.
_NAME: Final = re.compile(r"[A-Za-z0-9_+-]{1,32}(?:/[A-Za-z0-9_+-]{1,32}){0,3}")


def decode_zone(name: str) -> tzinfo:
    """Find the zone with this IANA name; LookupError's text is a likely name, or ""."""
    if name == "UTC":
        return UTC  # needs no tzdata on the host
    if _NAME.fullmatch(name):
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass  # OSError: `Europe` is a directory
    raise LookupError(nearest(name, _known()))


@cache
def _known() -> list[str]:
    return sorted(available_timezones())  # opens every file there
