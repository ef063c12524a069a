"""Why a group grants nothing for now, whatever is free; returns are taken all the same."""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from rebootmgr.core.window import Calendar, outlook
from rebootmgr.lending.questions import Kind


@dataclass(frozen=True, slots=True)
class Freeze:
    """An administrator stopped it at `at`, until an instant or until somebody thaws it."""

    reason: str
    until: datetime | None
    by: str
    at: datetime

    def holds(self, wall: datetime) -> bool:
        """Whether it has not ended by itself."""
        return self.until is None or wall < self.until


@dataclass(frozen=True, slots=True)
class Halt:
    """Reboots failed; it stands until people resume the group."""

    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Standstill:
    """What is in the way, and when it ends by itself; `detail` is for people."""

    kind: Kind
    detail: str
    until: datetime | None


def standstill(
    freezes: tuple[Freeze | None, ...],
    halted: str | None,
    calendar: Calendar | None,
    wall: datetime,
) -> Standstill | None:
    """Say what is in the way: of the freezes the first that holds, a halt, or the calendar."""
    for freeze in freezes:
        if freeze is not None and freeze.holds(wall):
            return Standstill(Kind.FROZEN, freeze.reason, freeze.until)
    if halted is not None:
        return Standstill(Kind.HALTED, halted, None)
    return None if calendar is None else _closed(calendar, wall.replace(microsecond=0))


@lru_cache(maxsize=1024)
def _closed(calendar: Calendar, second: datetime) -> Standstill | None:
    """Ask the calendar, for many questions a second once."""
    found = outlook(calendar, second, need=None)
    if found.opening is not None:
        return None
    until = None if found.next is None else found.next.start
    if found.blackout is not None:
        return Standstill(Kind.BLACKOUT, found.blackout[0], until)
    return Standstill(Kind.OUTSIDE_WINDOW, "", until)
