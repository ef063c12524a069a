"""Thirty days of a host that has deadlines, and of all that may hold a reboot.

Nothing here is broken: no crash in the middle of a write, no lost answer. So whenever the last step
is due and nothing that is never waived is in the way, the reboot has to come, at that instant.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from rebootmgr.core.describe import blockers
from rebootmgr.core.effects import Effect, Reboot
from rebootmgr.core.facts import Finalization
from rebootmgr.core.model import Phase
from rebootmgr.core.states import Rebooting
from tests.days import life as lives
from tests.days.ageing import DAY, HOUR, MINUTE, Step
from tests.days.calendars import CALENDARS
from tests.days.home import Home
from tests.days.life import Incident
from tests.days.machine import ALL_HOOKS
from tests.days.oracle import need
from tests.days.rules import Rules
from tests.days.simulation import DAYS, NODES, Days
from tests.fleet.agent import Agent
from tests.fleet.host import BACKUP

LOOK_EVERY_S: Final = 5 * MINUTE
LATE_S: Final = 20 * MINUTE
EXACT_S: Final = 3 * MINUTE  # checks, a drain, checks again, and the lock server's word
NAMED_AFTER_S: Final = 6 * MINUTE
FREEZE_AHEAD_S: Final = 5 * HOUR


def _inhibit_for_days(home: Home) -> None:
    home.machine.inhibit(BACKUP)
    home.later(2 * HOUR, 3 * DAY, home.machine.inhibit)


def _stay_for_days(home: Home) -> None:
    session = home.log_in()
    home.later(2 * HOUR, 5 * DAY, home.log_out, session)


def _withdraw_and_stage_again(home: Home) -> None:
    home.machine.staged, newest = None, home.machine.newest
    home.machine.withdraw()
    home.machine.newest = newest
    home.later(MINUTE, 30 * HOUR, home.machine.stage)


def _be_off_for_days(home: Home) -> None:
    home.machine.lose_power(for_s=home.world.dice.uniform(HOUR, 9 * DAY))


def _replace(home: Home) -> None:
    home.machine.offer()


HAPPENINGS: Final[tuple[Incident, ...]] = (
    *lives.HARD_GATES, _inhibit_for_days, _stay_for_days, _stay_for_days,
    _withdraw_and_stage_again, _replace, _be_off_for_days, _be_off_for_days,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tally:
    """What a month saw: reboots, those that no window allowed, those that came at the instant;
    looks at a host that is held past its last deadline, and people who were told ahead.
    """

    calls: int
    by_deadline: int
    exact: int
    held: int
    told: int


class Overdue(Days):
    """A month of one host, at which somebody looks every few minutes."""

    def __init__(self, seed: int, rules: Rules) -> None:
        super().__init__(seed, (rules,))
        (self.home,) = self.homes.values()
        self.home.machine.hooks_dawdle = 0.0
        self.by_deadline = self.exact = self.held = 0
        self._closed: dict[str, float] = {}  # since when, by its name
        self._sessions: dict[str, float] = {}
        self._ready_since: float | None = None
        self._disturbed_at = self._deaf_at = 0.0

    def run(self, days: int) -> Tally:
        """Live through it; ViolationError when a promise was broken."""
        home, dice = self.home, self.world.dice
        home.machine.install(dice.choice((ALL_HOOKS, frozenset())))
        home.agent.wake()
        self._plan(home, days * 0.3, (_replace,), days)
        self._plan(home, days * 1.2, tuple(dice.sample(HAPPENINGS, 7)), days)
        while self.world.agenda.now < days * DAY:
            self.run_for(LOOK_EVERY_S)
            self._judge(self._watch, home)
        told = sum(map(len, home.oracle.ageing.told.values()))
        return Tally(home.oracle.calls, self.by_deadline, self.exact, self.held, told)

    def _befall(self, home: Home, kinds: tuple[Incident, ...]) -> None:
        """In fine weather, too."""
        if home.machine.up and not home.machine.asleep:
            self._disturbed_at = self.world.agenda.now
            self.world.dice.choice(kinds)(home)

    def obeys(self, agent: Agent, effect: Effect) -> None:
        """A reboot for which nothing but the deadline had to come, comes at its instant."""
        super().obeys(agent, effect)
        if isinstance(effect, Reboot):
            self._note_call()

    def _note_call(self) -> None:
        home, now = self.home, self.world.agenda.now
        oracle, ageing = home.oracle, home.oracle.ageing
        if oracle.openings.opening_at(home.machine.at.wall) is None:
            self.by_deadline += 1
        due = ageing.due_at(oracle.rules.deadlines[-1])
        calm = due is not None and self._disturbed_at < due - 2 * LOOK_EVERY_S
        if due is not None and calm and ageing.is_exact and now > due:
            need(now - due <= EXACT_S, f"comes {now - due:.0f} s after the last deadline")
            self.exact += 1

    # --- every few minutes ---------------------------------------------------------------

    def _watch(self, home: Home) -> None:
        now, machine, ageing = self.world.agenda.now, home.machine, home.oracle.ageing
        ageing.look_at_the_clock()
        self._closed = {name: self._closed.get(name, now) for name in self._gates()}
        here = [session.id for session in machine.logind.sessions]
        self._sessions = {session: self._sessions.get(session, now) for session in here}
        is_clear = not (self._closed or self._is_doubtful())
        state, due = home.agent.state, ageing.due_at(home.oracle.rules.deadlines[-1])
        is_away = state is None or machine.asleep or not machine.up
        if here or is_away or not is_clear or machine.staged is None:
            self._disturbed_at = now
        self._check_people()
        is_at_it = state is None or isinstance(state.attempt, Rebooting) or machine.going_down
        if is_at_it or machine.asleep or due is None or now < due:
            self._ready_since = None
            return
        if now > due + MINUTE:
            self._check_why()
        if not is_clear:
            self._ready_since = None
            return
        self._ready_since = now if self._ready_since is None else self._ready_since
        late = LATE_S + 60.0 * home.oracle.rules.grace_minutes
        need(now - self._ready_since <= late, "past its last deadline, and nothing is in the way")

    def _check_people(self) -> None:
        """Whoever is there is told of each deadline ahead of it."""
        machine, oracle, now = self.home.machine, self.home.oracle, self.world.agenda.now
        rules, ageing = oracle.rules, oracle.ageing
        is_deaf = not (machine.up and rules.enabled and ageing.is_exact and machine.staged)
        is_deaf |= self.home.agent.state is None or machine.asleep or machine.hooks_hang
        if is_deaf or machine.os_is_silent or machine.logind_is_gone or machine.going_down:
            self._deaf_at = now
        if rules.wait:
            untold = list(ageing.untold(rules.deadlines, self._deaf_at, self._sessions))
            need(not untold, ", ".join(untold))

    def _check_why(self) -> None:
        """What counts no more is not named, and one of those that hold it is."""
        home, now = self.home, self.world.agenda.now
        state, rules = home.agent.state, home.oracle.rules
        assert state is not None
        found = blockers(state, home.agent.deciding, home.machine.at)
        named = {blocker.reason.value for blocker in found}
        waived = {name for step in rules.deadlines for name in step.waive}
        need("outside_window" not in named, "waits for a window past its last deadline")
        if "fit" in waived:
            need("window_too_short" not in named, "waits for a longer window past its deadline")
        lasting = {name for name, since in self._closed.items() if now - since > NAMED_AFTER_S}
        if lasting:
            self.held += 1
            need(bool(named & self._closed.keys()), f"{lasting} hold it, and it names {named}")

    def _gates(self) -> Iterator[str]:
        """Name the gates that are closed in truth, and that no deadline opens."""
        machine, oracle = self.home.machine, self.home.oracle
        rules, logind, hooks = oracle.rules, machine.logind, machine.hooks
        counted = {"true": (0, 1000), '"root"': (0,), "false": ()}[rules.respect]
        objects = any(one.uid in counted for one in logind.inhibitors)
        locked, disk = machine.finalization, self.home.agent.disk
        refused = {one.key for one in disk.quarantine}
        fails = machine.check_says_no or machine.hooks_hang
        strands = machine.drain_fails or machine.hooks_hang
        yield from (
            name
            for name, is_closed in (
                ("boot_not_complete", not machine.complete),
                ("state_unknown", machine.os_is_silent or locked is Finalization.UNKNOWN),
                ("transaction_active", bool(machine.transaction)),
                ("unlocked", machine.unlocked != "none"),
                ("finalization_locked", locked is Finalization.LOCKED),
                ("driver_conflict", bool(machine.driver)),
                ("disabled", not rules.enabled),
                ("held", bool(disk.holds)),
                ("blackout", oracle.openings.is_frozen(machine.at.wall)),
                ("logind_unreachable", machine.logind_is_gone),
                ("shutdown_scheduled", bool(logind.scheduled or logind.preparing)),
                ("inhibited", objects or bool(logind.inhibitors and not logind.may_override)),
                ("check_failed", Phase.CHECK in hooks and fails),
                ("hook_failed", Phase.PRE_REBOOT in hooks and strands),
                ("hook_running", bool(hooks) and (fails or strands)),
                ("clock_unsynchronized", oracle.time_decides() and not oracle.is_trusted()),
                ("quarantined", machine.staged is not None and machine.staged.key in refused),
            )
            if is_closed
        )

    def _is_doubtful(self) -> bool:
        """Whether something else may be closed: the budget, or fit where a freeze comes."""
        machine, oracle, now = self.home.machine, self.home.oracle, self.world.agenda.now
        rules, called, wall = oracle.rules, machine.called_at, machine.at.wall
        spent = len(called) >= rules.per_day and now - called[-rules.per_day] < 3 * DAY
        waived = {name for step in rules.deadlines for name in step.waive}
        freezes = oracle.openings.freezes if rules.fit and "fit" not in waived else ()
        soon = (wall.timestamp(), wall.timestamp() + FREEZE_AHEAD_S)
        coming = any(start < soon[1] and soon[0] < end for start, end in freezes)
        return spent or coming or not oracle.openings.covers(wall)


def draw(seed: int) -> Overdue:
    """The host of a seed."""
    dice = Random(f"{seed}/overdue")  # noqa: S311 - repeatable
    calendar = list(CALENDARS)[seed % len(CALENDARS)]
    rules = Rules.drawn(dice, dice.choice(NODES), calendar)
    return Overdue(seed, replace(rules, deadlines=Step.drawn(dice)))


def live_through(seed: int, days: int = DAYS) -> Tally:
    """One seed, from the first update to the last."""
    return draw(seed).run(days)
