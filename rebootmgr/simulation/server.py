"""A FleetLock server in virtual time: slots for each group, a capacity, and outages."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

from rebootmgr.core.counters import Api
from rebootmgr.fleetlock.words import Answer, Reply, Silence
from rebootmgr.simulation.scenario import UP_S, Terms


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

    def update(self, now: float) -> None:
        """A host runs the update, and its boot is complete."""
        self.updated += 1
        self.updates[int(now)] += 1
        self.last_update = now

    def end(self, group: int) -> None:
        """A host has nothing left to do."""
        self.usage[group].over += 1


PATIENCE_S: Final = 10.0  # of the server, or of the proxy before it: then it answers 503
GRANTED: Final = Answer(200)
TAKEN: Final = Answer(409, body='{"kind":"failed_lock","value":"all slots are taken"}')
BUSY: Final = Answer(503, body='{"kind":"overloaded","value":"too many requests are waiting"}')
GONE: Final = Silence("connection refused")


class LockServer:
    """Answers in the order of arrival, and counts every request."""

    def __init__(self, terms: Terms, tally: Tally) -> None:
        self._terms = terms
        self._tally = tally
        self._holders: list[set[int]] = [set() for _ in range(terms.groups)]
        self._outages = [(UP_S + start, UP_S + end) for start, end in terms.outages]
        self._takes_s = 1.0 / terms.rate
        self._free_at = 0.0

    def handle(self, api: Api, group: int, number: int, now: float) -> tuple[Reply, float]:
        """Answer a host's request, and say when it hears that."""
        self._tally.request(now)
        if self._outages and any(start <= now < end for start, end in self._outages):
            return GONE, now
        self._free_at = max(self._free_at, now)
        if self._free_at - now > PATIENCE_S:
            return BUSY, now
        self._free_at += self._takes_s
        holders = self._holders[group]
        reply = GRANTED
        if api is Api.STEADY_STATE:
            if number in holders:
                holders.remove(number)
                self._tally.free(group, now)
        elif number not in holders:
            if len(holders) < self._terms.slots:
                holders.add(number)
                self._tally.take(group, now)
            else:
                reply = TAKEN
        return reply, self._free_at + self._terms.answer_s
