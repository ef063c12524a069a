"""The shortcut: refused, ask again. Millions of times nothing else happens to a host.

Between two equal answers of the lock server, with every gate open, the machine's state differs in
the newest answer's time, its next try, its tickets and the time of its last save, and in nothing
else. So these are counted here, by the core's own `next_retry` and `latest_seen`, and put back
before the machine decides anything again.
tests/simulation proves that nobody can tell the difference.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from rebootmgr.core import deadlines
from rebootmgr.core.backoff import Retry, next_retry
from rebootmgr.core.clock import latest_seen
from rebootmgr.core.fit import need
from rebootmgr.core.gates import view_of
from rebootmgr.core.model import Moment
from rebootmgr.core.policy import Policy
from rebootmgr.core.slots import is_doubted
from rebootmgr.core.states import Cause, Ours, Queued, Setback, State
from rebootmgr.fleetlock.words import Reply
from rebootmgr.simulation.scenario import Scenario

NEVER: Final = float("inf")


@dataclass(slots=True)
class Queueing:
    """A host that was answered `reply`, and asks again at `retry.at`.

    Its gates are open at least while `now` <= `fits_until` and < `closes_at`, when a window ends or
    a deadline is due. `asked` counts the questions since the machine decided last; the newest
    answer came at `heard_at`.
    """

    reply: Reply
    setback: Setback
    retry: Retry
    fits_until: float
    closes_at: float
    heard_at: float = 0.0
    asked: int = 0

    @property
    def due(self) -> float:
        """When to wake up."""
        return min(self.retry.at, self.closes_at)

    def may_ask(self, now: float) -> bool:
        """Whether the machine would surely ask now."""
        return self.retry.at <= now <= self.fits_until and now < self.closes_at

    def is_refused_again(self, reply: Reply, heard_at: float) -> bool:
        """Whether this answer, heard then, changes nothing but the next try."""
        in_time = heard_at <= self.fits_until and heard_at < self.closes_at
        return reply is self.reply and in_time

    def wait_first(self, heard_at: float, policy: Policy) -> None:
        """Refused for the first time."""
        self.retry = next_retry(None, heard_at, policy.patience, seed=policy.seed)

    def wait_again(self, heard_at: float, policy: Policy) -> None:
        """Refused."""
        self.retry = next_retry(self.retry, heard_at, policy.patience, seed=policy.seed)
        self.heard_at = heard_at
        self.asked += 1


def queue(
    state: State, reply: Reply | None, *, at: Moment, policy: Policy, scenario: Scenario
) -> Queueing | None:
    """Take the shortcut from here, if `state` allows it. `reply` is the server's last."""
    match state:
        case State(attempt=Queued(), setbacks=(Setback(Cause.LOCK) as setback,)):
            retry = setback.retry
        case _:
            return None
    if reply is None or not all(isinstance(entry.tenure, Ours) for entry in state.ledger):
        return None
    calendar = policy.calendar
    if not (calendar.periodic or calendar.blackouts):
        return Queueing(reply, setback, retry, NEVER, NEVER)
    view = view_of(state, policy, at)
    if view.opening is None or view.waived:
        return None
    relaxed = deadlines.calendars(state, policy, at)
    needs = (need(state.memory, each, at.wall) or timedelta(0) for each in relaxed)
    ahead = [due for _, due in deadlines.dues(state, policy) if due > at.mono]
    closes_at = min(scenario.instant(view.opening.end), *ahead, NEVER)
    fits_until = scenario.instant(view.opening.end - max(needs))
    return Queueing(reply, setback, retry, fits_until, closes_at)


def unqueue(state: State, queueing: Queueing, scenario: Scenario) -> State:
    """Say where the machine would be, had it decided all of this itself."""
    if not queueing.asked:
        return replace(state, setbacks=(replace(queueing.setback, retry=queueing.retry),))
    heard, memory = scenario.moment(queueing.heard_at), state.memory
    if not any(is_doubted(entry) for entry in state.ledger):  # or each is on record anyway
        memory = replace(memory, last_seen=latest_seen(state, heard))
    return replace(
        state,
        memory=memory,
        setbacks=(replace(queueing.setback, retry=queueing.retry, heard=heard.mono),),
        tickets=state.tickets + queueing.asked,
    )


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
    anonymous = not leg.before.ledger and not leg.after.ledger and not leg.before.setbacks
    return anonymous and (leg.reply is None) is (leg.queueing is None)
