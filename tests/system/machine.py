"""A machine: real systemd in a container of its own, which reboots and loses power for real.

It is led over its own system bus and through files of its root; what the daemon in it says is read
as on loopback. The process and network namespaces around the tests (`python -m tests.system`) make
sure that no machine outlives them.
"""

import asyncio
import json
import os
import secrets
import subprocess
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self, TypeAlias

from rebootmgr.bus.connection import Bus
from rebootmgr.errors import BusError
from tests.fakes.service_manager import ServiceManager
from tests.fakes.spoken import ASK_AGAIN_S, Json, Spoken
from tests.system.able import cgroup_tops, remove_cgroup
from tests.system.runs import own
from tests.waiting import telling

Layers: TypeAlias = Sequence[Path]

REBOOTED: Final = 133
POWERED_OFF: Final = 0
ENVIRON: Final = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
_JOURNAL: Final = ("journalctl", "--no-pager", "--quiet", "--boot=all", "--output=cat")
_SYNCED: Final = ("/bin/sh", "-c", 'journalctl --sync && exec "$@"', "sh")
_OF_THE_DAEMON: Final = ("--unit=rebootmgr.service",)
_LEADER: Final = "X_NSPAWN_LEADER_PID="
_TESTS: Final = Path(__file__).parents[1]
_HEALTH_CHECK: Final = """\
[Unit]
Description=Stand-in: a health check that takes its time
Before=boot-complete.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'until [ -s /run/health ]; do sleep 0.1; done; grep -q well /run/health'
"""


_HANGS: Final = """\
[Unit]
Description=Stand-in: a pull that never ends

[Service]
Type=oneshot
TimeoutStartSec=infinity
ExecStart=/bin/sleep infinity
"""


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a command; standard error is part of `out`."""

    status: int
    out: str


class Machine(Spoken):
    """`async with Machine(layers, directory, name) as machine:`, then `await machine.boot()`.

    Unless it has a bridge or its own loopback, that of the tests is its network.
    `layers` are the directories that make its root, the lowest last; what it writes goes below
    `directory`. `root` is its root as seen from here; its /run is `inside(...)` while it runs.
    """

    def __init__(
        self,
        layers: Layers,
        directory: Path,
        name: str = "m",
        *,
        bridge: str = "",
        has_own_loopback: bool = False,
    ) -> None:
        super().__init__()
        self.name = name
        self.root = directory / name / "root"
        self.console = directory / name / "console.log"
        self.boots = 0
        self._layers = layers
        self._bridge = bridge
        self._own_loopback = ("--private-network",) * has_own_loopback
        self._mark = secrets.token_hex(4)
        self._cgroups: list[Path] = []
        self._hangs = False
        self._health = self.root / "etc/systemd/system/boot-complete.target.requires/health.service"
        self._leader = 0
        self._nspawn: Process | None = None
        self._bus: Bus | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self.root.mkdir(parents=True)
        self._assemble()
        self.write("etc/machine-id", f"{self._mark}{self.name.encode().hex():0<24.24}\n")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.power_cut()
        await self._stack.aclose()

    def _assemble(self) -> None:
        """Mount its root, until it ends."""
        upper, work = self.root.with_name("upper"), self.root.with_name("work")
        for made in (upper, work):
            made.mkdir()
        lower = ":".join(map(str, self._layers))
        mount("-t", "overlay", "overlay", self.root,
              "-o", f"lowerdir={lower},upperdir={upper},workdir={work}")  # fmt: skip
        self._stack.callback(unmount, self.root)

    def _prepare_boot(self) -> Sequence[str]:
        """Do what is due before its first process starts; more options of its container."""
        return ()

    def _kernel_arguments(self) -> Sequence[str]:
        """Tell its first process what a boot loader would."""
        return ()

    # What it is

    @property
    def bus(self) -> Bus:
        """Its system bus, where we are root."""
        assert self._bus is not None, "it is not running"
        return self._bus

    @property
    def cgroup(self) -> Path:
        """The top of its cgroups; those of its units are somewhere below."""
        return self._cgroups[0]

    @property
    def address(self) -> str:
        """Where its system bus is for us, root."""
        return f"unix:path={self.inside('run/dbus/system_bus_socket')}"

    @property
    def leader(self) -> int:
        """Its first process, as seen from here."""
        return self._leader

    @property
    def enter(self) -> tuple[str, ...]:
        """What runs the command after it in there."""
        return ("nsenter", "--target", str(self._leader), "--all", "--")

    def inside(self, path: str) -> Path:
        """Where a file of the running machine is for us, its /run and /proc included."""
        return Path(f"/proc/{self._leader}/root") / path

    def write(self, path: str, text: str, *, mode: int = 0o644) -> Path:
        """Write a file of its root; not below /run."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
        return file

    def configure(self, text: str, name: str = "50-test.toml") -> None:
        """Write a drop-in; a running daemon is not told."""
        self.write(f"etc/rebootmgr/config.d/{name}", text)

    def hook(self, directory: str, name: str, script: str) -> None:
        """Install an executable of the administrator."""
        self.write(f"etc/rebootmgr/{directory}/{name}", f"#!/bin/sh\n{script}\n", mode=0o755)

    def use_bus(self, kind: str) -> None:
        """Before it boots; dbus-daemon is there where dbus.service leads to no dbus-broker."""
        if kind == "dbus-daemon":
            (self.root / "etc/systemd/system/dbus.service").unlink()

    # On and off

    async def boot(self) -> None:
        """Switch it on; back when it has booted and its bus is there."""
        self.boots += 1
        self._cgroups = [
            own(top) / f"{self._mark}-{self.name}-{self.boots}" for top in cgroup_tops()
        ]
        for cgroup in self._cgroups:  # systemd 257 kills what it starts in one that was killed
            cgroup.mkdir()
        into = " ".join(f"{cgroup}/cgroup.procs" for cgroup in self._cgroups)
        network = (f"--network-bridge={self._bridge}",) if self._bridge else self._own_loopback
        more = self._prepare_boot()
        command = (
            *("systemd-nspawn", "--quiet", "--directory", str(self.root), "--machine", self.name),
            *("--register=no", "--keep-unit", "--boot", "--notify-ready=yes", "--console=pipe"),
            *("--link-journal=no", "--resolv-conf=off", "--timezone=off", *network),
            *(f"--bind-ro={_TESTS}:/opt/stand-ins/tests", *more, "--", "systemd.show_status=no"),
            *self._kernel_arguments(),
        )
        notify = self.root.with_name(f"notify-{self.boots}")
        notify.mkdir()
        async with ServiceManager(notify) as manager:
            with self.console.open("ab") as console:
                self._nspawn = await asyncio.create_subprocess_exec(
                    *("/bin/sh", "-c", f'echo $$ | tee {into} >/dev/null; exec "$@"', "sh"),
                    *command,
                    stdin=DEVNULL,
                    stdout=console,
                    stderr=STDOUT,
                    env={
                        "PATH": os.environ["PATH"],
                        "NOTIFY_SOCKET": manager.path,
                        "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
                    },
                )
            with telling(lambda: f"never booted:\n{self.console.read_text()}"):
                told = await manager.until(lambda one: _LEADER in one)
                self._leader = int(told.partition(_LEADER)[2].split()[0])
                if not (self._health.exists() or self._hangs):  # or each would wait for the other
                    await manager.until(lambda one: "READY=1" in one)
                await self.connect()

    async def connect(self) -> None:
        """Connect to its bus, anew after the bus was restarted."""
        if self._bus is not None:
            await self._bus.close()
        while True:
            try:
                self._bus = await Bus.connect(self.address)
                break
            except BusError:
                await _a_moment()
        await self._listen()

    async def wait_down(self) -> int:
        """Wait until it is down: REBOOTED or POWERED_OFF."""
        with telling(lambda: f"still up:\n{self.last_words()}"):
            return await self.ended()

    async def ended(self) -> int:
        """Wait until it is down, as one of several things that may happen."""
        assert self._nspawn is not None
        status = await self._nspawn.wait()
        await self._forget()
        return status

    async def until_rebooted(self) -> None:
        """Wait until it goes down to reboot, and let it come up again."""
        assert await self.wait_down() == REBOOTED, self.console.read_text()
        await self.boot()

    @property
    def is_up(self) -> bool:
        """Whether it runs, as far as its container goes."""
        return self._nspawn is not None and self._nspawn.returncode is None

    async def power_off(self) -> None:
        """Shut down in order."""
        await self.run("systemctl", "poweroff", "--no-block")
        await self.wait_down()

    async def power_cut(self) -> None:
        """Take the power away: nothing in it runs another instruction."""
        if self._nspawn is not None:
            (self._cgroups[0] / "cgroup.kill").write_text("1")
            await self.ended()

    async def _forget(self) -> None:
        self._nspawn = None
        while "populated 1" in (self._cgroups[0] / "cgroup.events").read_text():
            await _a_moment()
        for cgroup in self._cgroups:
            remove_cgroup(cgroup)
        if self._bus is not None:
            await self._bus.close()
            self._bus = None

    # Health checks

    def check_health(self) -> None:
        """From the next boot on, boot-complete.target waits for a check that waits for us."""
        self.write("etc/systemd/system/health.service", _HEALTH_CHECK)
        wanted = self._health.parent
        wanted.mkdir(parents=True)
        self._health.symlink_to("../health.service")

    def hang_the_boot(self) -> None:
        """From the next boot on, a unit of multi-user.target never finishes starting."""
        wanted = self.write("etc/systemd/system/pull.service", _HANGS).parent
        wanted = wanted / "multi-user.target.wants"
        wanted.mkdir(exist_ok=True)
        (wanted / "pull.service").symlink_to("../pull.service")
        self._hangs = True

    async def end_health_check(self, *, well: bool) -> None:
        """Let the check pass or fail."""
        self.inside("run/health").write_text("well\n" if well else "sick\n")

    # What is done in it

    async def run(self, *command: str) -> Ran:
        """Run a command in it, as root in a unit of its own."""
        process = await asyncio.create_subprocess_exec(
            *(*self.enter, "systemd-run", "--quiet", "--wait", "--pipe", "--collect", *command),
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            env=ENVIRON,
        )
        out, _ = await process.communicate()
        assert process.returncode is not None
        return Ran(process.returncode, out.decode(errors="replace"))

    async def do(self, *command: str) -> str:
        """Run a command in it that has to succeed; what it printed."""
        ran = await self.run(*command)
        assert ran.status == 0, f"{command}: {ran}"
        return ran.out

    async def begin(self, *command: str) -> None:
        """Start a command in it, after which it may go down: nobody waits for its end."""
        started = ("systemd-run", "--quiet", "--collect", *command)
        process = await asyncio.create_subprocess_exec(
            *(*self.enter, *started), stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL, env=ENVIRON
        )
        await process.wait()

    async def property_of(self, unit: str, name: str) -> str:
        """One property of a unit, as systemctl prints it."""
        return (await self.do("systemctl", "show", "--value", f"--property={name}", unit)).strip()

    async def journal(self, *options: str) -> str:
        """What the daemon has written in all boots until now, one message a line."""
        return await self.do(*_SYNCED, *_JOURNAL, *(options or _OF_THE_DAEMON))

    def last_words(self) -> str:
        """What the daemon wrote last, or the machine that is down."""
        if not self.is_up:
            return self.console.read_text()
        command = (*self.enter, *_JOURNAL, *_OF_THE_DAEMON)
        done = subprocess.run(command, env=ENVIRON, capture_output=True, text=True, check=False)
        return done.stdout[-4000:]

    async def stage(self, version: str, **fields: Any) -> str:
        """Have rpm-ostree stage an update; its id."""
        [name] = await self.lead("Stage", "ss", [version, json.dumps(fields)])
        return str(name)

    async def cleanup(self) -> None:
        """Have the staged update withdrawn."""
        await self.lead("Cleanup")

    async def leave_rpm_ostreed(self) -> None:
        """Have rpm-ostreed leave the bus, as it does when it idles."""
        await self.lead("IdleExit")

    async def lead(
        self, member: str, signature: str = "", body: Sequence[Any] = ()
    ) -> Sequence[Any]:
        """Lead rpm-ostreed's stand-in."""
        return await self.bus.call(
            "org.projectatomic.rpmostree1",
            *("/org/rebootmgr/test", "org.rebootmgr.test.RpmOstree", member, signature, body),
        )

    async def ctl(self, *arguments: str) -> Ran:
        """Run rebootmgrctl in it, as root."""
        return await self.run("rebootmgrctl", *arguments)

    def remembered(self) -> Json:
        """What its state.json holds."""
        text = (self.root / "var/lib/rebootmgr/state.json").read_text()
        remembered: Json = json.loads(text)
        return remembered


async def _a_moment() -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(ASK_AGAIN_S):
            await asyncio.Event().wait()


def mount(*how: str | Path) -> None:
    """Mount, in the tests' own namespace."""
    subprocess.run(("mount", *how), check=True)


def unmount(where: Path) -> None:
    """Take off whatever is mounted there and below."""
    subprocess.run(("umount", "--lazy", "--recursive", where), check=True)
