"""How much of an opening this host needs (SPEC 5): it does not start what it cannot finish."""

from datetime import datetime, timedelta
from typing import Final

from rebootmgr.core.memory import Memory
from rebootmgr.core.model import Outcome
from rebootmgr.core.window import Calendar, longest_opening

COUNTED: Final = 10
FEWEST: Final = 3


def need(memory: Memory, calendar: Calendar, wall: datetime) -> timedelta | None:
    """The longest of the last succeeded reboots; None if too few are known.

    Of ten at most that is their 95th percentile by nearest rank (SPEC 5). It is capped at the
    longest opening: one slow boot must never mean "never again".
    """
    if not calendar.fit or not (calendar.periodic or calendar.blackouts):
        return None
    taken = measured(memory)
    return None if taken is None else min(taken, longest_opening(calendar, wall))


def measured(memory: Memory) -> timedelta | None:
    """Give what `need` is without the cap; None if too few are known."""
    taken = [
        timedelta(seconds=reboot.seconds)
        for reboot in memory.reboots
        if reboot.outcome is Outcome.SUCCEEDED and reboot.seconds > 0.0
    ][-COUNTED:]
    if len(taken) < FEWEST:
        return None
    return max(taken)
