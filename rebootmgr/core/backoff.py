"""When to try again (SPEC 6): in about 10 s, doubling to about 4 minutes, each 50 % more or less.

docs/scaling.md has the figures of a fleet that does so, and of what was weighed against it.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from rebootmgr.core.policy import Patience

QUICK: Final = (0.1, 0.3)  # of the first wait, so 1 to 3 s
UNTRIED: Final = -2
TRIED_ONCE: Final = -1


@dataclass(frozen=True, slots=True)
class Retry:
    """The next try is due at `at` (CLOCK_BOOTTIME, s); `level` counts the doublings so far.

    Below 0 it is a release that was never tried (`UNTRIED`), or once (`TRIED_ONCE`).
    """

    level: int
    at: float

    def is_due(self, now: float) -> bool:
        """Whether the time has come."""
        return now >= self.at


def jitter(seed: str, salt: float) -> float:
    """A fraction in [0, 1) that differs from host to host and from try to try, without a dice.

    Randomness is an argument like time: the same host at the same instant decides the same.
    """
    digest = hashlib.sha256(f"{seed}/{salt!r}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def next_retry(
    last: Retry | None, now: float, patience: Patience, *, seed: str, at_least: float = 0.0
) -> Retry:
    """The try after `last`, in 0.5 to 1.5 of first·2^level, capped.

    `at_least` (s) is the server's wish. It is a lower bound to spread over, not an appointment:
    whoever was told the same at the same instant would be back at the same instant. And nobody is
    back at once, for what was refused just now is most likely refused still.
    """
    level = 0 if last is None else last.level + 1
    middle = patience.first_retry_s * 2.0 ** min(level, 32)
    if middle >= patience.longest_retry_s:
        middle, level = patience.longest_retry_s, 0 if last is None else max(last.level, 0)
    wait = (0.5 + jitter(seed, now)) * middle
    if at_least > 0.0:
        wait = max(wait, min(at_least + wait, patience.longest_retry_after_s))
    return Retry(level, now + wait)


def next_release(
    last: Retry, now: float, patience: Patience, *, seed: str, at_least: float = 0.0
) -> Retry:
    """The release after `last` failed: the second comes soon, the others as `next_retry` says.

    Hosts that come up together release together; a server that swaps its record with a
    compare-and-set then turns most of them away for a moment, while others wait for their slots.
    """
    if last.level != UNTRIED or at_least > 0.0:
        tried = Retry(max(last.level, TRIED_ONCE), last.at)
        return next_retry(tried, now, patience, seed=seed, at_least=at_least)
    shortest, longest = QUICK
    spread = shortest + jitter(seed, now) * (longest - shortest)
    return Retry(TRIED_ONCE, now + spread * patience.first_retry_s)
