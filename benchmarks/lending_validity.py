"""Does rebootmgr-lockd lend to a real fleet as the simulation says?

`python -m benchmarks.lending_validity --hosts 50 --slots 30 --slots 5`, half an hour. The server is
the real program on its real store, every host that obeys a real rebootmgrd on a bus of its own, and
the others ask as Zincati does, at intervals of one reboot. A reboot takes 40 s in real time instead
of 5 min, and the server has seen such before. How long it and a request really took goes into the
simulation; slots in use, the longest wait and the requests of a host must come out of it.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from asyncio import TaskGroup, timeout
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from heapq import heapify, heapreplace
from pathlib import Path
from random import Random
from statistics import mean
from time import time
from typing import Final

from benchmarks.figures import Figure, Figures, table
from benchmarks.simulation_validity import REQUESTS, Machine
from rebootmgr.core.counters import Api
from rebootmgr.core.policy import Policy, Strategy
from rebootmgr.fleetlock.admin_names import HISTORY
from rebootmgr.fleetlock.words import Reply
from rebootmgr.lending.granting import Decided
from rebootmgr.lending.lend import decide
from rebootmgr.lending.questions import Lent, PreReboot, SteadyState, TakenBack
from rebootmgr.lending.terms import Moment
from rebootmgr.simulation.fleet import Fleet
from rebootmgr.simulation.lending_server import LendingServer
from rebootmgr.simulation.scenario import UP_S, Scenario, Terms
from rebootmgr.simulation.world import Due, World
from tests.lockd.program import Server, serving

HOSTS: Final = 20
SLOTS: Final = (6,)
DOWN_S: Final = 40.0
WARM: Final = tuple(f"warm-{number}" for number in range(32))
"""So many that come back at once make of the server's first guess, 5 min, what DOWN_S is."""
STAGED_S: Final = 10.0
SEEDS: Final = 40
PATIENCE_S: Final = 3600.0
LOOK_S: Final = 2.0
RETURN_S: Final = f'{REQUESTS.format("sum")}{{api="steady-state"}}'
HALF: Final = 0.5


@dataclass(frozen=True, slots=True)
class Lending:
    """Whom a roll-out lent its slots: (from, to) in s since the first update was staged, in order.

    `requests` are those of each host that obeys, `polls` of each that does not. Nobody asked for
    longer than `staged_s` before all did.
    """

    lent: tuple[tuple[float, float], ...]
    requests: tuple[float, ...]
    polls: tuple[float, ...]
    answer_s: float = 0.0

    def in_use(self, slots: int) -> float:
        """Give the share of all slots that was lent, from the first grant to the last return."""
        begin, end = min(one for one, _ in self.lent), max(other for _, other in self.lent)
        return sum(end - begin for begin, end in self.lent) / (slots * (end - begin))

    @property
    def longest_wait(self) -> float:
        """Tell when the last host got its slot."""
        return max(begin for begin, _ in self.lent)

    def in_strict_order(self, slots: int) -> float:
        """Tell when it would have, had each slot been lent again at once."""
        free = [min(begin for begin, _ in self.lent)] * slots
        heapify(free)
        last = 0.0
        for begin, end in sorted(self.lent):
            last = free[0]
            heapreplace(free, last + end - begin)
        return last


async def roll_out(hosts: int, slots: int, polling: float) -> Lending:
    """Let a fleet of real processes go through one update."""
    dice = Random(f"{hosts} {slots} {polling}")  # noqa: S311 - it is repeatable
    pollers = round(hosts * polling)
    with tempfile.TemporaryDirectory(prefix="rebootmgr-lending-") as scratch:
        folder = Path(scratch)
        text = f"[groups.default]\nslots = {slots}\n"
        async with serving(folder, text) as server, TaskGroup() as tasks:
            url = f"http://127.0.0.1:{server.port}"
            fleet = [
                Machine(Path(scratch, str(number)), url, down_s=DOWN_S)
                for number in range(hosts - pollers)
            ]
            ended = []
            for machine in fleet:  # one after the other: all at once would take them too long
                ended.append(tasks.create_task(machine.live()))
                await machine.ready.wait()
            for host in WARM:
                await server.ask(host)
                await server.give_back(host)
            begin = time()
            polled = [
                tasks.create_task(poll(server, number, begin, dice)) for number in range(pollers)
            ]
            staged_at = sorted(dice.uniform(0.0, STAGED_S) for _ in fleet)
            for machine, at in zip(fleet, staged_at, strict=True):
                await asyncio.sleep(begin + at - time())
                machine.go.set()
            async with timeout(PATIENCE_S):
                happened = await all_back(server, hosts)
            for machine in fleet:
                machine.end.set()
            took = [await task for task in ended]
            polls = [await task for task in polled]
    return Lending(
        lent=spans(happened, begin),
        requests=tuple(count + 1 for _, count in took),  # and the slot's return
        polls=tuple(polls),
        answer_s=mean(machine.series[RETURN_S] for machine in fleet),  # those are never held
    )


async def poll(server: Server, number: int, begin: float, dice: Random) -> float:
    """Ask as Zincati does, until there was a slot for a reboot; how many requests it took."""
    host, asked = f"zincati-{number}", 1
    await asyncio.sleep(begin + dice.uniform(0, STAGED_S) - time())
    while (await server.ask(host)).status != 200:
        asked += 1
        await asyncio.sleep(DOWN_S * dice.uniform(0.9, 1.1))
    await asyncio.sleep(DOWN_S)
    await server.give_back(host)
    return asked + 1


Happened = Mapping[str, object]


async def all_back(server: Server, hosts: int) -> list[Happened]:
    """Wait until each host had a slot and gave it back; what happened."""
    while True:
        told = json.loads((await server.get(f"{HISTORY}?n=1000")).body)["history"]
        told = [one for one in told if one["id"] not in WARM]
        if sum(one["what"] == "returned" for one in told) == hosts:
            return told
        await asyncio.sleep(LOOK_S)


def spans(happened: Sequence[Happened], begin: float) -> tuple[tuple[float, float], ...]:
    """Give when each slot was lent; the server tells whole seconds."""
    found: dict[str, list[float]] = {}
    for one in happened:
        if one["what"] in {"lent", "returned"}:
            at = datetime.fromisoformat(str(one["at"])).timestamp() + 0.5
            found.setdefault(str(one["id"]), []).append(at - begin)
    return tuple(sorted((since, until) for since, until in found.values()))


class Witness(LendingServer):
    """The server in virtual time, which writes down who asked, and who had a slot when."""

    def __init__(self, world: World) -> None:
        self.asked: Counter[int] = Counter()
        self.lent: dict[str, list[float]] = {}
        super().__init__(
            world.scenario,
            world.tally,
            answered=lambda host, at: world.agenda.add((at, host, Due.TOLD)),
            wake=lambda at: world.agenda.add((at, -1, Due.SERVER)),
        )
        group, at = world.scenario.group_name(0), Moment(world.scenario.start, UP_S)
        for host in WARM:
            for question in (PreReboot(group, host), SteadyState(group, host)):
                self._fleet = decide(self._fleet, 0, question, self._rules, at).fleet

    def handle(self, api: Api, group: int, host: int, now: float) -> tuple[Reply, float] | None:
        self.asked[host] += 1
        return super().handle(api, group, host, now)

    def _take(self, decided: Decided, now: float) -> None:
        for change in decided.changes:
            match change:
                case Lent(id=host) | TakenBack(id=host):
                    self.lent.setdefault(host, []).append(now - UP_S)
                case _:
                    pass
        super()._take(decided, now)


def simulate(hosts: int, slots: int, polling: float, real: Lending, seed: str) -> Lending:
    """Let a fleet of the same kind go through it in virtual time."""
    scenario = Scenario(
        hosts=hosts,
        terms=Terms(slots=slots, lends=True, answer_s=real.answer_s),
        policies=(Policy(strategies=frozenset({Strategy.FLEET_LOCK})),),
        start=datetime(2026, 1, 1, tzinfo=UTC),
        length_s=86400.0,
        staging_s=STAGED_S,
        reboots_s=tuple(end - begin for begin, end in real.lent),
        polling=polling,
        polling_s=DOWN_S,
        seed=seed,
    )
    fleet = Fleet(scenario)
    fleet.world.server = witness = Witness(fleet.world)
    for _ in fleet.run():
        pass
    times = {scenario.polls(number): list[float]() for number in range(hosts)}
    for number in range(hosts):
        times[scenario.polls(number)].append(float(witness.asked[number]))
    lent = tuple(sorted((since, until) for since, until in witness.lent.values()))
    return Lending(lent, tuple(times.get(False, ())), tuple(times.get(True, ())))


def compare(hosts: int, slots: int, polling: float, real: Lending) -> dict[str, Figure]:
    """Give the real one, set against the mean of simulated ones."""
    virtual = [simulate(hosts, slots, polling, real, str(seed)) for seed in range(SEEDS)]
    kind = f"{slots} slots{', half poll' * bool(polling)}"
    figures = {}

    def note(name: str, unit: str, ours: float, theirs: Sequence[float]) -> None:
        simulated = Figure((mean(theirs),), unit)
        figures[f"{kind}: {name}, simulated"] = Figure(tuple(theirs), unit)
        figures[f"{kind}: {name}"] = replace(Figure((ours,), unit), baseline=simulated.samples)

    def percent(one: Lending) -> float:
        return 100 * one.in_use(slots)

    def late(one: Lending) -> float:
        return one.longest_wait / one.in_strict_order(slots)

    figures[f"{kind}: a reboot took"] = Figure(tuple(end - begin for begin, end in real.lent), "s")
    figures[f"{kind}: a request took"] = Figure((real.answer_s,), "s")
    note("in use", "%", percent(real), [percent(one) for one in virtual])
    note("longest wait", "s", real.longest_wait, [one.longest_wait for one in virtual])
    note("to strict order", "x", late(real), [late(one) for one in virtual])
    note("requests", "", mean(real.requests), [mean(one.requests) for one in virtual])
    note("most requests", "", max(real.requests), [max(one.requests) for one in virtual])
    if polling:
        note("polls", "", mean(real.polls), [mean(one.polls) for one in virtual])
    return figures


def run(hosts: int = HOSTS, many: Sequence[int] = SLOTS) -> Figures:
    """Give fleets of hosts that all obey, and of which half do."""
    found: dict[str, Figure] = {}
    for polling in (0.0, HALF):
        for slots in many:
            real = asyncio.run(roll_out(hosts, slots, polling))
            found |= compare(hosts, slots, polling, real)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lending_validity")
    parser.add_argument("--hosts", type=int, default=HOSTS)
    parser.add_argument("--slots", type=int, action="append")
    options = parser.parse_args()
    print(*table(run(options.hosts, options.slots or SLOTS)), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
