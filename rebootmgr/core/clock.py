"""Whether the wall clock may decide (SPEC 5), and what follows where it may not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from rebootmgr.core.memory import Hold, Memory
from rebootmgr.core.model import Blocker, Moment, Reason
from rebootmgr.core.policy import ClockRule, Policy
from rebootmgr.core.states import State

BUILT: Final = datetime(2026, 11, 20, tzinfo=UTC)
"""When this package was made: a clock that is behind it is surely wrong."""
ASSUMED_AFTER_S: Final = 3600.0
ASK_EVERY_S: Final = 60.0


def needs_clock(state: State, policy: Policy, at: Moment) -> bool:
    """Whether the wall clock decides anything (SPEC 3, updates.clock)."""
    if state.skips_gates(at):
        return False
    match policy.clock:
        case ClockRule.ALWAYS:
            return True
        case ClockRule.NEVER:
            return False
        case ClockRule.WINDOWS:
            timed = any(hold.until is not None for hold in state.memory.holds)
            calendar = policy.calendar
            return calendar.periodic or bool(calendar.blackouts) or timed or is_behind(state, at)


def is_behind(state: State, at: Moment) -> bool:
    """Whether the clock says less than it once did: reboots of the last 24 h cannot be counted."""
    last = state.memory.last_seen
    return last is not None and at.wall < last


def is_good(state: State, at: Moment) -> bool:
    """Synchronized once in this boot, or up for an hour with a clock that does not run behind."""
    return bool(state.known.clock_synchronized) or is_assumed(state, at)


def is_assumed(state: State, at: Moment) -> bool:
    """SPEC 5: timedate1 does not vouch for the clock, but it is not behind anything we know."""
    return state.known.clock_synchronized is False and _may_assume(state, at)


def _may_assume(state: State, at: Moment) -> bool:
    """Whether the host is up for an hour, and its clock not behind anything we know."""
    return at.mono >= ASSUMED_AFTER_S and at.wall > BUILT and not is_behind(state, at)


def clock_gate(state: State, policy: Policy, at: Moment) -> Blocker | None:
    """Judge the costly gate: timedate1 is asked only while nothing else is in the way."""
    if not needs_clock(state, policy, at) or is_good(state, at):
        return None
    if state.known.clock_synchronized is None:
        detail = "timedate1 is being asked for the first time"
        return Blocker(Reason.CLOCK_UNSYNCHRONIZED, detail)
    assumed = at.wall + timedelta(seconds=ASSUMED_AFTER_S - at.mono)
    detail = "the clock is not synchronized (timedatectl timesync-status)"
    return Blocker(Reason.CLOCK_UNSYNCHRONIZED, detail, assumed if assumed > at.wall else None)


def is_last_gate(state: State, at: Moment, blockers: tuple[Blocker, ...]) -> bool:
    """Whether only the clock is in the way, so that it is worth asking for it.

    That may be the budget, too, where it counts reboots that are dated in the future.
    """
    reasons = {blocker.reason for blocker in blockers}
    if reasons == {Reason.REBOOT_BUDGET}:
        return is_behind(state, at)
    return reasons == {Reason.CLOCK_UNSYNCHRONIZED}


def date_anew(memory: Memory, at: Moment) -> Memory:
    """What a wrong clock dated later than this boot has happened before it."""
    booted = _booted(at)
    dated = (replace(reboot, at=min(reboot.at, booted)) for reboot in memory.reboots)
    return replace(memory, reboots=tuple(dated))


def latest_seen(state: State, at: Moment) -> datetime:
    """The latest time ever seen: a clock that nobody vouches for never turns it back."""
    last = state.memory.last_seen
    vouched = state.known.clock_synchronized
    return at.wall if last is None or vouched else max(last, at.wall)


def has_ended(hold: Hold, state: State, policy: Policy, at: Moment) -> bool:
    """Whether a hold is over for good.

    Only a clock that may decide ends it, or the one by which it was placed. That one is still
    going, as far as anybody can see, if the hold is younger than this boot.
    """
    if hold.until is None or hold.until > at.wall:
        return False
    is_trusted = is_good(state, at) or _may_assume(state, at)
    return is_trusted or policy.clock is ClockRule.NEVER or hold.since >= _booted(at)


def _booted(at: Moment) -> datetime:
    return at.wall - timedelta(seconds=at.mono)
