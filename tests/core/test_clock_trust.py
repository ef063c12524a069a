"""A clock that nobody vouches for opens no window and ends no hold (SPEC 5)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from rebootmgr.core.clock import BUILT
from rebootmgr.core.describe import describe
from rebootmgr.core.effects import ReadFacts, Reboot
from rebootmgr.core.events import ClockJumped, HoldAdded, HostChanged
from rebootmgr.core.facts import Look
from rebootmgr.core.memory import Hold, Memory
from rebootmgr.core.model import BootId, NoticeKind, Reason
from rebootmgr.core.policy import ClockRule
from rebootmgr.core.states import Committing, Rebooting
from tests.core.script import EPOCH, IMMEDIATE, NEW, OLD, Script, running
from tests.core.test_machine import SUNDAY

WINDOWED = replace(SUNDAY, clock=ClockRule.WINDOWS)
SUNDAY_1970 = datetime(1970, 1, 4, 1, tzinfo=UTC)
HOLD = Hold(id="1", owner="root", reason="visit", since=EPOCH, until=EPOCH + timedelta(days=365))


def set_clock(script: Script, wall: datetime) -> Script:
    """Somebody sets the clock; the uptime does not care."""
    script.booted_at += wall - script.at.wall
    return script.on(ClockJumped())


def test_a_machine_that_boots_in_1970_is_in_no_window_however_long_it_is_up() -> None:
    script = running(WINDOWED, began=SUNDAY_1970, seconds=30.0, synchronized=False, staged=NEW)
    assert script.settle().reasons == [Reason.CLOCK_UNSYNCHRONIZED]
    for _ in range(90):
        script.later(60.0).settle()
        assert script.reasons == [Reason.CLOCK_UNSYNCHRONIZED]
        assert not script.has(Reboot)
    assert script.seconds > 3600.0
    assert script.at.wall < BUILT


def test_once_the_clock_is_set_the_window_is_that_of_the_true_time() -> None:
    script = running(WINDOWED, began=SUNDAY_1970, seconds=30.0, synchronized=False, staged=NEW)
    script.settle()
    script.synchronized = True
    set_clock(script, EPOCH + timedelta(days=1))
    assert script.settle().reasons == [Reason.OUTSIDE_WINDOW]
    set_clock(script, EPOCH + timedelta(days=7)).later(60.0).settle()
    assert isinstance(script.state.attempt, Rebooting)


def test_an_hour_after_boot_a_clock_behind_the_last_thing_we_did_is_not_believed() -> None:
    memory = Memory(settled=BootId("b1"), booted=OLD, last_seen=EPOCH + timedelta(days=6))
    script = running(WINDOWED, memory=memory, synchronized=False, staged=NEW).settle()
    assert script.seconds >= 3600.0
    assert script.reasons == [Reason.CLOCK_UNSYNCHRONIZED]
    set_clock(script, EPOCH + timedelta(days=7))
    assert isinstance(script.state.attempt, Committing)
    status = describe(script.state, script.policy, script.at, since={}, pending_since=None)
    assert [notice.kind for notice in status.notices] == [NoticeKind.CLOCK_ASSUMED]


def test_a_hold_does_not_end_by_a_clock_that_runs_years_ahead() -> None:
    """The battery of the clock was changed, and nobody has set it yet."""
    script = running(IMMEDIATE, seconds=30.0, synchronized=False).on(HoldAdded(HOLD))
    set_clock(script, EPOCH + timedelta(days=20_000))
    script.staged = NEW
    script.on(HostChanged(Look.OS)).settle()
    assert script.reasons == [Reason.CLOCK_UNSYNCHRONIZED]
    assert script.state.memory.holds == (HOLD,)
    assert set_clock(script, EPOCH).settle().reasons == [Reason.HELD]


def test_a_hold_that_a_wrong_clock_began_is_ended_by_it() -> None:
    """Or an hour would last until the true time gets there."""
    script = running(IMMEDIATE, began=EPOCH + timedelta(days=30), synchronized=False)
    since = script.at.wall
    script.on(HoldAdded(replace(HOLD, since=since, until=since + timedelta(hours=1))))
    script.later(3600.0)
    assert script.state.memory.holds == ()


def test_a_hold_from_before_this_boot_is_not_ended_by_a_clock_that_was_wrong_all_along() -> None:
    memory = Memory(settled=BootId("b1"), booted=OLD, holds=(HOLD,))
    began = EPOCH + timedelta(days=20_000)
    script = running(IMMEDIATE, memory=memory, began=began, seconds=30.0, synchronized=False)
    script.staged = NEW
    script.on(HostChanged(Look.OS)).settle()
    assert script.reasons == [Reason.CLOCK_UNSYNCHRONIZED]
    assert set_clock(script, EPOCH).settle().reasons == [Reason.HELD]


def test_a_hold_that_is_over_while_nothing_is_pending_asks_nobody_for_the_time() -> None:
    script = running(IMMEDIATE).on(HoldAdded(HOLD))
    set_clock(script, EPOCH + timedelta(days=366))
    assert not script.has(ReadFacts)
    assert script.reasons == []


def test_where_no_clock_is_required_a_hold_ends_by_whatever_clock_there_is() -> None:
    never = replace(IMMEDIATE, clock=ClockRule.NEVER)
    script = running(never, synchronized=False).on(HoldAdded(HOLD))
    script.staged = NEW
    script.on(HostChanged(Look.OS)).settle()
    assert script.reasons == [Reason.HELD]
    set_clock(script, EPOCH + timedelta(days=366))
    assert isinstance(script.state.attempt, Committing)
    assert script.state.memory.holds == ()
