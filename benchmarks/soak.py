"""Memory over thousands of everything: `python -m benchmarks.soak [--share 0.1]`.

One daemon is driven hard, kind after kind, and weighed a hundred times on the way. What is loaded
once (by a first scrape, say) is there after a tenth of the operations; from there on it must not
grow. A lock request is a process of its own, and a lost bus ends the daemon, as it should
(systemd starts it again); both take longer, so there are fewer of them.
"""

import argparse
import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from benchmarks import subjects
from benchmarks.figures import FOLDER, Figure, Figures, table
from benchmarks.processes import descriptors, memory
from rebootmgr.bus.connection import Bus
from tests.fakes.fleetlock import FakeFleetLock
from tests.fakes.host import Host, fleet_lock
from tests.fakes.logind import Mode
from tests.fakes.spoken import MANAGER

MANY: Final = 10_000
LOCK_ROUNDS: Final = 150  # of two requests each
BUS_RESTARTS: Final = 50
WEIGHED: Final = 100
KINDS: Final = (
    "scrapes",
    "descriptions over D-Bus",
    "reloads",
    "updates",
    "restarts of rpm-ostreed",
)
KINDS_OF_PROCESSES: Final = ("rounds of lock requests", "bus restarts")
PATIENCE_S: Final = 20.0
NEWS: Final = (
    "type='signal',sender='org.rebootmgr1',interface='org.freedesktop.DBus.Properties',"
    "member='PropertiesChanged'"
)

Operation: TypeAlias = Callable[[int], Awaitable[None]]


class Part(Protocol):
    """One of the functions below."""

    __name__: str

    def __call__(self, share: float) -> Awaitable["Weighing"]: ...


@dataclass(frozen=True, slots=True)
class Course:
    """Memory (MB) after so many operations."""

    done: tuple[int, ...]
    anonymous: tuple[float, ...]

    def figure(self) -> Figure:
        """Give the last tenth against the second, when all was loaded that is loaded once."""
        tenth = max(1, len(self.anonymous) // 10)
        return Figure(self.anonymous[-tenth:], "MB", self.anonymous[tenth : 2 * tenth])


@dataclass(slots=True)
class Weighing:
    """What was weighed so far: a course for each kind of operation."""

    courses: dict[str, Course]
    open_files: dict[str, int]

    async def drive(self, kind: str, number: int, operation: Operation, pid: int) -> None:
        """Do it `number` times."""
        done, weights = [], []
        for each in range(1, number + 1):
            await operation(each)
            if each % max(1, number // WEIGHED) == 0:
                done.append(each)
                weights.append(memory(pid).anonymous)
        self.courses[f"{number:,} {kind}"] = Course(tuple(done), tuple(weights))
        self.open_files[kind] = descriptors(pid)

    def save(self, name: str) -> None:
        """Keep the courses for the plot."""
        FOLDER.mkdir(parents=True, exist_ok=True)
        courses = {kind: asdict(course) for kind, course in self.courses.items()}
        (FOLDER / f"course_of_{name}.json").write_text(json.dumps(courses) + "\n")

    def figures(self) -> Figures:
        """The memory at the end of each kind, against when that kind had settled."""
        found = {f"after {kind}, anonymous": each.figure() for kind, each in self.courses.items()}
        files = tuple(self.open_files.values())
        if files:
            found[f"open files, after {len(files)} kinds"] = Figure((files[-1],), "", (files[0],))
        return found


class News:
    """Tells when the daemon says something new."""

    def __init__(self) -> None:
        self._heard = asyncio.Event()

    async def listen(self, host: Host) -> None:
        await host.bus.subscribe(NEWS, lambda _: self._heard.set())

    async def after(self, action: Awaitable[object]) -> None:
        """Act, and wait for the news of it."""
        self._heard.clear()
        await action
        async with asyncio.timeout(PATIENCE_S):
            await self._heard.wait()


async def one_daemon(share: float, kinds: Sequence[str] = KINDS) -> Weighing:
    """Scrapes, questions, reloads, updates, and rpm-ostreed coming and going; or some of them."""
    weighing = Weighing({}, {})
    number = max(10, round(MANY * share))
    async with subjects.daemon(subjects.periodic() + subjects.MANY_REBOOTS) as daemon:
        host, news = daemon.host, News()
        await news.listen(host)

        async def scrape(_: int) -> None:
            await host.metrics()

        async def describe(_: int) -> None:
            await _call(host, "Describe")

        async def reload(_: int) -> None:
            await _call(host, "Reload")

        async def update(each: int) -> None:
            await news.after(host.os.stage(f"43.{each}"))

        async def restart(_: int) -> None:
            await host.os.leave()
            await host.os.start()

        operations = dict(zip(KINDS, (scrape, describe, reload, update, restart), strict=True))
        for kind in kinds:
            await weighing.drive(kind, number, operations[kind], daemon.pid)
    return weighing


async def _call(host: Host, method: str) -> None:
    """Ask as clients do, each by a connection of its own: one alone is soon told to wait."""
    bus = await Bus.connect(host.dbus.address)
    try:
        await bus.call(*MANAGER, method)
    finally:
        await bus.close()


async def lock_requests(share: float) -> Weighing:
    """Ask for a slot, be granted it, be refused by logind, and give it back."""
    weighing = Weighing({}, {})
    async with FakeFleetLock() as server, _asking(server) as daemon:
        host = daemon.host
        await server.wait_seen(1)  # the boot is confirmed

        async def ask(each: int) -> None:
            if each == 1:
                await host.os.stage("43.1")
            else:
                await _call(host, "Reload")  # ends the back-off that each refusal lengthens
            await server.wait_seen(1 + 2 * each)
            await host.until_blocked("logind_unreachable")

        rounds = max(10, round(LOCK_ROUNDS * share))
        await weighing.drive(KINDS_OF_PROCESSES[0], rounds, ask, daemon.pid)
    return weighing


@asynccontextmanager
async def _asking(server: FakeFleetLock) -> AsyncIterator[subjects.Daemon]:
    async with subjects.daemon(fleet_lock(server.url) + subjects.MANY_REBOOTS) as daemon:
        daemon.host.logind.mode = Mode.REFUSE
        yield daemon


async def bus_restarts(share: float) -> Weighing:
    """Kill the bus under it, and start both again on what they left on disk."""
    weighing = Weighing({}, {})
    number = max(5, round(BUS_RESTARTS * share))
    weights = []
    with tempfile.TemporaryDirectory(prefix="rebootmgr-bench-") as scratch:
        for each in range(number):
            async with Host(Path(scratch), version=f"42.{each}") as host:
                host.afresh = True
                host.configure(subjects.periodic())
                await host.start()
                await host.os.stage(f"43.{each}")
                await host.until_blocked("outside_window")
                if host.daemon is None:
                    raise RuntimeError("it is not running")
                weights.append(memory(host.daemon.pid).anonymous)
                host.dbus.kill()
                if not await host.wait_ended():
                    raise RuntimeError("a lost bus must not look like a wanted end")
    course = Course(tuple(range(1, number + 1)), tuple(weights))
    weighing.courses[f"{number} {KINDS_OF_PROCESSES[1]}"] = course
    return weighing


def run() -> Figures:
    return _run(one_daemon)


def run_processes() -> Figures:
    return {**_run(lock_requests), **_run(bus_restarts)}


def _run(kind: Part, share: float = 1.0) -> Figures:
    """Drive, and keep the whole course for the plot."""

    async def drive() -> Weighing:
        # A stand-in whose bus is killed while it answers says so at length.
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        return await kind(share)

    weighing = asyncio.run(drive())
    weighing.save(kind.__name__)
    return weighing.figures()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, metavar="N", help="of all operations")
    share = parser.parse_args().share
    for kind in (one_daemon, lock_requests, bus_restarts):
        print(*table(_run(kind, share)), sep="\n", flush=True)


if __name__ == "__main__":
    main()
