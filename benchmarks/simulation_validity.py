"""Is `rebootmgrctl simulate` right? The same roll-out with real processes, and in virtual time.

`python -m benchmarks.simulation_validity --hosts 50 --slots 5`: every host is a real rebootmgrd on
a bus of its own, the lock server speaks HTTP on loopback, and a reboot takes 5 s in real time. How
long a request and a reboot really took here goes into the simulation; how often hosts ask, and when
each has its update, must come out of it. Beyond 10 % of the mean of all runs it exits with 1.
"""

import argparse
import asyncio
import sys
import tempfile
from asyncio import TaskGroup, timeout
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from statistics import mean
from time import monotonic
from uuid import uuid4

from benchmarks.figures import Figure, Figures, table
from rebootmgr.core.counters import Api
from rebootmgr.core.policy import Policy, Strategy
from rebootmgr.simulation.fleet import Fleet
from rebootmgr.simulation.scenario import Scenario, Terms
from tests.fakes.fleetlock import FakeFleetLock
from tests.fakes.fleetlock_dialects import Airlock
from tests.fakes.fleetlock_wire import Script
from tests.fakes.host import Host, fleet_lock
from tests.simulation.fleets import ListeningServer

HOSTS, SLOTS, RUNS, ABREAST = 10, 2, 5, 3
SEEDS = 40
DOWN_S = 5.0
EACH_S = 1.0  # from update to update, on average: all at once would measure this machine
PATIENCE_S = 900.0
TOLERANCE = 0.1
REQUESTS = "rebootmgr_fleet_lock_request_duration_seconds_{}"
LATENCY = f'{REQUESTS}{{{{api="pre-reboot"}}}}'


@dataclass(frozen=True, slots=True)
class Run:
    """One roll-out: requests, and when each host had its update (s since the first request).

    `answer_s` is the mean of a request as its client sees it; `reboots_s` how long each host had
    its slot after that.
    """

    requests: int
    done_s: tuple[float, ...]
    answer_s: float = 0.0
    reboots_s: tuple[float, ...] = ()


class Plain(Airlock):
    """Refuses as the protocol's other servers do, so that nothing is presumed ours after it."""

    def _error(self, status: int, kind: str, value: str) -> Script:
        return super()._error(409 if status == 500 else status, kind, value)


class Server(FakeFleetLock):
    """A lock server that knows when it lent and got back what."""

    def __init__(self, slots: int) -> None:
        super().__init__(slots=slots, dialect=Plain())
        self.lent: dict[str, float] = {}
        self.back: dict[str, float] = {}
        self.everybody = asyncio.Event()
        self.begin = monotonic()
        self.hosts = 0

    def seize(self, group: str, id_: str) -> bool:
        if not self.lent:
            self.begin = monotonic()
        granted = super().seize(group, id_)
        if granted:
            self.lent.setdefault(id_, monotonic())
        return granted

    def free(self, group: str, id_: str) -> None:
        super().free(group, id_)
        if id_ in self.lent:
            self.back.setdefault(id_, monotonic())
        if len(self.back) == self.hosts:
            self.everybody.set()


async def roll_out(hosts: int, slots: int, dice: Random) -> Run:
    """Let a fleet of real processes go through one update."""
    server = Server(slots)
    server.hosts = hosts
    with tempfile.TemporaryDirectory(prefix="rebootmgr-validity-") as scratch:
        async with server, TaskGroup() as tasks:
            fleet = [Machine(Path(scratch, str(number)), server.url) for number in range(hosts)]
            ended = []
            for machine in fleet:  # one after the other: all at once would take them too long
                ended.append(tasks.create_task(machine.live()))
                await machine.ready.wait()
            await server.wait_seen(hosts)  # each gives back what it might hold, once in a boot
            server.seen.clear()
            begin = monotonic()
            staged_at = sorted(dice.uniform(0.0, hosts * EACH_S) for _ in fleet)
            for machine, at in zip(fleet, staged_at, strict=True):
                await asyncio.sleep(begin + at - monotonic())
                machine.go.set()
            async with timeout(PATIENCE_S):
                await server.everybody.wait()
            requests = len(server.seen)
            for machine in fleet:
                machine.end.set()
            latencies = [await task for task in ended]
    answer_s = sum(total for total, _ in latencies) / sum(count for _, count in latencies)
    return Run(
        requests=requests,
        done_s=tuple(at - server.begin for at in server.back.values()),
        answer_s=answer_s,
        reboots_s=tuple(server.back[name] - at - answer_s for name, at in server.lent.items()),
    )


class Machine:
    """One host that gets one update."""

    def __init__(self, root: Path, url: str, *, down_s: float = DOWN_S) -> None:
        self._down_s = down_s
        self.series: Mapping[str, float] = {}
        self.ready, self.go, self.end = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._root = root
        self._url = url

    async def live(self) -> tuple[float, float]:
        """Seconds spent in questions, and how many there were."""
        self._root.mkdir()
        async with Host(self._root) as host:
            host.configure(fleet_lock(self._url))
            (host.root / "etc/machine-id").write_text(f"{uuid4().hex}\n")
            await host.start()
            self.ready.set()
            await self.go.wait()
            await host.os.stage("42.2")
            async with timeout(PATIENCE_S):
                await host.logind.rebooted.wait()
            begin = monotonic()
            self.series = series = await host.metrics()
            await host.reboot()
            await asyncio.sleep(max(self._down_s - (monotonic() - begin), 0.0))
            await host.start(wait=False)
            await self.end.wait()
        return series[LATENCY.format("sum")], series[LATENCY.format("count")]


def simulate(hosts: int, slots: int, run: Run, seed: str) -> Run:
    """Let a fleet of the same kind go through it in virtual time."""
    scenario = Scenario(
        hosts=hosts,
        terms=Terms(slots=slots, answer_s=run.answer_s),
        policies=(Policy(strategies=frozenset({Strategy.FLEET_LOCK})),),
        start=datetime(2026, 1, 1, tzinfo=UTC),
        length_s=86400.0,
        staging_s=hosts * EACH_S,
        reboots_s=run.reboots_s,
        seed=seed,
    )
    fleet = Fleet(scenario)
    fleet.world.server = server = ListeningServer(fleet)
    for _ in fleet.run():
        pass
    begin = server.told[0][0]
    done = [now - begin for now, _, api, _, _ in server.told if api is Api.STEADY_STATE]
    return Run(len(server.told), tuple(done))


async def roll_outs(hosts: int, slots: int, runs: int, *, abreast: int) -> list[Run]:
    # A stand-in whose caller went down with its host has nobody left to answer.
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    turnstile = asyncio.Semaphore(abreast)

    async def take_turns(seed: int) -> Run:
        async with turnstile:
            return await roll_out(hosts, slots, Random(seed))  # noqa: S311 - it is repeatable

    return list(await asyncio.gather(*map(take_turns, range(runs))))


def compare(hosts: int, slots: int, real: Sequence[Run]) -> dict[str, Figure]:
    """Means of both: of all real runs, and of simulated ones with what was measured in them."""
    reboots_s = tuple(seconds for run in real for seconds in run.reboots_s)
    inputs = Run(0, (), mean(run.answer_s for run in real), reboots_s)
    virtual = [simulate(hosts, slots, inputs, str(seed)) for seed in range(SEEDS)]

    def figures(name: str, unit: str, ours: list[float], theirs: list[float]) -> dict[str, Figure]:
        simulated = Figure((mean(theirs),), unit)
        return {
            f"{name}, simulated": simulated,
            f"{name}, real": replace(Figure((mean(ours),), unit), baseline=simulated.samples),
        }

    return {
        "a request took": Figure(tuple(run.answer_s for run in real), "s"),
        "a reboot took": Figure(reboots_s, "s"),
        **figures(
            "requests",
            "",
            [float(run.requests) for run in real],
            [float(run.requests) for run in virtual],
        ),
        **figures(
            "a host's completion",
            "s",
            [mean(run.done_s) for run in real],
            [mean(run.done_s) for run in virtual],
        ),
        **figures(
            "the last host's",
            "s",
            [max(run.done_s) for run in real],
            [max(run.done_s) for run in virtual],
        ),
    }


def run() -> Figures:
    """Five fleets of ten hosts, three at a time: a user may have but 128 inotify instances."""
    return compare(HOSTS, SLOTS, asyncio.run(roll_outs(HOSTS, SLOTS, RUNS, abreast=ABREAST)))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulation_validity")
    parser.add_argument("--hosts", type=int, default=HOSTS)
    parser.add_argument("--slots", type=int, default=SLOTS)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--abreast", type=int, default=1, help="how many runs at the same time")
    options = parser.parse_args()
    real = asyncio.run(
        roll_outs(options.hosts, options.slots, options.runs, abreast=options.abreast)
    )
    figures = compare(options.hosts, options.slots, real)
    print(*table(figures), sep="\n")
    names = ("requests, real", "a host's completion, real")
    return int(any(abs((figures[name].ratio or 0.0) - 1.0) > TOLERANCE for name in names))


if __name__ == "__main__":
    sys.exit(main())
