"""The local gates (SPEC 7), in reading order: what is known, in; what is in the way, out."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from rebootmgr.core import clock, deadlines
from rebootmgr.core.facts import Deployments, Finalization, Inhibitor, Logind, Look, NotOstree
from rebootmgr.core.fit import began, need, need_left
from rebootmgr.core.memory import Memory
from rebootmgr.core.model import Blocker, Moment, Reason
from rebootmgr.core.people import people_gate
from rebootmgr.core.policy import Policy, Respect, Strategy, Waivable
from rebootmgr.core.states import Known, State
from rebootmgr.core.window import Outlook, outlook

DAY: Final = timedelta(days=1)
UNKNOWN_FOR_LONG_S: Final = 60.0
WORKING_FOR_LONG_S: Final = 600.0


def view_of(state: State, policy: Policy, at: Moment) -> Outlook:
    """What the calendar says now, given how long what is still to do takes here."""
    *relaxed, last = deadlines.calendars(state, policy, at)
    for calendar in relaxed:
        view = outlook(calendar, at.wall, need=need_left(state, calendar, at))
        if view.opening is not None and view.fits:
            return view
    return outlook(last, at.wall, need=need_left(state, last, at))


def goes_by_deadline(state: State, policy: Policy, at: Moment) -> bool:
    """Whether the calendar lets us go now only because of what deadlines have made of it."""
    if not policy.deadlines:
        return False
    view = view_of(state, replace(policy, deadlines=()), at)
    return view.opening is None or not view.fits


def _began_anyway(state: State, policy: Policy, at: Moment) -> bool:
    """Whether this attempt began although nothing fits: then it may go on until the end."""
    begun = began(state, at)
    if begun is None:
        return False
    whole = need(state.memory, policy.calendar, begun)
    return outlook(policy.calendar, begun, need=whole).waived


def local_blockers(state: State, policy: Policy, at: Moment) -> tuple[Blocker, ...]:
    """Every local gate that is closed now, in reading order; the lock and the hooks come later."""
    if state.known.is_nothing:
        return (Blocker(Reason.STARTING, "looking at the host for the first time"),)
    found = (
        *_own(state, policy, at),
        *_host(state.known, at),
        *_history(state, policy, at),
        *_timing(state, policy, at),
        *_logind(state, policy, at),
    )
    if found:
        return found
    doubted = clock.clock_gate(state, policy, at)  # which costs a question, so it comes last
    return () if doubted is None else (doubted,)


def _own(state: State, policy: Policy, at: Moment) -> list[Blocker]:
    found = []
    if policy.invalid:
        found.append(Blocker(Reason.CONFIG_INVALID, policy.invalid))
    if state.unsaved:
        found.append(Blocker(Reason.STATE_UNREADABLE, state.unsaved))
    if not policy.enabled:
        found.append(Blocker(Reason.DISABLED, "updates.enabled is false"))
    elif Strategy.OFF in policy.strategies and state.request(at) is None:
        found.append(Blocker(Reason.DISABLED, 'updates.strategy is "off"'))
    return found


def _host(known: Known, at: Moment) -> list[Blocker]:
    found = []
    if isinstance(known.os, NotOstree):
        found.append(Blocker(Reason.NOT_OSTREE, known.os.detail))
    if known.boot_incomplete:
        found.append(Blocker(Reason.BOOT_NOT_COMPLETE, known.boot_incomplete))
    if isinstance(known.os, Deployments) and known.os.driver:
        found.append(Blocker(Reason.DRIVER_CONFLICT, known.os.driver))
    if known.os_unknown:
        lasts = _lasts(known.os_unknown_since, UNKNOWN_FOR_LONG_S, at)
        detail = _with_cure(known.os_unknown, known.os_cure, lasts=lasts)
        found.append(Blocker(Reason.STATE_UNKNOWN, detail))
    if isinstance(known.os, Deployments):
        found.extend(_deployments(known.os, works_long=is_working_long(known, at)))
    return found


def is_working_long(known: Known, at: Moment) -> bool:
    """Whether the same work on the deployments has gone on for longer than it should."""
    return _lasts(known.working_since, WORKING_FOR_LONG_S, at)


def _lasts(since: float | None, longest_s: float, at: Moment) -> bool:
    return since is not None and at.mono - since >= longest_s


def _with_cure(detail: str, cure: str, *, lasts: bool) -> str:
    return f"{detail}; {cure}" if lasts and cure else detail


def _deployments(os: Deployments, *, works_long: bool) -> list[Blocker]:
    found = []
    if os.finalization is Finalization.UNKNOWN:
        found.append(Blocker(Reason.STATE_UNKNOWN, "cannot tell whether finalization is locked"))
    if (work := os.transaction or os.sysroot) is not None:
        detail = _with_cure(work.what, f"for more than 10 minutes: {work.cure}", lasts=works_long)
        found.append(Blocker(Reason.TRANSACTION_ACTIVE, detail))
    if os.unlocked in {"development", "hotfix"}:
        detail = f"the booted deployment is unlocked ({os.unlocked}); a reboot would lose it"
        found.append(Blocker(Reason.UNLOCKED, detail))
    if os.finalization is Finalization.LOCKED:
        found.append(Blocker(Reason.FINALIZATION_LOCKED, _locker(os)))
    return found


def _locker(os: Deployments) -> str:
    """Say who has locked the update, as far as anybody can know, and what to do if he is gone."""
    if os.resting_driver:
        return f"finalization is locked, and {os.resting_driver}: start it again, or {os.unlock}"
    detail = "finalization is locked by another agent; a reboot would discard the update"
    return f"{detail} (if that agent is gone: start it again, or {os.unlock})"


def _history(state: State, policy: Policy, at: Moment) -> list[Blocker]:
    memory, target = state.memory, state.target
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


def _timing(state: State, policy: Policy, at: Moment) -> list[Blocker]:
    found = []
    holds = [hold for hold in state.memory.holds if clock.is_in_force(hold, state, at)]
    if holds:
        ends = [clock.end_of(hold, state, at) for hold in holds]
        untils = [end for end in ends if end is not None]
        until = max(untils) if len(untils) == len(holds) else None
        detail = "; ".join(f"{hold.reason} ({hold.owner})" for hold in holds)
        found.append(Blocker(Reason.HELD, detail, until))
    view = view_of(state, policy, at)
    if view.blackout is not None:
        name, interval = view.blackout
        found.append(Blocker(Reason.BLACKOUT, name, interval.end))
    if state.skips_gates(at):
        return found
    if view.window is None:
        found.append(_outside(view, deadlines.relief(state, policy, at, Waivable.WINDOWS)))
    elif not view.fits and not _began_anyway(state, policy, at):
        until = None if view.next_fitting is None else view.next_fitting.start
        closes = view.window.end if view.opening is None else view.opening.end
        detail = f"the window closes at {closes:%H:%M} UTC, too soon for this host"
        relief = deadlines.relief(state, policy, at, Waivable.FIT, Waivable.WINDOWS)
        if relief is not None and (until is None or relief < until):
            until, detail = relief, f"{detail}; {_by_deadline(relief)}"
        found.append(Blocker(Reason.WINDOW_TOO_SHORT, detail, until))
    return found


def _by_deadline(relief: datetime) -> str:
    return f"that no longer counts from {relief:%a %Y-%m-%d %H:%M} UTC on, by deadline"


def _outside(view: Outlook, relief: datetime | None) -> Blocker:
    if relief is not None and (view.next is None or relief < view.next.start):
        detail = f"no maintenance window is open; {_by_deadline(relief)}"
        return Blocker(Reason.OUTSIDE_WINDOW, detail, relief)
    if view.next is None:
        return Blocker(Reason.OUTSIDE_WINDOW, "no maintenance window opens in the next 400 days")
    detail = f"the next maintenance window opens {view.next.start:%a %Y-%m-%d %H:%M} UTC"
    return Blocker(Reason.OUTSIDE_WINDOW, detail, view.next.start)


def _logind(state: State, policy: Policy, at: Moment) -> list[Blocker]:
    known = state.known
    if known.pending is None:
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
    if people := people_gate(state, policy, at):
        found.append(people)
    return found


def _inhibited(logind: Logind, policy: Policy) -> Blocker | None:
    """Who objects; whoever need not be heard objects still where logind lets us not past him."""
    counted = [one for one in logind.inhibitors if counts(one, policy.respect)]
    if counted:
        return Blocker(Reason.INHIBITED, _objections(counted))
    if logind.inhibitors and not logind.may_override:
        cure = "does not count here, but polkit grants rebootmgr no reboot-ignore-inhibit"
        return Blocker(Reason.INHIBITED, f"{_objections(logind.inhibitors)} ({cure})")
    return None


def _objections(inhibitors: Iterable[Inhibitor]) -> str:
    return "; ".join(f"{one.who} (pid {one.pid}, uid {one.uid}): {one.why}" for one in inhibitors)


def unannounced(state: State, policy: Policy, at: Moment, blockers: tuple[Blocker, ...]) -> Look:
    """Where to look once a minute, because nobody tells when the last closed gates open.

    systemd 252 keeps quiet about a scheduled shutdown that was cancelled.
    """
    if clock.is_last_gate(state, at, blockers) or deadlines.wants_clock(state, policy):
        return Look.CLOCK
    reasons = {blocker.reason for blocker in blockers}
    return Look.LOGIND if reasons == {Reason.SHUTDOWN_SCHEDULED} else Look.NOWHERE


def counts(inhibitor: Inhibitor, respect: Respect) -> bool:
    """Whether this inhibitor stops us."""
    match respect:
        case Respect.ALL:
            return True
        case Respect.ROOT:
            return inhibitor.uid == 0
        case Respect.NOBODY:
            return False
