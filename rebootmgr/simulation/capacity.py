"""How many requests a lock server manages, and when nobody reaches it."""

from typing import Final

from rebootmgr.fleetlock.words import Answer, Reply, Silence
from rebootmgr.simulation.scenario import UP_S, Terms

PATIENCE_S: Final = 10.0  # of the server, or of the proxy before it: then it answers 503
BUSY: Final = Answer(503, body='{"kind":"overloaded","value":"too many requests are waiting"}')
GONE: Final = Silence("connection refused")


class Capacity:
    """Takes requests in the order of arrival."""

    def __init__(self, terms: Terms) -> None:
        self._outages = [(UP_S + start, UP_S + end) for start, end in terms.outages]
        self._takes_s = 1.0 / terms.rate
        self._answer_s = terms.answer_s
        self._free_at = 0.0

    def heard_at(self, now: float) -> float | Reply:
        """Say when its answer is heard; or why there is none, at once."""
        if self._outages and any(start <= now < end for start, end in self._outages):
            return GONE
        self._free_at = max(self._free_at, now)
        if self._free_at - now > PATIENCE_S:
            return BUSY
        self._free_at += self._takes_s
        return self._free_at + self._answer_s
