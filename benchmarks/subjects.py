"""What is measured: the bare interpreter, the skeleton, and rebootmgrd with each strategy."""

import asyncio
import os
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Final

from tests.fakes.host import Host, fleet_lock
from tests.fakes.service_manager import ServiceManager

PATIENCE_S: Final = 30.0
BARE: Final = "import os; os.write(1, b'READY=1\\n'); os.read(0, 1)"
PERIODIC: Final = """\
[updates]
strategy = "periodic"
[[updates.periodic.window]]
days = ["{:%a}"]
start_time = "12:00"
length_minutes = 60
"""
MANY_REBOOTS: Final = "[updates.limits]\nreboots_per_day = 1000\n"


@dataclass(frozen=True, slots=True)
class Started:
    """A process that said it is ready, after `ready_s`."""

    pid: int
    ready_s: float


@dataclass(frozen=True, slots=True)
class Daemon:
    """rebootmgrd on its host; systemd's end of its notifications."""

    host: Host
    manager: ServiceManager
    ready_s: float

    @property
    def pid(self) -> int:
        if self.host.daemon is None:
            raise RuntimeError("rebootmgrd is not running")
        return self.host.daemon.pid


def periodic() -> str:
    """Configure a window that opens in three days."""
    return PERIODIC.format(datetime.now(UTC) + timedelta(days=3))


def strategies(url: str) -> dict[str, str]:
    """Give the configuration of each strategy."""
    return {"immediate": "", "periodic": periodic(), "fleet_lock": fleet_lock(url)}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The interpreter that subjects run on, what starts it before it, and their environment."""

    python: tuple[str, ...] = (sys.executable,)
    environ: Mapping[str, str] = field(default_factory=dict)


HERE: Final = Surroundings()


@asynccontextmanager
async def bare(where: Surroundings = HERE) -> AsyncIterator[Started]:
    """Run an interpreter that does nothing."""
    async with _program(where, "-c", BARE) as started:
        yield started


@asynccontextmanager
async def skeleton(
    address: str, *, metrics: Path, where: Surroundings = HERE
) -> AsyncIterator[Started]:
    """Run the skeleton."""
    async with _program(where, "-m", "benchmarks.skeleton", address, str(metrics)) as started:
        yield started


@asynccontextmanager
async def lean_skeleton(
    address: str, *, metrics: Path, where: Surroundings = HERE
) -> AsyncIterator[Started]:
    """Run the skeleton without libraries; as a script, for it needs nothing of this project."""
    bus = address.removeprefix("unix:path=").partition(",")[0]
    script = str(Path(__file__).with_name("lean_skeleton.py"))
    async with _program(where, script, bus, str(metrics)) as started:
        yield started


@asynccontextmanager
async def _program(where: Surroundings, *arguments: str) -> AsyncIterator[Started]:
    environ = {**os.environ, **where.environ}
    begin = perf_counter()
    process = await asyncio.create_subprocess_exec(
        *("setpriv", "--pdeathsig", "KILL", *where.python, *arguments),
        stdin=PIPE,
        stdout=PIPE,
        env=environ,
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            if process.stdout is None or await process.stdout.readline() != b"READY=1\n":
                raise RuntimeError(f"it did not start: {arguments}")
        yield Started(process.pid, perf_counter() - begin)
    finally:
        await _end(process)


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()


@asynccontextmanager
async def daemon(
    config: str,
    *,
    watchdog_s: int = 0,
    kind: type[Host] = Host,
    where: Surroundings = HERE,
) -> AsyncIterator[Daemon]:
    """Run rebootmgrd on a host of its own, which is not yet asked for anything."""
    async with AsyncExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="rebootmgr-bench-"))
        host = await stack.enter_async_context(kind(Path(scratch)))
        manager = await stack.enter_async_context(ServiceManager(host.dbus.dir))
        host.afresh, host.python = True, where.python
        host.more_environ.update(where.environ)
        host.configure(config)
        host.more_environ["NOTIFY_SOCKET"] = manager.path
        if watchdog_s:
            host.more_environ["WATCHDOG_USEC"] = str(watchdog_s * 1_000_000)
        begin = perf_counter()
        await host.start(wait=False)
        async with asyncio.timeout(PATIENCE_S):
            await manager.until(lambda one: one == "READY=1")
        ready_s = perf_counter() - begin
        await host.until_state("idle")
        yield Daemon(host, manager, ready_s)
