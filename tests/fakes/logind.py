"""systemd-logind for tests and the demo, as one version of it behaves: `python -m` runs it alone.

Also serves `org.rebootmgr.test.Logind` on /org/rebootmgr/test: AddSession(s) -> s,
RemoveSession(s), AddInhibitor(s) -> s, RemoveInhibitor(s), SetMode(s), EndShutdown(),
Rebooted() -> u; what is added is a JSON object of the dataclass's fields.
"""

import argparse
import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self

from tests.fakes.logind_sessions import (
    PATH,
    SESSION,
    FakeSession,
    session_path,
    session_properties,
)
from tests.fakes.service import ERROR, Answer, Call, Interface, Refused, Service, Silence

MANAGER: Final = "org.freedesktop.login1.Manager"
TEST_PATH: Final = "/org/rebootmgr/test"
TEST: Final = "org.rebootmgr.test.Logind"
KNOWN_FLAGS: Final = {252: 0x03, 257: 0x1F}
BUSY: Final = Refused(
    "org.freedesktop.login1.OperationInProgress",
    "There's already a shutdown or sleep operation in progress",
)
_NEVER: Final = 2**64 - 1


class Mode(StrEnum):
    """What becomes of a call for reboot."""

    ACCEPT = "accept"
    NOTHING = "nothing"  # accepted, but no shutdown follows
    REFUSE = "refuse"
    IN_PROGRESS = "in_progress"
    LOST = "lost"  # polkit goes away while it is asked: no reply, and no shutdown
    MUTE = "mute"  # no call at all is answered
    SWALLOW = "swallow"  # the shutdown begins, but the reply is lost


@dataclass
class FakeInhibitor:
    what: str = "shutdown"
    who: str = "test"
    why: str = "testing"
    mode: str = "block"
    uid: int = 1000
    pid: int = 4711


class FakeLogind:
    """Its state, changed by calls on the bus or by the methods here. `calls` is what was asked."""

    def __init__(
        self, address: str, *, version: int = 257, mode: str = Mode.ACCEPT, log: Path | None = None
    ) -> None:
        self.version = version
        self.mode = Mode(mode)
        self.calls: list[tuple[str, list[Any]]] = []
        self.reboots = 0
        self.rebooted = asyncio.Event()
        self.preparing = False
        self.scheduled: tuple[str, int] = ("", 0)
        self.wall_message = ""
        self.service = Service(address, "org.freedesktop.login1")
        self._log = log
        self._sessions: dict[str, FakeSession] = {}
        self._inhibitors: dict[str, FakeInhibitor] = {}
        self._pipes: dict[str, int] = {}
        self._serial = 0
        self.may_override = False  # polkit grants reboot-ignore-inhibit
        methods = {
            "Inhibit": self._inhibit,
            "CanReboot": self._can_reboot,
            "Reboot": lambda call: self._reboot(call, 0),
            "RebootWithFlags": lambda call: self._reboot(call, call.body[0]),
            "ScheduleShutdown": self._schedule,
            "CancelScheduledShutdown": self._cancel,
            "SetWallMessage": self._set_wall_message,
            "ListInhibitors": self._list_inhibitors,
            "ListSessions": self._list_sessions,
        }
        if version < 248:
            del methods["RebootWithFlags"]
        recorded = {name: self._recorded(method) for name, method in methods.items()}
        self.service.objects[PATH] = {MANAGER: Interface(self._properties, recorded)}
        self.service.objects[TEST_PATH] = {TEST: Interface(methods=self._controls())}

    async def __aenter__(self) -> Self:
        await self.service.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for serial in list(self._pipes):
            self.remove_inhibitor(serial)
        await self.service.close()

    def add_session(self, session: FakeSession) -> None:
        path = session_path(session.id)
        self._sessions[session.id] = session
        self.service.objects[path] = {SESSION: Interface(lambda: session_properties(session))}
        self.service.emit(PATH, MANAGER, "SessionNew", "so", [session.id, path])

    def change_session(self, id_: str, **changes: Any) -> None:
        """Set fields of FakeSession, and tell so."""
        names = {"tty": "TTY", "class_": "Class"}
        for name, value in changes.items():
            setattr(self._sessions[id_], name, value)
        told = (names.get(name, name.capitalize()) for name in changes)
        self.service.emit_changed(session_path(id_), SESSION, *told)

    def remove_session(self, id_: str, *, still_listed: bool = False) -> None:
        """End a session; `still_listed`: in the moment between ListSessions and its properties."""
        path = session_path(id_)
        del self.service.objects[path]
        if not still_listed:
            del self._sessions[id_]
            self.service.emit(PATH, MANAGER, "SessionRemoved", "so", [id_, path])

    def add_inhibitor(self, inhibitor: FakeInhibitor) -> str:
        self._serial += 1
        self._inhibitors[str(self._serial)] = inhibitor
        self._tell_inhibitors(inhibitor.mode)
        return str(self._serial)

    def remove_inhibitor(self, serial: str) -> None:
        inhibitor = self._inhibitors.pop(serial)
        if (fd := self._pipes.pop(serial, None)) is not None:
            asyncio.get_running_loop().remove_reader(fd)
            os.close(fd)
        self._tell_inhibitors(inhibitor.mode)

    def set_scheduled(self, type_: str, usec: int) -> None:
        self.scheduled = (type_, usec)
        if self.version >= 257:
            self.service.emit_changed(PATH, MANAGER, "ScheduledShutdown")

    def begin_shutdown(self) -> None:
        self.preparing = True
        self.service.emit(PATH, MANAGER, "PrepareForShutdown", "b", [True])

    def end_shutdown(self) -> None:
        """Call it off, as a failed job of reboot.target does."""
        self.preparing = False
        self.rebooted.clear()
        self.service.emit(PATH, MANAGER, "PrepareForShutdown", "b", [False])

    def _recorded(self, method: Callable[[Call], Answer]) -> Callable[[Call], Answer]:
        def record(call: Call) -> Answer:
            self.calls.append((call.member, call.body))
            self._write({"call": call.member, "arguments": call.body, "uid": call.uid})
            if self.mode is Mode.MUTE:
                raise Silence
            return method(call)

        return record

    def _write(self, line: dict[str, Any]) -> None:
        if self._log is not None:
            with self._log.open("a") as file:
                file.write(json.dumps(line) + "\n")

    def _reboot(self, call: Call, flags: int) -> Answer:
        if flags & ~KNOWN_FLAGS[257 if self.version >= 257 else 252]:
            raise Refused(f"{ERROR}.InvalidArgs", "Invalid flags parameter")
        if self.preparing or self.mode is Mode.IN_PROGRESS:
            raise BUSY
        self._check_inhibitors(call.uid, flags)
        if self.mode is Mode.REFUSE:
            raise Refused(f"{ERROR}.AccessDenied", "Access denied")
        if self.mode is Mode.LOST:
            raise Refused(f"{ERROR}.NoReply", "Remote peer disconnected")
        if self.mode is not Mode.NOTHING:
            self.reboots += 1
            self.rebooted.set()
            self._write({"event": "reboot"})
            self.scheduled = ("", 0)
            self.begin_shutdown()
        if self.mode is Mode.SWALLOW:
            raise Silence
        return Answer()

    def _check_inhibitors(self, uid: int, flags: int) -> None:
        """Facts 6.2: what 252 lets root and the lock's owner do, 257 does not."""
        locks = [each for each in self._inhibitors.values() if "shutdown" in each.what.split(":")]
        if self.may_override and (self.version < 257 or flags & 0x10):
            return
        if self.version < 257:
            strong = [each for each in locks if each.mode == "block" and each.uid != uid]
            if strong and (uid != 0 or flags & 0x1):
                text = "Access denied to root due to active block inhibitor"
                raise Refused(f"{ERROR}.AccessDenied", text)
            return
        strong = [each for each in locks if each.mode == "block"]
        weak = [each for each in locks if each.mode == "block-weak" and each.uid != uid]
        if strong or (weak and (uid != 0 or flags & 0x1)):
            if self.version >= 260:
                name = "org.freedesktop.login1.BlockedByInhibitorLock"
                raise Refused(name, "Operation denied due to active block inhibitor")
            raise Refused(f"{ERROR}.AccessDenied", "Access denied due to active block inhibitor")

    def _can_reboot(self, call: Call) -> Answer:
        try:
            self._check_inhibitors(call.uid, 0x11)
        except Refused:
            return Answer("s", ["challenge"])
        return Answer("s", ["yes"])

    def _inhibit(self, call: Call) -> Answer:
        what, who, why, mode = call.body
        if self.preparing:
            raise BUSY
        if mode not in {"block", "delay"} and not (mode == "block-weak" and self.version >= 257):
            raise Refused(f"{ERROR}.InvalidArgs", f"Invalid mode specification {mode}")
        read_end, write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        serial = self.add_inhibitor(FakeInhibitor(what, who, why, mode, call.uid, call.pid))
        self._pipes[serial] = read_end
        asyncio.get_running_loop().add_reader(read_end, self.remove_inhibitor, serial)
        return Answer("h", [0], [write_end])

    def _schedule(self, call: Call) -> Answer:
        self.set_scheduled(call.body[0], call.body[1])
        return Answer()

    def _cancel(self, _: Call) -> Answer:
        was_scheduled = self.scheduled[0] != ""
        self.set_scheduled("", _NEVER)
        return Answer("b", [was_scheduled])

    def _set_wall_message(self, call: Call) -> Answer:
        self.wall_message = call.body[0]
        return Answer()

    def _list_inhibitors(self, _: Call) -> Answer:
        rows = [
            [each.what, each.who, each.why, each.mode, each.uid, each.pid]
            for each in self._inhibitors.values()
        ]
        return Answer("a(ssssuu)", [rows])

    def _list_sessions(self, _: Call) -> Answer:
        rows = [[s.id, s.uid, s.name, "", session_path(s.id)] for s in self._sessions.values()]
        return Answer("a(susso)", [rows])

    def _properties(self) -> dict[str, tuple[str, Any]]:
        if self.mode is Mode.MUTE:
            raise Silence
        return {
            "BlockInhibited": ("s", self._locked()["block"]),
            "DelayInhibited": ("s", self._locked()["delay"]),
            "PreparingForShutdown": ("b", self.preparing),
            "ScheduledShutdown": ("(st)", list(self.scheduled)),
            "WallMessage": ("s", self.wall_message),
            "IdleHint": ("b", False),
        }

    def _locked(self) -> dict[str, str]:
        def joined(mode: str) -> str:
            locks = [each.what for each in self._inhibitors.values() if each.mode == mode]
            return ":".join(sorted({what for lock in locks for what in lock.split(":")}))

        return {"block": joined("block"), "delay": joined("delay")}

    def _tell_inhibitors(self, mode: str) -> None:
        """Also about a second lock of a kind, which changes nothing that the property says."""
        name = "DelayInhibited" if mode == "delay" else "BlockInhibited"
        self.service.emit_changed(PATH, MANAGER, name)

    def _controls(self) -> dict[str, Callable[[Call], Answer]]:
        def command(act: Callable[[str], object]) -> Callable[[Call], Answer]:
            def run(call: Call) -> Answer:
                result = act(call.body[0] if call.body else "")
                return Answer() if result is None else Answer("s", [str(result)])

            return run

        return {
            "AddSession": command(lambda text: self.add_session(FakeSession(**json.loads(text)))),
            "RemoveSession": command(self.remove_session),
            "AddInhibitor": command(
                lambda text: self.add_inhibitor(FakeInhibitor(**json.loads(text)))
            ),
            "RemoveInhibitor": command(self.remove_inhibitor),
            "SetMode": command(lambda text: setattr(self, "mode", Mode(text))),
            "EndShutdown": command(lambda _: self.end_shutdown()),
            "Rebooted": lambda _: Answer("u", [self.reboots]),
        }


async def run(address: str, *, version: int, mode: str, log: Path | None) -> None:
    async with FakeLogind(address, version=version, mode=mode, log=log) as logind:
        print("ready", flush=True)  # noqa: T201 - whoever started us waits for it
        await logind.service.wait_lost()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A systemd-logind that reboots nothing.")
    parser.add_argument("--version", type=int, default=257)
    parser.add_argument("--mode", default=Mode.ACCEPT, choices=list(Mode))
    parser.add_argument("--log", type=Path, help="append each call as a line of JSON")
    options = parser.parse_args()
    bus = os.environ["DBUS_SYSTEM_BUS_ADDRESS"]
    asyncio.run(run(bus, version=options.version, mode=options.mode, log=options.log))
