"""How often at most, for one and for each of many; `at`: seconds of a clock that only goes on."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

_REMEMBERED: Final = 512  # dbus-daemon gives one user 256 connections
_HOUR_S: Final = 3600.0
LINES_AN_HOUR: Final = 16


@dataclass(frozen=True, slots=True)
class Allowance:
    """So many at once, and then so many a second."""

    burst: float
    per_s: float


class Bucket:
    """What is left of an allowance."""

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self._left = allowance.burst
        self._at = 0.0

    def take(self, at: float) -> bool:
        """Use one up, where one is left."""
        since, self._at = at - self._at, at
        self._left = min(self._allowance.burst, self._left + since * self._allowance.per_s)
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Buckets:
    """An allowance for each of many; those that were quiet for longest are forgotten."""

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self._buckets: OrderedDict[Hashable, Bucket] = OrderedDict()

    def take(self, who: Hashable, at: float) -> bool:
        """Use one of theirs up, where one is left."""
        bucket = self._buckets.pop(who, None) or Bucket(self._allowance)
        self._buckets[who] = bucket
        if len(self._buckets) > _REMEMBERED:
            self._buckets.popitem(last=False)
        return bucket.take(at)


class Hourly:
    """What is told once in an hour of each of many, and of `LINES_AN_HOUR` of them at most."""

    def __init__(self) -> None:
        self._told: dict[Hashable, float] = {}

    def is_due(self, subject: Hashable, at: float) -> bool:
        """Whether to tell it now; it counts as told then."""
        self._told = {each: told for each, told in self._told.items() if at - told < _HOUR_S}
        if subject in self._told or len(self._told) >= LINES_AN_HOUR:
            return False
        self._told[subject] = at
        return True
