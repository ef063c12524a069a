"""A machine of bootc on composefs, as far as files, modes and mounts go, without ostree.

Its boot loader and bootc's initramfs are played here, bootc itself in it, by guest/composefs.py.
The image below its root is a plain directory: what a composefs would be mounted from is not made.
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.fakes.composefs_host import STATE
from tests.fakes.spoken import Json
from tests.system.guest.composefs import FATE, Bootc
from tests.system.layers import layers_of
from tests.system.machine import Machine, Ran, mount, unmount

_SUITE: Final = "trixie"
_GUEST: Final = Path(__file__).parent / "guest/composefs_root"
_BOOTC: Final = ("--setenv=PYTHONPATH=/opt/stand-ins", "--setenv=PYTHONDONTWRITEBYTECODE=1")
_COMMAND: Final = ("/usr/bin/python3", "-m", "tests.system.guest.composefs")


class ComposefsMachine(Machine):
    """It boots what is first in its boot menu; `disk` is what outlives a boot."""

    def __init__(self, directory: Path, name: str = "m") -> None:
        super().__init__((), directory, name)
        self.disk = directory / name / "disk"
        self.booted = ""

    def _assemble(self) -> None:
        Bootc(self.disk).install("42.1")
        self._mount_default()
        self._stack.callback(unmount, self.root)

    def _mount_default(self) -> None:
        """Be the boot loader, and what bootc has in the initramfs."""
        before = self.disk / STATE / self.booted / "etc"
        self.booted = Bootc(self.disk).load().menu[0].name
        places = self.root.with_name("places")
        for place in ("sysroot", "boot", "opt/stand-ins/tests"):
            (places / place).mkdir(parents=True, exist_ok=True)
        layers = (places, _GUEST, *layers_of(_SUITE)[1:])
        options = f"ro,lowerdir={':'.join(map(str, layers))}"
        mount("-t", "overlay", "-o", options, f"composefs:{self.booted}", self.root)
        etc, var = (
            self.disk / STATE / self.booted / "etc",
            self.disk / "sysroot/state/os/default/var",
        )
        var.mkdir(parents=True, exist_ok=True)
        if not etc.exists():
            old = before if before.is_dir() else self.root / "etc"  # what people changed goes on
            subprocess.run(("cp", "-a", old, etc), check=True)
        if not any(var.iterdir()):
            subprocess.run(("cp", "-a", f"{self.root}/var/.", var), check=True)
        mount("--bind", etc, self.root / "etc")
        mount("--bind", var, self.root / "var")
        mount("--bind", self.disk / "sysroot", self.root / "sysroot")
        mount("--bind", self.disk / "boot", self.root / "boot")

    def _prepare_boot(self) -> Sequence[str]:
        unmount(self.root)
        self._mount_default()
        return ()

    def _kernel_arguments(self) -> Sequence[str]:
        return (f"composefs={self.booted}",)

    def fail_to_finalize(self) -> None:
        """Let every finalization fail from now on."""
        (self.disk / FATE).touch()

    def kill_who_finalizes(self, moment: int) -> None:
        """Let every finalization be killed after so many of its moments, 0 for none."""
        fate = self.disk / FATE
        fate.write_text(str(moment)) if moment else fate.unlink()

    async def bootc(self, *command: str) -> str:
        """Have bootc's stand-in do something."""
        return await self.do(*_BOOTC, *_COMMAND, *command)

    async def bootc_killed(self, *command: str) -> Ran:
        """Have it killed halfway."""
        return await self.run(*_BOOTC, *_COMMAND, *command)

    async def begin_bootc(self, *command: str) -> None:
        """Have it begin something, as work.service."""
        await self.begin("--unit=work.service", *_BOOTC, *_COMMAND, *command)

    async def until_judged(self, times: int) -> Json:
        """Wait until so many reboots were judged."""
        return await self.until(
            lambda status: len(status["history"]) == times and status["history"][-1]["outcome"]
        )
