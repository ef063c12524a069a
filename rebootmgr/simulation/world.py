"""What all hosts of a simulation share: time, what is due, the lock server and the tally."""

from bisect import insort
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum, auto

from rebootmgr.core.model import Moment
from rebootmgr.simulation.queueing import Leg
from rebootmgr.simulation.scenario import UP_S, Scenario
from rebootmgr.simulation.server import LockServer


@dataclass(slots=True)
class Usage:
    """The slots of one group: in use for `used_s` (their sum) while wanted for `wanted_s`.

    `over` counts the hosts that have nothing left to do. A kept slot is not in use.
    """

    holding: int = 0
    waiting: int = 0
    kept: int = 0
    over: int = 0
    used_s: float = 0.0
    wanted_s: float = 0.0
    _since: float = 0.0

    def pass_time(self, now: float) -> None:
        """Count what went by since the last change."""
        working = self.holding - self.kept
        if working or self.waiting:
            self.wanted_s += now - self._since
            self.used_s += working * (now - self._since)
        self._since = now


@dataclass(slots=True)
class Tally:
    """Requests, reboots and slots. `requests` and `down` are by second, `down` as changes."""

    groups: int
    requests: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    changes: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    updated: int = 0
    first_request: float | None = None
    last_update: float | None = None
    usage: list[Usage] = field(init=False)

    def __post_init__(self) -> None:
        self.usage = [Usage() for _ in range(self.groups)]

    def request(self, now: float) -> None:
        """A host asks for a slot, or gives it back."""
        if self.first_request is None:
            self.first_request = now
        self.requests[int(now)] += 1

    def take(self, group: int, now: float) -> None:
        """The server lends a slot."""
        self.usage[group].pass_time(now)
        self.usage[group].holding += 1

    def free(self, group: int, now: float) -> None:
        """The server has the slot back."""
        self.usage[group].pass_time(now)
        self.usage[group].holding -= 1

    def keep(self, group: int, now: float) -> None:
        """A slot stays with a host whose update failed."""
        self.usage[group].pass_time(now)
        self.usage[group].kept += 1

    def wait(self, group: int, now: float, by: int) -> None:
        """One host more (1) or less (-1) wants a slot that it has not."""
        self.usage[group].pass_time(now)
        self.usage[group].waiting += by

    def down(self, now: float, until: float) -> None:
        """A host is down for its reboot."""
        self.changes[int(now)] += 1
        self.changes[int(until)] -= 1

    def update(self, now: float) -> None:
        """A host runs the update, and its boot is complete."""
        self.updated += 1
        self.last_update = now

    def end(self, group: int) -> None:
        """A host has nothing left to do."""
        self.usage[group].over += 1


class Due(IntEnum):
    """What happens to a host."""

    STAGED = auto()
    ALARM = auto()
    ANSWER = auto()
    BOOTED = auto()


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
        self.tally = Tally(scenario.terms.groups)
        self.server = LockServer(scenario.terms, self.tally)

    @property
    def moment(self) -> Moment:
        """What both clocks of every host say now."""
        return self.scenario.moment(self.now)
