"""When to try again (SPEC 6): in about 10 s, doubling to about 4 minutes, each 50 % more or less.

docs/scaling.md has the figures of a fleet that does so, and of what was weighed against it.
"""

import hashlib
import math
from dataclasses import dataclass
from typing import Final

from rebootmgr.core.policy import Patience

QUICK: Final = (0.1, 0.3)  # of the first wait, so 1 to 3 s
WISH_SPREAD: Final = 0.25
SLOWER: Final = 1.125


@dataclass(frozen=True, slots=True)
class Retry:
    """The next try is due at `at` (CLOCK_BOOTTIME, s), after so many `tries` that failed.

    Where the waits grow no more, they are not counted any further.
    """

    tries: int
    at: float

    def is_due(self, now: float) -> bool:
        """Whether the time has come."""
        return now >= self.at


def untried(at: float) -> Retry:
    """What is due at `at` for the first time."""
    return Retry(0, at)


@dataclass(frozen=True, slots=True)
class Wish:
    """When a server wants us back: in `seconds`; 0.0 says nothing.

    It is a lower bound to spread over, in proportion, for whoever was told the same at the same
    instant would be back at the same instant; or `appointed`, by a server that has spread already.
    """

    seconds: float = 0.0
    appointed: bool = False

    def wait(self, fraction: float, patience: Patience) -> float:
        """How long to stay away at least (s), at this `fraction` of the spread."""
        seconds = min(self.seconds, patience.longest_retry_after_s)
        if seconds <= 0.0:
            return 0.0
        return seconds + (fraction if self.appointed else fraction * seconds * WISH_SPREAD)

    @property
    def is_appointment(self) -> bool:
        """Whether nothing but this wish decides."""
        return self.appointed and self.seconds > 0.0


NO_WISH: Final = Wish()


def jitter(seed: str, salt: float) -> float:
    """A fraction in [0, 1) that differs from host to host and from try to try, without a dice.

    Randomness is an argument like time: the same host at the same instant decides the same.
    """
    digest = hashlib.sha256(f"{seed}/{salt!r}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def next_retry(
    last: Retry | None, now: float, patience: Patience, *, seed: str, wish: Wish = NO_WISH
) -> Retry:
    """The try after `last`, in 0.5 to 1.5 of first·2^level, capped, or when the server wants it.

    Nobody is back before the own wait, for what was refused just now is most likely refused still.
    """
    fraction = jitter(seed, now)
    asked_for = wish.wait(fraction, patience)
    if wish.is_appointment:
        return Retry(0, now + asked_for)
    tries = 1 if last is None else last.tries + 1
    middle = patience.first_retry_s * 2.0 ** min(tries - 1, 32)
    if middle >= patience.longest_retry_s:
        middle, tries = patience.longest_retry_s, max(tries - 1, 1)
    return Retry(tries, now + max((0.5 + fraction) * middle, asked_for))


def next_release(
    last: Retry, now: float, patience: Patience, *, seed: str, wish: Wish = NO_WISH
) -> Retry:
    """The release after `last` failed: the second comes soon, the others as `next_retry` says.

    Hosts that come up together release together; a server that swaps its record with a
    compare-and-set then turns most of them away for a moment, while others wait for their slots.
    Where the waits double no longer, each is an eighth longer than the one before, up to a day: a
    server may be gone for good, and one that comes back is found within an eighth of its absence.
    """
    fraction = jitter(seed, now)
    if last.tries == 0 and wish.seconds <= 0.0:
        shortest, longest = QUICK
        soon = shortest + fraction * (longest - shortest)
        return Retry(1, now + soon * patience.first_retry_s)
    tries = max(last.tries, 1) + 1
    slow = tries - 1  # but for the quick one
    doubled = math.ceil(math.log2(patience.longest_retry_s / patience.first_retry_s)) + 1
    if slow <= doubled or wish.is_appointment:
        retry = next_retry(Retry(slow - 1, now), now, patience, seed=seed, wish=wish)
        return Retry(max(last.tries, 2) if wish.is_appointment else tries, retry.at)
    middle = patience.longest_retry_s * SLOWER ** (slow - doubled)
    if middle >= patience.longest_release_s:
        middle, tries = patience.longest_release_s, tries - 1
    return Retry(tries, now + max((0.5 + fraction) * middle, wish.wait(fraction, patience)))
