"""Whether the wall clock may decide (SPEC 5), and what follows where it may not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from rebootmgr.core.memory import Hold, HoldSpan, Memory
from rebootmgr.core.model import Blocker, BootId, Moment, Reason, has_soft_rebooted
from rebootmgr.core.policy import ClockRule, Policy
from rebootmgr.core.states import NOBODY_LOOKED, State

BUILT: Final = datetime(2026, 11, 20, tzinfo=UTC)
"""When this package was made: a clock that is behind it is surely wrong."""
ASSUMED_AFTER_S: Final = 3600.0
ASK_EVERY_S: Final = 60.0
SET: Final = timedelta(seconds=1)
"""A wall clock that is off by this much from what uptime says was set."""


def needs_clock(state: State, policy: Policy, at: Moment) -> bool:
    """Whether the wall clock decides anything (SPEC 3, updates.clock)."""
    calendar = policy.calendar
    timed = any(hold.until and left_of(hold, state, at) is None for hold in state.memory.holds)
    unskippable = bool(calendar.blackouts) or timed or is_behind(state, at)
    match policy.clock:
        case ClockRule.NEVER:
            return False
        case _ if state.skips_gates(
            at
        ):  # what nobody may skip is told by a good clock or not at all
            return unskippable
        case ClockRule.ALWAYS:
            return True
        case ClockRule.WINDOWS:
            return calendar.periodic or unskippable


def is_behind(state: State, at: Moment) -> bool:
    """Whether the clock says less than it once did: reboots of the last 24 h cannot be counted."""
    last = latest_known(state)
    return last is not None and at.wall < last


def latest_known(state: State) -> datetime | None:
    """The latest time that it has been, by all that is remembered."""
    known = [reboot.at for reboot in state.memory.reboots]
    if state.memory.last_seen is not None:
        known.append(state.memory.last_seen)
    return max(known, default=None)


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
    assumed = at.wall + timedelta(seconds=max(ASSUMED_AFTER_S - at.mono, 0.0))
    detail = "the clock is not synchronized (timedatectl timesync-status)"
    last = latest_known(state)
    if last is not None and at.wall < last:
        detail = f"{detail}, and it once was {last:%Y-%m-%d %H:%M} UTC already"
        assumed = max(assumed, last)
    if assumed <= BUILT:
        detail = f"{detail}, and older than this program"
    until = assumed if at.wall < assumed and assumed > BUILT else None
    return Blocker(Reason.CLOCK_UNSYNCHRONIZED, detail, until)


def is_last_gate(state: State, at: Moment, blockers: tuple[Blocker, ...]) -> bool:
    """Whether only the clock is in the way, so that it is worth asking for it.

    That may be the budget, too, where it counts reboots that are dated in the future.
    """
    reasons = {blocker.reason for blocker in blockers}
    if reasons == {Reason.REBOOT_BUDGET}:
        return is_behind(state, at)
    return reasons == {Reason.CLOCK_UNSYNCHRONIZED}


def date_anew(memory: Memory, boot: BootId, at: Moment) -> Memory:
    """What a wrong clock dated later than this boot has happened before it.

    After a soft reboot uptime does not tell when that was: what was dated later than now counts for
    a day from now on, and the rest stays as it is.
    """
    booted = at.wall if has_soft_rebooted(boot) else at.wall - timedelta(seconds=at.mono)
    dated = (replace(reboot, at=min(reboot.at, booted)) for reboot in memory.reboots)
    return replace(memory, reboots=tuple(dated))


def latest_seen(state: State, at: Moment) -> datetime | None:
    """The latest time ever seen: a clock that nobody vouches for never turns it back.

    Nor forward, before it may decide: it would poison every later boot.
    """
    last = state.memory.last_seen
    if state.known.booted_at is not None:
        return state.known.booted_at + timedelta(seconds=at.mono)
    return at.wall if _may_assume(state, at) else last


def hold_for(hold: Hold, seconds: float, state: State, at: Moment) -> Hold:
    """`hold`, for that long from now on."""
    span = HoldSpan(boot=state.known.boot, ends=at.mono + seconds, seconds=seconds, is_dated=False)
    return _dated(replace(hold, span=span), state, at)


def date_holds(state: State, at: Moment) -> Memory:
    """Say anew by the wall clock when the holds for a span end: it was set, or somebody vouches."""
    memory = state.memory
    return replace(memory, holds=tuple(_dated(hold, state, at) for hold in memory.holds))


def adopt_holds(memory: Memory, boot: BootId) -> Memory:
    """Holds that were placed before anybody knew which boot this is belong to this one."""

    def adopted(hold: Hold) -> Hold:
        if hold.span is None or hold.span.boot != NOBODY_LOOKED:
            return hold
        return replace(hold, span=replace(hold.span, boot=boot))

    return replace(memory, holds=tuple(map(adopted, memory.holds)))


def waits_for_clock(state: State) -> bool:
    """Whether a good clock would say how much of an earlier boot's hold is left for this one."""
    boot, holds = state.known.boot, state.memory.holds
    is_open = any(hold.span and hold.span.is_dated and hold.span.boot != boot for hold in holds)
    return is_open and not state.known.clock_synchronized


def _dated(hold: Hold, state: State, at: Moment) -> Hold:
    span, booted_at = hold.span, state.known.booted_at
    if span is None:
        return hold
    if span.boot == state.known.boot:
        if booted_at is not None:  # whoever has set the clock since then vouches for nothing
            until = booted_at + timedelta(seconds=span.ends)
            return replace(hold, until=until, span=replace(span, is_dated=True))
        if span.is_dated:  # in this boot, by the daemon that ran before
            return hold
        return replace(hold, until=at.wall + timedelta(seconds=span.ends - at.mono))
    if not span.is_dated or booted_at is None or hold.until is None:
        return hold
    # From here on it counts by this boot's uptime: whoever sets the clock later changes nothing.
    ends = min((hold.until - booted_at).total_seconds(), span.seconds)
    return replace(hold, span=replace(span, boot=state.known.boot, ends=ends))


def left_of(hold: Hold, state: State, at: Moment) -> float | None:
    """How many seconds of CLOCK_BOOTTIME are left of a hold; None where the wall clock tells."""
    span = hold.span
    if span is None:
        return None
    if span.boot == state.known.boot:
        return span.ends - at.mono
    return None if span.is_dated else span.seconds - at.mono


def is_in_force(hold: Hold, state: State, at: Moment) -> bool:
    """Whether a hold forbids reboots, if the wall clock is right where it decides."""
    left = left_of(hold, state, at)
    if left is not None:
        return left > 0.0
    end = end_of(hold, state, at)
    return end is None or end > at.wall


def end_of(hold: Hold, state: State, at: Moment) -> datetime | None:
    """When a hold ends, by the wall clock as it is now; None until it is released.

    In a later boot, whatever the clock was set to, a hold lasts no longer than its whole span.
    """
    left = left_of(hold, state, at)
    if left is not None:
        return say_end(hold.until, left, at)
    if hold.span is None or hold.until is None:
        return hold.until
    return min(hold.until, at.wall + timedelta(seconds=hold.span.seconds - at.mono))


def say_end(said: datetime | None, left_s: float, at: Moment) -> datetime:
    """When something ends of which `left_s` are left: as was `said`, unless the clock was set."""
    end = at.wall + timedelta(seconds=left_s)
    return said if said is not None and abs(end - said) < SET else end


def has_ended(hold: Hold, state: State, policy: Policy, at: Moment) -> bool:
    """Whether a hold is over for good: where a wall clock says so, it has to be a good one.

    Where no clock is required, a hold for a span is still there should the clock be set back.
    """
    if is_in_force(hold, state, at):
        return False
    is_timed = left_of(hold, state, at) is not None
    is_over = hold.span is not None and at.mono >= hold.span.seconds and not is_timed
    is_trusted = is_good(state, at) or _may_assume(state, at)
    is_dateless = hold.span is None and policy.clock is ClockRule.NEVER
    return is_timed or is_over or is_trusted or is_dateless
