"""A fleet under fire, in virtual time: every agent is the real core (SPEC 6, 13).

While the storm lasts, requests meet trouble, daemons are killed at any effect, and whatever an
agent does with the fleet tempts a misfortune. After it, everything must come to an end. What
makes it cheap: hosts boot in seconds, so that few wait long; state.json is encoded and decoded
whenever a daemon starts, and kept as a value between.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from rebootmgr.core.effects import Effect, SaveMemory
from rebootmgr.core.events import FactsRead
from rebootmgr.core.facts import Deployments, Facts
from rebootmgr.core.model import Slot
from rebootmgr.core.policy import Patience, Policy, Strategy
from rebootmgr.core.states import State
from tests.fleet.agent import Agent
from tests.fleet.hands import Client
from tests.fleet.host import Host
from tests.fleet.lockd import Lockd
from tests.fleet.misfortune import GROUPS, befall
from tests.fleet.server import DIALECTS, TIMEOUT_S, LockServer, Network, Server
from tests.fleet.world import Weather, World

SLOTS: Final = 3
AGENTS: Final = 200
STORM_S: Final = 2400.0
BOUND_S: Final = 4 * 3600.0
STAGING_S: Final = 300.0
RESTARTS: Final = 8
PATIENCE: Final = Patience(
    first_retry_s=60.0,
    longest_retry_s=900.0,
    release_again_s=TIMEOUT_S,
    longest_retry_after_s=60.0,
    shutdown_s=120.0,
)


class ViolationError(AssertionError):
    """A promise was broken; the text is the story of those involved."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What one simulation saw. `over_s`: virtual seconds until everything was quiet."""

    grants: int
    faults: int
    requests: int
    over_s: float


def policy_of(name: str) -> Policy:
    """What an agent is configured with; limits that are not the matter here are out of the way."""
    return Policy(
        strategies=frozenset({Strategy.FLEET_LOCK}),
        slot=Slot("https://lock.example/", GROUPS[0], name),
        keep_slot_on_failed_update=False,
        reboots_per_day=10**6,
        attempts_per_deployment=10**6,
        seed=name,
        patience=PATIENCE,
    )


class Fleet:
    """Agents, their lock server, and the promises they must keep."""

    def __init__(
        self,
        seed: int,
        *,
        agents: int = AGENTS,
        client: Client | None = None,
        policy_of: Callable[[str], Policy] = policy_of,
        fine: bool = False,
        own: bool = False,
    ) -> None:
        """`own`: they ask rebootmgr-lockd; else one of the other makes."""
        self.seed = seed
        self.client = client or Client()
        self.grants = 0
        self.exposed = dict.fromkeys(GROUPS, 0)
        dice = Random(seed)  # noqa: S311 - it must be repeatable
        storm = Weather(trouble=0.2, crash=0.004, misfortune=0.06)
        self.world = World(dice, Weather() if fine else storm)
        self.server: Server
        if own:
            self.server = Lockd(
                self.world, GROUPS, slots=SLOTS, taken=self._taken, freed=self._freed
            )
        else:
            dialect = dice.choice(DIALECTS)
            self.server = LockServer(dialect, slots=SLOTS, taken=self._taken, freed=self._freed)
        self.network = Network(self.world, self.server)
        self.agents = {
            name: Agent(
                name,
                policy_of(name),
                self,
                Host(self.world, hooks=dice.random() < 0.3 and not fine),
            )
            for name in (f"{seed}-{number}" for number in range(agents))
        }

    def run(self) -> Tally:
        """Live through the storm and come to rest; ViolationError when a promise is broken."""
        agenda, dice = self.world.agenda, self.world.dice
        for agent in self.agents.values():
            agent.wake()
            agenda.after(dice.choice((0.0, dice.random())) * STAGING_S, agent.host.publish)
        for _ in range(RESTARTS):
            agenda.after(dice.uniform(0, STORM_S), self.network.restart)
        agenda.run_until(STORM_S)
        self.world.weather = Weather()
        while not all(agent.is_done for agent in self.agents.values()):
            if agenda.now > STORM_S + BOUND_S:
                stuck = [agent for agent in self.agents.values() if not agent.is_done]
                raise self._violation(f"{len(stuck)} agents are stuck", *stuck[:3])
            agenda.run_until(agenda.now + 60.0)
        for group, holders in self.server.holders.items():
            if holders:
                leaks = [self.agents[name] for name in holders]
                raise self._violation(f"a slot of {group} is leaked", *leaks)
        return Tally(self.grants, self.world.faults, len(self.network.sent), agenda.now)

    # --- what the agents do --------------------------------------------------------------

    def went_past(self, agent: Agent, slot: Slot) -> None:
        """Nobody goes on without a grant, nor more than there are slots."""
        self.grants += 1
        self.exposed[slot.group] += 1
        if self.exposed[slot.group] > SLOTS:
            everybody = self.agents.values()
            agents = [one for one in everybody if one.exposed and one.exposed.group == slot.group]
            raise self._violation(f"more than {SLOTS} agents go on", *agents)
        if not self.server.is_granted(slot.group, agent.name, self.world.agenda.now):
            raise self._violation("an agent goes on without a grant", agent)

    def came_back(self, agent: Agent, slot: Slot) -> None:
        """It may give the slot back now."""
        self.exposed[slot.group] -= 1

    def wrote(self, agent: Agent) -> None:
        """What the server holds for a host is in that host's state.json."""
        for group, holders in self.server.holders.items():
            if agent.name in holders and not _has_record(agent, group):
                raise self._violation(f"an agent forgets its slot of {group}", agent)

    def tempt(self, agent: Agent) -> None:
        """Perhaps something happens to this agent at once, or soon."""
        if self.world.happens(self.world.weather.misfortune):
            self.world.agenda.after(self.world.dice.choice((0.0, 0.5, 5.0, 60.0)), befall, agent)

    def decided(self, agent: Agent, before: State | None, effects: tuple[Effect, ...]) -> None:
        """What a host may decide is the matter of tests/days."""

    def obeys(self, agent: Agent, effect: Effect) -> None:
        """So is what it may do."""

    # --- what the server does ------------------------------------------------------------

    def _taken(self, group: str, host: str) -> None:
        if not _has_record(self.agents[host], group):
            raise self._violation(f"a slot of {group} is lent off the record", self.agents[host])

    def _freed(self, group: str, host: str) -> None:
        agent = self.agents[host]
        if agent.exposed is not None and agent.exposed.group == group:
            raise self._violation("an agent's slot is free while it is at it", agent)

    # --- when a promise is broken --------------------------------------------------------

    def _violation(self, what: str, *involved: Agent) -> ViolationError:
        lines = [
            f"seed {self.seed}, {self.world.agenda.now:.3f} s: {what}",
            f"the server speaks as {self.server.name} and lends {self.server.holders}",
        ]
        for agent in involved:
            lines.append(f"{agent.name}, booted {agent.host.booted.version}, up {agent.host.up}:")
            for at, told, attempt, effects in agent.story:
                lines.append(f"  {at:9.3f}  {_brief(told)}")
                lines.append(f"             -> {attempt}")
                lines += [f"             ! {_brief(effect)}" for effect in effects]
            lines.append(f"  state.json: {_brief(SaveMemory(agent.disk))}")
        return ViolationError("\n".join(lines))


def _brief(thing: object) -> str:
    match thing:
        case FactsRead(ticket, Facts(os=Deployments() as os) as facts):
            staged = os.default.version if os.staged else None
            return f"FactsRead({ticket}, {os.booted.version}, staged {staged}, {facts.logind})"
        case SaveMemory(memory):
            intent = memory.intent and memory.intent.version
            return f"SaveMemory({intent=}, drained={memory.drained}, {memory.debts})"
        case _:
            return str(thing)


def _has_record(agent: Agent, group: str) -> bool:
    return any(debt.slot.group == group for debt in agent.disk.debts)
