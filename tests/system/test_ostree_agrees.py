"""The stand-in made of files and libostree agree on whatever the daemon reads, field by field."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rebootmgr.bus.connection import Bus
from rebootmgr.updates.gvariant_words import decode_dictionary
from rebootmgr.updates.ostree_files import LOCK, STAGED, read_sysroot_holders
from tests.fakes.dbus_daemon import DbusDaemon
from tests.fakes.ostree_host import KARGS, OstreeHost, Tree
from tests.fakes.rpmostreed import NAME, OS, PROPERTIES, SYSROOT, FakeRpmOstree
from tests.system.holds import hold
from tests.system.ostree_machine import OstreeMachine
from tests.system.test_ostree import LOCKED, STAGE, UNDEPLOY

OF_SYSROOT: Final = ("Booted", "AutomaticUpdatePolicy", "Deployments", "ActiveTransaction")
OF_OS: Final = ("BootedDeployment", "DefaultDeployment")
OF_A_DEPLOYMENT: Final = (
    "id", "osname", "checksum", "base-checksum", "container-image-reference-digest", "version",
    "booted", "staged", "finalization-locked", "unlocked", "live-replaced", "timestamp",
    "pending-base-checksum", "requested-packages", "requested-local-packages",
    "requested-local-fileoverride-packages", "requested-base-removals", "regenerate-initramfs",
)  # fmt: skip
OF_THE_FILE: Final = ("target", "kargs", "overlay-initrds", "locked")


async def shown(bus: Bus, root: Path) -> dict[str, Any]:
    """All that the daemon reads of a host, after telling it to look again, as the daemon does."""
    await bus.call(NAME, SYSROOT, f"{NAME}.Sysroot", "Reload")
    [sysroot] = await bus.call(NAME, SYSROOT, PROPERTIES, "GetAll", "s", [f"{NAME}.Sysroot"])
    booted = sysroot["Booted"]
    [its_os] = await bus.call(NAME, booted, PROPERTIES, "GetAll", "s", [OS])
    which = ["", False]
    [entry] = await bus.call(NAME, booted, OS, "GetDeploymentBootConfig", "sb", which)
    content = (root / STAGED).read_bytes() if (root / STAGED).exists() else b""
    file = decode_dictionary(content)
    found = {f"Sysroot.{name}": sysroot[name] for name in OF_SYSROOT}
    found["Sysroot.Deployments"] = [_of(table) for table in sysroot["Deployments"]]
    found["Sysroot.ActiveTransaction"] = sysroot["ActiveTransaction"][0]  # the client has a name
    found |= {f"OS.{name}": _of(its_os[name]) for name in OF_OS}
    found["entry"] = sorted(entry)
    found["options"] = re.sub(r"ostree=\S+", "ostree=", entry["options"])
    found |= {f"file.{name}": file.get(name) for name in OF_THE_FILE}
    # Where there is none, rpm-ostree alone says so.
    found["file.overlay-initrds"] = found["file.overlay-initrds"] or ()
    if isinstance(target := file.get("target"), bytes):
        found["file.target"] = decode_dictionary(target)
    found["lock file"] = (root / LOCK).exists()
    found["is locked"] = bool(read_sysroot_holders(root))
    return found


def _of(table: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: table[name] for name in OF_A_DEPLOYMENT if name in table}
    return {**kept, "timestamp": type(kept["timestamp"])}


class Pair:
    """A real host and the stand-in, to which the same happens."""

    def __init__(self, real: OstreeMachine, plain: FakeRpmOstree, bus: Bus) -> None:
        self.real = real
        self.plain = plain
        self._bus = bus
        self._names: dict[str, str] = {}

    async def learn_names(self) -> None:
        """Checksums are of content on one side, and made up on the other: give them one name."""
        for version in ("42.1", "42.2", "42.3"):
            real = await self.real.do("ostree", "rev-parse", f"os/{version}")
            self._names[real.strip()] = Tree(version=version).checksum
        [kernel] = (self.real.sysroot / "boot/ostree").iterdir()
        self._names[kernel.name.rpartition("-")[2]] = "b" * 64

    async def settle(self, version: str) -> None:
        """Wait until ostree is done, and both show this version as the next."""
        await self.plain.refresh()
        while True:
            found = await shown(self.real.bus, self.real.inside(""))
            shows = found["OS.DefaultDeployment"]["version"]
            if shows == version and not found["is locked"]:
                return

    async def agree(self, where: str) -> None:
        """Compare both, with the names of the stand-in."""
        real = await shown(self.real.bus, self.real.inside(""))
        plain = await shown(self._bus, self.plain.host.root)
        renamed = self._renamed(real)
        differing = {
            name: (renamed.get(name), plain.get(name))
            for name in {**renamed, **plain}
            if renamed.get(name) != plain.get(name)
        }
        told = "".join(f"\n{name}:\n  {each}" for name, each in differing.items())
        assert not differing, f"{where}: libostree, and the stand-in:{told}"

    def _renamed(self, value: Any) -> Any:
        match value:
            case str():
                for old, new in self._names.items():
                    value = value.replace(old, new)
                return value
            case dict():
                return {key: self._renamed(each) for key, each in value.items()}
            case list() | tuple():
                return type(value)(self._renamed(each) for each in value)
            case _:
                return value


async def _staged_by_ostree(pair: Pair) -> None:
    host, files = pair.real, pair.plain.host
    await host.do(*STAGE, "os/42.2")
    files.stage("42.2", kargs=None)
    await pair.settle("42.2")
    await pair.agree("staged by ostree")

    await host.do(*LOCKED, "os/42.2")
    files.stage("42.2", kargs=None, lock="gvariant")
    await pair.settle("42.2")
    await pair.agree("staged once more, and locked")

    async with host.midway(*UNDEPLOY):
        lock = files.lock_sysroot()
        files.begin_withdrawal()
        await pair.agree("being withdrawn")
    lock.release()
    files.end_withdrawal()
    await pair.settle("42.1")
    await pair.agree("withdrawn")


async def _staged_by_rpm_ostree(pair: Pair) -> None:
    host, plain = pair.real, pair.plain
    await host.stage("42.2")
    await plain.stage("42.2")
    await pair.agree("staged by rpm-ostree")

    await host.stage("42.3", lock="gvariant")
    await plain.stage("42.3", lock="gvariant")
    await pair.agree("another one, locked inside of its file")

    await host.do(*UNDEPLOY)
    plain.host.cleanup()
    await pair.settle("42.1")
    arguments = [*KARGS, "quiet"]
    await host.lead("ChangeArguments", "as", [arguments])
    await plain.change_arguments(*arguments)
    await pair.agree("other kernel arguments")

    await host.lead("BeginTransaction", "s", ["Upgrade"])
    await plain.begin("Upgrade")
    await pair.agree("in a transaction")
    await host.lead("EndTransaction")
    await plain.end()


async def test_the_stand_in_shows_what_libostree_does_whatever_happens_to_both(
    rpm_ostree_host: OstreeMachine, tmp_path: Path
) -> None:
    host = rpm_ostree_host
    (tmp_path / "plain").mkdir()
    files = OstreeHost(tmp_path / "plain")
    files.install("42.1")
    async with DbusDaemon() as daemon:
        plain = FakeRpmOstree(files, daemon.address)
        await plain.start()
        bus = await Bus.connect(daemon.address)
        pair = Pair(host, plain, bus)
        await host.boot()
        await hold(host)
        await pair.learn_names()
        await pair.agree("nothing is pending")
        await _staged_by_ostree(pair)
        await _staged_by_rpm_ostree(pair)
        await host.begin("systemctl", "reboot")
        await host.until_rebooted()
        files.reboot()
        await plain.refresh()
        await pair.agree("booted with other arguments")
        await bus.close()
        await plain.leave()
