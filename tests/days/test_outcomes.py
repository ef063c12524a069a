"""What becomes of a reboot, one story each: the outcome of SPEC 9, and the right next action."""

from collections import Counter
from dataclasses import replace

from rebootmgr.core.alarm import Deadline, deadline
from rebootmgr.core.describe import describe
from rebootmgr.core.effects import Effect, ReadFacts, Reboot, RunHooks, StopHooks
from rebootmgr.core.model import NoticeKind, Outcome, Phase, Reason
from rebootmgr.core.states import Idle
from rebootmgr.core.status import StateName, Status
from tests.days.calendars import NIGHTLY
from tests.days.home import HOUR, MINUTE, Home
from tests.days.machine import Rtc
from tests.days.rules import GROUPS, Rules
from tests.days.simulation import Days
from tests.days.updates import Fate
from tests.fleet.agent import Agent
from tests.fleet.host import BACKUP

FLEET = Rules(node="one", fleet=True)


def settled(rules: Rules = FLEET, life: type[Days] = Days) -> tuple[Days, Home]:
    """A host in fine weather that has been up for an hour."""
    days = life(1, (rules,))
    (home,) = days.homes.values()
    home.agent.wake()
    days.run_for(HOUR)
    return days, home


def shown(home: Home) -> Status:
    assert home.agent.state is not None
    at, policy = home.machine.at, home.agent.deciding
    return describe(home.agent.state, policy, at, since={})


def reasons(home: Home) -> list[Reason]:
    return [blocker.reason for blocker in shown(home).blockers]


def holds_a_slot(home: Home) -> bool:
    return home.agent.name in home.server.holders.get(GROUPS[0], {})


def is_at_peace(home: Home) -> bool:
    state = home.agent.state
    assert state is not None
    alarm = deadline(state, at=home.machine.at, policy=home.agent.deciding)
    return isinstance(state.attempt, Idle) and alarm == Deadline(None, None)


def test_an_update_that_applies_is_succeeded_and_the_slot_goes_back() -> None:
    days, home = settled()
    home.machine.offer()
    days.run_for(HOUR)
    assert home.oracle.outcomes == {Outcome.SUCCEEDED: 1}
    assert home.machine.booted.version == "2"
    assert not holds_a_slot(home)
    assert is_at_peace(home)


# --- greenboot ---------------------------------------------------------------------------


def test_greenboot_goes_back_so_the_update_is_rolled_back_and_the_slot_is_kept() -> None:
    days, home = settled()
    home.machine.offer(Fate.RED)  # however often greenboot tries it
    home.machine.newest = None  # nobody stages it again
    days.run_for(6 * HOUR)
    assert home.oracle.outcomes == {Outcome.ROLLED_BACK: 1}
    assert home.machine.booted.version == "1"
    assert holds_a_slot(home)
    assert [notice.kind for notice in shown(home).notices] == [NoticeKind.SLOT_KEPT]


def test_after_as_many_rollbacks_as_are_allowed_it_is_not_tried_again() -> None:
    """Staged anew each time under another serial: it is the same update."""
    days, home = settled()
    home.machine.offer(Fate.RED)
    days.run_for(24 * HOUR)
    assert home.oracle.outcomes == {Outcome.ROLLED_BACK: FLEET.attempts}
    assert home.machine.booted.version == "1"
    assert home.machine.staged is not None
    assert reasons(home) == [Reason.QUARANTINED]
    assert "forgive" in shown(home).blockers[0].detail


def test_a_rolled_back_host_goes_on_to_a_later_update_and_only_then_frees_it() -> None:
    days, home = settled()
    home.machine.offer(Fate.RED)
    days.run_for(6 * HOUR)
    assert holds_a_slot(home)
    home.machine.offer()
    days.run_for(HOUR)
    assert home.oracle.outcomes[Outcome.SUCCEEDED] == 1
    assert home.machine.booted.version == "3"
    assert not holds_a_slot(home)


def test_failed_hooks_after_the_boot_are_a_rollback_too() -> None:
    days, home = settled()
    home.machine.offer(Fate.SICK)
    days.run_for(HOUR)
    assert home.oracle.outcomes == {Outcome.ROLLED_BACK: 1}
    assert home.machine.booted.version == "2"
    assert holds_a_slot(home)


# --- finalization ------------------------------------------------------------------------


def test_a_failed_finalization_is_not_applied_and_tried_once_more() -> None:
    days, home = settled()
    home.machine.offer(Fate.NEVER, times=1)
    days.run_for(HOUR)
    assert home.oracle.outcomes == {Outcome.NOT_APPLIED: 1, Outcome.SUCCEEDED: 1}
    assert home.machine.booted.version == "2"
    assert not home.agent.disk.attempts
    assert not holds_a_slot(home)


def test_one_failed_finalization_gives_the_slot_back_and_the_quarantine_keeps_it() -> None:
    days, home = settled()
    update = home.machine.offer(Fate.NEVER)
    home.machine.newest = None
    days.run_for(HOUR)
    assert home.oracle.outcomes == {Outcome.NOT_APPLIED: 1}
    assert not holds_a_slot(home)
    home.machine.newest = update
    home.machine.stage()
    days.run_for(HOUR)
    assert home.oracle.outcomes == {Outcome.NOT_APPLIED: 2}
    assert reasons(home) == [Reason.QUARANTINED]
    assert holds_a_slot(home)


def test_forgiving_lets_it_be_tried_again_and_frees_the_slot() -> None:
    days, home = settled()
    home.machine.offer(Fate.NEVER, times=FLEET.attempts)
    days.run_for(3 * HOUR)
    assert reasons(home) == [Reason.QUARANTINED]
    home.forgive()
    days.run_for(HOUR)
    assert home.machine.booted.version == "2"
    assert not holds_a_slot(home)


def test_forgiving_alone_frees_a_kept_slot() -> None:
    days, home = settled()
    home.machine.offer(Fate.SICK)
    days.run_for(HOUR)
    assert holds_a_slot(home)
    home.forgive()
    days.run_for(MINUTE)
    assert not holds_a_slot(home)
    assert is_at_peace(home)


# --- power -------------------------------------------------------------------------------


class CutAtTheCall(Days):
    """The power fails while logind is asked for the first time."""

    def obeys(self, agent: Agent, effect: Effect) -> None:
        super().obeys(agent, effect)
        home = self.homes[agent.name]
        if isinstance(effect, Reboot) and home.oracle.calls == 1:
            self.world.agenda.after(0.0, home.machine.lose_power)


class CutBeforeTheCall(Days):
    """The power fails when the intent is on record, and nobody was asked for anything yet."""

    cut = False

    def obeys(self, agent: Agent, effect: Effect) -> None:
        super().obeys(agent, effect)
        home = self.homes[agent.name]
        if isinstance(effect, ReadFacts) and agent.disk.intent is not None and not self.cut:
            self.cut = True
            home.machine.lose_power()


def test_a_power_cut_between_intent_and_shutdown_is_interrupted_and_counts_no_attempt() -> None:
    for life in (CutAtTheCall, CutBeforeTheCall):
        days, home = settled(replace(FLEET, attempts=1), life)
        home.machine.offer()
        days.run_for(2 * HOUR)
        assert home.oracle.outcomes == {Outcome.INTERRUPTED: 1, Outcome.SUCCEEDED: 1}
        assert home.machine.booted.version == "2"
        assert not holds_a_slot(home)


def test_endless_power_cuts_are_bounded_by_the_budget() -> None:
    class CutAlways(Days):
        def obeys(self, agent: Agent, effect: Effect) -> None:
            super().obeys(agent, effect)
            if isinstance(effect, Reboot):
                self.world.agenda.after(0.0, self.homes[agent.name].machine.lose_power)

    days, home = settled(life=CutAlways)
    home.machine.offer()
    days.run_for(23 * HOUR)
    assert home.oracle.outcomes == {Outcome.INTERRUPTED: FLEET.per_day}
    assert reasons(home) == [Reason.REBOOT_BUDGET]
    assert not holds_a_slot(home)


# --- administrators ----------------------------------------------------------------------


def test_a_rollback_by_an_administrator_is_not_undone() -> None:
    days, home = settled()
    home.machine.offer()
    days.run_for(HOUR)
    home.machine.roll_back()
    days.run_for(24 * HOUR)
    assert home.machine.booted.version == "1"
    assert home.machine.staged is not None  # the timer staged it again
    assert reasons(home) == [Reason.QUARANTINED]
    assert "rolled back outside rebootmgr" in shown(home).blockers[0].detail
    assert not holds_a_slot(home)
    home.machine.offer()
    days.run_for(HOUR)
    assert home.machine.booted.version == "3"


def test_a_rollback_while_an_update_waits_puts_off_only_what_was_rolled_back() -> None:
    """The update that waited is not to blame, nor was it rolled back."""
    days, home = settled()
    home.machine.offer()
    days.run_for(HOUR)
    home.machine.inhibit(BACKUP)
    home.machine.offer()
    days.run_for(HOUR)
    home.machine.roll_back()
    days.run_for(HOUR)
    assert [one.key for one in home.agent.disk.quarantine] == ["os:2"]
    assert home.machine.booted.version == "3"


class RolledBackAtTheCall(Days):
    """An administrator goes back to version 1 while the machine already goes down for 3."""

    def obeys(self, agent: Agent, effect: Effect) -> None:
        super().obeys(agent, effect)
        if isinstance(effect, Reboot) and effect.target.version == "3":
            self.world.agenda.after(0.0, self.homes[agent.name].machine.roll_back)


def test_a_rollback_during_our_shutdown_supersedes_what_we_asked_for() -> None:
    days, home = settled(life=RolledBackAtTheCall)
    home.machine.offer()
    days.run_for(HOUR)
    home.machine.offer()
    home.machine.newest = None
    days.run_for(HOUR)
    assert home.oracle.outcomes == {Outcome.SUCCEEDED: 1, Outcome.SUPERSEDED: 1}
    assert home.machine.booted.version == "1"
    assert not home.agent.disk.attempts
    assert not holds_a_slot(home)
    assert is_at_peace(home)


def test_a_clock_that_is_wrong_after_a_boot_ends_no_hold() -> None:
    days, home = settled()
    home.hold(20 * HOUR)
    home.machine.rtc, home.machine.rtc_days = Rtc.WRONG, 40.0
    home.machine.lose_power()
    days.run_for(HOUR)
    home.machine.offer()
    days.run_for(HOUR)
    assert reasons(home) == [Reason.HELD]
    days.run_for(19 * HOUR)
    assert home.machine.booted.version == "2"


# --- the same commit again ---------------------------------------------------------------


def test_the_booted_commit_deployed_again_is_an_update_like_any_other() -> None:
    """As `rpm-ostree kargs` does."""
    days, home = settled()
    home.machine.redeploy()
    days.run_for(HOUR)
    assert home.machine.booted.id == "os-1.1"
    assert home.oracle.outcomes == {Outcome.SUCCEEDED: 1}
    assert not holds_a_slot(home)


def test_a_new_serial_in_the_queue_takes_over_the_place() -> None:
    days, home = settled()
    home.server.take_all(GROUPS[0])
    home.machine.offer()
    days.run_for(HOUR)
    home.machine.redeploy()
    home.server.leave_all(GROUPS[0])
    days.run_for(HOUR)
    assert home.machine.booted.id == "os-2.1"
    assert home.oracle.outcomes == {Outcome.SUCCEEDED: 1}


def test_a_quarantine_outlasts_a_new_serial() -> None:
    days, home = settled()
    home.machine.offer(Fate.NEVER)
    days.run_for(6 * HOUR)
    assert reasons(home) == [Reason.QUARANTINED]
    home.machine.redeploy()
    days.run_for(24 * HOUR)
    assert home.machine.staged is not None
    assert home.machine.staged.id == "os-2.1"
    assert reasons(home) == [Reason.QUARANTINED]
    assert home.oracle.calls == FLEET.attempts


# --- windows -----------------------------------------------------------------------------


class Listening(Days):
    """Takes down what is done."""

    def __init__(self, seed: int, rules: tuple[Rules, ...]) -> None:
        self.done: list[Effect] = []
        super().__init__(seed, rules)

    def obeys(self, agent: Agent, effect: Effect) -> None:
        super().obeys(agent, effect)
        self.done.append(effect)


def test_a_hook_that_overruns_the_window_never_leads_to_a_reboot_outside_it() -> None:
    """Rome, 2:30 to 3:30 in winter: the drain begins at 3:28 and takes longer than two minutes."""
    days = Listening(1, (replace(FLEET, calendar=NIGHTLY),))
    (home,) = days.homes.values()
    home.agent.wake()
    home.machine.hooks_take_s[Phase.PRE_REBOOT] = 290.0
    days.run_for(2 * HOUR + 28 * MINUTE)
    home.machine.offer()
    days.run_for(MINUTE)
    assert shown(home).state is StateName.PREPARING
    days.run_for(2 * MINUTE)
    assert reasons(home) == [Reason.OUTSIDE_WINDOW]
    assert not home.machine.drained
    assert not holds_a_slot(home)
    days.run_for(20 * HOUR)
    kinds = Counter(type(effect) for effect in days.done)
    assert (kinds[StopHooks], kinds[Reboot]) == (1, 0)
    assert [each.phase for each in days.done if isinstance(each, RunHooks)][-1] is Phase.ABANDONED
    days.run_for(6 * HOUR)
    assert home.machine.booted.version == "2"
