"""How often it wakes up, and what that costs, while nothing happens: `python -m benchmarks.waking`.

Some daemons watch one wall-clock minute together, each on a host of its own: one of each source of
updates has nothing to do, one waits for its window, one for a lock server that refuses, and for
three a window opens. A wake-up is a voluntary context switch of any thread: it went to sleep, so it
had been woken.
"""

import asyncio
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from benchmarks import subjects
from benchmarks.budgets import BEATS
from benchmarks.figures import Figure, Figures, count, table
from benchmarks.processes import children_ms, processor_ms, wake_ups
from tests.fakes.bootc_host import KINDS
from tests.fakes.dbus_daemon import DbusDaemon
from tests.fakes.fleetlock import FakeFleetLock
from tests.fakes.host import fleet_lock

WATCHDOG_S: Final = 180  # as in rebootmgr.service
EARLY_S: Final = 4  # it watches from so long before the minute until so long after the next
WINDOW: Final = """\
[updates]
strategy = "periodic"
[[updates.periodic.window]]
days = ["{day:%a}"]
start_time = "{start:%H:%M}"
length_minutes = 30
"""
MANAGER: Final = ("org.rebootmgr1", "/org/rebootmgr1", "org.rebootmgr1.Manager")


@dataclass(frozen=True, slots=True)
class Reading:
    """Where the counters stood."""

    wakes: int
    own_ms: float
    children_ms: float
    beats: int = 0

    def since(self, before: "Reading") -> "Reading":
        return Reading(
            self.wakes - before.wakes,
            self.own_ms - before.own_ms,
            self.children_ms - before.children_ms,
            self.beats - before.beats,
        )


def read(pid: int, beats: int = 0) -> Reading:
    return Reading(wake_ups(pid), processor_ms(pid), children_ms(pid), beats)


def opening_at(instant: datetime) -> str:
    """Configure a window that opens then."""
    return WINDOW.format(day=instant, start=instant)


async def measure() -> Figures:
    """Wait for a minute to begin, and until it is over."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(FakeFleetLock(slots=0))
        bus = stack.enter_context(DbusDaemon())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        skeleton = await stack.enter_async_context(
            subjects.skeleton(bus.address, metrics=folder / "socket")
        )
        now = datetime.now(UTC)
        opening = now.replace(second=0, microsecond=0) + timedelta(
            minutes=1 if now.second < 40 else 2
        )
        daemons = {}
        for name, config in (
            ("idle", ""),
            ("waits for its window", subjects.periodic()),
            ("waits for a lock", fleet_lock(server.url)),
            ("window opens, no update", opening_at(opening)),
            ("window opens, update held", opening_at(opening)),
            ("window opens, reboot", opening_at(opening)),
        ):
            daemons[name] = await stack.enter_async_context(
                subjects.daemon(config, watchdog_s=WATCHDOG_S)
            )
        for name, kind in KINDS.items():
            daemons[f"idle, {name}"] = await stack.enter_async_context(
                subjects.daemon("", watchdog_s=WATCHDOG_S, kind=kind)
            )
        await _give_them_something_to_wait_for(daemons)
        await _until(opening - timedelta(seconds=EARLY_S))
        before = {name: read(one.pid, one.manager.beats) for name, one in daemons.items()}
        before["skeleton"] = read(skeleton.pid)
        asked = len(server.seen)
        await _until(opening + timedelta(seconds=60 - EARLY_S))
        after = {name: read(one.pid, one.manager.beats) for name, one in daemons.items()}
        after["skeleton"] = read(skeleton.pid)
        asked = len(server.seen) - asked
    found: dict[str, Figure] = {}
    for name, reading in after.items():
        spent = reading.since(before[name])
        found[f"{name}, wake-ups"] = count(spent.wakes)
        if name != "skeleton":
            found[f"{name}, {BEATS}"] = count(spent.beats)
        found[f"{name}, CPU"] = Figure((spent.own_ms,), "ms")
    found["waits for a lock, requests"] = count(asked)
    children = after["waits for a lock"].since(before["waits for a lock"]).children_ms
    found["waits for a lock, CPU of its requests"] = Figure((children,), "ms")
    return found


async def _give_them_something_to_wait_for(daemons: dict[str, subjects.Daemon]) -> None:
    held = daemons["window opens, update held"]
    await held.host.bus.call(*MANAGER, "Hold", "sx", ["a benchmark", 0])
    for name, reason in (
        ("waits for its window", "outside_window"),
        ("window opens, reboot", "outside_window"),
        ("waits for a lock", "lock_refused"),
    ):
        await daemons[name].host.os.stage("42.2")
        await daemons[name].host.until_blocked(reason)
    await held.host.os.stage("42.2")
    await held.host.until(lambda status: bool(status["pending"]) and status["state"] != "starting")


async def _until(instant: datetime) -> None:
    await asyncio.sleep((instant - datetime.now(UTC)).total_seconds())


def run() -> Figures:
    return asyncio.run(measure())


if __name__ == "__main__":
    print(*table(run()), sep="\n")
