"""Stories of what people ask for: holds, requests, and forgiveness."""

from dataclasses import replace
from datetime import UTC, timedelta

from rebootmgr.core.alarm import deadline
from rebootmgr.core.effects import Acquire, Reboot, SaveMemory
from rebootmgr.core.events import (
    Cancelled,
    Forgiven,
    HoldAdded,
    HoldReleased,
    LockRefused,
    RebootAsked,
    Withdrawn,
)
from rebootmgr.core.facts import Logind
from rebootmgr.core.memory import Ask, Quarantine
from rebootmgr.core.model import BootId, DeploymentId, Reason, UpdateKey
from rebootmgr.core.policy import Strategy
from rebootmgr.core.states import Committing
from rebootmgr.core.window import Blackout, Calendar
from tests.core.script import (
    BACKUP,
    EPOCH,
    HOLD,
    IMMEDIATE,
    LOGIND_CHANGED,
    NEW,
    NEWER,
    OLD,
    OS_CHANGED,
    SLOT,
    Script,
    asking,
    next_boot,
    settled,
    shown,
    staged,
)

HOUR = timedelta(hours=1)
OFF = replace(IMMEDIATE, strategies=frozenset({Strategy.OFF}))
REQUEST = RebootAsked("root", now=False, valid_s=3600.0)
SHORT = replace(HOLD, id="short", until=EPOCH + HOUR)
LONG = replace(HOLD, id="long", until=EPOCH + 2 * HOUR)


def test_of_several_holds_the_last_one_to_end_decides() -> None:
    script = staged().on(HoldAdded(SHORT), HoldAdded(LONG))
    (blocker,) = shown(script).blockers
    assert (blocker.reason, blocker.until) == (Reason.HELD, LONG.until)
    script.on(HoldReleased(SHORT.id))
    assert script.reasons == [Reason.HELD]
    assert isinstance(script.sleep().state.attempt, Committing)
    assert script.at.wall == LONG.until


def test_next_to_a_hold_without_end_no_end_is_shown() -> None:
    (blocker,) = shown(staged().on(HoldAdded(SHORT), HoldAdded(HOLD))).blockers
    assert (blocker.reason, blocker.until) == (Reason.HELD, None)


def test_a_hold_that_is_placed_again_takes_the_place_of_the_first() -> None:
    script = staged().on(HoldAdded(HOLD), HoldAdded(replace(HOLD, reason="again")))
    assert [hold.reason for hold in shown(script).holds] == ["again"]


def test_a_request_that_expires_wakes_the_daemon() -> None:
    script = staged(OFF, logind=Logind(inhibitors=(BACKUP,))).on(REQUEST)
    assert script.reasons == [Reason.INHIBITED]
    assert script.sleep().reasons == [Reason.DISABLED, Reason.INHIBITED]
    assert script.at.wall == EPOCH + HOUR


def test_a_request_that_ends_during_the_last_look_puts_no_save_before_the_call() -> None:
    script = staged().on(replace(REQUEST, valid_s=2.0))
    assert isinstance(script.state.attempt, Committing)
    script.seconds += 5.0
    script.look()
    assert script.has(Reboot)
    assert not script.has(SaveMemory)


def test_a_request_outlives_a_new_serial_of_its_update() -> None:
    script = staged(OFF, logind=Logind(inhibitors=(BACKUP,))).on(REQUEST)
    script.staged = replace(NEW, id=DeploymentId("os-2.1"))
    assert script.on(OS_CHANGED).look().reasons == [Reason.INHIBITED]


def test_a_request_that_is_withdrawn_undoes_what_only_it_made_possible() -> None:
    off = replace(OFF, strategies=frozenset({Strategy.OFF}))
    script = staged(off).on(REQUEST)
    assert isinstance(script.state.attempt, Committing)
    assert script.on(Withdrawn()).reasons == [Reason.DISABLED]
    anyway = staged().on(REQUEST, Withdrawn())
    assert isinstance(anyway.state.attempt, Committing)


def test_a_request_is_for_one_update() -> None:
    script = staged(OFF, logind=Logind(inhibitors=(BACKUP,))).on(REQUEST)
    script.staged = NEWER
    assert script.on(OS_CHANGED).look().reasons == [Reason.DISABLED, Reason.INHIBITED]


def test_a_request_ends_with_the_boot() -> None:
    """Although the same update is staged again, and nobody has judged the new boot yet."""
    ask = Ask(
        target=NEW.id,
        key=NEW.key,
        boot=BootId("b1"),
        by="root",
        now=True,
        until=EPOCH + HOUR,
        ends=1e6,
    )
    memory = settled(ask=ask)
    script = Script(OFF, memory, boot=BootId("b2"), staged=NEW, boot_incomplete="app.service")
    assert script.look().reasons == [Reason.DISABLED, Reason.BOOT_NOT_COMPLETE]


def test_no_request_reboots_a_host_that_is_switched_off() -> None:
    script = staged(replace(IMMEDIATE, enabled=False))
    script.on(replace(REQUEST, now=True))
    assert script.reasons == [Reason.DISABLED]


def test_reboot_now_skips_no_freeze() -> None:
    freeze = Blackout(name="audit", start=EPOCH - HOUR, end=EPOCH + HOUR, zone=UTC)
    script = staged(replace(IMMEDIATE, calendar=Calendar(blackouts=(freeze,))))
    script.on(replace(REQUEST, now=True))
    assert script.reasons == [Reason.BLACKOUT]


def test_a_request_drops_the_back_off() -> None:
    script = asking()
    script.on(LockRefused(script.get(Acquire).ticket, SLOT, "429", retry_after_s=1800.0))
    assert not script.later(60.0).has(Acquire)
    assert script.on(REQUEST).has(Acquire)


def test_a_cancel_withdraws_the_request_too() -> None:
    script = staged(OFF, logind=Logind(inhibitors=(BACKUP,))).on(REQUEST)
    script.on(Cancelled(HOLD), HoldReleased(HOLD.id))
    script.logind = Logind()
    assert script.on(LOGIND_CHANGED).look().reasons == [Reason.DISABLED]


def test_to_forgive_one_update_leaves_the_others_in_quarantine() -> None:
    marks = tuple(Quarantine(key=one.key, why="bad", since=EPOCH) for one in (NEW, NEWER))
    attempts = ((NEW.key, 2), (NEWER.key, 2))
    memory = settled(quarantine=marks, attempts=attempts)
    script = staged(memory=memory).on(Forgiven(NEWER.key))
    assert script.reasons == [Reason.QUARANTINED]
    assert [one.key for one in shown(script).quarantine] == [NEW.key]
    script.staged = NEWER
    assert isinstance(script.on(OS_CHANGED).look().state.attempt, Committing)


def test_a_failure_that_was_forgiven_does_not_count_towards_the_quarantine() -> None:
    script = next_boot(booted=OLD, on_disk=(OLD.id,)).look().on(Forgiven(None))
    again = next_boot(booted=OLD, on_disk=(OLD.id,))
    intent = again.state.memory.intent
    memory = replace(script.state.memory, intent=intent)
    once_more = Script(again.policy, memory, boot=BootId("b3"), staged=NEW).look()
    assert once_more.has(Acquire)
    assert once_more.reasons == [Reason.LOCK_PENDING]


def test_an_idle_host_keeps_no_alarm_for_a_request_that_is_gone() -> None:
    script = staged(OFF, logind=Logind(inhibitors=(BACKUP,))).on(REQUEST)
    script.staged = None
    script.on(OS_CHANGED).look()
    due = deadline(script.state, at=script.at, policy=script.policy)
    assert (due.wall, due.mono) == (None, None)


def test_forgiving_what_nobody_knows_changes_nothing() -> None:
    script = staged(logind=Logind(inhibitors=(BACKUP,)))
    before = script.state.memory
    assert script.on(Forgiven(UpdateKey("os:9"))).state.memory == before
