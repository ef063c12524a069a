"""Stories of people who are logged in: their grace, their last minute, and what is told to whom."""

from dataclasses import replace
from datetime import timedelta

from rebootmgr.core.alarm import deadline
from rebootmgr.core.effects import Acquire, Reboot, Release, RunHooks, StopHooks, Warn
from rebootmgr.core.events import (
    ClockJumped,
    HoldAdded,
    HoldReleased,
    HooksPassed,
    RebootAsked,
    SlotReleased,
)
from rebootmgr.core.facts import Logind, Look, Session
from rebootmgr.core.model import DeploymentId, Phase, Reason
from rebootmgr.core.states import Committing
from tests.core.script import (
    ALICE,
    BACKUP,
    BOB,
    FLEET,
    HOLD,
    IMMEDIATE,
    LOGIND_CHANGED,
    NEW,
    NEWER,
    OS_CHANGED,
    SUNDAY,
    Script,
    committing,
    staged,
)

BOTH = Logind(sessions=(ALICE, BOB))
ALONE = Logind(sessions=(ALICE,))
CAROL = Session(id="3", user="carol", tty="pts/2")


def in_the_last_minute() -> Script:
    """Alice logged in after the fleet had agreed, and has just been told of her minute."""
    script = committing()
    script.logind = ALONE
    assert script.look().get(Warn).in_s == 60.0
    return script


def test_who_logs_in_during_the_drain_does_not_undo_it() -> None:
    script = staged(FLEET, hooks=frozenset({Phase.PRE_REBOOT})).granted()
    drain = script.get(RunHooks)
    script.logind = ALONE
    script.on(LOGIND_CHANGED).look()
    assert not script.has(StopHooks)
    assert not script.has(Release)
    script.on(HooksPassed(drain.ticket))
    assert script.look().get(Warn).in_s == 60.0


def test_a_look_at_the_logins_of_the_last_minute_is_not_the_last_look() -> None:
    """It was about logind alone: an update may have been withdrawn meanwhile."""
    script = in_the_last_minute()
    script.seconds += 59.9
    assert script.on(LOGIND_CHANGED).looks_at() == Look.LOGIND
    script.later(1.0).look(os=None, hooks=None, boot_incomplete=None)
    assert not script.has(Reboot)
    assert script.looks_at() == Look.HOST
    assert script.look().has(Reboot)


def test_who_comes_during_the_last_minute_is_told_once() -> None:
    script = in_the_last_minute()
    script.logind = BOTH
    assert script.on(LOGIND_CHANGED).look().get(Warn).sessions == (BOB,)
    script.logind = replace(BOTH, sessions=(ALICE, BOB, CAROL))
    assert script.on(LOGIND_CHANGED).look().get(Warn).sessions == (CAROL,)


def test_a_dry_run_frightens_nobody() -> None:
    script = staged(replace(IMMEDIATE, dry_run=True), logind=ALONE)
    assert script.reasons == [Reason.USERS_LOGGED_IN]
    assert not script.has(Warn)
    assert not script.sleep().has(Warn)


def test_a_grace_of_a_minute_is_announced_once() -> None:
    script = staged(replace(IMMEDIATE, sessions_grace=timedelta(minutes=1)), logind=ALONE)
    assert script.get(Warn).in_s == 60.0
    assert not script.later(1.0).has(Warn)
    script.sleep()
    assert not script.has(Warn)
    assert isinstance(script.state.attempt, Committing)


def test_reboot_now_waits_for_nobody_who_is_logged_in() -> None:
    script = staged(logind=ALONE).on(RebootAsked("root", now=True, valid_s=3600.0))
    assert isinstance(script.state.attempt, Committing)
    script.logind = BOTH
    script.look()
    assert script.has(Reboot)
    assert not script.has(Warn)


def test_where_nobody_waits_for_people_they_get_no_last_minute_either() -> None:
    script = staged(replace(IMMEDIATE, sessions_wait=False), logind=ALONE)
    assert isinstance(script.state.attempt, Committing)
    assert script.look().has(Reboot)
    assert not script.has(Warn)


def test_a_newer_update_gives_people_a_grace_of_its_own() -> None:
    """Although that of the update before it is over, and only an inhibitor was in its way."""
    script = staged(logind=ALONE)
    script.logind = replace(ALONE, inhibitors=(BACKUP,))
    script.on(LOGIND_CHANGED).look().later(700.0)
    assert script.reasons == [Reason.INHIBITED]
    script.staged, script.logind = NEWER, ALONE
    assert script.on(OS_CHANGED).look().get(Warn).in_s == 600.0
    assert script.later(599.0).reasons == [Reason.USERS_LOGGED_IN]


def test_no_clock_that_is_set_ends_a_grace() -> None:
    script = staged(logind=ALONE)
    script.booted_at += timedelta(days=30)
    assert script.on(ClockJumped()).reasons == [Reason.USERS_LOGGED_IN]
    script.sleep()
    assert script.get(Warn).in_s == 60.0
    assert deadline(script.state, at=script.at, policy=script.policy).wall is None


def test_a_reboot_now_that_expires_at_the_last_look_does_not_shorten_the_grace() -> None:
    script = staged(FLEET, logind=ALONE)
    assert script.get(Warn).in_s == 600.0
    script.seconds += 3.0
    script.on(RebootAsked("root", now=True, valid_s=2.0))
    script.granted()
    script.seconds += 3.0
    script.look()
    assert not script.has(Reboot)
    back = script.get(Release)
    assert script.reasons == [Reason.USERS_LOGGED_IN]
    script.on(SlotReleased(back.ticket, back.slot)).later(590.0)
    assert not script.has(Acquire)
    assert script.later(5.0).has(Acquire)


def test_who_was_warned_before_a_hold_is_warned_again_after_it() -> None:
    script = staged(logind=ALONE).later(60.0)
    script.on(HoldAdded(HOLD)).later(8 * 3600.0)
    assert script.on(HoldReleased(HOLD.id)).settle().get(Warn).in_s == 60.0
    assert isinstance(script.state.attempt, Committing)
    script.later(59.0)
    assert not script.settle().has(Reboot)
    assert script.later(2.0).settle().has(Reboot)


def test_who_was_warned_in_the_window_of_last_week_is_warned_again_in_this_one() -> None:
    script = staged(SUNDAY, logind=ALONE)
    assert script.get(Warn).in_s == 600.0
    script.logind = replace(ALONE, inhibitors=(BACKUP,))
    script.on(LOGIND_CHANGED).look().later(7200.0)
    script.logind = ALONE
    script.on(LOGIND_CHANGED).look()
    assert script.reasons == [Reason.OUTSIDE_WINDOW]
    assert script.sleep().settle().get(Warn).in_s == 60.0


def test_a_grace_goes_on_when_the_same_update_comes_back_under_a_new_serial() -> None:
    script = staged(logind=ALONE).later(100.0)
    for serial in range(1, 50):
        script.staged = None
        assert not script.on(OS_CHANGED).look().has(Warn)
        script.staged = replace(NEW, id=DeploymentId(f"os-2.{serial}"))
        assert not script.on(OS_CHANGED).look().has(Warn)
    assert script.reasons == [Reason.USERS_LOGGED_IN]
    assert script.later(440.0).get(Warn).in_s == 60.0
    assert isinstance(script.later(60.0).state.attempt, Committing)


def test_two_updates_that_take_turns_warn_once_each_and_keep_the_later_promise() -> None:
    script = staged(logind=ALONE).later(100.0)
    script.staged = NEWER
    assert script.on(OS_CHANGED).look().get(Warn).in_s == 600.0
    for update in (NEW, NEWER) * 20 + (NEW,):
        script.staged = update
        assert not script.on(OS_CHANGED).look().has(Warn)
    assert script.later(599.0).reasons == [Reason.USERS_LOGGED_IN]


def test_who_was_told_long_before_the_grant_gets_a_last_minute_with_the_slot_kept() -> None:
    """pre-reboot.d takes half an hour: it is longer ago than the whole grace."""
    script = staged(FLEET, logind=ALONE, hooks=frozenset({Phase.PRE_REBOOT})).later(540.0)
    drain = script.later(60.0).granted().get(RunHooks)
    script.seconds += 1800.0
    script.on(HooksPassed(drain.ticket)).look()
    assert script.get(Warn).in_s == 60.0
    assert not script.has(Release)
    assert script.later(60.0).look().has(Reboot)


def test_after_a_grant_within_the_grace_of_the_last_warning_nobody_is_warned_again() -> None:
    script = staged(FLEET, logind=ALONE, hooks=frozenset({Phase.PRE_REBOOT})).later(540.0)
    drain = script.later(60.0).granted().get(RunHooks)
    script.seconds += 500.0
    assert script.on(HooksPassed(drain.ticket)).look().has(Reboot)


def test_a_promise_outlives_an_attempt_that_was_called_off_in_its_last_minute() -> None:
    script = in_the_last_minute()
    script.logind = replace(ALONE, inhibitors=(BACKUP,))
    script.on(LOGIND_CHANGED).look()
    assert script.has(Release)
    script.logind = ALONE
    script.on(LOGIND_CHANGED).look()
    assert script.reasons == [Reason.USERS_LOGGED_IN]
