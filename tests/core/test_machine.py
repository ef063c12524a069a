"""Stories: what a host tells, and what follows."""

from dataclasses import replace
from datetime import timedelta

import pytest

from rebootmgr.core.alarm import Deadline, deadline, is_at_rest
from rebootmgr.core.describe import blockers
from rebootmgr.core.effects import (
    Acquire,
    CancelRequest,
    ReadFacts,
    Reboot,
    Release,
    RunHooks,
    SaveMemory,
    StopHooks,
    Warn,
)
from rebootmgr.core.events import (
    Cancelled,
    FactsRead,
    Forgiven,
    HoldAdded,
    HoldReleased,
    HooksFailed,
    HooksPassed,
    HooksUnclear,
    HostChanged,
    LockGranted,
    LockRefused,
    LockReserved,
    LockUnclear,
    PolicyLoaded,
    RebootAccepted,
    RebootAsked,
    RebootRefused,
    RebootUnclear,
    ReleaseUnclear,
    Saved,
    SaveFailed,
    ShutdownBegan,
    SlotReleased,
    StopAsked,
)
from rebootmgr.core.facts import Logind, LogindUnreachable, Look, OsUnknown
from rebootmgr.core.memory import Debt, Intent, Memory, Quarantine, Unreadable
from rebootmgr.core.model import BootId, DeploymentId, NoticeKind, Outcome, Phase, Reason, Slot
from rebootmgr.core.policy import ClockRule, Respect, Strategy
from rebootmgr.core.states import (
    Asking,
    Committing,
    Idle,
    Ours,
    PostBoot,
    Preparing,
    Rebooting,
    Undoing,
    Waiting,
)
from rebootmgr.core.status import Verdict
from tests.core.script import (
    ALICE,
    BACKUP,
    BOB,
    EPOCH,
    FLEET,
    HOLD,
    IMMEDIATE,
    LOGIND_CHANGED,
    MONDAY,
    NEW,
    NEWER,
    NEXT_SUNDAY,
    OLD,
    OS_CHANGED,
    SLOT,
    SUNDAY,
    UP_S,
    Script,
    asking,
    committing,
    next_boot,
    past,
    rebooting,
    running,
    settled,
    shown,
    staged,
)
from tests.core.world import ALL_HOOKS, SUNDAYS


def test_an_idle_host_waits_for_nothing_but_news() -> None:
    script = running()
    assert script.state.attempt == Idle()
    assert deadline(script.state, at=script.at, policy=script.policy) == Deadline(None, None)


def test_a_staged_update_is_rebooted_into_after_a_second_look() -> None:
    script = staged()
    assert script.state.attempt == Committing(NEW, UP_S + 60.0)
    assert [type(effect) for effect in script.effects] == [SaveMemory, ReadFacts]
    assert script.look().get(Reboot).target == NEW
    assert shown(script).verdict is Verdict.REBOOT


def test_a_look_from_before_the_commit_does_not_answer_for_it() -> None:
    """The first look after a restart finds everything clear: that is not the last look."""
    script = Script(memory=Memory(settled=BootId("b1")), staged=NEW).look()
    assert isinstance(script.state.attempt, Committing)
    assert not script.has(Reboot)


def test_a_change_during_the_last_look_makes_it_look_again() -> None:
    script = staged()
    script.on(LOGIND_CHANGED).look()
    assert not script.has(Reboot)
    assert script.looks_at() == Look.HOST
    assert script.look().has(Reboot)


def test_an_inhibitor_that_appears_at_the_commit_stops_it() -> None:
    script = staged()
    script.logind = Logind(inhibitors=(BACKUP,))
    script.look()
    assert not script.has(Reboot)
    assert script.reasons == [Reason.INHIBITED]
    assert script.get(SaveMemory).memory.intent is None
    script.logind = Logind()
    assert isinstance(script.on(LOGIND_CHANGED).look().state.attempt, Committing)


def test_somebodys_inhibitor_counts_only_as_far_as_it_is_respected() -> None:
    users = Logind(inhibitors=(replace(BACKUP, uid=1000),), may_override=True)
    lenient = replace(IMMEDIATE, respect=Respect.ROOT)
    assert staged(IMMEDIATE, logind=users).reasons == [Reason.INHIBITED]
    script = staged(lenient, logind=users).look()
    assert script.get(Reboot).overrides
    script = staged(lenient).look()
    assert not script.get(Reboot).overrides


def test_who_does_not_count_counts_all_the_same_where_logind_lets_us_not_past_him() -> None:
    users = Logind(inhibitors=(replace(BACKUP, uid=1000),), may_override=False)
    script = staged(replace(IMMEDIATE, respect=Respect.NOBODY), logind=users)
    [blocker] = blockers(script.state, script.policy, script.at)
    assert blocker.reason is Reason.INHIBITED
    assert "reboot-ignore-inhibit" in blocker.detail
    script.logind = replace(users, may_override=True)
    assert script.on(LOGIND_CHANGED).look().look().get(Reboot).overrides


def test_a_retarget_at_the_commit_never_reboots_on_the_old_gates() -> None:
    script = staged()
    script.staged = NEWER
    script.look()
    assert not script.has(Reboot)
    assert script.look().get(Reboot).target == NEWER


def test_a_silent_rpm_ostree_keeps_the_last_known_state_and_never_reboots_on_it() -> None:
    script = staged()
    script.look(os=OsUnknown("no answer"))
    assert script.reasons == [Reason.STATE_UNKNOWN]
    assert isinstance(script.state.attempt, Waiting)
    script.sleep()
    assert script.looks_at() == Look.HOST


def test_a_withdrawn_update_ends_the_attempt() -> None:
    script = staged()
    script.staged = None
    assert script.look().state.attempt == Idle()


# --- the fleet ---------------------------------------------------------------------------


def test_the_slot_is_on_record_before_the_question_is_sent() -> None:
    script = asking()
    assert [type(effect) for effect in script.effects] == [SaveMemory, Acquire]
    assert script.get(SaveMemory).memory.debts == (Debt(slot=SLOT, unanswered=True),)


def test_every_gate_is_read_again_between_the_grant_and_the_reboot() -> None:
    script = committing()
    assert script.looks_at() == Look.HOST
    assert not script.has(Reboot)
    assert script.look().has(Reboot)


def test_the_fleet_is_not_asked_while_a_local_gate_is_closed() -> None:
    script = staged(FLEET, logind=Logind(inhibitors=(BACKUP,)))
    assert not script.has(Acquire)
    assert script.reasons == [Reason.INHIBITED]


def test_a_refusal_backs_off_and_stays_shown_while_asking_again() -> None:
    script = asking()
    script.on(LockRefused(script.get(Acquire).ticket, SLOT, "423 lock_held: by other"))
    assert script.reasons == [Reason.LOCK_REFUSED]
    assert script.get(SaveMemory).memory.debts == ()
    script.sleep()
    assert script.has(Acquire)
    assert script.reasons == [Reason.LOCK_REFUSED]


def test_a_refusal_is_forgotten_when_its_time_is_over_and_something_else_is_in_the_way() -> None:
    script = asking()
    script.on(LockRefused(script.get(Acquire).ticket, SLOT, "423 lock_held: by other"))
    script.logind = Logind(inhibitors=(BACKUP,))
    script.on(LOGIND_CHANGED).look()
    assert script.reasons == [Reason.INHIBITED, Reason.LOCK_REFUSED]
    script.sleep()
    assert not script.has(Acquire)
    assert script.reasons == [Reason.INHIBITED]


def test_the_servers_retry_after_is_honoured_up_to_an_hour() -> None:
    script = asking()
    refused = LockRefused(script.get(Acquire).ticket, SLOT, "429", retry_after_s=86400.0)
    script.on(refused).later(3599.0)
    assert not script.has(Acquire)
    assert script.later(901.0).has(Acquire)


def test_a_reserved_slot_is_kept_and_asked_for_again_within_half_a_minute() -> None:
    script = asking()
    script.on(LockReserved(script.get(Acquire).ticket, SLOT, "draining"))
    assert script.reasons == [Reason.LOCK_DRAINING]
    assert not script.has(Release)
    script.later(9.9)
    assert not script.has(Acquire)
    assert script.later(20.2).has(Acquire)


def test_an_unclear_answer_leaves_the_slot_presumed_ours() -> None:
    script = asking()
    script.on(LockUnclear(script.get(Acquire).ticket, SLOT, "no route", answered=False))
    assert script.reasons == [Reason.LOCK_UNREACHABLE]
    assert shown(script).lock_presumed
    assert not shown(script).lock_held
    script.logind = Logind(inhibitors=(BACKUP,))
    assert script.on(LOGIND_CHANGED).look().has(Release)


@pytest.mark.parametrize(
    ("refused", "reason"), [(True, Reason.LOCK_REFUSED), (False, Reason.LOCK_FAILING)]
)
def test_trouble_of_the_server_is_told_from_a_refusal_in_other_words(
    *, refused: bool, reason: Reason
) -> None:
    script = asking()
    ticket = script.get(Acquire).ticket
    script.on(LockUnclear(ticket, SLOT, "HTTP 500", answered=True, refused=refused))
    assert script.reasons == [reason]
    script.logind = Logind(inhibitors=(BACKUP,))
    assert script.on(LOGIND_CHANGED).look().has(Release), "whose the slot is, no word says"


def test_an_inhibitor_that_appears_while_asking_takes_the_question_back() -> None:
    script = asking()
    ticket = script.get(Acquire).ticket
    script.logind = Logind(inhibitors=(BACKUP,))
    script.on(LOGIND_CHANGED).look()
    assert script.get(CancelRequest).ticket == ticket
    assert not script.has(Release), "one request for one slot at a time"
    script.on(LockUnclear(ticket, SLOT, "taken back", answered=False))
    assert script.has(Release)


def test_a_release_after_an_unanswered_question_is_sent_once_more() -> None:
    script = asking()
    ticket = script.get(Acquire).ticket
    script.staged = None
    script.on(OS_CHANGED).look().on(LockUnclear(ticket, SLOT, "", answered=False))
    script.on(SlotReleased(script.get(Release).ticket, SLOT))
    assert shown(script).owed
    script.later(301.0)
    script.on(SlotReleased(script.get(Release).ticket, SLOT))
    assert not shown(script).owed
    assert script.get(SaveMemory).memory.debts == ()


def test_a_refusal_does_not_forget_an_older_question_that_may_yet_be_granted() -> None:
    """Found by the world model: the late grant came after the later question was refused."""
    script = asking()
    script.on(LockUnclear(script.get(Acquire).ticket, SLOT, "", answered=False)).sleep()
    script.on(LockRefused(script.get(Acquire).ticket, SLOT, "409"))
    assert script.state.memory.debts == (Debt(slot=SLOT, unanswered=True),)


def test_a_server_that_takes_no_release_stops_nothing_at_another() -> None:
    script = committing()
    script.staged = None
    script.look()
    script.on(ReleaseUnclear(script.get(Release).ticket, SLOT, "500"))
    assert [notice.kind for notice in shown(script).notices] == [NoticeKind.SLOT_NOT_RELEASED]
    other = Slot("https://other.example/", "default", "me")
    script.under(slot=other).on(PolicyLoaded())
    script.staged = NEW
    assert script.on(OS_CHANGED).look().get(Acquire).slot == other


def test_a_change_of_server_tells_the_old_one_once_the_new_one_has_refused() -> None:
    """They may be one server: so nothing goes back while it is asked, or has lent us the slot."""
    script = committing()
    other = Slot("https://other.example/", "default", "me")
    script.under(slot=other).on(PolicyLoaded())
    asked = script.get(Acquire)
    assert asked.slot == other
    assert not script.has(Release)
    script.on(LockRefused(asked.ticket, other, "busy")).settle()
    assert script.get(Release).slot == SLOT


def test_a_server_with_a_new_name_keeps_lending_what_is_in_use() -> None:
    script = committing()
    other = Slot("https://other.example/", "default", "me")
    script.under(slot=other).on(PolicyLoaded())
    script.on(LockGranted(script.get(Acquire).ticket, other)).look()
    assert isinstance(script.state.attempt, Rebooting)
    script.on(RebootAccepted(), ShutdownBegan(), OS_CHANGED)
    script.later(300.0)
    assert not script.has(Release)


def test_a_server_with_a_new_name_keeps_lending_while_the_host_prepares() -> None:
    script = staged(FLEET, hooks=frozenset({Phase.PRE_REBOOT})).granted()
    other = Slot("https://other.example/", "default", "me")
    script.under(slot=other).on(PolicyLoaded())
    script.on(HooksPassed(script.get(RunHooks).ticket))  # what was drained is undone
    script.on(LockGranted(script.get(Acquire).ticket, other))
    assert isinstance(script.state.attempt, Preparing)
    assert [entry.slot for entry in script.state.ledger] == [SLOT, other]
    assert not script.has(Release)
    assert not script.later(300.0).has(Release)


def test_the_next_question_waits_for_a_release_to_the_same_server_by_another_name() -> None:
    script = committing()
    other = Slot("https://other.example/", "default", "me")
    script.under(slot=other).on(PolicyLoaded())
    script.on(LockRefused(script.get(Acquire).ticket, other, "busy")).settle()
    release = script.get(Release)
    assert not script.later(20.0).has(Acquire)
    assert script.on(SlotReleased(release.ticket, SLOT)).get(Acquire).slot == other


def test_a_new_strategy_gives_a_granted_slot_back() -> None:
    script = committing()
    script.under(slot=None, strategies=frozenset({Strategy.OFF})).on(PolicyLoaded())
    assert script.look().get(Release).slot == SLOT
    assert script.reasons == [Reason.DISABLED]


def test_a_newer_update_keeps_the_place_in_the_queue() -> None:
    script = asking()
    ticket = script.get(Acquire).ticket
    script.staged = NEWER
    script.on(OS_CHANGED).look()
    assert script.state.attempt == Asking(NEWER, ticket)
    script.on(LockGranted(ticket, SLOT))
    assert script.look().get(Reboot).target == NEWER


def test_a_slot_from_before_the_restart_is_given_back_once_the_boot_is_settled() -> None:
    memory = Memory(debts=(Debt(slot=SLOT),))
    script = Script(FLEET, memory, boot_incomplete="waiting for boot-complete.target").look()
    assert not script.has(Release)
    assert script.reasons == [Reason.BOOT_NOT_COMPLETE]
    script.boot_incomplete = ""
    assert script.on(HostChanged(Look.BOOT)).look().has(Release)


def test_sigterm_while_asking_takes_the_question_back_and_releases_once() -> None:
    script = asking()
    ticket = script.get(Acquire).ticket
    script.on(StopAsked())
    assert not is_at_rest(script.state)
    script.on(LockUnclear(ticket, SLOT, "taken back", answered=False))
    assert not is_at_rest(script.state)
    script.on(ReleaseUnclear(script.get(Release).ticket, SLOT, "500"))
    assert is_at_rest(script.state)


# --- windows, holds, budget --------------------------------------------------------------


def test_a_window_that_closed_while_the_fleet_thought_costs_the_slot_not_the_promise() -> None:
    script = staged(replace(FLEET, calendar=SUNDAYS, clock=ClockRule.NEVER))
    ticket = script.get(Acquire).ticket
    script.seconds += 7200.0  # the window ends, and no tick has come yet
    script.on(LockGranted(ticket, SLOT))
    assert script.reasons == [Reason.OUTSIDE_WINDOW]
    assert not script.has(Reboot)
    assert script.has(Release) or script.look().has(Release)


def test_a_closed_window_is_waited_for_by_the_wall_clock() -> None:
    script = staged(SUNDAY, began=MONDAY)
    assert script.reasons == [Reason.OUTSIDE_WINDOW]
    opens = NEXT_SUNDAY
    assert deadline(script.state, at=script.at, policy=SUNDAY) == Deadline(opens, None)
    assert shown(script).predicted == opens
    assert isinstance(script.sleep().state.attempt, Committing)


def test_the_clock_is_asked_only_when_it_is_the_last_gate_and_once_a_minute() -> None:
    script = staged(replace(SUNDAY, clock=ClockRule.WINDOWS), seconds=100.0)
    assert script.reasons == [Reason.CLOCK_UNSYNCHRONIZED]
    assert script.looks_at() == Look.CLOCK
    script.synchronized = False
    script.look().later(59.0)
    assert not script.has(ReadFacts)
    script.synchronized = True
    script.sleep()
    assert script.seconds == 160.0
    assert isinstance(script.look().state.attempt, Committing)


def test_an_hour_after_boot_a_clock_that_is_not_behind_is_believed() -> None:
    script = staged(replace(SUNDAY, clock=ClockRule.WINDOWS), seconds=3599.0)
    script.synchronized = False
    assert script.look().reasons == [Reason.CLOCK_UNSYNCHRONIZED]
    script.later(1.0)
    assert [notice.kind for notice in shown(script).notices] == [NoticeKind.CLOCK_ASSUMED]
    assert isinstance(script.state.attempt, Committing)


def test_a_closed_window_is_no_news_while_nothing_is_pending() -> None:
    script = running(SUNDAY, began=MONDAY)
    assert script.reasons == []
    assert shown(script).sentence == "Idle: nothing pending."


def test_an_hour_after_boot_the_clock_is_still_asked_before_it_is_believed() -> None:
    script = staged(replace(SUNDAY, clock=ClockRule.WINDOWS))
    assert script.looks_at() == Look.CLOCK
    script.synchronized = True
    assert isinstance(script.look().state.attempt, Committing)
    assert shown(script).notices == ()


def test_what_this_host_cannot_finish_inside_the_window_is_not_begun() -> None:
    """Sundays 0:00 to 3:00, and it is 1:00: two hours are left, reboots take two and a half."""
    slow = settled(*[past(9000.0)] * 3)
    script = staged(SUNDAY, memory=slow)
    assert script.reasons == [Reason.WINDOW_TOO_SHORT]
    assert shown(script).blockers[0].until == NEXT_SUNDAY
    few = replace(slow, reboots=slow.reboots[:2])
    assert isinstance(staged(SUNDAY, memory=few).state.attempt, Committing)


def test_a_host_slower_than_every_window_may_still_begin_at_its_start() -> None:
    slow = settled(*[past(20000.0)] * 3)
    script = staged(SUNDAY, memory=slow, began=EPOCH - timedelta(hours=1))
    assert isinstance(script.state.attempt, Committing)


def test_a_host_as_slow_as_its_longest_window_need_not_begin_in_its_first_instant() -> None:
    """What takes longer than the window is taken to fill it, and no wake-up is that punctual."""
    slow = settled(*[past(20000.0)] * 3)
    script = staged(SUNDAY, memory=slow, began=EPOCH - timedelta(minutes=50))
    assert isinstance(script.state.attempt, Committing)
    assert [notice.kind for notice in shown(script).notices] == [NoticeKind.FIT_WAIVED]
    late = staged(SUNDAY, memory=slow, began=EPOCH + timedelta(minutes=31))
    assert late.reasons == [Reason.WINDOW_TOO_SHORT]


def test_a_clock_that_says_less_than_it_once_did_decides_nothing() -> None:
    """It could not tell how many reboots the last 24 hours saw."""
    seen = settled(last_seen=EPOCH + timedelta(days=1))
    script = staged(memory=seen)
    assert script.reasons == [Reason.CLOCK_UNSYNCHRONIZED]
    assert script.looks_at() == Look.CLOCK
    script.synchronized = True
    assert isinstance(script.look().state.attempt, Committing)


def test_reboots_dated_in_the_future_count_until_a_good_clock_dates_them_anew() -> None:
    """Made while the clock was years ahead: they happened before this boot, nobody knows when."""
    ahead = replace(past(60.0), at=EPOCH + timedelta(days=2000))
    seen = settled(reboots=(ahead,), last_seen=ahead.at)
    script = staged(replace(IMMEDIATE, reboots_per_day=1), memory=seen)
    assert script.reasons == [Reason.REBOOT_BUDGET]
    assert script.looks_at() == Look.CLOCK
    script.synchronized = True
    booted = EPOCH - timedelta(seconds=UP_S)
    assert script.look().get(SaveMemory).memory.reboots[0].at == booted
    assert script.reasons == [Reason.REBOOT_BUDGET]
    assert isinstance(script.sleep().state.attempt, Committing)
    assert script.at.wall == booted + timedelta(days=1)


def test_a_restart_does_not_wait_for_a_shutdown_that_was_called_off_during_its_look() -> None:
    memory = settled(intent=some_intent())
    script = Script(memory=memory, staged=NEW, logind=Logind(preparing=True))
    assert script.state.looking is not None
    stale = FactsRead(script.state.looking.ticket, script.facts)
    script.logind = Logind()
    script.on(LOGIND_CHANGED, RebootRefused("called off"), stale)
    assert not isinstance(script.state.attempt, Rebooting)
    assert script.settle().has(Reboot)


def test_as_many_reboots_are_remembered_as_the_budget_allows() -> None:
    many = (past(60.0),) * 60
    intent = replace(some_intent(), shutdown_seen=True)
    memory = Memory(booted=OLD, reboots=many, intent=intent)
    assert len(Script(memory=memory, boot=BootId("b2")).settle().state.memory.reboots) == 50
    policy = replace(IMMEDIATE, reboots_per_day=60)
    script = Script(policy=policy, memory=memory, boot=BootId("b2")).settle()
    assert len(script.state.memory.reboots) == 60


def some_intent() -> Intent:
    return Intent(
        target=NEW.id,
        key=NEW.key,
        version=NEW.version,
        booted=OLD.id,
        boot=BootId("b1"),
        at=EPOCH,
        mono=0.0,
    )


def test_an_update_that_comes_up_healthy_by_other_means_is_no_longer_held_against() -> None:
    """Its own hooks had failed, and it was left running: the next boot may show it to be good."""
    mark = Quarantine(key=NEW.key, why="2 failed", since=EPOCH)
    bad = Memory(booted=NEW, quarantine=(mark,), attempts=((NEW.key, 2),))
    script = Script(memory=bad, boot=BootId("b2"), booted=NEW, hooks=frozenset({Phase.POST_BOOT}))
    ticket = script.settle().get(RunHooks).ticket
    failed = script.on(HooksFailed(ticket, "10-app", "no")).state.memory
    assert failed.quarantine == (mark,)
    again = Script(memory=failed, boot=BootId("b3"), booted=NEW).settle()
    assert (again.state.memory.quarantine, again.state.memory.attempts) == ((), ())


def test_hooks_that_appear_during_the_last_look_are_not_skipped() -> None:
    script = staged()
    script.hooks = frozenset({Phase.CHECK})
    script.look()
    assert not script.has(Reboot)
    assert script.get(RunHooks).phase is Phase.CHECK


def test_a_hold_stops_an_attempt_and_its_release_lets_it_go_on() -> None:
    script = committing().on(HoldAdded(HOLD))
    assert script.reasons == [Reason.HELD]
    assert script.look().has(Release)
    script.on(SlotReleased(script.get(Release).ticket, SLOT), HoldReleased("1"))
    assert script.has(Acquire)


def test_a_hold_ends_by_itself() -> None:
    script = running()
    script.on(HoldAdded(replace(HOLD, until=EPOCH + timedelta(hours=1))))
    script.staged = NEW
    script.on(OS_CHANGED).look()
    assert script.reasons == [Reason.HELD]
    script.sleep()
    assert isinstance(script.state.attempt, Committing)
    assert script.state.memory.holds == ()


def test_cancel_withdraws_the_attempt_and_holds() -> None:
    script = committing().on(Cancelled(HOLD))
    assert script.reasons == [Reason.HELD]
    assert script.look().has(Release)


def test_a_reboot_that_was_asked_for_works_under_strategy_off() -> None:
    script = staged(replace(IMMEDIATE, strategies=frozenset({Strategy.OFF})))
    assert script.reasons == [Reason.DISABLED]
    script.on(RebootAsked("root", now=False, valid_s=3600.0))
    assert isinstance(script.state.attempt, Committing)


def test_reboot_now_skips_the_window_but_no_inhibitor() -> None:
    script = staged(SUNDAY, began=MONDAY, logind=Logind(inhibitors=(BACKUP,)))
    script.on(RebootAsked("root", now=True, valid_s=3600.0))
    assert script.reasons == [Reason.INHIBITED]


def test_reboot_now_skips_the_clock_whatever_the_rule() -> None:
    script = staged(replace(IMMEDIATE, clock=ClockRule.ALWAYS), synchronized=False, seconds=100.0)
    assert script.look().reasons == [Reason.CLOCK_UNSYNCHRONIZED]
    script.on(RebootAsked("root", now=True, valid_s=3600.0))
    assert isinstance(script.state.attempt, Committing)


# --- people ------------------------------------------------------------------------------


def test_people_get_their_grace_once_and_a_reminder() -> None:
    script = staged(logind=Logind(sessions=(ALICE,)))
    assert script.reasons == [Reason.USERS_LOGGED_IN]
    assert script.get(Warn).in_s == 600.0
    script.sleep()
    assert (script.get(Warn).sessions, script.get(Warn).in_s) == ((ALICE,), 60.0)
    script.sleep()
    assert isinstance(script.state.attempt, Committing)
    assert script.look().has(Reboot)


def test_a_new_login_is_warned_of_what_is_left_and_extends_nothing() -> None:
    script = staged(logind=Logind(sessions=(ALICE,)))
    script.later(300.0)
    script.logind = Logind(sessions=(ALICE, BOB))
    script.on(LOGIND_CHANGED).look()
    assert (script.get(Warn).sessions, script.get(Warn).in_s) == ((BOB,), 300.0)
    assert isinstance(script.later(300.0).state.attempt, Committing)


def test_everybody_gone_means_at_once() -> None:
    script = staged(logind=Logind(sessions=(ALICE,)))
    script.logind = Logind()
    assert isinstance(script.on(LOGIND_CHANGED).look().state.attempt, Committing)


def test_the_grace_does_not_run_while_something_else_is_in_the_way() -> None:
    script = staged(logind=Logind(sessions=(ALICE,), inhibitors=(BACKUP,)))
    assert not script.has(Warn)
    script.logind = Logind(sessions=(ALICE,))
    assert script.later(900.0).on(LOGIND_CHANGED).look().get(Warn).in_s == 600.0


def test_who_logs_in_after_the_grant_gets_one_last_minute_with_the_slot_kept() -> None:
    script = committing()
    script.logind = Logind(sessions=(ALICE,))
    script.look()
    assert script.get(Warn).in_s == 60.0
    assert script.reasons == [Reason.USERS_LOGGED_IN]
    assert not script.has(Release)
    script.sleep()
    assert script.look().has(Reboot)


def test_the_last_minute_is_given_once_whoever_comes_during_it() -> None:
    script = committing()
    script.logind = Logind(sessions=(ALICE,))
    script.look().later(30.0)
    script.logind = Logind(sessions=(ALICE, BOB))
    script.on(LOGIND_CHANGED).look()
    assert (script.get(Warn).sessions, script.get(Warn).in_s) == ((BOB,), 30.0)
    script.sleep()
    assert script.seconds == Script().seconds + 60.0
    assert script.look().has(Reboot)


# --- hooks -------------------------------------------------------------------------------


def test_checks_run_before_the_fleet_is_asked_and_again_after_the_drain() -> None:
    script = staged(FLEET, hooks=ALL_HOOKS)
    assert script.get(RunHooks).phase is Phase.CHECK
    script.passed()
    script.granted()
    assert script.get(RunHooks).phase is Phase.PRE_REBOOT
    assert script.get(SaveMemory).memory.drained
    script.passed()
    assert script.get(RunHooks).phase is Phase.CHECK
    script.passed()
    assert script.look().has(Reboot)


def test_a_failed_check_is_shown_and_tried_again() -> None:
    script = staged(hooks=ALL_HOOKS)
    script.on(HooksFailed(script.get(RunHooks).ticket, "10-raid", "rebuilding"))
    assert script.reasons == [Reason.CHECK_FAILED]
    assert shown(script).blockers[0].detail == "10-raid: rebuilding"
    assert script.sleep().get(RunHooks).phase is Phase.CHECK


def test_a_drain_is_undone_before_the_slot_goes_back() -> None:
    script = staged(FLEET, hooks=ALL_HOOKS)
    script.passed()
    script.granted()
    drain = script.get(RunHooks).ticket
    script.on(HooksFailed(drain, "50-drain", "pods are stuck"))
    assert script.get(RunHooks).phase is Phase.ABANDONED
    assert not script.has(Release)
    script.passed()
    assert script.has(Release)
    assert not script.state.memory.drained
    assert script.reasons == [Reason.HOOK_FAILED]


def test_hooks_are_stopped_when_something_comes_in_the_way() -> None:
    script = staged(hooks=ALL_HOOKS)
    ticket = script.get(RunHooks).ticket
    script.logind = Logind(inhibitors=(BACKUP,))
    script.on(LOGIND_CHANGED).look()
    assert script.get(StopHooks).ticket == ticket
    script.on(HooksFailed(ticket, "", "stopped"))
    assert script.reasons == [Reason.INHIBITED]


def test_a_drain_from_before_a_crash_is_undone_at_the_next_start() -> None:
    memory = Memory(settled=BootId("b1"), drained=True, debts=(Debt(slot=SLOT),))
    script = Script(FLEET, memory, hooks=ALL_HOOKS).look()
    assert script.get(RunHooks).phase is Phase.ABANDONED
    assert isinstance(script.state.attempt, Undoing)
    assert not script.has(Release)


def test_a_drain_is_not_forgotten_while_the_undoing_cannot_be_run() -> None:
    memory = Memory(settled=BootId("b1"), drained=True, debts=(Debt(slot=SLOT),))
    script = Script(FLEET, memory, hooks=ALL_HOOKS).look()
    script.on(HooksUnclear(script.get(RunHooks).ticket, "there is no rebootmgr-hook@abandoned"))
    assert script.reasons == [Reason.HOOK_FAILED]
    assert script.state.memory.drained
    assert not script.has(Release)
    script.sleep()
    assert script.get(RunHooks).phase is Phase.ABANDONED
    script.passed()
    assert not script.get(SaveMemory).memory.drained
    assert script.has(Release)


def test_an_update_is_not_judged_by_post_boot_hooks_that_could_not_be_run() -> None:
    script = Script(FLEET, Memory(debts=(Debt(slot=SLOT),)), hooks=ALL_HOOKS).look()
    script.on(HooksUnclear(script.get(RunHooks).ticket, "polkit says no"))
    assert isinstance(script.state.attempt, PostBoot)
    assert script.reasons == [Reason.HOOK_FAILED]
    assert not script.has(Release)
    script.sleep()
    script.passed()
    assert isinstance(script.state.attempt, Idle)
    assert script.has(Release)


# --- the disk ----------------------------------------------------------------------------


def test_a_full_disk_stops_everything_that_must_be_remembered() -> None:
    script = asking()
    script.on(SaveFailed("disk full"))
    assert script.reasons == [Reason.STATE_UNREADABLE, Reason.LOCK_PENDING][:1]
    assert script.has(CancelRequest)
    script.sleep()
    assert script.has(SaveMemory)
    script.on(Saved())
    assert Reason.STATE_UNREADABLE not in script.reasons


def test_a_state_file_from_the_future_is_left_alone() -> None:
    script = Script(FLEET, Unreadable("written by rebootmgr 9"), staged=NEW).look()
    assert script.reasons == [Reason.STATE_UNREADABLE]
    assert not script.has(SaveMemory)
    assert not script.has(Release)


# --- the reboot and what comes of it -----------------------------------------------------


def test_after_an_accepted_reboot_nothing_gives_the_slot_back() -> None:
    script = rebooting()
    assert not script.has(Release)
    script.on(RebootAccepted(), HoldAdded(HOLD), Cancelled(HOLD), StopAsked())
    assert not script.has(Release)
    script.staged = None
    script.on(OS_CHANGED).look()
    assert isinstance(script.state.attempt, Rebooting)
    assert not script.has(Release)
    assert shown(script).verdict is Verdict.REBOOT
    assert all(isinstance(entry.tenure, Ours) for entry in script.state.ledger)
    script.later(600.0)
    assert not script.settle().has(Release), "whatever the daemon waits for as it stops"
    assert isinstance(script.state.attempt, Rebooting)


def test_a_refused_reboot_is_tried_again_later() -> None:
    script = rebooting().on(RebootRefused("access denied"))
    assert script.reasons == [Reason.LOGIND_UNREACHABLE]
    assert script.has(Release)
    script.on(SlotReleased(script.get(Release).ticket, SLOT)).sleep()
    assert script.has(Acquire)


def test_an_accepted_reboot_that_never_comes_is_given_up_after_ten_minutes() -> None:
    script = rebooting().on(RebootAccepted()).later(599.0)
    assert not script.has(Release)
    assert not script.later(1.0).has(Release), "logind has the last word"
    assert script.look().has(Release)
    assert "10 minutes" in shown(script).blockers[0].detail


def test_a_shutdown_that_takes_longer_than_ten_minutes_is_left_to_itself() -> None:
    """As with a node that shuts its pods down gracefully."""
    script = rebooting().on(RebootAccepted(), ShutdownBegan())
    script.logind = Logind(preparing=True)
    script.on(LOGIND_CHANGED).settle()
    intent = script.state.memory.intent
    for _ in range(4):
        script.later(600.0)
        assert not script.settle().has(Release)
        assert script.state.memory.intent == intent
    assert deadline(script.state, at=script.at, policy=script.policy) == Deadline(None, None)


def test_ten_minutes_without_a_shutdown_ring_an_alarm() -> None:
    script = rebooting().on(RebootAccepted())
    script.sleep()
    assert script.seconds == UP_S + 600.0
    assert script.looks_at() is Look.LOGIND


def test_a_shutdown_that_began_during_a_look_is_believed() -> None:
    script = rebooting().on(RebootAccepted(), LOGIND_CHANGED)
    assert script.state.looking is not None
    before = FactsRead(script.state.looking.ticket, script.facts)
    script.on(ShutdownBegan(), before)
    assert script.state.attempt == Rebooting(NEW.id, None)


def test_a_shutdown_is_seen_in_the_last_look_though_nobody_told_of_it() -> None:
    script = rebooting().on(RebootAccepted())
    script.logind = Logind(preparing=True)
    script.later(600.0)
    assert script.looks_at() is Look.LOGIND
    assert not script.look().later(600.0).has(Release)


def test_a_logind_that_forgot_its_shutdown_gets_ten_more_minutes() -> None:
    script = rebooting().on(RebootAccepted(), ShutdownBegan())
    script.logind = Logind(preparing=True)
    script.settle().later(3000.0)
    script.logind = Logind()
    assert not script.on(LOGIND_CHANGED).settle().has(Release)
    assert not script.later(599.0).has(Release)
    assert script.later(1.0).look().has(Release)


@pytest.mark.parametrize("since", ["the call", "logind came back"])
def test_a_call_that_got_no_answer_is_refused_unless_a_shutdown_comes(since: str) -> None:
    """polkitd died while logind asked it, or logind did: PreparingForShutdown says what is so."""
    script = rebooting().on(RebootUnclear("no reply"))
    assert script.looks_at() is Look.LOGIND
    if since == "logind came back":
        gone = LogindUnreachable("gone")
        assert not script.look(logind=gone).has(Release)
        script.on(LOGIND_CHANGED)
    script.look()
    assert script.reasons == [Reason.LOGIND_UNREACHABLE]
    assert "no reply" in shown(script).blockers[0].detail
    script.on(SlotReleased(script.get(Release).ticket, SLOT))
    assert not script.later(4.0).has(Acquire)
    assert script.later(11.0).has(Acquire)


def test_a_call_that_got_no_answer_may_have_been_heard() -> None:
    script = rebooting().on(RebootUnclear("no reply"))
    script.logind = Logind(preparing=True)
    assert not script.look().later(3000.0).has(Release)
    assert script.state.attempt == Rebooting(NEW.id, None)


def test_a_logind_that_stays_away_after_the_call_gets_ten_minutes() -> None:
    script = rebooting().on(RebootUnclear("no reply"))
    gone = LogindUnreachable("gone")
    script.look(logind=gone)
    while not script.has(Release):
        assert script.seconds < UP_S + 900.0
        script.sleep()
        if script.state.looking:
            script.look(logind=gone)
    assert script.seconds >= UP_S + 600.0


def test_a_host_that_changes_during_each_last_look_is_given_up_after_a_minute() -> None:
    script = committing()
    for _ in range(12):
        script.seconds += 5.0
        assert isinstance(script.state.attempt, Committing)
        script.on(OS_CHANGED).look()
        assert not script.has(Reboot)
    assert Reason.STATE_UNKNOWN in script.reasons
    assert "last look" in shown(script).blockers[0].detail
    assert script.settle().has(Release)


def test_a_host_that_was_suspended_during_the_last_look_begins_anew() -> None:
    """Else the record would date the reboot nine hours early: one too many within a day."""
    script = committing()
    script.seconds += 32_400.0
    script.look()
    assert not script.has(Reboot)
    assert script.reasons == [Reason.STATE_UNKNOWN]
    assert script.has(Release), "others may go on meanwhile"
    release = script.get(Release)
    script.on(SlotReleased(release.ticket, SLOT)).sleep()
    assert script.granted().look().has(Reboot)
    intent = script.state.memory.intent
    assert intent is not None
    assert intent.at == script.at.wall


def test_what_has_to_be_put_on_record_in_the_last_look_is_before_another_one() -> None:
    """As since when the host is behind, where the clock was set back."""
    script = staged(replace(IMMEDIATE, clock=ClockRule.NEVER))
    script.booted_at -= timedelta(days=1)
    assert script.look().has(SaveMemory)
    assert not script.has(Reboot)
    assert script.look().has(Reboot)


def test_what_cannot_be_put_on_record_in_the_last_look_reboots_nothing() -> None:
    script = staged(replace(IMMEDIATE, clock=ClockRule.NEVER))
    script.booted_at -= timedelta(days=1)
    script.look().on(SaveFailed("disk full")).settle()
    assert not script.has(Reboot)
    assert Reason.STATE_UNREADABLE in script.reasons


def test_a_shutdown_that_somebody_scheduled_is_asked_for_once_a_minute() -> None:
    """systemd 252 tells nobody when it is cancelled."""
    script = staged(logind=Logind(scheduled="reboot at noon"))
    assert script.reasons == [Reason.SHUTDOWN_SCHEDULED]
    script.settle()
    looks = 0
    for _ in range(5):
        script.sleep()
        looks += script.has(ReadFacts)
        script.settle()
    assert looks == 5
    assert script.seconds == UP_S + 300.0
    script.logind = Logind()
    script.sleep().settle()
    assert script.has(Reboot)


def test_a_scheduled_shutdown_is_not_asked_for_while_something_else_is_in_the_way() -> None:
    script = staged(logind=Logind(scheduled="reboot at noon", inhibitors=(BACKUP,)))
    script.settle()
    assert deadline(script.state, at=script.at, policy=script.policy) == Deadline(None, None)


def test_a_restart_while_the_machine_goes_down_waits_for_it() -> None:
    memory = rebooting().state.memory
    script = Script(FLEET, memory, staged=NEW, logind=Logind(preparing=True)).look()
    assert isinstance(script.state.attempt, Rebooting)
    assert not script.has(Release)


def test_a_restart_before_the_call_starts_over() -> None:
    memory = rebooting().state.memory
    script = Script(FLEET, memory, staged=NEW).look()
    assert script.has(Acquire)


def test_the_update_booted_so_it_succeeded_and_the_slot_goes_back() -> None:
    script = next_boot().look()
    assert shown(script).history[-1].outcome is Outcome.SUCCEEDED
    assert script.has(Release)
    assert script.state.attempt == Idle()


def test_a_soft_reboot_is_a_boot_of_its_own() -> None:
    """The boot id stays, the count of soft reboots does not."""
    memory = Memory(settled=BootId("b1:0"), booted=OLD)
    script = staged(boot=BootId("b1:0"), memory=memory)
    asked = script.look().on(ShutdownBegan()).state.memory
    assert asked.intent is not None
    after = Script(memory=asked, boot=BootId("b1:1"), booted=NEW).settle()
    assert after.state.memory.outcomes == ((Outcome.SUCCEEDED, 1),)
    same = Script(memory=asked, boot=BootId("b1:0"), logind=Logind(preparing=True)).settle()
    assert isinstance(same.state.attempt, Rebooting)
    assert same.state.memory.outcomes == ()


def test_post_boot_hooks_come_before_the_slot_goes_back() -> None:
    script = next_boot(hooks=ALL_HOOKS).look()
    assert script.get(RunHooks).phase is Phase.POST_BOOT
    assert not script.has(Release)
    assert script.passed().has(Release)


def test_a_failed_post_boot_hook_keeps_the_slot() -> None:
    script = next_boot(hooks=ALL_HOOKS).look()
    script.on(HooksFailed(script.get(RunHooks).ticket, "10-app", "down"))
    assert shown(script).history[-1].outcome is Outcome.ROLLED_BACK
    assert not script.has(Release)
    assert [notice.kind for notice in shown(script).notices] == [NoticeKind.SLOT_KEPT]
    assert script.on(Forgiven(None)).has(Release)


def test_a_boot_into_the_old_tree_after_finalization_is_a_rollback() -> None:
    script = next_boot(booted=OLD, on_disk=(OLD.id, NEW.id)).look()
    assert shown(script).history[-1].outcome is Outcome.ROLLED_BACK
    assert not script.has(Release)


def test_a_failed_finalization_counts_and_gives_the_slot_back() -> None:
    script = next_boot(booted=OLD, on_disk=(OLD.id,)).look()
    assert shown(script).history[-1].outcome is Outcome.NOT_APPLIED
    assert script.state.memory.attempts == ((NEW.key, 1),)
    assert script.has(Release)


def test_a_power_cut_before_the_shutdown_counts_no_attempt() -> None:
    memory = rebooting().state.memory
    script = Script(FLEET, memory, boot=BootId("b2")).look()
    assert shown(script).history[-1].outcome is Outcome.INTERRUPTED
    assert script.state.memory.attempts == ()
    assert script.has(Release)


def test_an_update_that_fails_twice_is_quarantined_even_under_a_new_serial() -> None:
    first = next_boot(booted=OLD).look().state.memory
    script = Script(FLEET, first, boot=BootId("b2"), staged=NEW).look()
    script.granted().look()
    memory = script.on(RebootAccepted(), ShutdownBegan()).state.memory
    again = replace(NEW, id=DeploymentId("os-2.1"))
    script = Script(FLEET, memory, boot=BootId("b3"), staged=again).look()
    assert script.reasons == [Reason.QUARANTINED]
    assert not script.has(Acquire)
    assert script.on(Forgiven(NEW.key)).has(Acquire)


def test_a_rollback_by_somebody_else_is_not_undone() -> None:
    newer = replace(NEW, timestamp=5)
    memory = Memory(settled=BootId("b0"), booted=newer)
    script = Script(IMMEDIATE, memory, staged=newer).look()
    assert script.reasons == [Reason.QUARANTINED]
    assert "rolled back outside" in script.state.memory.quarantine[0].why


def test_reboots_have_a_budget_that_comes_back() -> None:
    script = staged(replace(IMMEDIATE, reboots_per_day=1)).look()
    memory = script.on(RebootAccepted(), ShutdownBegan()).state.memory
    policy = replace(IMMEDIATE, reboots_per_day=1)
    script = Script(policy, memory, boot=BootId("b2"), booted=NEW, staged=NEWER).look()
    assert script.reasons == [Reason.REBOOT_BUDGET]
    assert isinstance(script.sleep().state.attempt, Committing)
    assert script.seconds == Script().seconds + 86400.0


def test_a_quarantine_does_not_stop_a_different_update() -> None:
    bad = Quarantine(key=NEW.key, why="failed", since=EPOCH)
    memory = settled(quarantine=(bad,))
    script = staged(IMMEDIATE, memory=memory)
    assert script.reasons == [Reason.QUARANTINED]
    script.staged = NEWER
    assert isinstance(script.on(OS_CHANGED).look().state.attempt, Committing)


def test_a_boot_is_judged_only_once_boot_complete_is_reached() -> None:
    script = next_boot(boot_incomplete="failed: app.service").look()
    assert script.state.attempt == PostBoot(None)
    assert script.reasons == [Reason.BOOT_NOT_COMPLETE]
    assert script.state.memory.settled == BootId("b1")


def test_a_dry_run_asks_nobody_and_says_what_it_would_do() -> None:
    script = staged(replace(FLEET, dry_run=True))
    assert not script.has(Acquire)
    assert script.reasons == [Reason.DRY_RUN]


def test_logins_on_an_idle_host_are_no_reason_to_look() -> None:
    script = running().on(LOGIND_CHANGED)
    assert not script.has(ReadFacts)
