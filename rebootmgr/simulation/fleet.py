"""A whole fleet in virtual time."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import cycle, islice
from typing import Final

from rebootmgr.core.events import FactsRead
from rebootmgr.core.facts import Facts
from rebootmgr.core.machine import start, step
from rebootmgr.core.memory import Memory, PastReboot
from rebootmgr.core.model import Outcome, Ticket
from rebootmgr.core.policy import Policy
from rebootmgr.core.states import State
from rebootmgr.simulation.host import BOOTS, NO_HOOKS, NOT_YET, OLD, QUIET, Host
from rebootmgr.simulation.poller import Poller
from rebootmgr.simulation.scenario import UP_S, Scenario
from rebootmgr.simulation.world import Due, World

EARLIER: Final = timedelta(days=30)
FEWEST: Final = 3  # before a host knows how long its reboots take
PAUSE_S: Final = 60
OFTEN: Final = 2000


class Fleet:
    """Hosts and their lock server."""

    def __init__(self, scenario: Scenario, *, shortcuts: bool = True) -> None:
        self.scenario = scenario
        self.world = World(scenario, shortcuts=shortcuts)
        idle = _idle(scenario)
        self.hosts: list[Host | Poller] = [
            Poller(number, self.world) if scenario.polls(number) else Host(number, self.world, idle)
            for number in range(scenario.hosts)
        ]
        self.sizes = [0] * scenario.all_groups
        for host in self.hosts:
            self.sizes[host.group] += 1

    def run(self) -> Iterator[float]:
        """Let time pass until nothing changes any more; yields the time now and then."""
        world, hosts, happened = self.world, self.hosts, 0
        for second in range(int(UP_S), int(UP_S + self.scenario.length_s)):
            if second % PAUSE_S == 0:
                world.now = float(second)
                if self.is_over:
                    break
                yield world.now
            for now, number, due in world.agenda.due(second):
                world.now = now
                if due is Due.SERVER:
                    world.server.tick(now)
                else:
                    hosts[number].happen(due)
                happened += 1
                if happened % OFTEN == 0:
                    yield now
        for usage in world.tally.usage:
            usage.pass_time(world.now)

    @property
    def is_over(self) -> bool:
        """Whether every host is done, waits for slots all of which are kept, or for nothing."""
        if self.world.agenda.is_empty:
            return True
        scenario, server = self.scenario, self.world.server
        groups = zip(self.world.tally.usage, self.sizes, strict=True)
        return all(
            usage.over == size
            or usage.kept >= scenario.slots(group)
            or (usage.holding <= usage.kept and server.is_halted(group))
            for group, (usage, size) in enumerate(groups)
        )


def _idle(scenario: Scenario) -> State:
    """A host that runs for a while, and knows by experience how long its reboots take."""
    at = scenario.moment(UP_S)
    longest = [seconds * (1.0 + scenario.spread) for seconds in scenario.reboots_s]
    reboots = tuple(
        PastReboot(
            at=at.wall - EARLIER,
            target=OLD.id,
            version=OLD.version,
            outcome=Outcome.SUCCEEDED,
            seconds=seconds,
        )
        for seconds in islice(cycle(longest), max(FEWEST, len(longest)))
    )
    memory = Memory(settled=BOOTS[0], booted=OLD, reboots=reboots)
    state, _ = start(memory, at=at, policy=Policy())
    facts = Facts(boot=BOOTS[0], os=NOT_YET, logind=QUIET, boot_incomplete="", hooks=NO_HOOKS)
    read = FactsRead(Ticket(state.tickets), facts)
    return step(state, read, at=at, policy=Policy()).state
