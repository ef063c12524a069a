"""A FleetLock server in virtual time: slots for each group, a capacity, and outages."""

from typing import Final

from rebootmgr.core.counters import Api
from rebootmgr.fleetlock.words import Answer, Reply, Silence
from rebootmgr.simulation.scenario import UP_S, Terms
from rebootmgr.simulation.world import Tally

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
