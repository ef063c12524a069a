"""A FleetLock server in virtual time: slots for each group, a capacity, and outages."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final, Protocol

from rebootmgr.core.counters import Api
from rebootmgr.fleetlock.words import Answer, Reply
from rebootmgr.simulation.capacity import Capacity
from rebootmgr.simulation.scenario import Terms


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
    """Requests, reboots, updates and slots, by second; `changes` are those of the hosts down.

    `by_deadline` counts the reboots that no window would have allowed.
    """

    groups: int
    requests: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    changes: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    updates: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    updated: int = 0
    by_deadline: int = 0
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

    def die(self, group: int, now: float) -> None:
        """A host goes down for good, and its slot with it."""
        self.changes[int(now)] += 1
        self.keep(group, now)
        self.end(group)

    def update(self, now: float) -> None:
        """A host runs the update, and its boot is complete."""
        self.updated += 1
        self.updates[int(now)] += 1
        self.last_update = now

    def end(self, group: int) -> None:
        """A host has nothing left to do."""
        self.usage[group].over += 1


GRANTED: Final = Answer(200)
TAKEN: Final = Answer(409, body='{"kind":"failed_lock","value":"all slots are taken"}')


class Server(Protocol):
    """A lock server in virtual time, which counts every request."""

    def handle(self, api: Api, group: int, host: int, now: float) -> tuple[Reply, float] | None:
        """Answer a host's request, and say when it hears that; None: the answer is held back."""
        ...

    def report(self, group: int, host: int, *, failed: bool, now: float) -> None:
        """Hear what became of a reboot, where it asked to."""

    def hang_up(self, host: int, now: float) -> None:
        """Hold nothing back for a host any more."""

    def collect(self, host: int) -> Reply | None:
        """Give what was held back for a host, once it is answered."""

    def tick(self, now: float) -> None:
        """Look whether time brought anything."""

    def is_halted(self, group: int) -> bool:
        """Whether a group grants nothing until people resume it."""
        ...


class LockServer(Server):
    """A plain one: answers at once who may and who may not."""

    def __init__(self, terms: Terms, tally: Tally) -> None:
        self._terms = terms
        self._tally = tally
        self._holders: list[set[int]] = [set() for _ in range(terms.groups)]
        self._capacity = Capacity(terms)

    def handle(self, api: Api, group: int, host: int, now: float) -> tuple[Reply, float]:
        """Answer at once."""
        self._tally.request(now)
        heard = self._capacity.heard_at(now)
        if not isinstance(heard, float):
            return heard, now
        holders = self._holders[group]
        reply = GRANTED
        if api is Api.STEADY_STATE:
            if host in holders:
                holders.remove(host)
                self._tally.free(group, now)
        elif host not in holders:
            if len(holders) < self._terms.slots:
                holders.add(host)
                self._tally.take(group, now)
            else:
                reply = TAKEN
        return reply, heard

    def report(self, group: int, host: int, *, failed: bool, now: float) -> None:
        """Care for nothing but slots."""

    def hang_up(self, host: int, now: float) -> None:
        """Hold nothing back ever."""

    def collect(self, host: int) -> Reply | None:
        """Hold nothing back ever."""
        del host
        return None

    def tick(self, now: float) -> None:
        """Do nothing of its own accord."""

    def is_halted(self, group: int) -> bool:
        """Never."""
        del group
        return False
