"""Stories of one attempt: checks, the fleet, the drain, and who ends it in the middle."""

from dataclasses import replace

from rebootmgr.core.alarm import is_at_rest
from rebootmgr.core.effects import Acquire, ReadFacts, Reboot, Release, RunHooks
from rebootmgr.core.events import (
    FactsRead,
    HooksFailed,
    HooksUnclear,
    LockGranted,
    LockRefused,
    LockUnclear,
    PolicyLoaded,
    RebootRefused,
    SlotReleased,
    StopAsked,
)
from rebootmgr.core.facts import Logind, LogindUnreachable, Look
from rebootmgr.core.memory import Debt, Memory
from rebootmgr.core.model import BootId, Phase, Reason
from rebootmgr.core.policy import Respect
from tests.core.script import (
    BACKUP,
    FLEET,
    IMMEDIATE,
    LOGIND_CHANGED,
    NEWER,
    OS_CHANGED,
    SLOT,
    Script,
    asking,
    staged,
)
from tests.core.world import ALL_HOOKS

CHECKS = frozenset({Phase.CHECK})
DRAINS = frozenset({Phase.PRE_REBOOT})
CANNOT_RUN = "there is no rebootmgr-hook@abandoned"


def refused(script: Script, *, after_s: float = 0.0) -> Script:
    """The fleet refuses the question just put."""
    return script.on(LockRefused(script.get(Acquire).ticket, SLOT, "busy", after_s))


def blocked(script: Script) -> Script:
    """Somebody inhibits the shutdown."""
    script.logind = Logind(inhibitors=(BACKUP,))
    return script.on(LOGIND_CHANGED).look()


def freed(script: Script) -> Script:
    """Nobody inhibits it any longer."""
    script.logind = Logind()
    return script.on(LOGIND_CHANGED).look()


def draining() -> Script:
    """The fleet agreed, and pre-reboot.d is running."""
    script = staged(FLEET, hooks=ALL_HOOKS).passed().granted()
    assert script.get(RunHooks).phase is Phase.PRE_REBOOT
    return script


# --- the place in the queue --------------------------------------------------------------


def test_a_newer_update_during_the_last_checks_does_not_cost_the_slot() -> None:
    script = staged(FLEET, hooks=CHECKS).passed()
    script.seconds += 61.0
    script.granted()
    script.staged = NEWER
    script.on(OS_CHANGED).look()
    assert not script.has(Release)
    assert script.get(RunHooks).target == NEWER
    assert script.passed().has(Acquire)
    assert script.granted().passed().look().get(Reboot).target == NEWER


def test_a_newer_update_at_the_commit_does_not_cost_the_slot() -> None:
    script = staged(FLEET, hooks=CHECKS).passed()
    script.seconds += 61.0
    script.granted().passed()
    script.seconds += 61.0
    script.staged = NEWER
    script.look()
    assert not script.has(Release)
    assert script.get(RunHooks).target == NEWER


def test_a_drain_that_appears_during_the_last_look_is_run_with_the_slot_kept() -> None:
    script = staged(FLEET, hooks=CHECKS).passed().granted().passed()
    script.seconds += 61.0
    script.hooks = CHECKS | DRAINS
    script.look()
    assert not script.has(Reboot)
    assert not script.has(Release)
    assert script.passed().granted().get(RunHooks).phase is Phase.PRE_REBOOT


def test_a_grant_ends_the_ladder_of_refusals() -> None:
    script = asking()
    for _ in range(4):
        refused(script).sleep()
    blocked(script.granted())
    script.on(SlotReleased(script.get(Release).ticket, SLOT))
    asked = refused(freed(script)).seconds
    assert script.sleep().has(Acquire)
    assert script.seconds - asked <= 15.0


def test_a_drain_that_fails_waits_longer_each_time_although_the_fleet_agrees() -> None:
    """Each cause has a ladder of its own, or a broken hook would drain the node again and again."""
    script = staged(FLEET, hooks=frozenset({Phase.PRE_REBOOT}))
    waits = []
    for _ in range(4):
        drain = script.granted().get(RunHooks)
        script.on(HooksFailed(drain.ticket, "10-drain", "no"))
        release = script.passed().get(Release)
        failed = script.on(SlotReleased(release.ticket, SLOT)).seconds
        assert script.sleep().has(Acquire)
        waits.append(script.seconds - failed)
    assert [5 * 2**n <= wait <= 15 * 2**n for n, wait in enumerate(waits)] == [True] * 4


def test_a_server_in_trouble_is_given_the_time_that_it_asks_for() -> None:
    script = asking()
    trouble = LockUnclear(script.get(Acquire).ticket, SLOT, "503", answered=True, retry_after_s=600)
    assert not script.on(trouble).later(599.0).has(Acquire)
    assert script.later(151.0).has(Acquire)


# --- checks ------------------------------------------------------------------------------


def test_checks_that_passed_count_for_a_minute_and_no_longer() -> None:
    script = staged(FLEET, hooks=CHECKS).passed()
    assert refused(script, after_s=20.0).sleep().has(Acquire)
    refused(script, after_s=1800.0).sleep()
    assert not script.has(Acquire)
    assert script.get(RunHooks).phase is Phase.CHECK
    assert script.passed().has(Acquire)


def test_checks_are_run_again_at_a_commit_that_comes_later() -> None:
    script = blocked(staged(hooks=CHECKS).passed())
    script.seconds += 30.0
    assert freed(script).get(RunHooks).phase is Phase.CHECK
    assert script.passed().look().has(Reboot)
    at_once = staged(hooks=CHECKS).passed()
    assert not at_once.has(RunHooks)
    assert at_once.look().has(Reboot)


def test_after_a_check_that_said_no_at_the_commit_checks_come_before_the_fleet() -> None:
    script = staged(FLEET, hooks=CHECKS).passed().granted()
    script.on(HooksFailed(script.get(RunHooks).ticket, "10-raid", "rebuilding"))
    assert script.reasons == [Reason.CHECK_FAILED]
    assert script.has(Release)
    script.on(SlotReleased(script.get(Release).ticket, SLOT)).sleep()
    assert script.get(RunHooks).phase is Phase.CHECK
    assert not script.has(Acquire)


# --- looks -------------------------------------------------------------------------------


def test_a_logind_that_did_not_answer_is_asked_again() -> None:
    script = staged()
    script.look(logind=LogindUnreachable("no answer"))
    assert script.reasons == [Reason.LOGIND_UNREACHABLE]
    assert script.sleep().looks_at() == Look.LOGIND
    assert script.settle().has(Reboot)


def test_a_look_that_the_last_one_has_overtaken_is_no_answer() -> None:
    """It was sent before the fleet agreed: something may have come in the way since."""
    script = asking()
    question = script.get(Acquire).ticket
    script.on(LOGIND_CHANGED)
    overtaken = script.state.looking
    assert overtaken is not None
    script.on(LockGranted(question, SLOT), FactsRead(overtaken.ticket, script.facts))
    assert not script.has(Reboot)
    assert script.look().has(Reboot)


def test_a_reload_finds_the_leave_that_polkit_gave_with_it() -> None:
    users = Logind(inhibitors=(replace(BACKUP, uid=1000),))
    script = staged(replace(IMMEDIATE, respect=Respect.ROOT), logind=users)
    assert script.reasons == [Reason.INHIBITED]
    script.logind = replace(users, may_override=True)
    assert script.on(PolicyLoaded()).has(ReadFacts)
    assert script.settle().has(Reboot)


# --- reload and stop ---------------------------------------------------------------------


def test_a_reload_tries_at_once_what_had_been_put_off() -> None:
    script = refused(asking(), after_s=1800.0)
    assert script.on(PolicyLoaded()).has(Acquire)


def test_a_reload_runs_at_once_the_hooks_that_could_not_be_run() -> None:
    drained = Memory(settled=BootId("b1"), drained=True)
    undoing = Script(memory=drained, hooks=ALL_HOOKS).look()
    after_boot = Script(memory=Memory(settled=BootId("b0")), hooks=ALL_HOOKS).look()
    for script, phase in ((undoing, Phase.ABANDONED), (after_boot, Phase.POST_BOOT)):
        script.on(HooksUnclear(script.get(RunHooks).ticket, CANNOT_RUN))
        assert not script.has(RunHooks)
        assert script.on(PolicyLoaded()).get(RunHooks).phase is phase


def test_a_daemon_that_stops_leaves_the_undoing_to_its_next_start() -> None:
    drained = Memory(settled=BootId("b1"), drained=True, debts=(Debt(slot=SLOT),))
    script = Script(FLEET, drained, hooks=ALL_HOOKS).look()
    script.on(HooksUnclear(script.get(RunHooks).ticket, CANNOT_RUN))
    script.on(StopAsked()).later(300.0)
    assert not script.has(RunHooks)
    assert not script.has(Release)
    assert is_at_rest(script.state)
    after = Script(FLEET, script.state.memory, hooks=ALL_HOOKS).look()
    assert after.get(RunHooks).phase is Phase.ABANDONED


def test_a_stop_during_the_drain_undoes_at_the_next_start_and_keeps_the_slot() -> None:
    script = draining().on(StopAsked())
    assert not script.has(RunHooks)
    assert not script.has(Release)
    assert is_at_rest(script.state)
    after = Script(FLEET, script.state.memory, hooks=ALL_HOOKS).look()
    assert after.get(RunHooks).phase is Phase.ABANDONED
    assert not after.has(Release)
    assert after.passed().has(Release)


def test_a_refused_reboot_undoes_the_drain() -> None:
    script = draining().passed().passed().look()
    assert script.has(Reboot)
    script.on(RebootRefused("access denied"))
    assert script.get(RunHooks).phase is Phase.ABANDONED
    assert not script.has(Release)
    assert script.passed().has(Release)


def test_an_undoing_that_fails_was_an_undoing() -> None:
    """Run again and again it would do no better, and the slot would never go back."""
    script = blocked(draining())
    assert script.get(RunHooks).phase is Phase.ABANDONED
    script.on(HooksFailed(script.get(RunHooks).ticket, "50-undrain", "no"))
    assert not script.has(RunHooks)
    assert script.has(Release)


def test_an_update_that_was_withdrawn_leaves_the_back_off_behind() -> None:
    """Or one that comes and goes would have the fleet asked, or the host drained, each time."""
    script = refused(asking(), after_s=1800.0)
    script.staged = None
    script.on(OS_CHANGED).look()
    script.staged = NEWER
    assert not script.on(OS_CHANGED).look().has(Acquire)
    assert script.later(1800.0 * 1.25).has(Acquire)


def test_an_update_that_was_withdrawn_takes_its_checks_along() -> None:
    script = refused(staged(FLEET, hooks=CHECKS).passed())
    script.staged = None
    script.on(OS_CHANGED).look()
    script.staged = NEWER
    script.on(OS_CHANGED).look()
    assert script.sleep().get(RunHooks).phase is Phase.CHECK
