"""Stories of people who are logged in: their grace, their last minute, and what is told to whom."""

from dataclasses import replace
from datetime import timedelta

from rebootmgr.core.alarm import deadline
from rebootmgr.core.effects import Reboot, Release, RunHooks, StopHooks, Warn
from rebootmgr.core.events import ClockJumped, HooksPassed, RebootAsked
from rebootmgr.core.facts import Logind, Look, Session
from rebootmgr.core.model import Phase, Reason
from rebootmgr.core.states import Committing
from tests.core.script import (
    ALICE,
    BACKUP,
    BOB,
    FLEET,
    IMMEDIATE,
    LOGIND_CHANGED,
    NEWER,
    OS_CHANGED,
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
