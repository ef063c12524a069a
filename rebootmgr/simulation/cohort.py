"""Hosts that are alike: what the machine decided for the first of them holds for the others.

Until a lock server tells hosts apart, nothing in the state of the machine says which host it is,
and chance enters by the next try alone.
"""

from dataclasses import dataclass

from rebootmgr.core.states import State
from rebootmgr.fleetlock.words import Reply
from rebootmgr.simulation.queueing import Queueing


@dataclass(frozen=True, slots=True)
class Leg:
    """From `before` to `after`, with the lock server's `reply` where it was asked.

    `before` is kept because the place of a host is the identity of its state.
    """

    before: State
    after: State
    reply: Reply | None
    queueing: Queueing | None
    alarm: float


def is_common(leg: Leg) -> bool:
    """Whether other hosts can follow: nothing of this one is in it, and it asked at most once."""
    anonymous = not leg.before.ledger and not leg.after.ledger and leg.before.setback is None
    return anonymous and (leg.reply is None) is (leg.queueing is None)
