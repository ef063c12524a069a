"""systemd's manager and timedated, as far as rebootmgr asks them: `python -m` runs them alone.

Also serves `org.rebootmgr.test.Systemd1` on /org/rebootmgr/test: SetBootComplete(b),
SetFailed(as), SetSynchronized(b).
"""

import argparse
import asyncio
import os
from typing import Any, Final, Self

from tests.fakes.service import ERROR, Answer, Call, Interface, Refused, Service, Silence

PATH: Final = "/org/freedesktop/systemd1"
MANAGER: Final = "org.freedesktop.systemd1.Manager"
UNIT: Final = "org.freedesktop.systemd1.Unit"
SERVICE: Final = "org.freedesktop.systemd1.Service"
TARGET: Final = f"{PATH}/unit/boot_2dcomplete_2etarget"
STAMPS: Final = (
    "FirmwareTimestampMonotonic",
    "LoaderTimestampMonotonic",
    "UserspaceTimestampMonotonic",
    "ActiveEnterTimestampMonotonic",  # of the target, the others of the manager
)
TEST_PATH: Final = "/org/rebootmgr/test"
TEST: Final = "org.rebootmgr.test.Systemd1"


def unit_path(name: str) -> str:
    """As sd_bus_path_encode(3) does it."""
    return f"{PATH}/unit/" + "".join(c if c.isalnum() else f"_{ord(c):02x}" for c in name)


class FakeSystemd:
    """Its state. `calls` is what was asked of the manager; `soft_reboots` None is before 256."""

    def __init__(
        self, address: str, *, boot_complete: bool = True, soft_reboots: int | None = 0
    ) -> None:
        self.calls: list[str] = []
        self.units = {"boot-complete.target": "active" if boot_complete else "inactive"}
        self.soft_reboots = soft_reboots
        self.stamps = dict.fromkeys(STAMPS, 0)  # µs; 0 is what containers and old firmware tell
        self.subscribed = False
        self.jobs: dict[str, str] = {}  # their states, by unit
        self.is_busy = False
        self.is_mute = False
        self.service = Service(address, "org.freedesktop.systemd1")
        methods = {
            "GetUnit": self._load_unit,
            "LoadUnit": self._load_unit,
            "ListUnitsFiltered": self._list_units,
            "ListJobs": self._list_jobs,
            "Subscribe": self._subscribe,
            "Unsubscribe": self._subscribe,
        }
        self.service.objects[PATH] = {MANAGER: Interface(self._properties, methods)}
        self.service.objects[TARGET] = {UNIT: Interface(self._target)}

    async def __aenter__(self) -> Self:
        await self.service.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.service.close()

    def set_boot_complete(self, *, reached: bool) -> None:
        """Reach or lose boot-complete.target; like systemd, tell only those who subscribed."""
        self.units["boot-complete.target"] = "active" if reached else "inactive"
        if self.subscribed:
            self.service.emit_changed(TARGET, UNIT, "ActiveState")

    def set_failed(self, names: list[str]) -> None:
        kept = {name: state for name, state in self.units.items() if state != "failed"}
        self.units = kept | dict.fromkeys(names, "failed")

    def set_unit(self, name: str, state: str) -> None:
        """Load a unit or change its ActiveState; like systemd, tell only those who subscribed."""
        self.units[name] = state
        path = unit_path(name)
        self.service.objects[path] = {UNIT: Interface(lambda: {"ActiveState": ("s", state)})}
        if self.subscribed:
            self.service.emit_changed(path, UNIT, "ActiveState")

    def fail_unit(self, name: str, result: str) -> None:
        """Have a service that failed with this Result."""
        self.set_unit(name, "failed")
        service = Interface(lambda: {"Result": ("s", result)})
        self.service.objects[unit_path(name)][SERVICE] = service

    def set_service(self, name: str, commands: list[list[str]], *, needed: list[str]) -> None:
        """Have a service that starts these, where the needed paths exist."""
        self.set_unit(name, "inactive")
        started = [[argv[0], argv, False, 0, 0, 0, 0, 0, 0, 0] for argv in commands]
        conditions = [["ConditionPathExists", False, False, path, 0] for path in needed]
        unit = {"ActiveState": ("s", "inactive"), "Conditions": ("a(sbbsi)", conditions)}
        service = {"ExecStart": ("a(sasbttttuii)", started)}
        self.service.objects[unit_path(name)] = {
            UNIT: Interface(lambda: unit),
            SERVICE: Interface(lambda: service),
        }

    def _properties(self) -> dict[str, tuple[str, Any]]:
        found: dict[str, tuple[str, Any]] = {"Version": ("s", "257.13")}
        if self.soft_reboots is not None:
            found["SoftRebootsCount"] = ("u", self.soft_reboots)
        return found | {name: ("t", self.stamps[name]) for name in STAMPS[:-1]}

    def _target(self) -> dict[str, tuple[str, Any]]:
        if self.is_mute:
            raise Silence
        state = self.units["boot-complete.target"]
        entered = {STAMPS[-1]: ("t", self.stamps[STAMPS[-1]])}
        return {"Id": ("s", "boot-complete.target"), "ActiveState": ("s", state)} | entered

    def _load_unit(self, call: Call) -> Answer:
        self.calls.append(call.member)
        [name] = call.body
        path = unit_path(name)
        if path not in self.service.objects:
            raise Refused("org.freedesktop.systemd1.NoSuchUnit", f"Unit {name} not loaded.")
        return Answer("o", [path])

    def _list_units(self, call: Call) -> Answer:
        self.calls.append(call.member)
        rows = [
            [name, name, "loaded", state, state, "", f"{PATH}/unit/x", 0, "", "/"]
            for name, state in self.units.items()
            if state in call.body[0]
        ]
        return Answer("a(ssssssouso)", [rows])

    def _list_jobs(self, call: Call) -> Answer:
        self.calls.append(call.member)
        if self.is_busy:
            raise Refused(f"{ERROR}.LimitsExceeded", "systemd has too much to do.")
        rows = [
            [number, name, "start", state, f"{PATH}/job/{number}", f"{PATH}/unit/x"]
            for number, (name, state) in enumerate(self.jobs.items())
        ]
        return Answer("a(usssoo)", [rows])

    def reload(self) -> None:
        """As after `systemctl daemon-reload`."""
        for is_begun in (True, False):
            self.service.emit(PATH, MANAGER, "Reloading", "b", [is_begun])

    def _subscribe(self, call: Call) -> Answer:
        self.calls.append(call.member)
        wanted = call.member == "Subscribe"
        if wanted is self.subscribed:
            name = "AlreadySubscribed" if wanted else "NotSubscribed"
            raise Refused(f"org.freedesktop.systemd1.{name}", "Client is already, or is not.")
        self.subscribed = wanted
        return Answer()


class FakeTimedate:
    """systemd-timedated; `synchronized` None: a version that has no such property."""

    def __init__(self, address: str, *, synchronized: bool | None = True) -> None:
        self.synchronized = synchronized
        self.service = Service(address, "org.freedesktop.timedate1")
        interface = Interface(self._properties)
        self.service.objects["/org/freedesktop/timedate1"] = {
            "org.freedesktop.timedate1": interface
        }

    async def __aenter__(self) -> Self:
        await self.service.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.service.close()

    def _properties(self) -> dict[str, tuple[str, Any]]:
        return {} if self.synchronized is None else {"NTPSynchronized": ("b", self.synchronized)}


async def run(address: str, *, boot_complete: bool, synchronized: bool) -> None:
    """Serve both, and the test's interface beside them."""
    async with (
        FakeSystemd(address, boot_complete=boot_complete) as systemd,
        FakeTimedate(address, synchronized=synchronized) as timedate,
    ):

        def control(call: Call) -> Answer:
            match call.member, call.body:
                case "SetBootComplete", [bool(reached)]:
                    systemd.set_boot_complete(reached=reached)
                case "SetFailed", [[*names]]:
                    systemd.set_failed(names)
                case "SetSynchronized", [bool(is_synchronized)]:
                    timedate.synchronized = is_synchronized
                case _:
                    raise Refused(f"{ERROR}.InvalidArgs", f"{call.member} of {call.body!r}")
            return Answer()

        methods = dict.fromkeys(("SetBootComplete", "SetFailed", "SetSynchronized"), control)
        systemd.service.objects[TEST_PATH] = {TEST: Interface(methods=methods)}
        print("ready", flush=True)  # noqa: T201 - whoever started us waits for it
        await systemd.service.wait_lost()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A systemd that runs nothing.")
    parser.add_argument("--boot-incomplete", action="store_true")
    parser.add_argument("--unsynchronized", action="store_true")
    options = parser.parse_args()
    asyncio.run(
        run(
            os.environ["DBUS_SYSTEM_BUS_ADDRESS"],
            boot_complete=not options.boot_incomplete,
            synchronized=not options.unsynchronized,
        )
    )
