"""What all hosts of a simulation share: time, what is due, the lock server and the tally."""

from bisect import insort
from collections import defaultdict
from collections.abc import Iterator
from enum import IntEnum, auto
from typing import Final

from rebootmgr.core.model import Moment
from rebootmgr.simulation.lending_server import LendingServer
from rebootmgr.simulation.queueing import Leg
from rebootmgr.simulation.scenario import UP_S, Scenario
from rebootmgr.simulation.server import LockServer, Server, Tally

NOBODY: Final = -1  # no host, but the server


class Due(IntEnum):
    """What happens to a host, or to the server."""

    STAGED = auto()
    ALARM = auto()
    ANSWER = auto()
    BOOTED = auto()
    TOLD = auto()
    SERVER = auto()


Entry = tuple[float, int, Due]  # when, the number of the host, what


class Agenda:
    """Entries come out by time, then by number; a heap of millions would be slower."""

    def __init__(self) -> None:
        self._bins: defaultdict[int, list[Entry]] = defaultdict(list)
        self._current: list[Entry] = []
        self._second = -1
        self._place = 0

    def add(self, entry: Entry) -> None:
        """Plan it; what is due in the past is due at once."""
        second = int(entry[0])
        if second <= self._second:
            insort(self._current, entry, lo=self._place)
        else:
            self._bins[second].append(entry)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is planned after this second."""
        return not self._bins

    def due(self, second: int) -> Iterator[Entry]:
        """Yield what is due within this second, also what is added meanwhile."""
        self._second, self._place = second, 0
        self._current = sorted(self._bins.pop(second, ()))
        while self._place < len(self._current):
            self._place += 1
            yield self._current[self._place - 1]


class World:
    """Where hosts live. `now` is CLOCK_BOOTTIME of every host: no reboot turns it back.

    Without `shortcuts` every event of every host goes through the machine.
    """

    def __init__(self, scenario: Scenario, *, shortcuts: bool) -> None:
        self.scenario = scenario
        self.shortcuts = shortcuts
        self.now = UP_S
        self.legs: dict[tuple[int, int, Due, float], Leg] = {}
        self.agenda = Agenda()
        self.tally = Tally(scenario.all_groups)
        self.server = self._server()

    def _server(self) -> Server:
        scenario, agenda = self.scenario, self.agenda
        if not scenario.terms.lends:
            return LockServer(scenario.terms, self.tally)
        return LendingServer(
            scenario,
            self.tally,
            answered=lambda host, at: agenda.add((at, host, Due.TOLD)),
            wake=lambda at: agenda.add((at, NOBODY, Due.SERVER)),
        )

    @property
    def moment(self) -> Moment:
        """What both clocks of every host say now."""
        return self.scenario.moment(self.now)
