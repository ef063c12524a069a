"""Since when a host is behind: over restarts, newer updates and wrong clocks (SPEC 5a)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from rebootmgr.core.backlog import behind_since, note, pending_since
from rebootmgr.core.effects import SaveMemory
from rebootmgr.core.events import RebootAccepted, ShutdownBegan
from rebootmgr.core.facts import OsUnknown
from rebootmgr.core.memory import Backlog, Memory
from rebootmgr.core.model import BootId, DeploymentId
from tests.core.script import (
    EPOCH,
    NEW,
    NEWER,
    OS_CHANGED,
    Script,
    next_boot,
    rebooting,
    running,
    settled,
    shown,
    staged,
)

DAY = timedelta(days=1)
DAY_S = DAY.total_seconds()
HELD = Backlog(key=NEW.key, since=EPOCH, behind_since=EPOCH - 9 * DAY)


def dated(memory: Memory) -> Backlog:
    """What is remembered by the wall clock."""
    assert memory.backlog is not None
    return replace(memory.backlog, anchor=None)


def test_what_is_pending_is_on_record_at_once_and_then_costs_nothing() -> None:
    script = staged()
    assert dated(script.get(SaveMemory).memory) == Backlog(
        key=NEW.key, since=EPOCH, behind_since=EPOCH
    )
    script.later(30.0).on(OS_CHANGED).look()
    assert not script.has(SaveMemory)


def test_both_instants_survive_a_restart() -> None:
    script = running(memory=settled(backlog=HELD), staged=NEW)
    assert (shown(script).pending_since, shown(script).behind_since) == (EPOCH, EPOCH - 9 * DAY)
    assert dated(script.state.memory) == HELD


def test_a_newer_update_waits_since_now_but_the_host_is_behind_since_the_first() -> None:
    script = staged()
    script.staged = NEWER
    script.later(DAY_S).on(OS_CHANGED).look()
    assert (shown(script).pending_since, shown(script).behind_since) == (EPOCH + DAY, EPOCH)


def test_a_new_serial_of_the_same_update_is_the_same_update() -> None:
    script = staged()
    script.staged = replace(NEW, id=DeploymentId("os-2.1"))
    script.later(DAY_S).on(OS_CHANGED).look()
    assert shown(script).pending_since == EPOCH


@pytest.mark.parametrize(("hours", "kept"), [(23.9, True), (24.0, False), (200.0, False)])
def test_what_was_withdrawn_for_less_than_a_day_has_waited_all_the_time(
    hours: float, *, kept: bool
) -> None:
    script = staged()
    script.staged = None
    script.later(DAY_S).on(OS_CHANGED).look()
    assert (shown(script).pending_since, shown(script).behind_since) == (None, EPOCH)
    script.later(3600.0 * hours)
    assert shown(script).behind_since == (EPOCH if kept else None)
    script.staged = NEW
    script.on(OS_CHANGED).look()
    since = EPOCH if kept else script.at.wall
    assert (shown(script).pending_since, shown(script).behind_since) == (since, since)


def test_a_host_that_rebooted_into_its_update_is_behind_no_more() -> None:
    script = next_boot().look()
    assert script.memory is not None
    assert script.state.memory.backlog is None
    assert shown(script).behind_since is None


def test_with_the_next_update_staged_already_it_is_behind_since_then() -> None:
    script = next_boot(staged=NEWER, began=EPOCH + DAY).look()
    assert shown(script).behind_since == EPOCH + DAY
    assert shown(script).pending_since == EPOCH + DAY


def test_an_update_that_was_booted_by_somebody_else_is_booted_too() -> None:
    memory = settled(backlog=HELD)
    script = Script(memory=memory, boot=BootId("b2"), booted=NEW).look()
    assert shown(script).behind_since is None


def test_a_boot_that_rolled_the_update_back_changes_nothing() -> None:
    script = next_boot(booted=running().booted, on_disk=(NEW.id,), began=EPOCH + DAY).look()
    assert shown(script).behind_since == EPOCH


def test_the_reboot_itself_is_no_withdrawal() -> None:
    """The staged update is finalized, and so no longer staged, on the way down."""
    script = rebooting().on(RebootAccepted(), ShutdownBegan())
    script.staged = None
    script.on(OS_CHANGED).look()
    backlog = script.state.memory.backlog
    assert backlog is not None
    assert backlog.none_since is None


def test_nobody_knows_what_is_pending_is_no_withdrawal() -> None:
    script = staged()
    script.on(OS_CHANGED).look(os=OsUnknown("mute"))
    assert dated(script.state.memory) == Backlog(key=NEW.key, since=EPOCH, behind_since=EPOCH)


@pytest.mark.parametrize(
    "wrong", [datetime(1970, 1, 1, 0, 5, tzinfo=UTC), EPOCH + 400 * DAY], ids=["early", "late"]
)
def test_what_a_wrong_clock_dated_is_dated_anew(wrong: datetime) -> None:
    """Or the host is behind for sixty years once the clock is set, and everybody is alarmed."""
    first = note(None, NEW, wrong)
    assert first == Backlog(key=NEW.key, since=wrong, behind_since=wrong)
    assert note(first, NEW, EPOCH) == Backlog(key=NEW.key, since=EPOCH, behind_since=EPOCH)
    withdrawn = note(note(None, NEW, wrong), None, wrong)
    assert withdrawn is not None
    assert behind_since(withdrawn, wrong) == wrong


def test_what_another_update_waited_says_nothing_of_this_one() -> None:
    assert pending_since(HELD, NEWER) is None
    assert pending_since(HELD, None) is None
    assert pending_since(None, NEW) is None
    assert pending_since(HELD, NEW) == EPOCH
