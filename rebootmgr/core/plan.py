"""What `rebootmgrctl plan` shows (SPEC 11)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from rebootmgr.core.window import Calendar, Opening, openings

LONGEST: Final = timedelta(days=3660)


@dataclass(frozen=True, slots=True)
class Plan:
    """Openings within [start, end): merged, splayed, cut, clipped to the range; in UTC."""

    start: datetime
    end: datetime
    openings: tuple[Opening, ...]


def plan(calendar: Calendar, start: datetime, end: datetime) -> Plan:
    """Every interval of [start, end) in which the policy allows a reboot; ten years at most."""
    if end <= start:
        raise ValueError("the end of the plan must be later than its start")
    if end - start > LONGEST:
        raise ValueError("a plan covers ten years at most; bring its start and end closer together")
    return Plan(start, end, openings(calendar, start, end))
