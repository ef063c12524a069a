"""A whole host on loopback: a private bus, stand-ins for its services, and the real rebootmgrd.

`async with Host(tmp) as host:` brings up the services; `await host.start()` the daemon, as its own
process with `--root`. Everything it is told and everything it does crosses the real protocols.
"""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, redirect_stderr, redirect_stdout, suppress
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final, Self

from rebootmgr.bus.connection import Bus
from rebootmgr.cli.bus_verbs import METRICS, read_metrics
from rebootmgr.cli.main import main
from rebootmgr.errors import BusError
from rebootmgr.instants import encode_instant
from rebootmgr.updates.file_watch import FileWatch
from tests.fakes.client import run
from tests.fakes.dbus_daemon import DbusDaemon
from tests.fakes.logind import FakeLogind, Mode
from tests.fakes.nursery import Forked, nursery
from tests.fakes.ostree_host import OstreeHost
from tests.fakes.rpmostreed import FakeRpmOstree
from tests.fakes.spoken import MANAGER, NAME, Json, Spoken, reasons
from tests.fakes.systemd1 import FakeSystemd, FakeTimedate
from tests.fakes.terminal import Terminal
from tests.waiting import BOUND_S, telling

__all__ = ["NAME", "Host", "Json", "fleet_lock", "reasons"]

DAEMON: Final = "rebootmgr.daemon.main"
MACHINE_ID: Final = "00112233445566778899aabbccddeeff"
NODE_ID: Final = "eee0097b460c4b2dbf94510d0330626c"
STATE: Final = "var/lib/rebootmgr/state.json"
_ENDLESS: Final = ("setpriv", "--pdeathsig", "KILL", "sleep", f"{2 * BOUND_S:.0f}")
HANG: Final = f"exec {' '.join(_ENDLESS)}"
"""For a hook that goes on until it is ended, or whoever runs it ends; none outlives the tests."""


class Host(Spoken):
    """One machine. `boots` counts; `log` is what the daemon wrote on standard error.

    The daemon is forked from a nursery, unless it is to start `afresh`, with its interpreter.
    """

    def __init__(
        self,
        root: Path,
        *,
        systemd_version: int = 257,
        version: str = "42.1",
        machine_id: str = MACHINE_ID,
    ) -> None:
        super().__init__()
        self.root, self.machine_id = root, machine_id
        self.dbus = DbusDaemon()
        self.trees = OstreeHost(root, root / "ostree-state.json")
        self._first_version = version
        self._systemd_version = systemd_version
        self.log = root / "rebootmgrd.log"
        self.boots = 0
        self.program = DAEMON
        self.more_environ: dict[str, str] = {}
        self.python: tuple[str, ...] = (sys.executable,)
        self.afresh = False
        self.daemon: Process | Forked | None = None
        self._stack = AsyncExitStack()
        self._bus: Bus | None = None

    async def __aenter__(self) -> Self:
        self._write("etc/machine-id", f"{self.machine_id}\n")
        self.trees.install(self._first_version)
        self._stack.enter_context(self.dbus)
        self.os = FakeRpmOstree(self.trees, self.dbus.address)
        await self.os.start()
        self._stack.push_async_callback(self.os.leave)
        logind = FakeLogind(self.dbus.address, version=self._systemd_version)
        self.logind = await self._stack.enter_async_context(logind)
        systemd = FakeSystemd(self.dbus.address)
        self.systemd = await self._stack.enter_async_context(systemd)
        timedate = FakeTimedate(self.dbus.address)
        self.timedate = await self._stack.enter_async_context(timedate)
        self._bus = await Bus.connect(self.dbus.address)
        self._stack.push_async_callback(self._bus.close)
        await self._listen()
        self._tasks = await self._stack.enter_async_context(asyncio.TaskGroup())
        self._new_boot()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()
        await self._stack.aclose()

    @property
    def bus(self) -> Bus:
        assert self._bus is not None
        return self._bus

    def last_words(self) -> str:
        return _end_of(self.log)

    @property
    def has_ended(self) -> bool:
        return self.daemon is not None and self.daemon.returncode is not None

    def _write(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def configure(self, text: str, name: str = "50-test.toml") -> Path:
        """Write a drop-in; a running daemon is not told."""
        return self._write(f"etc/rebootmgr/config.d/{name}", text)

    def hook(self, directory: str, name: str, script: str) -> Path:
        """Install an executable."""
        path = self._write(f"etc/rebootmgr/{directory}/{name}", f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    def install_rpm_ostreed(self) -> None:
        """Let the bus start rpm-ostreed, as its own process, whenever it is called and asleep."""
        options = ("--root", str(self.root), "--state", str(self.trees.state))
        argv = (sys.executable, "-m", "tests.fakes.rpmostreed", *options)
        self.dbus.install_service("org.projectatomic.rpmostree1", argv)

    async def install_hung_rpm_ostreed(self) -> None:
        """Let the bus start one that never takes its name."""
        await self.os.leave()
        self.dbus.install_service("org.projectatomic.rpmostree1", _ENDLESS)

    def _new_boot(self) -> None:
        self.boots += 1
        self._write(
            "proc/sys/kernel/random/boot_id", f"{self.boots:08x}-0000-4000-8000-0000000000ff\n"
        )

    @property
    def environ(self) -> dict[str, str]:
        """What a client or the daemon needs to find this host, and nothing of ours."""
        kept = {
            name: os.environ[name]
            for name in ("PATH", "HOME", "LANG", "TERM")
            if name in os.environ
        }
        return {**kept, "DBUS_SYSTEM_BUS_ADDRESS": self.dbus.address, **self.more_environ}

    async def start(self, *options: str, wait: bool = True) -> None:
        """Start the daemon; with `wait` until it is on the bus."""
        arguments = ("--root", str(self.root), *options)
        with self.log.open("ab") as log, TemporaryFile() as nothing:
            fds = [stream.fileno() for stream in (nothing, log, log)]
            self.daemon = (
                await self._exec(arguments, fds)
                if self.afresh or self.program != DAEMON
                else await nursery(DAEMON).fork(*arguments, env=self.environ, fds=fds)
            )
        self._tasks.create_task(self._notice_end(self.daemon))
        if wait:
            await self.until(lambda status: status["state"] != "starting")

    async def _exec(self, arguments: Sequence[str], fds: Sequence[int]) -> Process:
        stdin, stdout, stderr = fds
        return await asyncio.create_subprocess_exec(
            *("setpriv", "--pdeathsig", "KILL", *self.python, "-m", self.program, *arguments),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=self.environ,
        )

    async def _notice_end(self, daemon: Process | Forked) -> None:
        await daemon.wait()
        self._changed.set()

    async def stop(self) -> int:
        """SIGTERM; the exit status."""
        return await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """SIGKILL, if it runs."""
        await self._end(signal.SIGKILL)

    async def _end(self, number: signal.Signals) -> int:
        if self.daemon is None:
            return 0
        daemon, self.daemon = self.daemon, None
        if daemon.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(daemon.pid, number)  # Popen's own way may reap it behind asyncio's back
        return await daemon.wait()

    async def wait_ended(self) -> int:
        """Wait until the daemon ends by itself; its exit status."""
        assert self.daemon is not None
        return await self.daemon.wait()

    async def reboot(self) -> None:
        """What the machine does when logind means it: finalize, go down, come up.

        A daemon that is about to call logind gets to do so: shown is not yet called.
        """
        calls = self.daemon is not None and (await self.status())["state"] == "rebooting"
        if calls and self.logind.mode is Mode.ACCEPT:
            await self.logind.rebooted.wait()
        await self.stop()
        self.trees.reboot()
        self.logind.end_shutdown()
        self._new_boot()
        await self.os.refresh()

    async def until_remembered(self, holds: Callable[[Json], bool]) -> Json:
        """Wait until state.json says so."""
        changed = asyncio.Event()
        watch = FileWatch(self.root, (STATE,), lambda _: changed.set())
        with watch, telling(lambda: f"never so; last: {_end_of(self.state_file)}"):
            while True:
                changed.clear()
                if self.state_file.exists() and holds(memory := self.remembered()):
                    return memory
                await changed.wait()

    async def until_screen(self, terminal: Terminal, text: str) -> None:
        """Wait until a terminal shows `text`."""
        await self.until(lambda _: text in terminal.screen())

    async def reload(self) -> str:
        """Take the configuration anew over D-Bus; what is wrong with it, or ""."""
        try:
            await self.bus.call(*MANAGER, "Reload")
        except BusError as error:
            return error.text
        return ""

    def hang_up(self) -> None:
        """SIGHUP."""
        assert self.daemon is not None
        self.daemon.send_signal(signal.SIGHUP)

    async def ctl(self, *arguments: str) -> tuple[int, str, str]:
        """Run rebootmgrctl; exit status, standard output, standard error."""
        return await run("--root", str(self.root), *arguments, env=self.environ)

    async def main(self, *arguments: str) -> tuple[int, str, str]:
        """As `ctl`, without a process, which would take some of the time.

        The environment has to have DBUS_SYSTEM_BUS_ADDRESS already.
        """
        with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
            status = await asyncio.to_thread(main, ["--root", str(self.root), *arguments])
        return status, out.getvalue(), err.getvalue()

    @property
    def state_file(self) -> Path:
        return self.root / STATE

    def remembered(self) -> Json:
        """What state.json holds."""
        remembered: Json = json.loads(self.state_file.read_text())
        return remembered

    def remember(self, **keys: object) -> None:
        """Write a state.json by hand."""
        text = json.dumps({"version": {"major": 1, "minor": 0}, **keys})
        self._write(STATE, text)

    def remember_hold(self, *, until: datetime | None = None, **more: str) -> None:
        """Write a state.json with one hold, of alice's unless `more` says otherwise."""
        since = encode_instant(datetime.now(UTC) - timedelta(hours=1))
        hold = {"id": "h", "owner": "alice", "reason": "migration", "since": since, **more}
        self.remember(holds=[{**hold, "until": encode_instant(until)}])

    async def metrics(self) -> dict[str, float]:
        """Scrape the socket: the value of each series, by its name with its labels."""
        text = await asyncio.to_thread(read_metrics, self.root / METRICS)
        lines = (line for line in text.splitlines() if not line.startswith("#"))
        pairs = (line.rpartition(" ") for line in lines)
        return {series: float(value) for series, _, value in pairs}

    def reboots(self) -> int:
        """How often logind was made to reboot."""
        return self.logind.reboots


def fleet_lock(url: str, *, strategy: str = '"fleet_lock"') -> str:
    """Configure a lock server."""
    return f'[updates]\nstrategy = {strategy}\n[updates.fleet_lock]\nbase_url = "{url}"\n'


def _end_of(file: Path) -> str:
    return file.read_text()[-4000:] if file.exists() else ""
