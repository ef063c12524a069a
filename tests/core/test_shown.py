"""What people are shown: predictions, gates, notices, and which alarms are set meanwhile."""

from dataclasses import replace
from datetime import timedelta

from rebootmgr.core.alarm import Deadline, deadline
from rebootmgr.core.effects import Release, RunHooks
from rebootmgr.core.events import (
    HoldAdded,
    HooksFailed,
    HooksUnclear,
    RebootAccepted,
    RebootAsked,
    ReleaseUnclear,
    ShutdownBegan,
)
from rebootmgr.core.facts import Logind
from rebootmgr.core.memory import Memory
from rebootmgr.core.model import BootId, NoticeKind, Phase, Reason
from rebootmgr.core.policy import ClockRule
from rebootmgr.core.status import GateState, StateName
from tests.core.script import (
    ALICE,
    BACKUP,
    EPOCH,
    FLEET,
    HOLD,
    IMMEDIATE,
    MONDAY,
    NEW,
    NEXT_SUNDAY,
    OLD,
    SLOT,
    SUNDAY,
    Script,
    asking,
    committing,
    past,
    rebooting,
    running,
    settled,
    shown,
    staged,
)

HOUR = timedelta(hours=1)


def gate(script: Script, reason: Reason) -> GateState:
    """What is shown of the gate that blocks with `reason`."""
    (found,) = [one.state for one in shown(script).gates if one.name is reason]
    return found


def alarm(script: Script) -> Deadline:
    return deadline(script.state, at=script.at, policy=script.policy)


# --- when it reboots ---------------------------------------------------------------------


def test_the_reboot_is_predicted_for_when_the_last_gate_opens() -> None:
    hold = replace(HOLD, until=NEXT_SUNDAY + HOUR)
    assert shown(staged(SUNDAY, began=MONDAY).on(HoldAdded(hold))).predicted == hold.until
    short = replace(HOLD, until=MONDAY + HOUR)
    assert shown(staged(SUNDAY, began=MONDAY).on(HoldAdded(short))).predicted == NEXT_SUNDAY


def test_a_hold_that_ends_between_windows_leads_to_the_next_window() -> None:
    until_tuesday = replace(HOLD, until=EPOCH + timedelta(days=2))
    assert shown(staged(SUNDAY).on(HoldAdded(until_tuesday))).predicted == NEXT_SUNDAY


def test_nobody_predicts_when_an_inhibitor_ends() -> None:
    script = staged(SUNDAY, began=MONDAY, logind=Logind(inhibitors=(BACKUP,)))
    assert script.reasons == [Reason.OUTSIDE_WINDOW, Reason.INHIBITED]
    assert shown(script).predicted is None


# --- gates -------------------------------------------------------------------------------


def test_a_costly_gate_that_nobody_asked_is_not_called_clear() -> None:
    script = staged(FLEET, hooks=frozenset({Phase.CHECK}), logind=Logind(inhibitors=(BACKUP,)))
    for reason in (Reason.CHECK_FAILED, Reason.LOCK_REFUSED):
        assert gate(script, reason) is GateState.NOT_EVALUATED
    assert gate(committing(), Reason.LOCK_REFUSED) is GateState.CLEAR
    assert gate(staged(), Reason.LOCK_REFUSED) is GateState.CLEAR, "no fleet, no gate"


def test_logins_are_not_called_clear_while_nothing_is_pending() -> None:
    """Nobody looks at them then."""
    script = running(logind=Logind(sessions=(ALICE,)))
    assert gate(script, Reason.USERS_LOGGED_IN) is GateState.NOT_EVALUATED
    assert gate(staged(), Reason.USERS_LOGGED_IN) is GateState.CLEAR


def test_a_call_is_told_from_a_host_that_goes_down() -> None:
    script = rebooting().on(RebootAccepted())
    assert shown(script).blockers[0].detail == "logind was asked to reboot"
    assert shown(script.on(ShutdownBegan())).blockers[0].detail == "the host goes down"


def test_a_hold_that_is_over_is_not_shown_whoever_still_remembers_it() -> None:
    """A clock that nobody vouches for ends none for good."""
    over = replace(HOLD, since=EPOCH - timedelta(days=9), until=EPOCH - HOUR)
    memory = Memory(settled=BootId("b1"), booted=OLD, holds=(over,))
    script = running(memory=memory, synchronized=False, seconds=60.0)
    assert script.state.memory.holds == (over,)
    assert shown(script).holds == ()


# --- notices -----------------------------------------------------------------------------


def test_a_slot_on_its_way_back_is_no_notice_until_that_fails() -> None:
    script = committing()
    script.staged = None
    script.look()
    assert shown(script).owed
    assert shown(script).notices == ()
    script.on(ReleaseUnclear(script.get(Release).ticket, SLOT, "HTTP 500"))
    assert [notice.kind for notice in shown(script).notices] == [NoticeKind.SLOT_NOT_RELEASED]


def test_a_waived_fit_is_no_notice_while_nothing_is_pending() -> None:
    memory, began = settled(*[past(20000.0)] * 3), EPOCH - timedelta(minutes=50)
    assert shown(running(SUNDAY, memory=memory, began=began)).notices == ()
    (notice,) = shown(staged(SUNDAY, memory=memory, began=began)).notices
    assert notice.kind is NoticeKind.FIT_WAIVED


# --- alarms ------------------------------------------------------------------------------


def test_windows_and_holds_wake_no_host_on_which_nothing_is_pending() -> None:
    script = running(SUNDAY).on(HoldAdded(replace(HOLD, until=EPOCH + HOUR)))
    assert alarm(script) == Deadline(None, None)


def test_while_the_fleet_thinks_nothing_rings_but_the_end_of_the_window() -> None:
    assert alarm(asking()) == Deadline(None, None)
    script = staged(replace(FLEET, calendar=SUNDAY.calendar, clock=SUNDAY.clock))
    assert alarm(script) == Deadline(EPOCH + 2 * HOUR, None)


def test_a_request_that_skips_windows_is_foretold_without_them() -> None:
    script = staged(SUNDAY, began=MONDAY, memory=settled(holds=())).on(
        HoldAdded(HOLD, for_s=600.0), RebootAsked("root", now=True, valid_s=3600.0)
    )
    assert shown(script).predicted == MONDAY + timedelta(minutes=10)


def test_a_request_that_ends_before_the_hold_does_is_foretold_for_the_next_window() -> None:
    script = staged(SUNDAY, began=MONDAY).on(
        HoldAdded(HOLD, for_s=7200.0), RebootAsked("root", now=True, valid_s=3600.0)
    )
    assert shown(script).predicted == NEXT_SUNDAY


def test_people_are_foretold_with_their_grace_and_a_last_minute_where_they_get_one() -> None:
    alone = Logind(sessions=(ALICE,))
    script = staged(logind=alone)
    assert shown(script).predicted == EPOCH + timedelta(minutes=10)
    script.on(HoldAdded(HOLD, for_s=7200.0))
    assert shown(script).predicted == EPOCH + timedelta(hours=2, minutes=1)


def test_nothing_is_foretold_while_undoing_in_post_boot_or_in_a_dry_run() -> None:
    drains = frozenset({Phase.PRE_REBOOT, Phase.ABANDONED})
    script = staged(hooks=drains)
    script.on(HooksFailed(script.get(RunHooks).ticket, "drain", "no"))
    assert shown(script).state is StateName.UNDOING
    assert shown(script).predicted is None
    script.on(HooksUnclear(script.get(RunHooks).ticket, "the runner is gone"))
    assert shown(script).state is StateName.UNDOING
    assert shown(script).predicted is None
    boot = running(memory=Memory(), staged=NEW, hooks=frozenset({Phase.POST_BOOT}))
    assert shown(boot).state is StateName.POST_BOOT
    assert shown(boot).predicted is None
    assert shown(staged(replace(IMMEDIATE, dry_run=True))).predicted is None


def test_a_clock_that_nobody_vouches_for_is_foretold_to_be_believed_after_an_hour() -> None:
    policy = replace(IMMEDIATE, clock=ClockRule.ALWAYS)
    script = staged(policy, seconds=600.0, synchronized=False).settle()
    assert shown(script).predicted == EPOCH + timedelta(minutes=50)
