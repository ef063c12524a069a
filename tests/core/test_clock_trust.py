"""A clock that nobody vouches for opens no window and ends no hold (SPEC 5)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from rebootmgr.core.clock import BUILT
from rebootmgr.core.effects import ReadFacts, Reboot
from rebootmgr.core.events import ClockJumped, HoldAdded, HoldReleased, HostChanged, RebootAsked
from rebootmgr.core.facts import Logind, Look
from rebootmgr.core.memory import Hold, Memory
from rebootmgr.core.model import BootId, NoticeKind, Reason
from rebootmgr.core.policy import ClockRule
from rebootmgr.core.states import Committing, Rebooting
from rebootmgr.core.window import Blackout, Calendar
from tests.core.script import (
    BACKUP,
    EPOCH,
    IMMEDIATE,
    LOGIND_CHANGED,
    MONDAY,
    NEW,
    OLD,
    SUNDAY,
    Script,
    past,
    running,
    settled,
    shown,
)

WINDOWED = replace(SUNDAY, clock=ClockRule.WINDOWS)
SUNDAY_1970 = datetime(1970, 1, 4, 1, tzinfo=UTC)
HOLD = Hold(id="1", owner="root", reason="visit", since=EPOCH, until=EPOCH + timedelta(days=365))


def up_again(memory: Memory, **host: object) -> Script:
    """In the next boot, with an update staged."""
    return running(IMMEDIATE, memory=memory, boot=BootId("b2"), staged=NEW, **host)


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
    memory = settled(last_seen=EPOCH + timedelta(days=6))
    script = running(WINDOWED, memory=memory, synchronized=False, staged=NEW).settle()
    assert script.seconds >= 3600.0
    assert script.reasons == [Reason.CLOCK_UNSYNCHRONIZED]
    set_clock(script, EPOCH + timedelta(days=7))
    assert isinstance(script.state.attempt, Committing)
    status = shown(script)
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


def test_a_hold_for_a_span_is_a_span_whatever_the_clock_is_set_to() -> None:
    for began in (SUNDAY_1970, EPOCH, EPOCH + timedelta(days=30)):
        script = running(IMMEDIATE, began=began, seconds=30.0, synchronized=False)
        script.staged = NEW
        script.on(HoldAdded(HOLD, for_s=3600.0), HostChanged(Look.OS)).settle()
        for wall in (EPOCH, EPOCH + timedelta(days=365), SUNDAY_1970):
            assert set_clock(script, wall).reasons == [Reason.HELD]
        script.later(3599.0)
        assert script.reasons == [Reason.HELD]
        assert script.later(1.0).state.memory.holds == ()


def test_a_hold_for_a_span_from_a_clock_of_1970_is_not_over_in_the_next_boot() -> None:
    script = running(IMMEDIATE, began=SUNDAY_1970, seconds=30.0, synchronized=False)
    memory = script.on(HoldAdded(HOLD, for_s=3600.0)).state.memory
    script = up_again(memory, seconds=30.0, synchronized=True)
    assert script.reasons == [Reason.HELD]
    script.later(3500.0)
    assert script.reasons == [Reason.HELD]
    assert script.later(100.0).state.memory.holds == ()


def test_a_hold_for_a_span_goes_on_in_the_next_boot_by_a_clock_that_may_decide() -> None:
    script = running(IMMEDIATE, synchronized=True)
    memory = script.on(HoldAdded(HOLD, for_s=7200.0)).settle().state.memory
    began = EPOCH + timedelta(seconds=7000)
    script = up_again(memory, began=began, seconds=60.0, synchronized=True)
    assert script.reasons == [Reason.HELD]
    assert script.later(200.0).settle().state.memory.holds == ()


def test_a_clock_that_was_a_year_ahead_makes_no_hold_for_an_hour_last_a_year() -> None:
    script = running(IMMEDIATE, began=EPOCH + timedelta(days=365), synchronized=False)
    memory = script.on(HoldAdded(HOLD, for_s=3600.0)).state.memory
    script = up_again(memory, seconds=60.0, synchronized=True)
    assert script.reasons == [Reason.HELD]
    assert script.later(3600.0).settle().state.memory.holds == ()


def test_what_is_left_of_a_hold_is_a_span_of_the_next_boot_whatever_its_clock_is_set_to() -> None:
    """A good clock has told once, as soon as it could: somebody sets it by hand, much later."""
    memory = running(synchronized=True).on(HoldAdded(HOLD, for_s=7200.0)).settle().state.memory
    began = EPOCH + timedelta(seconds=3600)
    script = up_again(memory, began=began, seconds=60.0, synchronized=False)
    script.synchronized = True
    script.on(ClockJumped()).settle()
    for wall in (EPOCH + timedelta(days=20), SUNDAY_1970):
        assert set_clock(script, wall).settle().reasons == [Reason.HELD]
    assert script.later(60.0 + 3600.0 - script.seconds - 1.0).reasons == [Reason.HELD]
    assert script.later(1.0).settle().state.memory.holds == ()


def set_by_hand(script: Script, fast_s: float) -> Script:
    """Somebody sets a clock that was synchronized: from then on the kernel says that it is not."""
    script.synchronized = False
    return set_clock(script, script.at.wall + timedelta(seconds=fast_s))


@pytest.mark.parametrize("fast_s", [-3600.0, 3600.0])
def test_who_sets_a_synchronized_clock_does_not_say_how_long_a_hold_lasts_after_the_boot(
    fast_s: float,
) -> None:
    before = running(synchronized=True).on(HoldAdded(replace(HOLD, id="0"), for_s=7200.0)).settle()
    set_by_hand(before, fast_s).on(HoldAdded(HOLD, for_s=7200.0)).settle()
    began = before.at.wall
    anew = Script(IMMEDIATE, before.state.memory, began=began, synchronized=False).settle()
    memory = set_clock(anew, began).state.memory  # another daemon, in the same boot
    began = EPOCH + timedelta(seconds=3600)
    script = up_again(memory, began=began, seconds=60.0, synchronized=True)
    assert script.later(3599.0).settle().reasons == [Reason.HELD]
    assert script.later(1.0).settle().state.memory.holds == ()


def test_whether_the_clock_is_synchronized_is_asked_again_if_it_was_set_meanwhile() -> None:
    """The answer was on its way, and is about what the clock said before."""
    script = running(IMMEDIATE).on(HoldAdded(HOLD, for_s=7200.0))
    assert script.looks_at() is Look.CLOCK
    set_by_hand(script, -3600.0)
    script.look(clock_synchronized=True)
    assert script.looks_at() is Look.CLOCK
    script.look()
    (hold,) = script.state.memory.holds
    assert hold.span is not None
    assert not hold.span.is_dated


def test_the_latest_time_is_not_what_a_synchronized_clock_was_set_to_by_hand() -> None:
    script = running(WINDOWED, synchronized=True).on(HoldAdded(HOLD, for_s=60.0)).settle()
    set_by_hand(script, 365 * 86400.0).on(HoldReleased(HOLD.id))
    assert script.state.memory.last_seen == EPOCH


def test_where_no_clock_is_required_a_hold_for_a_span_outlives_a_clock_that_was_wrong() -> None:
    """A real time clock runs a month ahead until the time servers are heard, seconds later."""
    never = replace(IMMEDIATE, clock=ClockRule.NEVER)
    memory = (
        running(never, synchronized=True).on(HoldAdded(HOLD, for_s=7200.0)).settle().state.memory
    )
    wrong = {"began": EPOCH + timedelta(days=30), "seconds": 30.0, "synchronized": False}
    script = running(never, memory=memory, boot=BootId("b2"), **wrong)
    script.synchronized = True
    set_clock(script, EPOCH + timedelta(seconds=3600)).settle()
    script.staged = NEW
    assert script.on(HostChanged(Look.OS)).settle().reasons == [Reason.HELD]


def test_a_hold_from_before_the_first_look_belongs_to_this_boot() -> None:
    """The daemon was started anew, long after boot."""
    script = Script(IMMEDIATE, settled(), staged=NEW).on(HoldAdded(HOLD, for_s=3600.0))
    assert script.settle().reasons == [Reason.HELD]
    again = Script(IMMEDIATE, script.state.memory, staged=NEW)
    assert again.settle().reasons == [Reason.HELD]
    assert again.later(3600.0).state.memory.holds == ()


def test_reboot_now_passes_no_hold_and_no_freeze_by_a_clock_that_may_be_wrong() -> None:
    freeze = Blackout(name="audit", start=EPOCH, end=EPOCH + timedelta(days=1), zone=UTC)
    frozen = replace(IMMEDIATE, calendar=Calendar(blackouts=(freeze,)))
    began = EPOCH + timedelta(days=20_000)
    for policy, holds in ((IMMEDIATE, (HOLD,)), (frozen, ())):
        host = {"memory": settled(holds=holds), "staged": NEW, "synchronized": False}
        script = running(policy, began=began, seconds=30.0, **host)
        script.on(RebootAsked("root", now=True, valid_s=3600.0)).settle()
        assert script.reasons == [Reason.CLOCK_UNSYNCHRONIZED]


def test_a_request_that_has_expired_does_not_come_back_when_the_clock_is_set() -> None:
    script = running(SUNDAY, began=MONDAY, staged=NEW).settle()
    script.logind = Logind(inhibitors=(BACKUP,))
    script.on(LOGIND_CHANGED, RebootAsked("root", now=True, valid_s=60.0)).settle()
    assert script.reasons == [Reason.INHIBITED]
    script.logind = Logind()
    script.later(61.0).on(LOGIND_CHANGED).settle()
    assert script.reasons == [Reason.OUTSIDE_WINDOW]
    assert set_clock(script, MONDAY).settle().reasons == [Reason.OUTSIDE_WINDOW]


def test_a_request_lasts_as_long_as_was_said_however_the_clock_is_set() -> None:
    script = running(SUNDAY, began=MONDAY, staged=NEW, logind=Logind(inhibitors=(BACKUP,)))
    script.settle().on(RebootAsked("root", now=True, valid_s=60.0)).settle()
    assert set_clock(script, MONDAY + timedelta(days=1)).settle().reasons == [Reason.INHIBITED]


def test_a_clock_that_nobody_vouches_for_poisons_no_later_boot() -> None:
    script = running(WINDOWED, began=EPOCH + timedelta(days=365), seconds=30.0, synchronized=False)
    memory = script.on(HoldAdded(HOLD), HoldReleased(HOLD.id)).state.memory
    after = Script(WINDOWED, memory, staged=NEW, synchronized=False).settle()
    assert isinstance(after.state.attempt, Rebooting)


def test_a_clock_that_is_behind_what_is_remembered_says_so_and_until_when() -> None:
    memory = settled(last_seen=EPOCH + timedelta(days=6))
    script = running(WINDOWED, memory=memory, synchronized=False, staged=NEW).settle()
    (blocker,) = shown(script).blockers
    assert "2030-01-12 01:00" in blocker.detail
    assert blocker.until == EPOCH + timedelta(days=6)


def test_after_a_soft_reboot_a_good_clock_does_not_empty_the_budget() -> None:
    """The kernel is up for a month; userspace has been started anew by our own reboots."""
    month = 30 * 86400.0
    made = tuple(replace(past(), at=EPOCH + timedelta(hours=n)) for n in (1, 2))
    memory = Memory(settled=BootId("b1:2"), booted=OLD, reboots=made)
    policy = replace(IMMEDIATE, reboots_per_day=2)
    script = running(policy, memory=memory, boot=BootId("b1:2"), seconds=month, staged=NEW)
    assert script.settle().reasons == [Reason.REBOOT_BUDGET]
    script.synchronized = True
    assert script.later(60.0).settle().reasons == [Reason.REBOOT_BUDGET]


def test_a_hold_from_before_this_boot_is_not_ended_by_a_clock_that_was_wrong_all_along() -> None:
    memory = settled(holds=(HOLD,))
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


def test_once_a_good_clock_has_spoken_the_years_that_a_wrong_one_saw_are_forgotten() -> None:
    """Or no clock without NTP would ever be believed again on this host."""
    ahead = settled(last_seen=EPOCH + timedelta(days=2000))
    script = running(WINDOWED, memory=ahead, synchronized=True).on(HoldAdded(HOLD))
    script.on(HoldReleased(HOLD.id))
    memory = script.state.memory
    after = Script(WINDOWED, memory, staged=NEW, synchronized=False).settle()
    assert isinstance(after.state.attempt, Rebooting)


def test_a_clock_that_nobody_vouches_for_never_turns_the_latest_time_back() -> None:
    seen = settled(last_seen=EPOCH + timedelta(days=6))
    memory = running(WINDOWED, memory=seen, synchronized=False).on(HoldAdded(HOLD)).state.memory
    after = Script(WINDOWED, memory, staged=NEW, synchronized=False).settle()
    after.on(HoldReleased(HOLD.id))
    assert after.reasons == [Reason.CLOCK_UNSYNCHRONIZED]


def test_a_freeze_that_a_wrong_clock_has_not_reached_asks_for_a_good_one() -> None:
    """It may hold now, by the true time."""
    begins = EPOCH + timedelta(days=30)
    freeze = Blackout(name="audit", start=begins, end=begins + timedelta(days=1), zone=UTC)
    policy = replace(IMMEDIATE, calendar=Calendar(blackouts=(freeze,)))
    script = running(policy, synchronized=False, seconds=30.0, staged=NEW).settle()
    assert script.reasons == [Reason.CLOCK_UNSYNCHRONIZED]
    set_clock(script, begins).settle()
    assert script.reasons == [Reason.BLACKOUT]


def test_until_when_the_clock_is_doubted_is_said() -> None:
    script = running(WINDOWED, synchronized=False, seconds=100.0, staged=NEW).settle()
    status = shown(script)
    (blocker,) = status.blockers
    assert blocker.reason is Reason.CLOCK_UNSYNCHRONIZED
    assert blocker.until == EPOCH + timedelta(seconds=3500)
