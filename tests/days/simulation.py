"""Thirty days of a host or two, in virtual time: the real decisions, state.json and configuration.

The storm is random; the calm after it is not: what is owed goes back, what failed is forgiven, and
a good update is applied in the next opening that fits. `Tally` says what a seed came to.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from rebootmgr.core.describe import blockers, describe
from rebootmgr.core.effects import Effect, Reboot, SaveMemory
from rebootmgr.core.events import FactsRead
from rebootmgr.core.facts import Deployments
from rebootmgr.core.model import NoticeKind, Outcome, Slot
from rebootmgr.core.states import Idle, State
from tests.days.ageing import Step
from tests.days.calendars import CALENDARS, SEASONS
from tests.days.home import HOUR, MINUTE, Home
from tests.days.life import AT_THE_CALL, INCIDENTS, QUICK, UPDATES, Incident
from tests.days.machine import ALL_HOOKS, Machine, Rtc
from tests.days.oracle import BrokenError, Oracle, is_content, need
from tests.days.rules import GROUPS, Rules
from tests.fleet.agent import Agent
from tests.fleet.hands import Client
from tests.fleet.server import DIALECTS, LockServer, Network
from tests.fleet.world import Weather, World

DAY_S: Final = 86400.0
DAYS: Final = 30
SETTLED_S: Final = 3 * HOUR
ENDED_S: Final = 24 * HOUR
LATE_S: Final = HOUR
NODES: Final = ("one", "two")


class ViolationError(AssertionError):
    """A promise was broken; the text is the story of those involved."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What one simulation saw."""

    days: float
    faults: int
    calls: int
    outcomes: Counter[Outcome]


class Days:
    """A few hosts that share a lock server, and who watches over each."""

    def __init__(
        self,
        seed: int,
        rules: tuple[Rules, ...],
        *,
        weather: Weather | None = None,
        client: Client | None = None,
    ) -> None:
        self.seed = seed
        self.client = client or Client()
        self.world = World(Random(seed), weather or Weather())  # noqa: S311 - repeatable
        dice = self.world.dice
        self.season = SEASONS[seed // 10 % len(SEASONS)]
        dialect = dice.choice(DIALECTS)
        self.server = LockServer(dialect, slots=1, taken=self._taken, freed=self._freed)
        self.network = Network(self.world, self.server)
        self.homes = {each.node: self._settle(each) for each in rules}

    def _settle(self, rules: Rules) -> Home:
        machine = Machine(self.world, self.season, hooks=ALL_HOOKS)
        agent = Agent(rules.node, rules.policy(), self, machine)
        agent.disk = replace(agent.disk, last_seen=machine.at.wall)  # it has run here before
        oracle = Oracle(agent, machine, rules)
        oracle.stormy = not self.world.weather.is_fine
        return Home(agent, machine, oracle, self.network, self.server)

    def run_for(self, seconds: float) -> None:
        """Let time pass; ViolationError when a promise is broken."""
        try:
            self.world.agenda.run_until(self.world.agenda.now + seconds)
        except BrokenError as error:
            raise self._violation(str(error)) from error

    # --- who watches ---------------------------------------------------------------------

    def went_past(self, agent: Agent, slot: Slot) -> None:
        """Nobody goes on without a grant."""
        granted = self.server.is_granted(slot.group, agent.name, self.world.agenda.now)
        need(granted, "goes on without a grant")

    def came_back(self, agent: Agent, slot: Slot) -> None:
        """It may give the slot back now."""

    def wrote(self, agent: Agent) -> None:
        """What the server holds for a host is in that host's state.json; and boots are judged."""
        for group, holders in self.server.holders.items():
            recorded = any(debt.slot.group == group for debt in agent.disk.debts)
            need(agent.name not in holders or recorded, f"forgets its slot of {group}")
        if agent.name in self.homes:
            self.homes[agent.name].oracle.wrote()

    def tempt(self, agent: Agent) -> None:
        """Perhaps something happens to this host at once, or soon."""
        if self.world.happens(self.world.weather.misfortune):
            delay = self.world.dice.choice((0.0, 0.5, 5.0, 60.0))
            self.world.agenda.after(delay, self._befall, self.homes[agent.name], QUICK)

    def decided(self, agent: Agent, before: State | None, effects: tuple[Effect, ...]) -> None:
        """Every step is judged."""
        self.homes[agent.name].oracle.decided(before, effects)

    def obeys(self, agent: Agent, effect: Effect) -> None:
        """So is every act."""
        home = self.homes[agent.name]
        home.oracle.obeys(effect)
        if isinstance(effect, Reboot) and self.world.happens(self.world.weather.misfortune * 8):
            delay = self.world.dice.choice((0.0, 0.2, 2.0))
            self.world.agenda.after(delay, self._befall, home, AT_THE_CALL)

    def _taken(self, group: str, host: str) -> None:
        debts = self.homes[host].agent.disk.debts
        need(any(debt.slot.group == group for debt in debts), "a slot is lent off the record")

    def _freed(self, group: str, host: str) -> None:
        home = self.homes[host]
        exposed = home.agent.exposed
        is_at_it = exposed is not None and exposed.group == group
        need(not is_at_it or home.machine.goes_down_for_others, "the slot is free while in use")
        home.oracle.freed(group)

    # --- the storm -----------------------------------------------------------------------

    def storm(self, days: int) -> None:
        """Random lives."""
        dice = self.world.dice
        for home in self.homes.values():
            machine = home.machine
            machine.rtc = dice.choice((Rtc.GOOD, Rtc.GOOD, Rtc.NONE, Rtc.WRONG))
            machine.rtc_days = dice.uniform(-40, 40)
            machine.install(dice.choice((ALL_HOOKS, frozenset())))
            home.agent.wake()
            kinds = dice.sample(INCIDENTS, 10)
            self._plan(home, days * 0.9, UPDATES, days)
            self._plan(home, days * 2.4, tuple(kinds), days)
        self.run_for(days * DAY_S)

    def _plan(self, home: Home, number: float, kinds: tuple[Incident, ...], days: int) -> None:
        dice, agenda = self.world.dice, self.world.agenda
        for _ in range(round(number)):
            agenda.after(dice.uniform(0, days * DAY_S), self._befall, home, kinds)

    def _befall(self, home: Home, kinds: tuple[Incident, ...]) -> None:
        if home.machine.up and not home.machine.asleep and not self.world.weather.is_fine:
            self.world.faults += 1
            self.world.dice.choice(kinds)(home)

    # --- the calm ------------------------------------------------------------------------

    def calm(self) -> None:
        """The bad weather is over: everything comes to an end, and updates are applied again."""
        self.world.weather = Weather()
        self.network.up = True
        for group in GROUPS:
            self.server.leave_all(group)
        homes = self.homes.values()
        for home in homes:
            home.calm_down()
        self.run_for(SETTLED_S)
        for _ in range(12):
            if all(home.is_at_ease for home in homes):
                break
            self.run_for(10 * MINUTE)  # they may be at it just now
        for home in homes:
            self._judge(self._check_slots, home)
        self.run_for(ENDED_S)
        for home in homes:
            home.make_way()
        due = [home.due_at(len(homes)) for home in homes]
        self.run_for(max(due) + LATE_S - self.world.agenda.now)
        for home in homes:
            self._judge(self._check_progress, home)
            self._judge(self._check_rest, home)

    def _check_slots(self, home: Home) -> None:
        state, agent = home.agent.state, home.agent
        need(not home.machine.drained, "stays drained in calm weather")
        held = {group for group, lent in self.server.holders.items() if agent.name in lent}
        need(held <= home.oracle.kept, f"a slot is leaked: {held - home.oracle.kept}")
        if held and state is not None:
            at, policy = home.machine.at, agent.deciding
            notices = describe(state, policy, at, since={}).notices
            told = any(notice.kind is NoticeKind.SLOT_KEPT for notice in notices)
            need(told, "keeps a slot and does not say so")

    def _check_progress(self, home: Home) -> None:
        machine = home.machine
        assert machine.newest is not None
        wanted = str(machine.newest.version)
        need(machine.booted.version == wanted, f"version {wanted} could be applied, and is not")

    def _check_rest(self, home: Home) -> None:
        state = home.agent.state
        need(state is not None and isinstance(state.attempt, Idle), "does not come to rest")
        assert state is not None
        need(is_content(state), "has something left to do")

    def _judge(self, check: Callable[[Home], None], home: Home) -> None:
        try:
            check(home)
        except BrokenError as error:
            raise self._violation(str(error)) from error

    def _violation(self, what: str) -> ViolationError:
        lines = [
            f"seed {self.seed}, day {self.world.agenda.now / DAY_S:.4f}: {what}",
            f"the server speaks as {self.server.dialect.name} and lends {self.server.holders}",
        ]
        for home in self.homes.values():
            agent, machine = home.agent, home.machine
            lines.append(
                f"{agent.name}, booted {machine.booted.id}, up {machine.up}, {machine.at}:"
            )
            lines.append(f"  {home.oracle.rules}")
            for at, told, attempt, effects in agent.story:
                lines.append(f"  {at:13.3f}  {_brief(told)}")
                lines.append(f"                 -> {attempt}")
                lines += [f"                 ! {_brief(effect)}" for effect in effects]
            lines.append(f"  state.json: {agent.disk}")
            if agent.state is not None:
                found = blockers(agent.state, agent.deciding, machine.at)
                lines += [f"  {blocker}" for blocker in found]
        return ViolationError("\n".join(lines))


def _brief(thing: object) -> str:
    match thing:
        case FactsRead(ticket, facts):
            match facts.os:
                case Deployments(staged=staged) as os:
                    shown = f"{os.booted.id}, staged {os.default.id if staged else None}"
                case other:
                    shown = str(other)
            return f"FactsRead({ticket}, {shown}, {facts.logind}, {facts.boot_incomplete!r})"
        case SaveMemory(memory):
            intent = memory.intent and memory.intent.target
            return f"SaveMemory({intent=}, drained={memory.drained}, {memory.debts})"
        case _:
            return str(thing)


def draw(seed: int) -> Days:
    """The hosts of a seed."""
    dice = Random(seed)  # noqa: S311 - repeatable
    calendar = list(CALENDARS)[seed % len(CALENDARS)]
    nodes = NODES if dice.random() < 0.2 else (dice.choice(NODES),)
    rules = tuple(Rules.drawn(dice, node, calendar) for node in nodes)
    if seed % 3 == 0:  # what a storm makes of deadlines: nobody goes too soon
        own = Random(f"{seed}/deadlines")  # noqa: S311 - repeatable
        rules = tuple(replace(each, deadlines=Step.drawn(own)) for each in rules)
    return Days(seed, rules, weather=Weather(trouble=0.1, crash=0.002, misfortune=0.03))


def live_through(seed: int, days: int = DAYS) -> Tally:
    """One seed, from the first update to the last."""
    life = draw(seed)
    life.storm(days)
    life.calm()
    outcomes: Counter[Outcome] = Counter()
    for home in life.homes.values():
        outcomes += home.oracle.outcomes
    calls = sum(home.oracle.calls for home in life.homes.values())
    return Tally(life.world.agenda.now / DAY_S, life.world.faults, calls, outcomes)
