"""Virtual time, chance and weather: what all agents of a simulation share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Final

LATE_ALARM_S: Final = 0.001


class Agenda:
    """A heap of calls; what is due at the same instant happens in the order it was planned."""

    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        self._serial = count()

    def after(self, delay_s: float, call: Callable[..., None], *args: object) -> None:
        """Plan a call."""
        heappush(self._heap, (self.now + delay_s, next(self._serial), call, args))

    def run_until(self, end: float) -> None:
        """Let time pass."""
        heap = self._heap
        while heap and heap[0][0] <= end:
            self.now, _, call, args = heappop(heap)
            call(*args)
        self.now = end


@dataclass
class Weather:
    """How likely it is that a request meets trouble, that an effect is the daemon's last, and that
    something befalls a host which does something delicate. All of it 0: a fine day.
    """

    trouble: float = 0.0
    crash: float = 0.0
    misfortune: float = 0.0

    @property
    def is_fine(self) -> bool:
        return not (self.trouble or self.crash or self.misfortune)


@dataclass
class World:
    """Where agents live. `faults` counts what went wrong."""

    dice: Random
    weather: Weather
    agenda: Agenda = field(default_factory=Agenda)
    faults: int = 0

    def happens(self, chance: float) -> bool:
        """Roll the dice; whatever happens is a fault, and counted."""
        if chance and self.dice.random() < chance:
            self.faults += 1
            return True
        return False
