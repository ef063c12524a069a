"""The adapter against the fake logind, on a real bus."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from rebootmgr.bus.connection import Bus
from rebootmgr.core import facts
from rebootmgr.core.events import RebootAccepted, RebootRefused, RebootUnclear
from rebootmgr.core.facts import Inhibitor, LogindUnreachable, Session
from rebootmgr.errors import BusError
from rebootmgr.logind.login1 import NOT_THERE, Login1
from tests.fakes.dbus_daemon import DbusDaemon
from tests.fakes.logind import FakeInhibitor, FakeLogind, Mode
from tests.fakes.logind_sessions import FakeSession
from tests.fakes.service import Service
from tests.waiting import PATIENT_S

ROOT = Path(__file__).parent.parent.parent
NAME = "org.freedesktop.login1"
PATH = "/org/freedesktop/login1"
MANAGER = "org.freedesktop.login1.Manager"


@pytest.fixture
async def bus(address: str) -> AsyncIterator[Bus]:
    connection = await Bus.connect(address)
    yield connection
    await connection.close()


def patient(bus: Bus) -> Login1:
    return Login1(bus, patience_s=PATIENT_S)


class Heard:
    """What the watch told, and waiting for it."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[str | bool] = asyncio.Queue()

    def changed(self, what: str) -> None:
        self.queue.put_nowait(what)

    def shutdown(self, begins: bool) -> None:  # noqa: FBT001 - the callback's own shape
        self.queue.put_nowait(begins)

    async def next(self) -> str | bool:
        return await self.queue.get()


@asynccontextmanager
async def watched(bus: Bus) -> AsyncIterator[Heard]:
    heard = Heard()
    await patient(bus).watch(heard.changed, heard.shutdown)
    yield heard
    await bus.call("org.freedesktop.DBus", "/", "org.freedesktop.DBus", "GetId")
    assert heard.queue.empty()


async def read(bus: Bus) -> facts.Logind:
    found = await patient(bus).read()
    assert isinstance(found, facts.Logind)
    return found


async def test_a_look_finds_inhibitors_people_and_shutdowns(address: str, bus: Bus) -> None:
    async with FakeLogind(address) as logind:
        logind.add_session(FakeSession("2", tty="tty1"))
        logind.add_session(FakeSession("c7", tty="", remote=True, remote_host="10.0.0.9"))
        logind.add_session(FakeSession("5", class_="manager"))
        logind.add_inhibitor(FakeInhibitor(who="dnf", why="up\ndate", uid=0, pid=9))
        logind.set_scheduled("poweroff", 0)
        assert await read(bus) == facts.Logind(
            inhibitors=(Inhibitor(who="dnf", why="up date", uid=0, pid=9),),
            sessions=(
                Session(id="2", user="core", tty="tty1"),
                Session(id="c7", user="core", tty="", origin="10.0.0.9"),
            ),
            scheduled="poweroff asked for by somebody else, to begin at once",
        )


async def test_a_hundred_sessions_are_read_and_one_that_just_ended_is_skipped(
    address: str, bus: Bus
) -> None:
    async with FakeLogind(address) as logind:
        for number in range(100):
            logind.add_session(FakeSession(str(number), tty=f"pts/{number}"))
        logind.remove_session("42", still_listed=True)
        found = await read(bus)
        assert [each.id for each in found.sessions] == [str(n) for n in range(100) if n != 42]


async def test_without_logind_nothing_is_known(bus: Bus) -> None:
    assert await patient(bus).read() == LogindUnreachable(NOT_THERE)


async def test_a_mute_logind_is_waited_for_only_so_long(address: str, bus: Bus) -> None:
    async with FakeLogind(address, mode=Mode.MUTE):
        found = await Login1(bus, patience_s=0.05).read()
        assert isinstance(found, LogindUnreachable)
        assert "did not answer" in found.detail


async def test_a_logind_that_makes_no_sense_is_unreachable(address: str, bus: Bus) -> None:
    async with FakeLogind(address) as logind:
        logind.add_inhibitor(FakeInhibitor())
        manager = logind.service.objects[PATH][MANAGER]
        manager.methods = {**manager.methods, "ListInhibitors": manager.methods["ListSessions"]}
        logind.add_session(FakeSession("1", tty="tty1"))
        found = await patient(bus).read()
        assert isinstance(found, LogindUnreachable)
        assert "makes no sense" in found.detail


async def test_a_lost_bus_is_a_logind_that_cannot_be_reached() -> None:
    with DbusDaemon() as daemon:
        connection = await Bus.connect(daemon.address)
        daemon.kill()
        await connection.wait_lost()
        assert isinstance(await Login1(connection).read(), LogindUnreachable)
        # Not a refusal: it is the state file that settles it, in the daemon's next life.
        answer = await Login1(connection).reboot("x", overrides=False)
        assert isinstance(answer, RebootUnclear)
        await connection.close()


async def test_every_change_that_a_gate_looks_at_is_told(address: str, bus: Bus) -> None:
    async with FakeLogind(address) as logind, watched(bus) as heard:
        logind.add_session(FakeSession("2", tty=""))
        assert await heard.next() == "SessionNew"
        logind.change_session("2", tty="pts/0")
        assert await heard.next() == f"{NAME}.Session TTY"
        logind.change_session("2", state="closing")
        assert await heard.next() == f"{NAME}.Session State"
        logind.remove_session("2")
        assert await heard.next() == "SessionRemoved"
        serial = logind.add_inhibitor(FakeInhibitor())
        assert await heard.next() == f"{MANAGER} BlockInhibited"
        logind.remove_inhibitor(serial)
        assert await heard.next() == f"{MANAGER} BlockInhibited"
        logind.set_scheduled("reboot", 1)
        assert await heard.next() == f"{MANAGER} ScheduledShutdown"
        logind.begin_shutdown()
        assert await heard.next() is True
        logind.end_shutdown()
        assert await heard.next() is False
        await logind.service.leave()
        assert await heard.next() == "systemd-logind came or went"
        await logind.service.enter()
        assert await heard.next() == "systemd-logind came or went"


async def test_a_polkit_that_comes_or_goes_may_have_been_asked_for_a_reboot(
    address: str, bus: Bus
) -> None:
    async with FakeLogind(address), watched(bus) as heard:
        polkit = Service(address, "org.freedesktop.PolicyKit1")
        await polkit.start()
        assert await heard.next() == "polkit came or went"
        await polkit.close()
        assert await heard.next() == "polkit came or went"


async def test_idle_hints_wake_no_gate(address: str, bus: Bus) -> None:
    async with FakeLogind(address) as logind, watched(bus) as heard:
        logind.service.emit_changed(PATH, MANAGER, "IdleHint")
        logind.begin_shutdown()
        assert await heard.next() is True


async def test_what_systemd_252_does_not_tell_is_read_all_the_same(address: str, bus: Bus) -> None:
    async with FakeLogind(address, version=252) as logind, watched(bus):
        logind.set_scheduled("reboot", 1)
        assert (await read(bus)).scheduled.startswith("reboot scheduled for 1970")


async def test_each_of_two_inhibitors_is_told_and_read(address: str, bus: Bus) -> None:
    async with FakeLogind(address) as logind, watched(bus) as heard:
        logind.add_inhibitor(FakeInhibitor(who="one"))
        await heard.next()
        logind.add_inhibitor(FakeInhibitor(who="two"))
        assert await heard.next() == f"{MANAGER} BlockInhibited"
        assert [each.who for each in (await read(bus)).inhibitors] == ["one", "two"]


async def test_the_reboot_is_announced_and_asks_logind_to_respect_inhibitors(
    address: str, bus: Bus
) -> None:
    async with FakeLogind(address) as logind:
        assert await patient(bus).reboot("update to\n41", overrides=False) == RebootAccepted()
        assert logind.calls == [
            ("SetWallMessage", ["update to 41", True]),
            ("RebootWithFlags", [1]),
        ]
        assert logind.reboots == 1
        assert logind.preparing


async def test_a_logind_before_248_is_asked_the_old_way(address: str, bus: Bus) -> None:
    async with FakeLogind(address, version=247) as logind:
        assert await patient(bus).reboot("x", overrides=False) == RebootAccepted()
        assert logind.calls[1:] == [("Reboot", [False])]


@pytest.mark.parametrize(("version", "flags"), [(252, [16, 1]), (257, [16]), (260, [16])])
async def test_an_inhibitor_that_does_not_count_is_overridden_where_polkit_lets_us(
    address: str, bus: Bus, version: int, flags: list[int]
) -> None:
    async with FakeLogind(address, version=version) as logind:
        logind.add_inhibitor(FakeInhibitor(uid=os.getuid() + 1))
        assert not (await read(bus)).may_override
        assert isinstance(await patient(bus).reboot("x", overrides=True), RebootRefused)
        logind.may_override = True
        assert (await read(bus)).may_override
        assert isinstance(await patient(bus).reboot("x", overrides=version > 256), RebootAccepted)
        calls = [body[0] for name, body in logind.calls if name == "RebootWithFlags"]
        assert calls == [*flags, flags[0] if version > 256 else 1]
        assert logind.reboots == 1


@pytest.mark.parametrize(
    ("version", "hint"), [(252, "root"), (257, "Access denied"), (260, "systemd-inhibit --list")]
)
async def test_an_inhibitor_of_the_last_moment_wins_on_every_version(
    address: str, bus: Bus, version: int, hint: str
) -> None:
    async with FakeLogind(address, version=version) as logind:
        logind.add_inhibitor(FakeInhibitor(uid=os.getuid() + 1))
        answer = await patient(bus).reboot("x", overrides=False)
        assert isinstance(answer, RebootRefused)
        assert hint in answer.detail
        assert logind.reboots == 0
        assert [name for name, _ in logind.calls] == [
            "SetWallMessage",
            "RebootWithFlags",
            "SetWallMessage",
        ]
        assert logind.wall_message == ""


async def test_a_shutdown_under_way_counts_as_done(address: str, bus: Bus) -> None:
    async with FakeLogind(address) as logind:
        logind.begin_shutdown()
        assert await patient(bus).reboot("x", overrides=False) == RebootAccepted()


@pytest.mark.parametrize("mode", [Mode.SWALLOW, Mode.MUTE])
async def test_no_answer_is_no_refusal_and_is_not_asked_twice(
    address: str, bus: Bus, mode: Mode
) -> None:
    async with FakeLogind(address, mode=mode) as logind:
        login1 = Login1(bus, patience_s=0.05, call_patience_s=0.05)
        assert isinstance(await login1.reboot("x", overrides=False), RebootUnclear)
        with suppress(BusError):  # what was asked before this arrives before it, however late
            await bus.call(NAME, PATH, MANAGER, "ListInhibitors", timeout_s=0.05)
        while "ListInhibitors" not in [name for name, _ in logind.calls]:
            await bus.call("org.freedesktop.DBus", "/", "org.freedesktop.DBus", "GetId")
        asked = ["SetWallMessage", "RebootWithFlags", "ListInhibitors"]
        assert [name for name, _ in logind.calls] == asked


async def test_the_message_of_a_call_that_came_to_nothing_is_withdrawn_when_that_is_known(
    address: str, bus: Bus
) -> None:
    async with FakeLogind(address, mode=Mode.LOST) as logind:
        login1 = patient(bus)
        assert isinstance(await login1.reboot("update", overrides=False), RebootUnclear)
        assert logind.wall_message == "update"
        await login1.read()
        assert logind.wall_message == ""
        logind.wall_message = "somebody else's"
        await login1.read()
        assert logind.wall_message == "somebody else's"


async def test_the_message_stays_while_the_shutdown_of_an_unclear_call_may_come(
    address: str, bus: Bus
) -> None:
    async with FakeLogind(address, mode=Mode.LOST) as logind, watched(bus) as heard:
        login1 = patient(bus)
        await login1.reboot("update", overrides=False)
        logind.begin_shutdown()
        assert await heard.next() is True
        await login1.read()
        assert logind.wall_message == "update"


async def test_the_message_is_withdrawn_when_the_shutdown_is_called_off(
    address: str, bus: Bus
) -> None:
    async with FakeLogind(address) as logind:
        login1, heard = patient(bus), Heard()
        await login1.watch(heard.changed, heard.shutdown)
        assert await login1.reboot("update", overrides=False) == RebootAccepted()
        assert await heard.next() is True
        logind.end_shutdown()
        assert await heard.next() is False
        await login1.read()
        assert logind.wall_message == ""


async def test_the_message_is_withdrawn_when_nothing_has_come_of_a_call_that_was_accepted(
    address: str, bus: Bus
) -> None:
    now = 1000.0
    async with FakeLogind(address, mode=Mode.NOTHING) as logind:
        login1 = Login1(bus, patience_s=PATIENT_S, uptime_s=lambda: now)
        assert await login1.reboot("update", overrides=False) == RebootAccepted()
        for now, message in ((1299.0, "update"), (1300.0, "")):  # noqa: B007 - the lambda's
            await login1.read()
            assert logind.wall_message == message
        assert await login1.reboot("another", overrides=False) == RebootAccepted()
        now += 600.0
        logind.preparing = True  # however long it takes
        await login1.read()
        assert logind.wall_message == "another"


async def test_who_has_scheduled_a_shutdown_since_keeps_his_message(address: str, bus: Bus) -> None:
    async with FakeLogind(address, mode=Mode.LOST) as logind:
        login1 = patient(bus)
        await login1.reboot("update", overrides=False)
        logind.set_scheduled("poweroff", 0)
        logind.wall_message = "new disks"
        await login1.read()
        assert logind.wall_message == "new disks"


async def test_a_logind_that_is_not_there_refuses(bus: Bus) -> None:
    answer = await patient(bus).reboot("x", overrides=False)
    assert isinstance(answer, RebootRefused)
    assert "not on the bus" in answer.detail


async def test_an_inhibitor_lives_as_long_as_its_descriptor(address: str, bus: Bus) -> None:
    argv = [sys.executable, "-c", HOLD_AN_INHIBITOR, address]
    async with FakeLogind(address), watched(bus) as heard:
        child = await asyncio.create_subprocess_exec(*argv, stdin=asyncio.subprocess.PIPE)
        assert await heard.next() == f"{MANAGER} BlockInhibited"
        [inhibitor] = (await read(bus)).inhibitors
        assert (inhibitor.who, inhibitor.pid, inhibitor.uid) == ("apt", child.pid, os.getuid())
        await child.communicate(b"")
        assert await heard.next() == f"{MANAGER} BlockInhibited"
        assert (await read(bus)).inhibitors == ()


HOLD_AN_INHIBITOR = f"""
import asyncio, sys
import tests.fakes
from dbus_next.aio import MessageBus
from dbus_next import Message
async def main():
    bus = await MessageBus(bus_address=sys.argv[1], negotiate_unix_fd=True).connect()
    body = ["shutdown:sleep", "apt", "installing", "block"]
    await bus.call(Message("{NAME}", "{PATH}", "{MANAGER}", "Inhibit", signature="ssss", body=body))
    await asyncio.to_thread(sys.stdin.read)
asyncio.run(main())
"""


async def control(bus: Bus, member: str, *body: str) -> Any:
    try:
        return await bus.call(
            NAME,
            "/org/rebootmgr/test",
            "org.rebootmgr.test.Logind",
            member,
            "s" * len(body),
            body,
        )
    except BusError as error:
        raise AssertionError(error) from error


async def test_the_fake_alone_is_scripted_over_the_bus_and_keeps_a_log(
    address: str, bus: Bus, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    fake = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.fakes.logind", "--version", "252", "--log", str(log)),
        cwd=ROOT,
        env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": address},
        stdout=asyncio.subprocess.PIPE,
    )
    assert fake.stdout is not None
    assert await fake.stdout.readline() == b"ready\n"
    try:
        await control(bus, "AddSession", '{"id": "3", "tty": "tty3"}')
        [serial] = await control(bus, "AddInhibitor", '{"who": "me", "uid": 12345}')
        found = await read(bus)
        assert ([s.tty for s in found.sessions], len(found.inhibitors)) == (["tty3"], 1)
        assert isinstance(await patient(bus).reboot("x", overrides=False), RebootRefused)
        await control(bus, "RemoveInhibitor", serial)
        await control(bus, "RemoveSession", "3")
        await control(bus, "SetMode", "in_progress")
        assert await patient(bus).reboot("x", overrides=False) == RebootAccepted()
        assert await control(bus, "Rebooted") == [0]
        await control(bus, "SetMode", "accept")
        assert await patient(bus).reboot("x", overrides=False) == RebootAccepted()
        assert await control(bus, "Rebooted") == [1]
        assert (await read(bus)).preparing
        await control(bus, "EndShutdown")
        assert not (await read(bus)).preparing
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        assert {"event": "reboot"} in lines
        assert lines[-1]["call"] == "ListSessions"
    finally:
        fake.terminate()
        await fake.wait()
