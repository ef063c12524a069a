"""Stories of a boot: what is found after it, what is made of it, and what the fleet is told."""

from dataclasses import replace

import pytest

from rebootmgr.core.effects import Release, RunHooks, SaveMemory
from rebootmgr.core.events import (
    HooksFailed,
    HooksPassed,
    HostChanged,
    RebootAccepted,
    RebootRefused,
    ReleaseUnclear,
    ShutdownBegan,
    SlotReleased,
    StopAsked,
)
from rebootmgr.core.facts import Deployments, Logind, Look, OsUnknown
from rebootmgr.core.memory import Debt, Memory, Quarantine, Unreadable
from rebootmgr.core.model import (
    BootId,
    Deployment,
    DeploymentId,
    NoticeKind,
    Outcome,
    Phase,
    Reason,
)
from rebootmgr.core.states import Idle, PostBoot, Rebooting
from tests.core.script import (
    EPOCH,
    FLEET,
    LOGIND_CHANGED,
    NEW,
    NEWER,
    OLD,
    OS_CHANGED,
    SLOT,
    Script,
    next_boot,
    rebooting,
    shown,
)
from tests.core.world import ALL_HOOKS

DOWN = Logind(preparing=True)
POST_BOOT = frozenset({Phase.POST_BOOT})


def outcomes(script: Script) -> list[Outcome | None]:
    return [past.outcome for past in shown(script).history]


def went_down_for(target: DeploymentId = NEW.id) -> Memory:
    """The host was asked to reboot in its first boot, and was seen to go down."""
    memory = rebooting().on(RebootAccepted(), ShutdownBegan()).state.memory
    assert memory.intent is not None
    return replace(memory, intent=replace(memory.intent, target=target))


# --- going down --------------------------------------------------------------------------


def test_a_stop_after_the_accepted_call_is_the_shutdown_itself() -> None:
    """systemd ends the daemon before logind's signal is read: what failed after that, failed."""
    memory = rebooting().on(RebootAccepted(), StopAsked()).state.memory
    script = Script(FLEET, memory, boot=BootId("b2"), on_disk=(OLD.id,)).look()
    assert outcomes(script) == [Outcome.NOT_APPLIED]
    assert script.state.memory.attempts == ((NEW.key, 1),)


def test_the_shutdown_began_when_it_was_first_heard_of() -> None:
    script = rebooting().on(RebootAccepted(), ShutdownBegan())
    began = script.at.wall
    script.seconds += 20.0
    script.on(ShutdownBegan(), StopAsked())
    assert not script.has(SaveMemory)
    assert script.state.memory.intent is not None
    assert script.state.memory.intent.down_at == began


def test_a_restart_while_going_down_waits_for_as_long_as_that_takes() -> None:
    before = rebooting().on(RebootAccepted())
    asked = before.seconds
    memory = before.state.memory
    script = Script(FLEET, memory, staged=NEW, logind=DOWN, seconds=asked + 400.0).look()
    assert script.state.attempt == Rebooting(NEW.id, None)
    assert not script.later(3600.0).has(Release)
    script.logind = Logind()
    script.on(RebootRefused("called off"), LOGIND_CHANGED).settle()
    assert Reason.LOGIND_UNREACHABLE in script.reasons


# --- what came of it ---------------------------------------------------------------------


def test_what_came_up_once_and_was_gone_later_is_a_rollback() -> None:
    """It came up, greenboot went back, and nothing of it is on disk any more."""
    seen = next_boot(boot_incomplete="greenboot.service").look()
    assert seen.state.attempt == PostBoot(None)
    back = Script(FLEET, seen.state.memory, boot=BootId("b3"), on_disk=(OLD.id,)).look()
    assert outcomes(back) == [Outcome.ROLLED_BACK]
    assert not back.has(Release)


def test_an_update_that_is_staged_anew_was_never_applied() -> None:
    """It is on disk because the timer has staged it again, not because it was finalized."""
    script = next_boot(booted=OLD, staged=NEW, on_disk=(OLD.id, NEW.id)).look()
    assert outcomes(script) == [Outcome.NOT_APPLIED]


@pytest.mark.parametrize("instead", [None, NEWER], ids=["withdrawn", "replaced"])
def test_an_update_that_went_during_the_shutdown_is_not_blamed(instead: Deployment | None) -> None:
    down = rebooting().on(RebootAccepted(), ShutdownBegan())
    down.staged = instead
    down.on(OS_CHANGED).look()
    script = next_boot(booted=OLD, memory=down.state.memory).look()
    assert outcomes(script) == [Outcome.SUPERSEDED]
    assert script.state.memory.attempts == ()
    assert script.has(Release), "the slot goes back"


def test_an_update_that_came_back_before_the_machine_was_down_is_blamed() -> None:
    down = rebooting().on(RebootAccepted(), ShutdownBegan())
    for staged in (None, NEW):
        down.staged = staged
        down.on(OS_CHANGED).look()
    script = next_boot(booted=OLD, memory=down.state.memory).look()
    assert outcomes(script) == [Outcome.NOT_APPLIED]
    assert script.state.memory.attempts == ((NEW.key, 1),)


def test_an_update_that_is_finalized_on_the_way_down_is_none_that_went() -> None:
    down = rebooting().on(RebootAccepted(), ShutdownBegan())
    finalized = Deployments(booted=OLD, default=NEW, staged=False, on_disk=(OLD.id, NEW.id))
    down.on(OS_CHANGED).look(os=finalized)
    script = next_boot(booted=OLD, memory=down.state.memory, on_disk=(OLD.id, NEW.id)).look()
    assert outcomes(script) == [Outcome.ROLLED_BACK]


def test_the_hook_that_found_the_update_no_good_is_kept_by_name_with_what_it_said() -> None:
    script = next_boot(hooks=POST_BOOT).look()
    ticket = script.get(RunHooks).ticket
    script.on(HooksFailed(ticket, "10-health", "no route to the database"))
    [past] = shown(script).history
    assert (past.outcome, past.cause) == (
        Outcome.ROLLED_BACK,
        "10-health: no route to the database",
    )


def test_what_was_rolled_back_before_the_hooks_ran_is_none_of_their_doing() -> None:
    script = next_boot(booted=OLD, hooks=POST_BOOT, on_disk=(OLD.id, NEW.id)).look()
    script.on(HooksFailed(script.get(RunHooks).ticket, "10-health", "no"))
    [past] = shown(script).history
    assert (past.outcome, past.cause) == (Outcome.ROLLED_BACK, "")


def test_a_boot_that_nobody_asked_for_and_a_hook_found_no_good_is_a_notice_until_the_next() -> None:
    unasked = Script(FLEET, Memory(booted=OLD), hooks=POST_BOOT).look()
    unasked.on(HooksFailed(unasked.get(RunHooks).ticket, "10-health", "no route"))
    said = [(one.kind, one.detail) for one in shown(unasked).notices]
    detail = "10-health: no route (this boot was not asked for, so no update is blamed)"
    assert said == [(NoticeKind.POST_BOOT_FAILED, detail)]
    restarted = Script(FLEET, unasked.state.memory, hooks=POST_BOOT).settle()
    assert [(one.kind, one.detail) for one in shown(restarted).notices] == said
    memory = replace(restarted.state.memory, settled=BootId("another"))
    again = Script(FLEET, memory, hooks=POST_BOOT).look()
    assert shown(again).notices == (), "it is being judged"
    again.on(HooksPassed(again.get(RunHooks).ticket))
    assert shown(again).notices == ()


def test_an_update_that_a_hook_found_no_good_is_told_by_its_outcome_alone() -> None:
    script = next_boot(replace(FLEET, keep_slot_on_failed_update=False), hooks=POST_BOOT).look()
    script.on(HooksFailed(script.get(RunHooks).ticket, "10-health", "no route"))
    assert shown(script).notices == ()


def test_the_same_update_under_another_serial_succeeded() -> None:
    again = replace(NEW, id=DeploymentId("os-2.1"))
    script = next_boot(booted=again).look()
    assert outcomes(script) == [Outcome.SUCCEEDED]
    assert script.has(Release)


def test_a_failed_update_keeps_no_slot_where_that_is_not_wanted() -> None:
    script = next_boot(replace(FLEET, keep_slot_on_failed_update=False), hooks=POST_BOOT).look()
    script.on(HooksFailed(script.get(RunHooks).ticket, "10-app", "down"))
    assert outcomes(script) == [Outcome.ROLLED_BACK]
    assert script.has(Release)


def test_a_reboot_ends_the_drain() -> None:
    drained = replace(went_down_for(), drained=True)
    memory = Script(FLEET, drained, boot=BootId("b2"), booted=NEW).look().state.memory
    script = Script(FLEET, memory, boot=BootId("b2"), booted=NEW, hooks=ALL_HOOKS).look()
    assert not script.has(RunHooks)
    assert script.state.attempt == Idle()


def test_what_is_in_quarantine_is_not_put_there_again() -> None:
    """An administrator takes back what had failed here: the first reason stays, alone."""
    bad = replace(NEW, timestamp=5)
    mark = Quarantine(key=bad.key, why="2 failed 2 times", since=EPOCH)
    memory = Memory(settled=BootId("b1"), booted=bad, quarantine=(mark,))
    script = Script(memory=memory, boot=BootId("b2"), booted=OLD).look()
    assert shown(script).quarantine == (mark,)


def test_each_reboot_that_was_asked_for_is_counted_once_and_dated() -> None:
    asked = went_down_for()
    script = Script(FLEET, asked, boot=BootId("b2"), booted=NEW).look()
    assert shown(script).reboots_total == 1
    assert [past.at for past in shown(script).history] == [EPOCH]
    unasked = Script(FLEET, script.state.memory, boot=BootId("b3"), booted=NEW).look()
    assert shown(unasked).reboots_total == 1


# --- before it is judged -----------------------------------------------------------------


def test_a_daemon_that_stops_begins_no_hooks_after_the_boot() -> None:
    script = next_boot(hooks=POST_BOOT, boot_incomplete="slow.service").look()
    script.boot_incomplete = ""
    assert not script.on(StopAsked(), HostChanged(Look.BOOT)).look().has(RunHooks)
    assert outcomes(script) == []


def test_a_boot_is_not_judged_while_rpm_ostree_is_silent() -> None:
    script = next_boot(boot_incomplete="slow.service").look()
    script.boot_incomplete = ""
    script.on(HostChanged(Look.HOST)).look(os=OsUnknown("no answer"))
    assert (outcomes(script), script.has(Release)) == ([], False)
    assert outcomes(script.sleep().settle()) == [Outcome.SUCCEEDED]


def test_a_dry_run_runs_no_hooks_after_the_boot_and_sends_nothing() -> None:
    memory = Memory(settled=BootId("b0"), debts=(Debt(slot=SLOT),))
    script = Script(replace(FLEET, dry_run=True), memory, hooks=ALL_HOOKS).look()
    assert not script.has(RunHooks)
    assert not script.has(Release)
    assert script.state.attempt == Idle()


def test_without_its_memory_the_daemon_runs_no_hooks_after_the_boot() -> None:
    """It cannot know whether they ran, and would run them at each start."""
    script = Script(FLEET, Unreadable("written by rebootmgr 9"), hooks=POST_BOOT).look()
    assert not script.has(RunHooks)
    assert script.reasons == [Reason.STATE_UNREADABLE]


def test_each_boot_is_told_to_the_fleet_once_also_by_a_host_that_never_asked() -> None:
    script = Script(FLEET, Memory()).look()
    script.on(ReleaseUnclear(script.get(Release).ticket, SLOT, "500")).sleep()
    script.on(SlotReleased(script.get(Release).ticket, SLOT))
    restarted = Script(FLEET, script.state.memory).look()
    assert not restarted.has(Release)
    assert Script(FLEET, script.state.memory, boot=BootId("b2")).look().has(Release)
