"""The processes in a machine, as they are seen, stopped and killed from outside."""

import asyncio
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from tests.system.machine import Machine

DAEMON: Final = "rebootmgr.service"
RPM_OSTREED: Final = "rpm-ostreed.service"
HOOKS: Final = "rebootmgr-hook@"


def hook_units(machine: Machine) -> list[str]:
    """The units in which hooks, or their runner, run at this moment."""
    tops = (Path(top) for top, _, _ in os.walk(machine.cgroup))
    return [top.name for top in tops if top.name.startswith(HOOKS) and _has_process(top)]


def _has_process(cgroup: Path) -> bool:
    try:
        return bool((cgroup / "cgroup.procs").read_text().split())
    except OSError:  # it is gone meanwhile
        return False


@dataclass(frozen=True, slots=True)
class Process:
    """One process; `pid` is its number out here."""

    pid: int

    @classmethod
    def main_of(cls, machine: Machine, unit: str = DAEMON) -> Self:
        """The process that systemd started for a unit; it has to run."""
        tops = (Path(top) for top, _, _ in os.walk(machine.cgroup))  # others may vanish meanwhile
        [cgroup] = [top for top in tops if top.name == unit]
        found = {int(pid) for pid in (cgroup / "cgroup.procs").read_text().split()}
        [main] = [pid for pid in found if int(cls(pid).status["PPid"]) not in found]
        return cls(main)

    @property
    def status(self) -> dict[str, str]:
        """What proc_pid_status(5) says of it."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    @classmethod
    def hook_runner(cls, machine: Machine) -> Self:
        """The only hook runner there is."""
        [unit] = hook_units(machine)
        return cls.main_of(machine, unit)

    async def kill(self) -> None:
        """Kill it, and wait until it is gone."""
        self.send(signal.SIGKILL)
        await self.wait_ended()

    async def wait_ended(self) -> None:
        """Wait until it ends by itself."""
        try:
            fd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        ended, loop = asyncio.Event(), asyncio.get_running_loop()
        loop.add_reader(fd, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(fd)
            os.close(fd)
