"""Stories of deployments that change: who works on them, what is staged, what becomes of it."""

from dataclasses import replace

from rebootmgr.core.alarm import Deadline, deadline
from rebootmgr.core.effects import ReadFacts, Reboot, Release
from rebootmgr.core.events import FactsRead, HostChanged, RebootAccepted, ShutdownBegan
from rebootmgr.core.facts import Change, Deployments, Facts, Finalization, Look, OsUnknown, Work
from rebootmgr.core.memory import Memory
from rebootmgr.core.model import (
    BootId,
    Deployment,
    DeploymentId,
    NoticeKind,
    Outcome,
    Reason,
    UpdateKey,
)
from rebootmgr.core.states import Committing, Idle
from rebootmgr.core.status import Verdict
from tests.core.script import FLEET, IMMEDIATE, NEW, OLD, Script, running, shown, staged

LOCK_TOUCHED = HostChanged(Look.SYSROOT)
BOOTC = Work("bootc is at work", "end it")
UPGRADE = Work("rpm-ostree transaction in progress: Upgrade", "end its client")
WORKING = Deployments(booted=OLD, default=NEW, staged=True, sysroot=BOOTC)
FREE = replace(WORKING, sysroot=None)
WITHDRAWN = OsUnknown("2 is being withdrawn", "rpm-ostree status")
B2, B3 = BootId("b2"), BootId("b3")


def change(serial: int, what: str) -> Deployment:
    """The booted version with something else."""
    key = UpdateKey(f"{OLD.key}+{what}")
    return replace(OLD, id=DeploymentId(f"os-1.{serial}"), key=key)


def locked(script: Script, *, is_it: bool) -> Script:
    """The look at the lock alone is answered."""
    assert script.looks_at() is Look.SYSROOT
    ticket = script.get(ReadFacts).ticket
    return script.on(FactsRead(ticket, Facts(boot=script.boot, sysroot_locked=is_it)))


# --- who works on them -------------------------------------------------------------------


def test_a_locked_sysroot_is_looked_at_each_minute_and_asks_rpm_ostree_once_it_is_free() -> None:
    script = staged()
    script.look(os=WORKING)
    assert script.reasons == [Reason.TRANSACTION_ACTIVE]
    for _ in range(3):
        before = script.seconds
        script.sleep()
        assert script.seconds - before == 60.0
        assert locked(script, is_it=True).reasons == [Reason.TRANSACTION_ACTIVE]
        assert not script.has(ReadFacts)
    script.sleep()
    assert locked(script, is_it=False).looks_at() == Look.HOST
    assert isinstance(script.look(os=FREE).state.attempt, Committing)


def test_a_lock_taken_while_an_attempt_is_under_way_ends_it() -> None:
    script = running()
    script.staged = NEW
    script.on(HostChanged(Look.OS)).look()
    assert isinstance(script.state.attempt, Committing)
    script.on(LOCK_TOUCHED).look()
    assert not script.has(Reboot)
    script.look(os=WORKING).settle()
    assert not script.has(Reboot)


def test_the_last_look_finds_the_lock_by_itself() -> None:
    script = staged()
    assert isinstance(script.state.attempt, Committing)
    script.look(os=WORKING)
    assert not script.has(Reboot)
    assert script.reasons == [Reason.TRANSACTION_ACTIVE]


def test_a_lock_costs_nothing_while_nothing_is_pending() -> None:
    script = running()
    script.on(LOCK_TOUCHED)
    assert not script.has(ReadFacts)
    script.on(HostChanged(Look.OS)).look(os=replace(WORKING, default=OLD, staged=False))
    assert script.state.attempt == Idle()
    assert deadline(script.state, at=script.at, policy=script.policy) == Deadline(None, None)


def test_who_works_for_ten_minutes_is_named_with_the_cure() -> None:
    for work in (replace(FREE, transaction=UPGRADE), WORKING):
        script = staged()
        script.look(os=work)
        began = script.seconds
        while script.seconds < began + 600.0:
            assert "more than 10 minutes" not in shown(script).blockers[0].detail
            script.sleep()
            if script.has(ReadFacts):
                locked(script, is_it=True)
        assert "for more than 10 minutes: end" in shown(script).blockers[0].detail


def test_ten_minutes_of_one_transaction_are_not_those_of_the_next() -> None:
    script = staged()
    script.look(os=replace(FREE, transaction=UPGRADE))
    script.later(590.0).on(HostChanged(Look.OS))
    script.look(os=replace(FREE, transaction=replace(UPGRADE, what="Rebase")))
    assert "10 minutes" not in shown(script.later(30.0)).blockers[0].detail


# --- two witnesses that disagree ---------------------------------------------------------


def test_an_update_that_is_being_withdrawn_is_unknown_and_said_loudly_after_a_minute() -> None:
    script = staged()
    script.look(os=WITHDRAWN)
    assert script.reasons == [Reason.STATE_UNKNOWN]
    assert shown(script).blockers[0].detail == "2 is being withdrawn"
    began = script.seconds
    while script.seconds < began + 60.0:
        script.sleep().look(os=WITHDRAWN)
        assert not script.has(Reboot)
    assert shown(script).blockers[0].detail == "2 is being withdrawn; rpm-ostree status"


def test_nobody_is_told_that_nothing_is_pending_who_cannot_know() -> None:
    """rpm-ostreed is masked, and something may be staged."""
    script = running()
    assert shown(script).verdict is Verdict.IDLE
    script.on(HostChanged(Look.OS)).look(os=OsUnknown("unit is masked", "unmask it"))
    status = shown(script)
    assert (status.verdict, status.pending) == (Verdict.WAIT, None)
    assert status.sentence.startswith("Cannot tell whether an update is pending; ")
    assert "masked" in status.sentence


def test_a_source_that_never_answered_is_not_idle() -> None:
    script = Script().look(os=OsUnknown("unit is masked"))
    assert shown(script).verdict is Verdict.WAIT


# --- what a change is, and what becomes of it --------------------------------------------


def asked_for(target: Deployment, *on_disk: str) -> Memory:
    """We rebooted into `target`, and the host went down."""
    script = running(FLEET, on_disk=(OLD.id, target.id, *on_disk))
    script.staged = target
    script.on(HostChanged(Look.OS)).look()
    script.granted().look().on(RebootAccepted(), ShutdownBegan())
    assert script.state.memory.intent is not None
    return script.state.memory


def came_up(memory: Memory, booted: Deployment, boot: BootId = B2, **host: object) -> Script:
    """The host is up again, and its boot judged."""
    return Script(FLEET, memory, boot=boot, booted=booted, **host).look()  # type: ignore[arg-type]


def test_a_deployment_that_was_there_before_is_no_success_though_its_key_is_the_same() -> None:
    """It was pinned, and chosen in the boot menu."""
    pinned = replace(NEW, id=DeploymentId("os-2.0"))
    target = replace(NEW, id=DeploymentId("os-2.1"))
    script = came_up(asked_for(target, pinned.id), pinned)
    assert [past.outcome for past in shown(script).history] == [Outcome.SUPERSEDED]
    new = replace(NEW, id=DeploymentId("os-2.2"))
    script = came_up(asked_for(target, pinned.id), new)
    assert [past.outcome for past in shown(script).history] == [Outcome.SUCCEEDED]


def test_a_change_is_quarantined_by_itself_and_not_the_version_that_runs() -> None:
    bad, good = change(1, "bad"), change(2, "good")
    memory = asked_for(bad)
    memory = replace(memory, attempts=((bad.key, 1),))
    script = came_up(memory, OLD, on_disk=(OLD.id,), staged=bad)
    assert [past.outcome for past in shown(script).history] == [Outcome.NOT_APPLIED]
    assert script.reasons == [Reason.QUARANTINED]
    script.staged = good
    script.on(HostChanged(Look.OS)).look()
    assert Reason.QUARANTINED not in script.reasons


def test_what_failed_is_not_forgiven_because_its_base_boots_again() -> None:
    """An administrator reboots by hand, and it is not finalized a third time."""
    bad = change(1, "bad")
    memory = replace(asked_for(bad), attempts=((bad.key, 1),))
    memory = came_up(memory, OLD, on_disk=(OLD.id,)).state.memory
    script = came_up(
        memory, OLD, B3, on_disk=(OLD.id,), staged=replace(bad, id=DeploymentId("os-1.2"))
    )
    assert script.state.memory.attempts == ((bad.key, 2),)
    assert script.reasons == [Reason.QUARANTINED]


def test_what_failed_is_forgiven_once_that_very_change_comes_up_by_other_means() -> None:
    bad = change(1, "bad")
    memory = replace(asked_for(bad), attempts=((bad.key, 1),))
    again = replace(bad, id=DeploymentId("os-1.2"))
    memory = came_up(memory, OLD, on_disk=(OLD.id,), staged=again).state.memory
    assert [one.key for one in memory.quarantine] == [bad.key]
    booted = replace(again, key=OLD.key)  # of what is booted, nobody can tell how it differs
    memory = came_up(memory, booted, B3).state.memory
    assert (memory.quarantine, memory.attempts) == ((), ())


def test_the_unit_that_did_not_finalize_is_remembered_with_the_reboot() -> None:
    why = "ostree-boot-complete.service failed (exit-code)"
    script = Script(FLEET, asked_for(NEW), boot=B2, on_disk=(OLD.id,)).look(not_finalized=why)
    assert [past.cause for past in shown(script).history] == [why]
    again = Script(FLEET, asked_for(NEW), boot=B2, booted=NEW).look(not_finalized=why)
    assert [past.cause for past in shown(again).history] == [""]
    assert again.has(Release)


def test_what_a_staged_update_changes_is_shown_with_it() -> None:
    live = Change(same_base=True, packages_added=("htop",), applied_live=True)
    script = running().on(HostChanged(Look.OS)).look(os=replace(WORKING, change=live))
    assert shown(script).change == live
    assert shown(running(IMMEDIATE)).change is None


def test_a_rollback_that_is_overtaken_is_a_notice() -> None:
    script = running().on(HostChanged(Look.OS)).look(os=replace(WORKING, queued="40.1"))
    [notice] = shown(script).notices
    assert notice.kind is NoticeKind.ROLLBACK_OVERTAKEN
    assert notice.detail.startswith("40.1 was to boot next")


def test_who_locked_an_update_and_runs_no_more_is_named_with_both_cures() -> None:
    found = replace(FREE, finalization=Finalization.LOCKED)
    script = running().on(HostChanged(Look.OS))
    script.look(os=replace(found, resting_driver="zincati.service (Zincati) is inactive"))
    detail = shown(script).blockers[0].detail
    assert "zincati.service (Zincati) is inactive: start it again" in detail
    assert "rpm-ostree cleanup -p" in detail
    detail = shown(running().on(HostChanged(Look.OS)).look(os=found)).blockers[0].detail
    assert "if that agent is gone: start it again" in detail
