"""Deadlines (SPEC 5a): from when on what counts no more, who is told, and by which clock."""

from dataclasses import replace
from datetime import UTC, time, timedelta

import pytest

from rebootmgr.core.effects import Reboot, RunHooks, Warn
from rebootmgr.core.events import ClockJumped, HoldAdded, HooksFailed, RebootAsked
from rebootmgr.core.facts import Logind, Look
from rebootmgr.core.memory import Anchor, Backlog
from rebootmgr.core.model import BootId, Phase, Reason
from rebootmgr.core.policy import ClockRule, DeadlineStep, Policy, Strategy, Waivable
from rebootmgr.core.status import GateState
from rebootmgr.core.window import Blackout, Calendar, Weekly
from tests.core import script as scripts
from tests.core.script import (
    ALICE,
    BACKUP,
    BOB,
    DAY,
    EPOCH,
    HOLD,
    IMMEDIATE,
    LOGIND_CHANGED,
    NEW,
    OS_CHANGED,
    UP_S,
    Script,
    past,
    settled,
    shown,
)

HOUR = timedelta(hours=1)
SATURDAYS = Calendar(
    periodic=True,
    windows=(Weekly(days=frozenset({5}), start=time(3), length=HOUR, zone=UTC),),
)
"""Its next window opens 6 days and 2 hours after EPOCH."""
SESSIONS, WINDOWS = frozenset({Waivable.SESSIONS}), frozenset({Waivable.WINDOWS})
TOLD = (2 * HOUR, timedelta(minutes=10))


def steps(*found: DeadlineStep, **changes: object) -> Policy:
    changed = {"calendar": SATURDAYS, "clock": ClockRule.NEVER, "deadlines": found, **changes}
    return replace(IMMEDIATE, **changed)  # type: ignore[arg-type] # by name, as in replace


def after(span: timedelta, *names: Waivable, warn: tuple[timedelta, ...] = TOLD) -> DeadlineStep:
    return DeadlineStep(after=span, waive=frozenset(names), warn=warn)


def staged(policy: Policy, **host: object) -> Script:
    """An update has just been staged, on a host whose clock nobody vouches for."""
    return scripts.staged(policy, **{"synchronized": False, **host})


def waits(script: Script) -> timedelta:
    """Sleep until the reboot is called; how long after EPOCH that is."""
    for _ in range(40):
        script.settle()
        if script.has(Reboot):
            return script.at.wall - EPOCH
        script.sleep()
    raise AssertionError(script.reasons)


def behind(
    span: timedelta, *, vouched: bool = True, synchronized: bool = True
) -> dict[str, object]:
    """A host that comes up with an update that it has not booted for so long."""
    since = EPOCH - span
    anchor = Anchor(boot=BootId("b0"), born=77.0, vouched=since if vouched else None)
    noted = Backlog(key=NEW.key, since=since, behind_since=since, anchor=anchor)
    return {"memory": settled(backlog=noted), "synchronized": synchronized}


def test_a_window_counts_no_more_at_the_deadline_and_not_an_instant_before() -> None:
    script = staged(steps(after(3 * DAY, Waivable.WINDOWS)))
    assert script.reasons == [Reason.OUTSIDE_WINDOW]
    assert shown(script).predicted == EPOCH + 3 * DAY
    assert Reason.OUTSIDE_WINDOW in script.later(3 * 86400 - 0.001).reasons
    assert script.later(0.001).settle().has(Reboot)


def test_a_window_that_opens_before_the_deadline_is_taken() -> None:
    assert waits(staged(steps(after(30 * DAY, Waivable.WINDOWS)))) == timedelta(days=6, hours=2)


def test_what_is_waived_is_shown_clear_by_deadline() -> None:
    script = staged(steps(after(3 * DAY, Waivable.WINDOWS)), logind=Logind(inhibitors=(BACKUP,)))
    script.later(3 * 86400)
    assert script.reasons == [Reason.INHIBITED]
    [gate] = [one for one in shown(script).gates if one.name is Reason.OUTSIDE_WINDOW]
    assert (gate.state, gate.detail) == (GateState.CLEAR, "by deadline")
    assert shown(script).waived == ("windows",)
    [step] = shown(script).deadlines
    assert (step.step, step.at, step.waives, step.is_due) == (
        *(1, EPOCH + 3 * DAY, ("windows",), True),
    )


def test_a_step_waives_what_the_steps_before_it_do() -> None:
    two = (after(DAY, Waivable.SESSIONS), after(2 * DAY, Waivable.WINDOWS))
    script = staged(steps(*two), logind=Logind(sessions=(ALICE,)))
    assert script.later(86400).reasons == [Reason.OUTSIDE_WINDOW]
    assert script.later(86400).settle().get(Warn).in_s == 60.0  # nobody was awake to announce it
    assert script.later(60).settle().has(Reboot)


def test_a_host_that_was_off_for_weeks_is_not_rebooted_as_it_comes_up() -> None:
    policy = steps(replace(after(DAY, Waivable.WINDOWS), grace=4 * HOUR))
    script = staged(policy, **behind(28 * DAY), seconds=60.0)
    assert script.reasons == [Reason.OUTSIDE_WINDOW]
    assert waits(script) == timedelta(hours=4, seconds=-60)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"logind": Logind(inhibitors=(BACKUP,))}, Reason.INHIBITED),
        ({"boot_incomplete": "slow.service failed"}, Reason.BOOT_NOT_COMPLETE),
    ],
)
def test_hard_gates_stay_closed_however_old_the_update(
    changes: dict[str, object], reason: Reason
) -> None:
    script = staged(steps(after(DAY, *Waivable)), **changes)
    script.later(100 * 86400)
    assert reason in script.reasons
    assert not script.has(Reboot)


def test_no_deadline_ends_a_hold_a_blackout_or_updates_that_are_off() -> None:
    every = after(DAY, *Waivable)
    frozen = replace(
        SATURDAYS,
        blackouts=(Blackout(name="freeze", start=EPOCH, end=EPOCH + 200 * DAY, zone=UTC),),
    )
    for policy, reason in (
        (steps(every, calendar=frozen), Reason.BLACKOUT),
        (steps(every, enabled=False), Reason.DISABLED),
        (steps(every, strategies=frozenset({Strategy.OFF})), Reason.DISABLED),
        (steps(every, invalid="x"), Reason.CONFIG_INVALID),
    ):
        script = staged(policy)
        assert reason in script.later(100 * 86400).reasons
        assert not script.settle().has(Reboot)
    held = staged(steps(every)).on(HoldAdded(HOLD)).later(100 * 86400)
    assert held.reasons == [Reason.HELD]


def test_each_step_is_announced_at_each_of_its_instants() -> None:
    script = staged(steps(after(DAY, Waivable.WINDOWS)), logind=Logind(sessions=(ALICE,)))
    heard = []
    while script.at.wall < EPOCH + DAY - HOUR / 6:
        script.sleep()
        heard += [
            (script.at.wall - EPOCH, one.in_s, one.waives)
            for one in script.effects
            if isinstance(one, Warn)
        ]
    assert heard == [
        (DAY - 2 * HOUR, 7200.0, ("windows",)),
        (DAY - timedelta(minutes=10), 600.0, ("windows",)),
    ]


def test_who_logs_in_late_is_told_at_once_and_once() -> None:
    script = staged(steps(after(DAY, Waivable.WINDOWS))).later(86400 - 3600)
    script.logind = Logind(sessions=(BOB,))
    script.on(LOGIND_CHANGED)
    assert not script.has(Warn)
    assert script.look().get(Warn).in_s == 3600.0
    assert not script.later(60).has(Warn)
    assert script.later(3540 - 600).get(Warn).in_s == 600.0


def test_a_host_back_from_weeks_off_tells_people_at_once_and_keeps_its_grace() -> None:
    policy = steps(after(DAY, *Waivable))
    script = staged(policy, **behind(28 * DAY), seconds=60.0)
    script.logind = Logind(sessions=(ALICE,))
    script.on(LOGIND_CHANGED).look()
    assert script.get(Warn).in_s == 3540.0
    assert waits(script) == timedelta(seconds=3540)


def test_a_session_that_no_warning_reached_has_a_last_minute() -> None:
    policy = steps(after(DAY, *Waivable, warn=()))
    script = staged(policy, logind=Logind(sessions=(ALICE,)))
    script.later(86400).settle()
    assert not script.has(Reboot)
    assert script.get(Warn).in_s == 60.0
    assert script.later(60).settle().has(Reboot)


def test_what_was_promised_in_a_grace_is_kept_past_the_deadline() -> None:
    policy = steps(after(HOUR, Waivable.SESSIONS), calendar=Calendar(), sessions_grace=2 * HOUR)
    script = staged(policy, logind=Logind(sessions=(ALICE,)))
    assert any(one.in_s == 7200.0 for one in script.effects if isinstance(one, Warn))
    assert script.later(3600).reasons == [Reason.USERS_LOGGED_IN]
    assert waits(script) == 2 * HOUR


def test_a_clock_set_a_year_ahead_waives_nothing() -> None:
    script = staged(steps(after(3 * DAY, Waivable.WINDOWS), clock=ClockRule.WINDOWS))
    script.booted_at += timedelta(days=365)
    script.on(ClockJumped())
    assert shown(script).waived == ()
    script.synchronized = True
    assert shown(script.later(3 * 86400 - 1)).waived == ()
    assert shown(script.later(1)).waived == ("windows",)


def test_an_age_from_before_this_boot_counts_once_a_clock_may_tell() -> None:
    policy = steps(after(DAY, Waivable.WINDOWS), clock=ClockRule.WINDOWS)
    script = staged(policy, **behind(30 * DAY, synchronized=False), seconds=1800.0)
    assert shown(script).deadlines[0].at is None
    assert script.looks_at() is Look.CLOCK
    script.look(clock_synchronized=False)
    script.later(1000)
    assert shown(script).waived == ()
    script.look(clock_synchronized=True)
    assert shown(script).deadlines[0].at == script.booted_at + HOUR  # the grace of this boot
    script.later(800)
    assert shown(script).waived == ("windows",)


def test_a_clock_set_back_brings_no_waived_window_back() -> None:
    script = staged(steps(after(DAY, Waivable.WINDOWS)), logind=Logind(inhibitors=(BACKUP,)))
    script.later(86400)
    script.booted_at -= timedelta(days=300)
    script.on(ClockJumped())
    assert shown(script).waived == ("windows",)


def test_since_when_the_host_is_behind_is_dated_anew_once_the_clock_is_vouched_for() -> None:
    policy = steps(after(3 * DAY, Waivable.WINDOWS), clock=ClockRule.WINDOWS)
    script = staged(policy)
    script.later(60)
    script.booted_at += timedelta(days=90)
    script.on(ClockJumped())
    while script.state.looking is None:
        script.sleep()
    script.look(clock_synchronized=True)
    noted = script.state.memory.backlog
    assert noted is not None
    first_seen = script.booted_at + timedelta(seconds=7200)
    assert noted.behind_since == first_seen


def test_a_step_never_closes_what_is_open_without_it() -> None:
    """The need is capped at the longest opening, which grows when windows count no more."""
    window = Weekly(days=frozenset({6}), start=EPOCH.time(), length=HOUR, zone=UTC)
    freeze = Blackout(name="freeze", start=EPOCH + HOUR, end=EPOCH + 2 * DAY, zone=UTC)
    calendar = Calendar(periodic=True, windows=(window,), blackouts=(freeze,))
    slow = settled(*[past(7200.0, ago=days * DAY) for days in (9, 8, 7)])
    due = replace(after(timedelta(seconds=1), Waivable.WINDOWS), grace=timedelta(seconds=1))
    for found, waived in (((), ()), ((due,), ("windows",))):
        policy, backup = steps(*found, calendar=calendar), Logind(inhibitors=(BACKUP,))
        script = staged(policy, memory=slow, logind=backup).later(1.0)
        assert (script.reasons, shown(script).waived) == ([Reason.INHIBITED], waived)


def test_a_wish_and_a_deadline_skip_together_and_a_hold_beats_both() -> None:
    script = staged(steps(after(DAY, Waivable.WINDOWS)))
    script.on(HoldAdded(HOLD)).later(86400)
    assert script.on(RebootAsked("root", now=True, valid_s=60.0)).reasons == [Reason.HELD]


def test_without_deadlines_nobody_is_told_of_any_nor_the_clock_asked() -> None:
    script = staged(replace(IMMEDIATE, calendar=SATURDAYS, clock=ClockRule.NEVER))
    assert (script.state.looking, script.state.told) == (None, ())
    assert (shown(script).deadlines, shown(script).waived) == ((), ())


def test_after_the_update_is_gone_for_a_day_its_age_is_forgotten() -> None:
    script = staged(steps(after(DAY, Waivable.WINDOWS)))
    script.staged = None
    script.on(OS_CHANGED).look().later(86400 * 2)
    script.staged = NEW
    script.on(OS_CHANGED).look()
    assert shown(script).deadlines[0].at == script.at.wall + DAY


def test_a_newer_update_keeps_the_age() -> None:
    script = staged(steps(after(3 * DAY, Waivable.WINDOWS))).later(86400)
    script.staged = replace(NEW, id="os-3.0", key="os:3")  # type: ignore[arg-type]
    script.on(OS_CHANGED).look()
    assert shown(script).deadlines[0].at == EPOCH + 3 * DAY


@pytest.mark.parametrize("rule", ClockRule)
@pytest.mark.parametrize("vouched", [False, True])
@pytest.mark.parametrize("synchronized", [False, True])
def test_only_synchronized_clocks_may_tell_of_the_time_before_this_boot(
    rule: ClockRule, *, vouched: bool, synchronized: bool
) -> None:
    """Both the one that wrote it down, and the one that reads it: an assumed clock is neither."""
    policy = steps(after(DAY, Waivable.WINDOWS), clock=rule)
    history = behind(30 * DAY, vouched=vouched, synchronized=synchronized)
    script = staged(policy, logind=Logind(inhibitors=(BACKUP,)), **history)
    is_told = vouched and synchronized
    assert shown(script).waived == (("windows",) if is_told else ())
    script.later(86400 - UP_S - 1)
    assert shown(script).waived == (("windows",) if is_told else ())
    assert shown(script.later(1)).waived == ("windows",)  # a day since this boot, at any rate


def test_a_daemon_that_starts_anew_counts_on_by_uptime_whatever_the_clock_says() -> None:
    first = staged(steps(after(DAY, Waivable.WINDOWS), clock=ClockRule.NEVER)).later(3600)
    again = Script(
        first.policy,
        memory=first.state.memory,
        staged=NEW,
        synchronized=False,
        seconds=first.seconds,
        began=EPOCH + 365 * DAY,
    ).settle()
    assert shown(again).waived == ()
    again.later(86400 - 3601)
    assert shown(again).waived == ()
    assert shown(again.later(1)).waived == ("windows",)


def test_what_an_older_rebootmgr_noted_counts_from_when_it_is_read() -> None:
    since = EPOCH - 30 * DAY
    old = settled(backlog=Backlog(key=NEW.key, since=since, behind_since=since))
    script = staged(steps(after(DAY, Waivable.WINDOWS)), memory=old, synchronized=True)
    assert shown(script).deadlines[0].at == EPOCH + DAY


def test_a_clock_that_is_set_after_it_was_vouched_for_moves_nothing_in_the_next_boot() -> None:
    first = staged(steps(after(9 * DAY, Waivable.WINDOWS)), synchronized=True).later(60)
    first.booted_at -= timedelta(days=300)
    memory = first.on(ClockJumped()).state.memory
    again = Script(
        first.policy,
        memory=memory,
        staged=NEW,
        synchronized=True,
        seconds=60.0,
        boot=BootId("b2"),
        began=EPOCH + 2 * DAY,
    ).settle()
    assert shown(again).deadlines[0].at == EPOCH + 9 * DAY


def test_how_long_nothing_was_staged_is_told_by_uptime() -> None:
    script = staged(steps(after(3 * DAY, Waivable.WINDOWS)))
    script.staged = None
    script.on(OS_CHANGED).look().later(43200)
    script.booted_at -= DAY  # the clock says that it was no time at all
    script.on(ClockJumped()).later(43200)
    script.staged = NEW
    script.on(OS_CHANGED).look()
    assert shown(script).deadlines[0].at == script.at.wall + 3 * DAY


BACKUP_RUNS = DeadlineStep(after=DAY, checks=frozenset({"10-backup"}), warn=TOLD)
CHECKED = frozenset({Phase.CHECK})


def failing(script: Script, hook: str) -> Script:
    """The checks that have just been started fail by that one."""
    return script.on(HooksFailed(script.get(RunHooks).ticket, hook, "still busy"))


def test_a_named_check_is_not_run_from_the_deadline_on_nor_what_it_said_waited_for() -> None:
    script = staged(steps(BACKUP_RUNS, calendar=Calendar()), hooks=CHECKED)
    assert script.get(RunHooks).waived == ()
    failing(script, "10-backup").later(86400 - 5)
    assert failing(script, "10-backup").reasons == [Reason.CHECK_FAILED]
    script.later(5)
    assert script.get(RunHooks).waived == ("10-backup",)
    script.passed().settle()
    while not script.has(Reboot):  # every gate once more, and the checks
        script.passed().settle() if script.has(RunHooks) else script.settle()
    [gate] = [one for one in shown(script).gates if one.name is Reason.CHECK_FAILED]
    assert (gate.state, gate.detail) == (GateState.CLEAR, "by deadline without 10-backup")
    assert shown(script).waived == ("checks:10-backup",)
    assert shown(script).deadlines[0].waives == ("checks:10-backup",)


def test_a_check_that_no_deadline_names_is_waited_for_however_old_the_update() -> None:
    script = staged(steps(BACKUP_RUNS, calendar=Calendar()), hooks=CHECKED)
    failing(script, "20-other").later(86400 - 5)
    failing(script, "20-other").later(5)
    assert script.reasons == [Reason.CHECK_FAILED]
    assert not script.has(RunHooks)  # not before its next try is due
    script.sleep()
    assert script.get(RunHooks).waived == ("10-backup",)
    failing(script, "20-other")
    assert script.reasons == [Reason.CHECK_FAILED]


def test_a_check_that_fails_while_it_becomes_due_is_not_waited_for_either() -> None:
    script = staged(steps(BACKUP_RUNS, calendar=Calendar()), hooks=CHECKED)
    ticket = script.get(RunHooks).ticket
    script.later(86400).on(HooksFailed(ticket, "10-backup", "took too long"))
    assert script.get(RunHooks).waived == ("10-backup",)


def test_who_is_told_of_a_deadline_hears_of_the_checks_that_it_waives() -> None:
    script = staged(steps(BACKUP_RUNS), logind=Logind(sessions=(ALICE,), inhibitors=(BACKUP,)))
    script.later(86400 - 7200)
    assert script.get(Warn).waives == ("checks:10-backup",)
