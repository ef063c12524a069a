"""A machine that is an ostree host: it boots what libostree made the default, and nothing else.

What a boot loader and ostree-prepare-root do before systemd starts is done here, from the boot
entries. All that comes after is Debian's own: `ostree`, its units, what it writes at shutdown.
rpm-ostreed's stand-in reads the same sysroot by libostree (guest/libostree.py).
"""

import asyncio
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, TypeAlias

from rebootmgr.updates.file_watch import FileWatch
from tests.fakes.gvariant import Pair, encode_dictionary
from tests.fakes.spoken import Json
from tests.system.machine import Machine, mount, unmount
from tests.system.sysroot import copy_sysroot, place_of_hosts, remove_sysroot
from tests.waiting import telling

MakeHost: TypeAlias = Callable[..., Awaitable["OstreeMachine"]]

_STAGED: Final = "run/ostree/staged-deployment"
_MANY: Final = 10_000
_GUEST: Final = Path(__file__).parent / "guest"
_ON_THE_BUS: Final = _GUEST / "root/usr/share/dbus-1"
_UNIT: Final = _GUEST / "ostree_root/etc/systemd/system/rpm-ostreed.service"


class OstreeMachine(Machine):
    """`root` is the deployment that it boots, or has booted, as ostree-prepare-root mounts it.

    `with_rpm_ostreed` False: a host that only has ostree. `on_composefs`: its root is no directory
    of a deployment but an overlay above one, as where prepare-root has composefs; there is no image
    of erofs in between, because Debian's libostree is built without it.
    """

    def __init__(
        self,
        directory: Path,
        name: str = "m",
        *,
        bridge: str = "",
        with_rpm_ostreed: bool = True,
        on_composefs: bool = False,
    ) -> None:
        super().__init__((), directory, name, bridge=bridge)
        self.sysroot = place_of_hosts() / f"{self._mark}-{name}"
        self.entry = 0
        self.has_rpm_ostreed = with_rpm_ostreed
        self._on_composefs = on_composefs
        self._cmdline = ""
        self._booted = self.sysroot

    def _assemble(self) -> None:
        copy_sysroot(self.sysroot)
        self._stack.callback(remove_sysroot, self.sysroot)
        self._mount_default()
        self._stack.callback(unmount, self.root)
        if self.has_rpm_ostreed:
            for file in _ON_THE_BUS.glob("*/*"):
                self.write(f"etc/dbus-1/{file.relative_to(_ON_THE_BUS)}", file.read_text())
            self.write(f"etc/systemd/system/{_UNIT.name}", _UNIT.read_text())

    def entries(self) -> list[str]:
        """The command lines of the boot menu, the default first."""
        found = [file.read_text() for file in (self.sysroot / "boot/loader/entries").iterdir()]
        found.sort(key=lambda text: -int(_field("version", text)))
        return [_field("options", text) for text in found]

    def _mount_default(self) -> None:
        """Be the boot loader, at the entry that somebody chose, and ostree-prepare-root."""
        self._cmdline = self.entries()[self.entry]
        self.entry = 0
        link = re.search(r"ostree=/(\S+)", self._cmdline)
        assert link, self._cmdline
        deployment = self._booted = (self.sysroot / link[1]).resolve(strict=True)
        if self._on_composefs:
            empty = self.root.with_name("empty")
            empty.mkdir(exist_ok=True)
            layers = f"lowerdir={deployment}:{empty}"
            mount("-t", "overlay", "-o", layers, "composefs", self.root)
            mount("--bind", deployment / "etc", self.root / "etc")
        else:
            mount("--bind", deployment, self.root)
            mount("--bind", self.root / "usr", self.root / "usr")
            mount("-o", "remount,bind,ro", self.root / "usr")
        mount("--bind", self.sysroot, self.root / "sysroot")
        mount("--bind", self.sysroot / "boot", self.root / "boot")
        mount("--bind", deployment.parents[1] / "var", self.root / "var")

    def _prepare_boot(self) -> Sequence[str]:
        unmount(self.root)
        self._mount_default()
        here = self.root.with_name(f"boot-{self.boots}")
        here.mkdir()
        found = self._booted.stat()
        backing = {"backing-root-device-inode": Pair(found.st_dev, found.st_ino)}
        (here / "ostree-booted").write_bytes(encode_dictionary(backing))
        return (
            "--tmpfs=/run/ostree",
            f"--bind-ro={here / 'ostree-booted'}:/run/ostree-booted",
        )

    def _kernel_arguments(self) -> Sequence[str]:
        return self._cmdline.split()

    @property
    def has_ended(self) -> bool:
        """Whether it is down, which nobody expects who waits for a word."""
        return not self.is_up

    @property
    def arguments(self) -> tuple[str, ...]:
        """What the booted kernel was told, but for ostree's own."""
        return tuple(one for one in self._cmdline.split() if not one.startswith("ostree="))

    @property
    def deployments(self) -> list[Path]:
        """Directories of deployments, bootable or not."""
        found = self.sysroot.glob("ostree/deploy/*/deploy/*")
        return [one for one in found if one.is_dir()]

    async def stays_up(self) -> None:
        """Nobody called a reboot in this boot."""
        assert self.is_up
        assert "Rebooting" not in await self.journal("--unit=rebootmgr.service", "--boot=0")

    async def until_rebooted_times(self, times: int) -> Json:
        """Wait until its history has so many reboots, the last of which was judged."""
        return await self.until(lambda status: len(status["history"]) == times)

    def protect_boot(self) -> None:
        """Let every finalization fail, until `free_boot`."""
        change_attribute("+i", self.sysroot / "boot")
        self._stack.callback(self.free_boot)

    def free_boot(self) -> None:
        """Let boot entries be written again."""
        change_attribute("-i", self.sysroot / "boot")

    def fill_boot(self) -> None:
        """Let /boot be full: a small file system of its own, of which nothing is left."""
        boot = self.sysroot / "boot"
        here = self.root.with_name("boot")
        shutil.copytree(boot, here, symlinks=True)
        mount("-t", "tmpfs", "-o", "size=256k", "tmpfs", boot)
        self._stack.callback(unmount, boot)
        subprocess.run(("cp", "-a", f"{here}/.", boot), check=True)
        with suppress(OSError), (boot / "junk").open("wb", buffering=0) as junk:
            while junk.write(bytes(4096)):
                pass

    @asynccontextmanager
    async def midway(self, *command: str) -> AsyncIterator[None]:
        """Run a command that replaces or withdraws what is staged, and stand still midway.

        Midway: it has changed the staged file, and is removing the tree of the old one, with the
        sysroot locked. That tree was made large. The rest of it follows afterwards.
        """
        [staged] = [one for one in self.deployments if not one.samefile(self._booted)]
        many = staged / "etc/many"
        many.mkdir()
        for number in range(_MANY):
            (many / str(number)).touch()
        changed = asyncio.Event()
        with FileWatch(self.inside(""), (_STAGED,), lambda _: changed.set()):
            await self.begin("--unit=work.service", *command)
            with telling(lambda: f"{command} changed nothing"):
                await changed.wait()
        [freezer] = self.cgroup.glob("**/work.service/cgroup.freeze")
        freezer.write_text("1")
        assert many.exists(), "it was done already"
        yield
        freezer.write_text("0")


def change_attribute(how: str, path: Path) -> None:
    """Make it immutable (+i), or mutable again."""
    subprocess.run(("chattr", how, path), check=True)


def _field(name: str, entry: str) -> str:
    found = re.search(rf"^{name} (.*)$", entry, re.MULTILINE)
    assert found, entry
    return found[1]
