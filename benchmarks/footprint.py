"""Memory at rest, and the time from start to READY: `python -m benchmarks.footprint`.

One of each in turn, round by round, so that what slows the machine down slows all of them. The
daemon's start holds a first look at rpm-ostree, logind and systemd; their stand-ins run in here.
"""

import asyncio
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Final

from benchmarks import subjects
from benchmarks.figures import Figure, Figures, table
from benchmarks.ostree_tree import ostree_tree
from benchmarks.processes import memory
from benchmarks.subjects import HERE, Surroundings, lean_skeleton, skeleton
from tests.fakes.dbus_daemon import DbusDaemon
from tests.fakes.fleetlock import FakeFleetLock

ROUNDS: Final = 7
START: Final = "start to READY"
BASELINES: Final = {
    "bare interpreter": "",
    "lean skeleton": "bare interpreter",
    "skeleton": "bare interpreter",
}


class Samples:
    """Round by round: the memory of each subject, and how long it took to be ready."""

    def __init__(self) -> None:
        self.samples: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))

    def weigh(self, name: str, pid: int) -> None:
        """Take the memory of a process as it is now."""
        now = memory(pid)
        for kind, value in (("RSS", now.rss), ("PSS", now.pss), ("anonymous", now.anonymous)):
            self.samples[name][kind].append(value)

    def begin(self, name: str, pid: int, ready_s: float) -> None:
        """Take the memory of one that has just begun, and how long that took."""
        self.weigh(name, pid)
        self.samples[name][START].append(ready_s * 1000)

    def figures(self) -> Figures:
        """Everything against the skeleton, the skeleton against the bare interpreter."""
        found: dict[str, Figure] = {}
        for name, kinds in self.samples.items():
            other = BASELINES.get(name, "skeleton")
            for kind, samples in kinds.items():
                baseline = tuple(self.samples[other][kind]) if other else ()
                unit = "ms" if kind == START else "MB"
                found[f"{name}, {kind}"] = Figure(tuple(samples), unit, baseline)
        return found


async def measure(rounds: int = ROUNDS, where: Surroundings = HERE) -> Figures:
    """Start each of them `rounds` times."""
    samples = Samples()
    async with FakeFleetLock() as server:
        for _ in range(rounds):
            await _round(samples, server.url, where)
    return samples.figures()


async def _round(samples: Samples, url: str, where: Surroundings) -> None:
    async with subjects.bare(where) as started:
        samples.begin("bare interpreter", started.pid, started.ready_s)
    for name, kind in (("lean skeleton", lean_skeleton), ("skeleton", skeleton)):
        with DbusDaemon() as bus, tempfile.TemporaryDirectory() as folder:
            metrics = Path(folder, "socket")
            async with kind(bus.address, metrics=metrics, where=where) as started:
                samples.begin(name, started.pid, started.ready_s)
    for name, config in subjects.strategies(url).items():
        async with subjects.daemon(config, where=where) as daemon:
            samples.begin(name, daemon.pid, daemon.ready_s)
            await daemon.host.metrics()
            samples.weigh(f"{name}, scraped", daemon.pid)


def run() -> Figures:
    return asyncio.run(measure())


def run_on_ostree() -> Figures:
    """Measure where every file is of 1970, and nothing can be written beside it."""
    with ostree_tree() as where:
        return asyncio.run(measure(where=where))


if __name__ == "__main__":
    print(*table(run()), sep="\n")
