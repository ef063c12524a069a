"""Stories of what is in the way on the host itself, and until when."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from rebootmgr.core.effects import Acquire, ReadFacts, Reboot, Release, RunHooks, StopHooks
from rebootmgr.core.facts import Deployments, Finalization, Logind, Work
from rebootmgr.core.memory import Durations
from rebootmgr.core.model import NoticeKind, Phase, Reason
from rebootmgr.core.policy import Policy, Strategy
from rebootmgr.core.states import Asking, Committing, Idle, Undoing
from rebootmgr.core.window import Blackout, Ruled
from tests.core.script import (
    EPOCH,
    FLEET,
    IMMEDIATE,
    LOGIND_CHANGED,
    NEW,
    NEXT_SUNDAY,
    OLD,
    OS_CHANGED,
    SLOT,
    SUNDAY,
    Script,
    past,
    running,
    settled,
    shown,
    staged,
)
from tests.core.world import SUNDAYS

CLEAR = Deployments(booted=OLD, default=NEW, staged=True)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("reason", "found"),
    [
        (Reason.DRIVER_CONFLICT, replace(CLEAR, driver="Zincati")),
        (Reason.STATE_UNKNOWN, replace(CLEAR, finalization=Finalization.UNKNOWN)),
        (Reason.TRANSACTION_ACTIVE, replace(CLEAR, transaction=Work("busy", "wait"))),
        (Reason.UNLOCKED, replace(CLEAR, unlocked="development")),
        (Reason.UNLOCKED, replace(CLEAR, unlocked="hotfix")),
        (Reason.FINALIZATION_LOCKED, replace(CLEAR, finalization=Finalization.LOCKED)),
    ],
)
def test_what_a_reboot_would_lose_or_discard_is_in_its_way(
    reason: Reason, found: Deployments
) -> None:
    script = running(FLEET).on(OS_CHANGED).look(os=found)
    assert script.reasons == [reason]
    assert not script.has(Acquire)
    at_the_commit = staged().look(os=found)
    assert at_the_commit.reasons == [reason]
    assert not at_the_commit.has(Reboot)


def test_a_transient_overlay_is_lost_at_each_boot_and_no_reason_to_wait() -> None:
    script = running().on(OS_CHANGED).look(os=replace(CLEAR, unlocked="transient"))
    assert isinstance(script.state.attempt, Committing)


def test_what_boots_next_without_being_staged_is_left_alone() -> None:
    script = running().on(OS_CHANGED).look(os=replace(CLEAR, staged=False))
    assert script.state.attempt == Idle()
    assert [notice.kind for notice in shown(script).notices] == [NoticeKind.NOT_STAGED]


def test_a_host_that_somebody_else_takes_down_is_left_to_them() -> None:
    script = staged(FLEET, logind=Logind(preparing=True))
    assert script.reasons == [Reason.SHUTDOWN_SCHEDULED]
    assert not script.has(Acquire)
    script.logind = Logind()
    assert script.on(LOGIND_CHANGED).look().has(Acquire)


def test_a_smaller_budget_is_free_once_enough_reboots_are_a_day_old() -> None:
    three = settled(*(past(ago=hours * HOUR) for hours in (20, 10, 5)))
    script = staged(replace(IMMEDIATE, reboots_per_day=2), memory=three)
    assert script.reasons == [Reason.REBOOT_BUDGET]
    (blocker,) = shown(script).blockers
    assert blocker.until == EPOCH + 14 * HOUR
    assert isinstance(script.sleep().state.attempt, Committing)
    assert script.at.wall == EPOCH + 14 * HOUR


def test_what_does_not_fit_waits_for_the_next_window_that_is_long_enough() -> None:
    """Sundays three hours, and once a year four: reboots take three and a half."""
    yearly = Ruled(
        rule="FREQ=YEARLY;BYMONTH=3;BYMONTHDAY=1",
        first=EPOCH.date(),
        start=datetime(2030, 1, 1, 20, tzinfo=UTC).time(),
        length=4 * HOUR,
        zone=UTC,
    )
    calendar = replace(SUNDAY.calendar, windows=(*SUNDAY.calendar.windows, yearly))
    slow = settled(*[past(3.5 * 3600.0)] * 3)
    script = staged(replace(SUNDAY, calendar=calendar), memory=slow)
    (blocker,) = shown(script).blockers
    assert blocker.reason is Reason.WINDOW_TOO_SHORT
    assert blocker.until == datetime(2030, 3, 1, 20, tzinfo=UTC)


def test_a_window_that_a_freeze_cuts_short_closes_where_the_freeze_begins() -> None:
    frozen = Blackout(name="audit", start=EPOCH + HOUR / 2, end=EPOCH + 5 * HOUR, zone=UTC)
    slow = settled(*[past(3600.0)] * 3)
    calendar = replace(SUNDAY.calendar, blackouts=(frozen,))
    (blocker,) = shown(staged(replace(SUNDAY, calendar=calendar), memory=slow)).blockers
    assert blocker.reason is Reason.WINDOW_TOO_SHORT
    assert "closes at 01:30" in blocker.detail
    assert blocker.until == NEXT_SUNDAY


def test_a_window_that_ends_while_checks_run_ends_them() -> None:
    script = staged(SUNDAY, hooks=frozenset({Phase.CHECK}))
    ticket = script.get(RunHooks).ticket
    assert script.sleep().at.wall == EPOCH + 2 * HOUR
    assert script.get(StopHooks).ticket == ticket
    assert script.reasons == [Reason.OUTSIDE_WINDOW]
    assert not script.has(ReadFacts)


LONG_DRAIN = tuple(
    replace(past(2400.0), phases=Durations(hooks_s=1500.0)) for _ in range(3)
)  # 25 minutes of drain, then 15
FIFTY = replace(SUNDAYS.windows[0], length=timedelta(minutes=50))
DRAINED = replace(SUNDAY, calendar=replace(SUNDAYS, windows=(FIFTY,)))


def draining(minute: float, policy: Policy = DRAINED) -> Script:
    """The update is found so many minutes after the window opened, and pre-reboot.d was begun."""
    hooks = frozenset({Phase.PRE_REBOOT})
    began = EPOCH - timedelta(hours=1) + timedelta(minutes=minute)
    return staged(policy, memory=settled(*LONG_DRAIN), hooks=hooks, began=began)


def test_a_drain_that_is_done_is_not_counted_again() -> None:
    """25 minutes of drain and 15 of reboot fit into 50, once the drain has begun in time."""
    script = draining(5)
    script.seconds += 1500.0
    script.passed()
    assert isinstance(script.state.attempt, Committing)
    assert script.look().has(Reboot)


def test_a_drain_that_leaves_too_little_for_the_reboot_itself_is_undone() -> None:
    script = draining(5)
    script.sleep()
    assert script.reasons == [Reason.HOOK_RUNNING]
    assert script.at.wall == EPOCH - timedelta(minutes=25)
    script.sleep()
    assert isinstance(script.state.attempt, Undoing)


def test_no_drain_begins_behind_the_limit_that_passed_while_the_fleet_was_asked() -> None:
    fleet = replace(DRAINED, strategies=frozenset({*DRAINED.strategies, Strategy.FLEET_LOCK}))
    script = draining(9, replace(fleet, slot=SLOT))
    assert isinstance(script.state.attempt, Asking)
    script.seconds += 120.0
    script.granted()
    assert not script.has(RunHooks)
    assert script.has(Release)
    assert script.reasons == [Reason.WINDOW_TOO_SHORT]


def test_an_alarm_rings_where_the_rest_becomes_too_short() -> None:
    fleet = replace(DRAINED, strategies=frozenset({*DRAINED.strategies, Strategy.FLEET_LOCK}))
    script = draining(5, replace(fleet, slot=SLOT))
    script.sleep()
    assert script.at.wall == EPOCH - timedelta(minutes=50)
    assert isinstance(script.state.attempt, Asking)
    assert script.sleep().reasons == [Reason.WINDOW_TOO_SHORT]


def test_an_attempt_that_nothing_fits_goes_on_until_the_window_ends() -> None:
    """It begins in the first half, and the drain alone takes it into the second."""
    short = replace(FIFTY, length=timedelta(minutes=40))
    script = draining(10, replace(DRAINED, calendar=replace(SUNDAYS, windows=(short,))))
    script.seconds += 1500.0
    script.passed()
    assert isinstance(script.state.attempt, Committing)
    assert script.look().has(Reboot)
