"""The local gates (SPEC 7), in reading order: what is known, in; what is in the way, out."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from rebootmgr.core.built import BUILT
from rebootmgr.core.facts import (
    Deployments,
    Finalization,
    Inhibitor,
    Logind,
    NotOstree,
    Session,
)
from rebootmgr.core.fit import need
from rebootmgr.core.memory import Ask, Memory
from rebootmgr.core.model import Blocker, Deployment, Moment, Reason
from rebootmgr.core.policy import ClockRule, Policy, Respect, Strategy
from rebootmgr.core.states import Committing, Known, Preparing, State
from rebootmgr.core.window import Outlook, outlook

DAY: Final = timedelta(days=1)
CLOCK_ASSUMED_AFTER_S: Final = 3600.0


def pending(known: Known | None) -> Deployment | None:
    """The update that a reboot would boot into (SPEC 4), by the last good look."""
    match known:
        case Known(os=Deployments(staged=True) as os) if os.default.id != os.booted.id:
            return os.default
        case _:
            return None


def view_of(state: State, policy: Policy, at: Moment) -> Outlook:
    """What the calendar says now, given how long a reboot takes here."""
    needed = need(state.memory, policy.calendar, at.wall)
    return outlook(policy.calendar, at.wall, need=needed)


def valid_ask(state: State, at: Moment) -> Ask | None:
    """Somebody's wish for a reboot, if it still holds for what is pending."""
    ask, target = state.memory.ask, pending(state.known)
    if ask is None or state.known is None or target is None:
        return None
    fits = ask.target == target.id and ask.boot == state.known.boot and at.wall < ask.until
    return ask if fits else None


def local_blockers(state: State, policy: Policy, at: Moment) -> tuple[Blocker, ...]:
    """Every local gate that is closed now, in reading order; the lock and the hooks come later."""
    known = state.known
    if known is None:
        return (Blocker(Reason.STARTING, "looking at the host for the first time"),)
    ask = valid_ask(state, at)
    now_asked = ask is not None and ask.now
    found = [
        *_own(state, policy, asked=ask is not None),
        *_host(known),
        *_history(state.memory, known, policy, at),
        *_timing(state, policy, at, now_asked=now_asked),
        *_logind(state, policy, at, now_asked=now_asked),
    ]
    return tuple(found) if found else _clock(state, policy, at)


def _own(state: State, policy: Policy, *, asked: bool) -> list[Blocker]:
    found = []
    if policy.invalid:
        found.append(Blocker(Reason.CONFIG_INVALID, policy.invalid))
    if state.unsaved:
        found.append(Blocker(Reason.STATE_UNREADABLE, state.unsaved))
    if not policy.enabled:
        found.append(Blocker(Reason.DISABLED, "updates.enabled is false"))
    elif Strategy.OFF in policy.strategies and not asked:
        found.append(Blocker(Reason.DISABLED, 'updates.strategy is "off"'))
    return found


def _host(known: Known) -> list[Blocker]:
    found = []
    if isinstance(known.os, NotOstree):
        found.append(Blocker(Reason.NOT_OSTREE, known.os.detail))
    if known.boot_incomplete:
        found.append(Blocker(Reason.BOOT_NOT_COMPLETE, known.boot_incomplete))
    if isinstance(known.os, Deployments) and known.os.driver:
        found.append(Blocker(Reason.DRIVER_CONFLICT, known.os.driver))
    if known.os_unknown:
        found.append(Blocker(Reason.STATE_UNKNOWN, known.os_unknown))
    if isinstance(known.os, Deployments):
        found.extend(_deployments(known.os))
    return found


def _deployments(os: Deployments) -> list[Blocker]:
    found = []
    if os.finalization is Finalization.UNKNOWN:
        found.append(Blocker(Reason.STATE_UNKNOWN, "cannot tell whether finalization is locked"))
    if os.transaction:
        detail = f"rpm-ostree transaction in progress: {os.transaction}"
        found.append(Blocker(Reason.TRANSACTION_ACTIVE, detail))
    if os.unlocked in {"development", "hotfix"}:
        detail = f"the booted deployment is unlocked ({os.unlocked}); a reboot would lose it"
        found.append(Blocker(Reason.UNLOCKED, detail))
    if os.finalization is Finalization.LOCKED:
        detail = "finalization is locked by another agent; a reboot would discard the update"
        found.append(Blocker(Reason.FINALIZATION_LOCKED, detail))
    return found


def _history(memory: Memory, known: Known, policy: Policy, at: Moment) -> list[Blocker]:
    target = pending(known)
    found = [
        Blocker(Reason.QUARANTINED, one.why)
        for one in memory.quarantine
        if target is not None and one.key == target.key
    ]
    made = reboots_made(memory, at.wall)
    if len(made) >= policy.reboots_per_day:
        freed = sorted(made)[len(made) - policy.reboots_per_day] + DAY
        allowed = policy.reboots_per_day
        reboots, are = "reboot" if len(made) == 1 else "reboots", "is" if allowed == 1 else "are"
        detail = f"{len(made)} {reboots} in the last 24 h, {allowed} {are} allowed"
        found.append(Blocker(Reason.REBOOT_BUDGET, detail, freed))
    return found


def reboots_made(memory: Memory, wall: datetime) -> list[datetime]:
    """When rebootmgr rebooted this host in the 24 h before `wall`, or later by a wrong clock."""
    return [reboot.at for reboot in memory.reboots if wall - reboot.at < DAY]


def _timing(state: State, policy: Policy, at: Moment, *, now_asked: bool) -> list[Blocker]:
    found = []
    holds = [hold for hold in state.memory.holds if hold.until is None or hold.until > at.wall]
    if holds:
        untils = [hold.until for hold in holds if hold.until is not None]
        until = max(untils) if len(untils) == len(holds) else None
        detail = "; ".join(f"{hold.reason} ({hold.owner})" for hold in holds)
        found.append(Blocker(Reason.HELD, detail, until))
    view = view_of(state, policy, at)
    if view.blackout is not None:
        name, interval = view.blackout
        found.append(Blocker(Reason.BLACKOUT, name, interval.end))
    if now_asked:
        return found
    if view.window is None:
        found.append(_outside(view))
    elif not view.fits:
        until = None if view.next_fitting is None else view.next_fitting.start
        closes = view.window.end if view.opening is None else view.opening.end
        detail = f"the window closes at {closes:%H:%M} UTC, too soon for this host"
        found.append(Blocker(Reason.WINDOW_TOO_SHORT, detail, until))
    return found


def _clock(state: State, policy: Policy, at: Moment) -> tuple[Blocker, ...]:
    """The costly gate: timedate1 is asked only while nothing else is in the way."""
    if state.known is None or not needs_clock(state, policy, at) or clock_is_good(state, at):
        return ()
    if state.known.clock_synchronized is None:
        return (
            Blocker(Reason.CLOCK_UNSYNCHRONIZED, "timedate1 is being asked for the first time"),
        )
    assumed = at.wall + timedelta(seconds=CLOCK_ASSUMED_AFTER_S - at.mono)
    detail = "the clock is not synchronized (timedatectl timesync-status)"
    until = assumed if assumed > at.wall else None
    return (Blocker(Reason.CLOCK_UNSYNCHRONIZED, detail, until),)


def _outside(view: Outlook) -> Blocker:
    if view.next is None:
        return Blocker(Reason.OUTSIDE_WINDOW, "no maintenance window opens in the next 400 days")
    detail = f"the next maintenance window opens {view.next.start:%a %Y-%m-%d %H:%M} UTC"
    return Blocker(Reason.OUTSIDE_WINDOW, detail, view.next.start)


def needs_clock(state: State, policy: Policy, at: Moment) -> bool:
    """Whether the wall clock decides anything (SPEC 3, updates.clock)."""
    ask = valid_ask(state, at)
    if ask is not None and ask.now:
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


def clock_is_good(state: State, at: Moment) -> bool:
    """Synchronized once in this boot, or up for an hour with a clock that does not run behind."""
    if state.known is not None and state.known.clock_synchronized:
        return True
    return is_clock_assumed(state, at)


def is_clock_assumed(state: State, at: Moment) -> bool:
    """SPEC 5: timedate1 does not vouch for the clock, but it is not behind anything we know."""
    asked = state.known is not None and state.known.clock_synchronized is False
    return asked and may_assume_clock(state, at)


def may_assume_clock(state: State, at: Moment) -> bool:
    """Whether the host is up for an hour, and its clock not behind anything we know."""
    return at.mono >= CLOCK_ASSUMED_AFTER_S and at.wall > BUILT and not is_behind(state, at)


def _logind(state: State, policy: Policy, at: Moment, *, now_asked: bool) -> list[Blocker]:
    known = state.known
    if known is None or pending(known) is None:
        return []
    if known.logind_unknown or known.logind is None:
        detail = known.logind_unknown or "logind was not asked yet"
        return [Blocker(Reason.LOGIND_UNREACHABLE, detail)]
    logind = known.logind
    found = []
    if logind.scheduled or logind.preparing:
        detail = logind.scheduled or "the machine is already shutting down"
        found.append(Blocker(Reason.SHUTDOWN_SCHEDULED, detail))
    if inhibited := _inhibited(logind, policy):
        found.append(inhibited)
    if users := _users(state, logind, policy, at, now_asked=now_asked):
        found.append(users)
    return found


def _inhibited(logind: Logind, policy: Policy) -> Blocker | None:
    """Who objects; whoever need not be heard objects still where logind lets us not past him."""
    counted = [one for one in logind.inhibitors if counts(one, policy.respect)]
    if counted:
        return Blocker(Reason.INHIBITED, _held(counted))
    if logind.inhibitors and not logind.may_override:
        cure = "does not count here, but polkit grants rebootmgr no reboot-ignore-inhibit"
        return Blocker(Reason.INHIBITED, f"{_held(logind.inhibitors)} ({cure})")
    return None


def _held(inhibitors: Iterable[Inhibitor]) -> str:
    return "; ".join(f"{one.who} (pid {one.pid}, uid {one.uid}): {one.why}" for one in inhibitors)


def counts(inhibitor: Inhibitor, respect: Respect) -> bool:
    """Whether this inhibitor stops us."""
    match respect:
        case Respect.ALL:
            return True
        case Respect.ROOT:
            return inhibitor.uid == 0
        case Respect.NOBODY:
            return False


def _users(
    state: State, logind: Logind, policy: Policy, at: Moment, *, now_asked: bool
) -> Blocker | None:
    if not logind.sessions or not policy.sessions_wait or now_asked:
        return None
    if isinstance(state.attempt, Preparing | Committing):
        return None  # the fleet has agreed: who was not warned yet gets a minute at the commit
    target, grace = pending(state.known), state.grace
    detail = "; ".join(describe_session(session) for session in logind.sessions)
    if target is None or grace is None or grace.target != target.id:
        return Blocker(Reason.USERS_LOGGED_IN, detail)
    if at.mono < grace.until:
        until = at.wall + timedelta(seconds=grace.until - at.mono)
        return Blocker(Reason.USERS_LOGGED_IN, detail, until)
    return None


def describe_session(session: Session) -> str:
    """Who works where, in a few words."""
    where = session.tty or session.origin
    return (
        f"{session.user} {f'on {where}' if where else 'without a terminal'} (session {session.id})"
    )
