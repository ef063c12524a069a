"""What strangers may ask of us: how long a call may be, how often one comes, how many at once.

Anybody on the host may call, and one of them may do nothing else. So everybody has a little that
nobody else can take away, and the rest is shared. What is too much is refused with a word, and in
a flood without one: then the bus soon takes no more calls from whoever waits for so many answers.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from rebootmgr.bus.words import LIMITS
from rebootmgr.errors import BusError
from rebootmgr.rates import Allowance, Bucket, Buckets, Hourly

LONGEST_CALL: Final = 64 * 1024
AT_ONCE: Final = 64
AT_ONCE_EACH: Final = 16

log = logging.getLogger(__name__)


OWN: Final = Allowance(20, 2)
SHARED: Final = Allowance(1000, 100)
REFUSALS: Final = Allowance(200, 100)


class Strangers:
    """Everybody who calls one of our objects, by their unique names."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._own = Buckets(OWN)
        self._shared = Bucket(SHARED)
        self._refusals = Bucket(REFUSALS)
        self._under_way: Counter[str] = Counter()
        self._hourly = Hourly()

    def admit(self, sender: str, size: int) -> None:
        """Let a call with so many bytes in; BusError with LIMITS where it is too much."""
        now = self._clock()
        if not (self._own.take(sender, now) or self._shared.take(now)):
            raise self._refused(sender, "calls too often")
        if size > LONGEST_CALL:
            raise self._refused(sender, f"sends {size} bytes, more than {LONGEST_CALL}")
        if self._under_way[sender] >= AT_ONCE_EACH or self._under_way.total() >= AT_ONCE:
            raise self._refused(sender, "has to wait: too many calls are not answered yet")

    def may_be_told(self) -> bool:
        """Whether a refusal is worth an answer."""
        return self._refusals.take(self._clock())

    def begin(self, sender: str) -> None:
        """Note a call that is let in."""
        self._under_way[sender] += 1

    def end(self, sender: str) -> None:
        """Note that it is answered."""
        self._under_way[sender] -= 1
        if not self._under_way[sender]:
            del self._under_way[sender]

    def _refused(self, sender: str, why: str) -> BusError:
        if self._hourly.is_due(sender, self._clock()):
            log.warning("refusing calls of %s for now: it %s", sender, why)
        return BusError(LIMITS, f"refused: {sender} {why}")
