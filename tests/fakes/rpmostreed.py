"""A stand-in for rpm-ostreed on a real bus (facts/rpm-ostree.md §4): in a test, or a process.

`python -m tests.fakes.rpmostreed --root DIR [--state FILE]` serves the host under DIR and can be
activated by the bus. It is led by `org.rebootmgr.test.RpmOstree` at `/org/rebootmgr/test`:
Stage(version, fields as JSON), ChangeArguments(arguments), Cleanup(), Lock(how),
BeginTransaction(method), EndTransaction(), SetProperty(interface, name, `[signature, value]` as
JSON), Mute(), Calls() and IdleExit().
"""

import argparse
import asyncio
import itertools
import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from rebootmgr.bus.connection import Bus, Reply, Request, variant
from rebootmgr.bus.strangers import Strangers
from rebootmgr.errors import BusError
from tests.fakes.ostree_host import REFSPEC, Lock, OstreeHost, Tree
from tests.waiting import telling

NAME: Final = "org.projectatomic.rpmostree1"
ROOT: Final = "/org/projectatomic/rpmostree1"
SYSROOT: Final = f"{ROOT}/Sysroot"
OS: Final = f"{NAME}.OS"
TEST: Final = ("/org/rebootmgr/test", "org.rebootmgr.test.RpmOstree")
PROPERTIES: Final = "org.freedesktop.DBus.Properties"
_NOTHING: Final = ["", "", ""]
_NOT_STARTED: Final = f"Could not activate remote peer '{NAME}': "
_ERROR: Final = "org.freedesktop.DBus.Error"
NOT_THERE: Final = (
    (f"{_ERROR}.NameHasNoOwner", "Destination does not exist"),
    (f"{_ERROR}.NameHasNoOwner", f"{_NOT_STARTED}activation request failed: unit is masked"),
    (f"{_ERROR}.NameHasNoOwner", f"{_NOT_STARTED}startup job failed"),
    (f"{_ERROR}.ServiceUnknown", f"The name {NAME} is unknown"),
    (f"{_ERROR}.ServiceUnknown", f"The name {NAME} was not provided by any .service files"),
    (f"{_ERROR}.Spawn.ChildExited", "Launch helper exited with unknown return code 1"),
    (f"{_ERROR}.TimedOut", f"Failed to activate service '{NAME}': timed out"),
    ("org.freedesktop.systemd1.UnitMasked", "Unit rpm-ostreed.service is masked."),
    ("org.freedesktop.systemd1.NoSuchUnit", "Unit rpm-ostreed.service not found."),
)
"""How dbus-broker (the first four) and dbus-daemon say that nobody is there or was started."""
_SIGNATURES: Final = {
    "Booted": "o",
    "Path": "s",
    "ActiveTransaction": "(sss)",
    "ActiveTransactionPath": "s",
    "AutomaticUpdatePolicy": "s",
    "Deployments": "aa{sv}",
    "BootedDeployment": "a{sv}",
    "DefaultDeployment": "a{sv}",
    "RollbackDeployment": "a{sv}",
    "CachedUpdate": "a{sv}",
    "HasCachedUpdateRpmDiff": "b",
    "Name": "s",
}


class LockedSysroot(Protocol):
    """The sysroot, as long as a transaction has locked it."""

    def release(self) -> None:
        """Unlock."""

    def die(self) -> None:
        """Be killed with it."""


class Host(Protocol):
    """What it shows, and works on: files (tests/fakes/ostree_host.py), or a real sysroot."""

    policy: str
    ref: str
    overrides: dict[str, Any]

    @property
    def trees(self) -> list[Tree]:
        """The deployments in boot order."""

    @property
    def booted(self) -> str:
        """The id of the booted one."""

    def load(self) -> None:
        """Take what others changed."""

    def save(self) -> None:
        """Remember."""

    def stage(self, version: str, **fields: Any) -> Tree:
        """Stage a version, with the sysroot locked."""

    def change_arguments(self, arguments: list[str]) -> Tree:
        """Stage what is booted with other kernel arguments, with the sysroot locked."""

    def cleanup(self) -> None:
        """Withdraw what is staged."""

    def lock(self, how: Lock) -> None:
        """Lock what is staged, or unlock it."""

    def lock_sysroot(self) -> LockedSysroot:
        """Lock the sysroot."""

    def boot_config(self) -> dict[str, tuple[str, Any]]:
        """The boot entry of the booted one, as GetDeploymentBootConfig answers."""


class RpmOstreed:
    """rpm-ostreed for `host`: `start` brings it to the bus, `leave` is its idle exit."""

    def __init__(self, host: Host, address: str) -> None:
        self._host = host
        self.calls: Counter[str] = Counter()
        self.is_mute = False
        self.leaves_at_next_call = False
        self.refusal: BusError | None = None
        """What the bus answers in its place, which never gets the call."""
        self.transaction = list(_NOTHING)
        self.cached: dict[str, Any] = {}
        self._lock: LockedSysroot | None = None
        self._address = address
        self._bus: Bus | None = None
        self._shown: dict[tuple[str, str], dict[str, Any]] = {}
        self._never = asyncio.Event()
        self._called = asyncio.Condition()

    @property
    def host(self) -> Host:
        return self._host

    @property
    def bus(self) -> Bus:
        assert self._bus is not None, "rpm-ostreed is not running"
        return self._bus

    async def start(self) -> None:
        """Export everything, then own the name: nobody hears a signal but NameOwnerChanged."""
        an_hour_later = itertools.count(step=3600.0)  # with each call: the real one refuses none
        strangers = Strangers(lambda: next(an_hour_later))
        self._bus = await Bus.connect(self._address, strangers=strangers)
        self._bus.serve(*(TEST[0], self._lead))
        self._shown = self._properties()
        for path, _ in self._shown:
            self._bus.serve(path, self._answer)
        await self._bus.own(NAME)

    async def leave(self) -> None:
        """Leave the bus, as after 60 s without clients; calls under way get NoReply."""
        bus, self._bus = self._bus, None
        self.transaction = list(_NOTHING)
        if self._lock is not None:
            self._lock.die()
            self._lock = None
        if bus is not None:
            await bus.close()

    async def stage(self, version: str, **fields: Any) -> Tree:
        """Stage in a transaction: its properties change while it is still active.

        CachedUpdate follows in a signal of its own, but for container images.
        """
        await self.begin("Upgrade")
        tree = self.host.stage(version, **fields)
        if not tree.digest:
            self.host.ref = tree.base_checksum or tree.checksum
            self.host.save()
        await self.refresh()
        if not tree.digest:
            self.cached = {"deployment": variant("s", tree.id), "version": variant("s", version)}
            await self.refresh()
        await self.end()
        return tree

    async def change_arguments(
        self, *arguments: str, reboot: Callable[[], object] | None = None
    ) -> Tree:
        """Stage the booted deployment with other kernel arguments.

        `reboot` is that of `rpm-ostree kargs --reboot`: it comes before the transaction ends, so
        nobody sees it end.
        """
        await self.begin("KernelArgs")
        tree = self.host.change_arguments(list(arguments))
        await self.refresh()
        if reboot is None:
            await self.end()
        else:
            reboot()
        return tree

    async def begin(self, method: str, *, client: str = ":1.999") -> None:
        """Start a transaction, for which rpm-ostreed locks the sysroot."""
        if self._lock is None:
            self._lock = self.host.lock_sysroot()
        self.transaction = [method, client, mangled(self.host.trees[0].osname)]
        await self.refresh()

    async def end(self) -> None:
        """End it."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None
        self.transaction = list(_NOTHING)
        await self.refresh()

    async def until_called(self, member: str) -> None:
        """Wait until somebody called `member`."""
        with telling(lambda: f"nobody called {member}, but {dict(self.calls)}"):
            async with self._called:
                await self._called.wait_for(lambda: self.calls[member] > 0)

    async def override(self, interface: str, name: str, raw: Any) -> None:
        """Show another value, `[signature, value]`; None goes back to the truth."""
        key = f"{interface}.{name}"
        self.host.overrides.pop(key, None)
        if raw is not None:
            self.host.overrides[key] = raw
        self.host.save()
        await self.refresh()

    async def refresh(self) -> None:
        """Look at the host again and tell what changed, the OS before the Sysroot."""
        before, self._shown = self._shown, self._properties()
        for (path, interface), shown in self._shown.items():
            self.bus.serve(path, self._answer)
            old = before.get((path, interface), {})
            changed = {name: value for name, value in shown.items() if old.get(name) != value}
            if changed:
                body = [interface, changed, []]
                await self.bus.emit(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", body)

    async def _answer(self, request: Request) -> Reply:
        self.calls[request.member] += 1
        async with self._called:
            self._called.notify_all()
        if self.leaves_at_next_call:
            self.leaves_at_next_call = False
            self.bus._wire.end("left")
        if self.is_mute:
            await self._never.wait()
        if self.refusal is not None:
            raise self.refusal
        match request.member, list(request.body):
            case "GetAll", [interface] if (request.path, interface) in self._shown:
                return Reply("a{sv}", [self._shown[request.path, interface]])
            case "Get", [interface, name] if name in self._shown.get((request.path, interface), ()):
                return Reply("v", [self._shown[request.path, interface][name]])
            case "GetDeploymentBootConfig", ["", False]:
                entry = self.host.boot_config().items()
                return Reply("a{sv}", [{key: variant(*value) for key, value in entry}])
            case "Reload", []:
                self.host.load()
                await self.refresh()
                return Reply()
            case (("RegisterClient" | "UnregisterClient"), [_]):
                return Reply()
            case _:
                raise BusError("org.freedesktop.DBus.Error.InvalidArgs", "No such interface")

    async def _lead(self, request: Request) -> Reply:
        match request.member, list(request.body):
            case "Stage", [version, fields]:
                return Reply("s", [(await self.stage(version, **json.loads(fields or "{}"))).id])
            case "ChangeArguments", [[*arguments]]:
                return Reply("s", [(await self.change_arguments(*map(str, arguments))).id])
            case "Cleanup", []:
                self.host.cleanup()
                await self.refresh()
            case "Lock", [how]:
                self.host.lock(how)
            case "BeginTransaction", [method]:
                await self.begin(method)
            case "EndTransaction", []:
                await self.end()
            case "SetProperty", [interface, name, raw]:
                await self.override(interface, name, json.loads(raw))
            case "Mute", []:
                self.is_mute = True
            case "Calls", []:
                return Reply("a{su}", [dict(self.calls)])
            case "IdleExit", []:
                asyncio.get_running_loop().call_soon(self.bus._wire.end, "idle exit")
            case _:
                raise BusError("org.freedesktop.DBus.Error.UnknownMethod", request.member)
        return Reply()

    def _properties(self) -> dict[tuple[str, str], dict[str, Any]]:
        trees = self.host.trees
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for osname in dict.fromkeys(tree.osname for tree in trees):
            mine = [tree for tree in trees if tree.osname == osname]
            found[mangled(osname), OS] = self._typed("OS", self._of_os(osname, mine))
        booted = [tree.osname for tree in trees if tree.id == self.host.booted]
        sysroot = {
            "Booted": mangled(booted[0]) if booted else "/",
            "Path": "/",
            "ActiveTransaction": self.transaction,
            "ActiveTransactionPath": "unix:path=/run/x" if self.transaction[0] else "",
            "AutomaticUpdatePolicy": self.host.policy,
            "Deployments": [self._dictionary(tree) for tree in trees],
        }
        found[SYSROOT, f"{NAME}.Sysroot"] = self._typed("Sysroot", sysroot)
        return found

    def _of_os(self, osname: str, mine: list[Tree]) -> dict[str, Any]:
        at = next((n for n, tree in enumerate(mine) if tree.id == self.host.booted), None)
        booted = {} if at is None else self._dictionary(mine[at])
        return {
            "BootedDeployment": booted,
            "DefaultDeployment": self._dictionary(mine[0]),  # the booted one, if it is the first
            "RollbackDeployment": {}
            if at is None or at + 1 >= len(mine)
            else self._dictionary(mine[at + 1]),
            "CachedUpdate": self.cached,
            "HasCachedUpdateRpmDiff": False,
            "Name": osname,
        }

    def _typed(self, interface: str, values: dict[str, Any]) -> dict[str, Any]:
        typed = {name: variant(_SIGNATURES[name], value) for name, value in values.items()}
        for key, raw in self.host.overrides.items():
            owner, _, name = key.partition(".")
            if owner == interface and raw == "missing":
                typed.pop(name, None)
            elif owner == interface:
                typed[name] = _from_json(*raw)
        return typed

    def _dictionary(self, tree: Tree) -> dict[str, Any]:
        empty = ("packages", "requested-packages", "requested-local-packages")
        found: dict[str, tuple[str, Any]] = {
            "id": ("s", tree.id),
            "osname": ("s", tree.osname),
            "checksum": ("s", tree.checksum),
            "serial": ("i", tree.serial),
            "booted": ("b", tree.id == self.host.booted),
            "staged": ("b", tree.staged),
            "pinned": ("b", False),
            "unlocked": ("s", tree.unlocked),
            "version": ("s", tree.version),
            "timestamp": ("t", tree.timestamp),
            "base-commit-meta": ("a{sv}", {"version": variant("s", tree.version)}),
            "base-local-replacements": ("a(vv)", []),
            "regenerate-initramfs": ("b", False),
            **{name: ("as", []) for name in empty},
        }
        if tree.digest:
            reference = "ostree-image-signed:docker://quay.io/fedora/fedora-coreos:stable"
            found["container-image-reference"] = ("s", reference)
            found["container-image-reference-digest"] = ("s", tree.digest)
            manifest = {  # as large as the real ones
                "ostree.manifest-digest": variant("s", tree.digest),
                "ostree.manifest": variant("s", json.dumps({"layers": ["m" * 60] * 170})),
                "ostree.container.image-config": variant("s", json.dumps(["c" * 60] * 200)),
            }
            found["base-commit-meta"] = ("a{sv}", manifest)
        else:
            found["origin"] = ("s", REFSPEC)
        base = tree.base_checksum or tree.checksum
        if self.host.ref not in {"", base} and not tree.digest:  # the newest that was downloaded
            found["pending-base-checksum"] = ("s", self.host.ref)
            found["pending-base-timestamp"] = ("t", tree.timestamp)
        if tree.base_checksum:
            found["base-checksum"] = ("s", tree.base_checksum)
        if tree.lock in {"key", "file"}:
            found["finalization-locked"] = ("b", True)
        typed = {key: variant(*value) for key, value in found.items()}
        for key, raw in tree.extra.items():
            if raw is None:
                typed.pop(key, None)
            else:
                typed[key] = _from_json(*raw)
        return typed


class FakeRpmOstree(RpmOstreed):
    """The one whose host is made of files."""

    def __init__(self, host: OstreeHost, address: str) -> None:
        super().__init__(host, address)
        self._files = host

    @property
    def host(self) -> OstreeHost:
        return self._files


def mangled(osname: str) -> str:
    """Object path of an OS (facts/rpm-ostree.md §1.1)."""
    kept = [
        chr(byte) if chr(byte).isalnum() and byte < 128 else "_" if chr(byte) in "_-/" else None
        for byte in osname.encode()
    ]
    escaped = zip(kept, osname.encode(), strict=True)
    return f"{ROOT}/" + "".join(char or f"_{byte:02X}" for char, byte in escaped)


def _from_json(signature: str, value: Any) -> Any:
    if signature == "a{sv}":
        value = {key: _from_json(*item) for key, item in value.items()}
    return variant(signature, value)


async def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--state", type=Path)
    options = parser.parse_args()
    address = os.environ.get("DBUS_STARTER_ADDRESS") or os.environ["DBUS_SYSTEM_BUS_ADDRESS"]
    fake = FakeRpmOstree(OstreeHost(options.root, options.state), address)
    await fake.start()
    await fake.bus.wait_lost()


if __name__ == "__main__":
    asyncio.run(_main())
