"""How much of an opening this host needs (SPEC 5): it does not start what it cannot finish."""

import math
from datetime import datetime, timedelta
from typing import Final

from rebootmgr.core.memory import Memory
from rebootmgr.core.model import Outcome
from rebootmgr.core.window import Calendar, longest_opening

COUNTED: Final = 10
FEWEST: Final = 3


def need(memory: Memory, calendar: Calendar, wall: datetime) -> timedelta | None:
    """The 95th percentile (nearest rank) of the last succeeded reboots; None if too few are known.

    Each is capped at the longest opening: one slow boot must never mean "never again".
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
    return sorted(taken)[math.ceil(0.95 * len(taken)) - 1]
