"""org.rebootmgr1 on a real bus, with real clients."""

import asyncio
import json
import os
import pwd
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from dbus_next.aio.message_bus import MessageBus
from dbus_next.message import Message

from rebootmgr.bus.connection import Bus, Signal
from rebootmgr.bus.framing import MOST_UNSENT
from rebootmgr.bus.words import DRIVER
from rebootmgr.control.introspection import PROPERTIES_INTERFACE
from rebootmgr.control.members import DESCRIBE, MANAGER, NAME, PATH, PROPERTIES, STEERING
from rebootmgr.control.object import Control
from rebootmgr.control.words import encode_status
from rebootmgr.core.status import StateName
from rebootmgr.errors import BusError
from tests.control.connections import connected
from tests.fakes.dbus_daemon import DbusDaemon
from tests.fakes.operators import Wishes
from tests.fakes.statuses import IDLE, NOW, WAITING

INTROSPECTABLE = "org.freedesktop.DBus.Introspectable"
PEER = "org.freedesktop.DBus.Peer"
ERROR = "org.freedesktop.DBus.Error."
OWN = "org.rebootmgr1.Error."


class Stand:
    """The served object, and a client on a connection of its own."""

    def __init__(self, control: Control, client: Bus) -> None:
        self.control = control
        self.client = client

    async def call(
        self, interface: str, member: str, signature: str = "", *body: Any, path: str = PATH
    ) -> Sequence[Any]:
        return await self.client.call(NAME, path, interface, member, signature, body)

    async def refused(self, interface: str, member: str, signature: str = "", *body: Any) -> str:
        with pytest.raises(BusError) as caught:
            await self.call(interface, member, signature, *body)
        return caught.value.name


async def nothing() -> None:
    return


@asynccontextmanager
async def served(
    daemon: DbusDaemon,
    *,
    refresh: Callable[[], Awaitable[None]] = nothing,
    wishes: Wishes | None = None,
    changers: frozenset[int] = frozenset({os.getuid()}),
    machine_id: Path = Path("/nonexistent"),
) -> AsyncIterator[Stand]:
    async with connected(daemon) as bus, connected(daemon) as client:
        control = Control(
            bus,
            IDLE,
            refresh=refresh,
            handlers=(wishes or Wishes()).handlers,
            changers=changers,
            machine_id=machine_id,
        )
        await control.serve()
        yield Stand(control, client)


async def test_describe_first_has_told_what_time_alone_has_changed(daemon: DbusDaemon) -> None:
    async def refresh() -> None:
        await stand.control.publish(WAITING)

    async with served(daemon, refresh=refresh) as stand:
        [text] = await stand.call(MANAGER, "Describe")
        assert json.loads(text) == encode_status(WAITING)


async def test_describe_tells_everything_as_json(daemon: DbusDaemon) -> None:
    async with served(daemon) as stand:
        [text] = await stand.call(MANAGER, "Describe")
        assert json.loads(text) == encode_status(IDLE)
        await stand.control.publish(WAITING)
        [text] = await stand.call(MANAGER, "Describe")
        assert json.loads(text) == encode_status(WAITING)


async def test_properties_are_read_alone_and_together(daemon: DbusDaemon) -> None:
    async with served(daemon) as stand:
        await stand.control.publish(WAITING)
        [state] = await stand.call(PROPERTIES_INTERFACE, "Get", "ss", MANAGER, "State")
        assert state == "waiting"
        [blockers] = await stand.call(PROPERTIES_INTERFACE, "Get", "ss", "", "Blockers")
        assert blockers[0][:2] == ["held", "database migration (alice)"]
        [everything] = await stand.call(PROPERTIES_INTERFACE, "GetAll", "s", MANAGER)
        assert set(everything) == set(PROPERTIES)
        assert everything["Predicted"] == (int(NOW.timestamp()) + 12000) * 1_000_000
        assert everything["LockHeld"] is False


async def test_other_interfaces_have_no_properties(daemon: DbusDaemon) -> None:
    async with served(daemon) as stand:
        assert await stand.call(PROPERTIES_INTERFACE, "GetAll", "s", PEER) == [{}]
        name = await stand.refused(PROPERTIES_INTERFACE, "Get", "ss", PEER, "State")
        assert name == f"{ERROR}UnknownProperty"


async def test_a_change_signals_what_changed_and_nothing_else(daemon: DbusDaemon) -> None:
    async with served(daemon) as stand:
        signals: asyncio.Queue[Signal] = asyncio.Queue()
        rule = f"type='signal',sender='{NAME}',path='{PATH}',member='PropertiesChanged'"
        await stand.client.subscribe(rule, signals.put_nowait)
        await stand.control.publish(replace(IDLE, at=WAITING.at, users=3))  # shown nowhere here
        await stand.control.publish(replace(IDLE, state=StateName.POST_BOOT, lock_held=True))
        signal = await signals.get()
        assert signal.interface == PROPERTIES_INTERFACE
        assert list(signal.body) == [MANAGER, {"State": "post_boot", "LockHeld": True}, []]
        await stand.control.publish(WAITING)
        _, changed, _ = (await signals.get()).body
        assert set(changed) == {
            "State", "Verdict", "Pending", "Blockers", "Predicted", "LockHeld",
        }  # fmt: skip
        assert signals.empty()


async def test_an_end_that_two_clocks_see_a_little_differently_is_no_change(
    daemon: DbusDaemon,
) -> None:
    """Half a second, around the edge of one, at each look; after a minute it is another end."""
    assert WAITING.predicted is not None
    [*_, last] = WAITING.blockers
    edge = datetime(2030, 1, 1, 12, 0, 0, 500_000, UTC)
    async with served(daemon) as stand:
        signals: asyncio.Queue[Signal] = asyncio.Queue()
        await stand.client.subscribe(f"type='signal',sender='{NAME}'", signals.put_nowait)
        for microseconds in (0, 3, -2, 400_000, -400_000, 60_000_000):
            end = edge + timedelta(microseconds=microseconds)
            blockers = (*WAITING.blockers[:-1], replace(last, until=end))
            await stand.control.publish(replace(WAITING, predicted=end, blockers=blockers))
        _, first, _ = (await signals.get()).body
        _, changed, _ = (await signals.get()).body
        assert set(changed) == {"Predicted", "Blockers"}
        assert changed["Predicted"] - first["Predicted"] == 60_000_000
        assert signals.empty()
        [text] = await stand.call(MANAGER, "Describe")
        assert json.loads(text)["predicted"] == "2030-01-01T12:01:00Z"


async def test_what_the_bus_does_not_take_is_told_with_the_next_change(
    daemon: DbusDaemon,
) -> None:
    async with served(daemon) as stand:
        signals: asyncio.Queue[Signal] = asyncio.Queue()
        rule = f"type='signal',sender='{NAME}',member='PropertiesChanged'"
        await stand.client.subscribe(rule, signals.put_nowait)
        transport = stand.control._bus._wire._transport
        assert transport is not None
        daemon.freeze()
        while transport.get_write_buffer_size() <= MOST_UNSENT:
            await stand.control._bus.emit(PATH, MANAGER, "Filler", "ay", [bytes(1_000_000)])
        await stand.control.publish(WAITING)
        daemon.resume()
        while transport.get_write_buffer_size():
            await stand.client.call(*DRIVER, "GetId")
        await stand.control.publish(replace(WAITING, lock_held=not WAITING.lock_held))
        _, changed, _ = (await signals.get()).body
        assert {"State", "Pending"} <= set(changed)
        assert signals.empty()


@pytest.mark.parametrize(
    ("interface", "member", "signature", "body", "error"),
    [
        (MANAGER, "Explode", "", (), "UnknownMethod"),
        ("org.example.Other", "Describe", "", (), "UnknownInterface"),
        (MANAGER, "Describe", "s", ("x",), "InvalidArgs"),
        (MANAGER, "Describe", "a{sv}", ({},), "InvalidArgs"),
        (PROPERTIES_INTERFACE, "Get", "s", (MANAGER,), "InvalidArgs"),
        (PROPERTIES_INTERFACE, "Get", "ss", (MANAGER, "Colour"), "UnknownProperty"),
        (PROPERTIES_INTERFACE, "Get", "ss", ("org.example.Other", "State"), "UnknownInterface"),
        (PROPERTIES_INTERFACE, "GetAll", "s", ("org.example.Other",), "UnknownInterface"),
        (PEER, "GetMachineId", "", (), "FileNotFound"),
    ],
)
async def test_what_is_not_there_is_refused_by_the_right_name(
    daemon: DbusDaemon,
    interface: str,
    member: str,
    signature: str,
    body: tuple[Any, ...],
    error: str,
) -> None:
    async with served(daemon) as stand:
        assert await stand.refused(interface, member, signature, *body) == ERROR + error
        [text] = await stand.call(MANAGER, "Describe")
        assert text  # still there


async def test_a_call_without_an_interface_goes_by_its_member(daemon: DbusDaemon) -> None:
    """Allowed by the D-Bus specification (Message Types); old bindings do it."""
    wishes = Wishes()
    async with served(daemon, wishes=wishes, changers=frozenset()):
        client = await MessageBus(bus_address=daemon.address).connect()
        answers = [
            await client.call(Message(destination=NAME, path=PATH, member=member))
            for member in ("Describe", "Ping", "Reload", "Explode")
        ]
        client.disconnect()  # type: ignore[no-untyped-call]
        client._stream.close()  # which dbus-next leaves to the garbage collector
        client._sock.close()
    assert [answer and answer.error_name for answer in answers] == [
        None, None, f"{ERROR}AccessDenied", f"{ERROR}UnknownMethod",
    ]  # fmt: skip
    assert wishes.reloads == 0


def dbus_send(daemon: DbusDaemon, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Ask with the client of the reference implementation."""
    return subprocess.run(
        ["dbus-send", f"--bus={daemon.address}", "--print-reply", f"--dest={NAME}", *arguments],
        check=False,
        capture_output=True,
        text=True,
    )


async def test_properties_cannot_be_set(daemon: DbusDaemon) -> None:
    async with served(daemon):
        setting = (PATH, f"{PROPERTIES_INTERFACE}.Set", f"string:{MANAGER}", "string:State")
        refusal = await asyncio.to_thread(dbus_send, daemon, *setting, "variant:string:idle")
        assert "Error.PropertyReadOnly" in refusal.stderr


async def test_another_implementation_of_d_bus_reads_us(daemon: DbusDaemon) -> None:
    async with served(daemon) as stand:
        await stand.control.publish(WAITING)
        asking = (PATH, f"{PROPERTIES_INTERFACE}.GetAll", f"string:{MANAGER}")
        answer = await asyncio.to_thread(dbus_send, daemon, *asking)
        assert answer.returncode == 0, answer.stderr
        assert 'string "outside_window"' in answer.stdout
        assert "int64" in answer.stdout


async def test_tools_find_the_way_from_the_root(daemon: DbusDaemon) -> None:
    async with served(daemon) as stand:
        path = "/"
        while path != PATH:
            [xml] = await stand.call(INTROSPECTABLE, "Introspect", path=path)
            [node] = ET.fromstring(xml).findall("node")  # noqa: S314 - our own
            path = f"{path.rstrip('/')}/{node.get('name')}"
        [xml] = await stand.call(INTROSPECTABLE, "Introspect")
        assert MANAGER in xml
        assert await stand.call(PEER, "Ping") == []


async def test_the_machine_id_is_read_from_its_file(daemon: DbusDaemon, tmp_path: Path) -> None:
    machine_id = tmp_path / "machine-id"
    machine_id.write_text("0123456789abcdef0123456789abcdef\n")
    async with served(daemon, machine_id=machine_id) as stand:
        assert await stand.call(PEER, "GetMachineId") == ["0123456789abcdef0123456789abcdef"]


async def test_a_reload_that_works_answers_nothing(daemon: DbusDaemon) -> None:
    wishes = Wishes()
    async with served(daemon, wishes=wishes) as stand:
        assert await stand.call(MANAGER, "Reload") == []
    assert wishes.reloads == 1


async def test_a_reload_that_fails_answers_with_every_error(daemon: DbusDaemon) -> None:
    async with served(daemon, wishes=Wishes("a.toml:1: first", "b.toml:2: second")) as stand:
        with pytest.raises(BusError, match=r"first\sb.toml:2: second") as caught:
            await stand.call(MANAGER, "Reload")
        assert caught.value.name == "org.rebootmgr1.Error.ConfigInvalid"


async def test_only_those_who_may_can_reload(daemon: DbusDaemon) -> None:
    wishes = Wishes()
    async with served(daemon, wishes=wishes, changers=frozenset({4711})) as stand:
        assert await stand.refused(MANAGER, "Reload") == f"{ERROR}AccessDenied"
        [text] = await stand.call(MANAGER, "Describe")
        assert text  # anybody may read
    assert wishes.reloads == 0


async def test_every_method_is_described_and_served_with_its_arguments(
    daemon: DbusDaemon,
) -> None:
    async with served(daemon) as stand:
        [xml] = await stand.call(INTROSPECTABLE, "Introspect")
        manager = ET.fromstring(xml).find(f"interface[@name='{MANAGER}']")  # noqa: S314 - our own
        assert manager is not None
        described = {
            str(method.get("name")): "".join(
                str(arg.get("type")) for arg in method.iter("arg") if arg.get("direction") == "in"
            )
            for method in manager.iter("method")
        }
        assert described == {member.name: member.signature for member in (DESCRIBE, *STEERING)}
        for name in described:
            assert await stand.refused(MANAGER, name, "d", 0.5) == f"{ERROR}InvalidArgs"


async def test_a_hold_is_the_callers_whatever_it_says(daemon: DbusDaemon) -> None:
    wishes = Wishes()
    async with served(daemon, wishes=wishes) as stand:
        [first] = await stand.call(MANAGER, "Hold", "sx", "root: migration", 0)
        [second] = await stand.call(MANAGER, "Hold", "sx", "backup", 1_900_000_000_500_000)
        me = pwd.getpwuid(os.getuid()).pw_name
        until = datetime(2030, 3, 17, 17, 46, 40, 500_000, UTC)
        assert wishes.holds == {
            first: ("root: migration", me, None), second: ("backup", me, until),
        }  # fmt: skip
        assert await stand.call(MANAGER, "Release", "s", first) == []
        assert list(wishes.holds) == [second]


@pytest.mark.parametrize(
    ("member", "signature", "body"),
    [
        ("Hold", "sx", ("", 0)), ("Hold", "sx", ("why", 2**63 - 1)), ("Hold", "sx", ("a", -2**63)),
        ("Hold", "s", ("why",)), ("Hold", "si", ("why", 0)), ("Reboot", "b", (True,)),
        ("Cancel", "x", (1,)), ("Forgive", "", ()), ("DropDebt", "s", ("",)),
    ],
)  # fmt: skip
async def test_a_wish_that_makes_no_sense_is_refused(
    daemon: DbusDaemon, member: str, signature: str, body: tuple[Any, ...]
) -> None:
    async with served(daemon) as stand:
        assert await stand.refused(MANAGER, member, signature, *body) == f"{ERROR}InvalidArgs"


async def test_a_wish_that_cannot_be_kept_says_why(daemon: DbusDaemon) -> None:
    wishes = Wishes()
    wishes.trouble = "state.json cannot be written"
    async with served(daemon, wishes=wishes) as stand:
        for member, signature, body in (("Hold", "sx", ("why", 0)), ("Release", "s", ("h0",))):
            with pytest.raises(BusError, match=r"state\.json") as caught:
                await stand.call(MANAGER, member, signature, *body)
            assert caught.value.name == f"{ERROR}Failed"


async def test_every_other_wish_arrives_typed_and_signed(daemon: DbusDaemon) -> None:
    wishes = Wishes()
    me = pwd.getpwuid(os.getuid()).pw_name
    async with served(daemon, wishes=wishes) as stand:
        assert await stand.call(MANAGER, "Reboot", "bt", *(True, 2**64 - 1)) == []
        assert await stand.refused(MANAGER, "Cancel", "t", 1) == f"{OWN}NothingPending"
        assert await stand.call(MANAGER, "Forgive", "s", "bad") == [["bad"]]
        assert await stand.refused(MANAGER, "Forgive", "s", "") == f"{OWN}NothingToForgive"
        assert await stand.refused(MANAGER, "Release", "s", "h9") == f"{OWN}NoSuchHold"
        debt = ("https://gone.example", "", "")
        assert await stand.call(MANAGER, "DropDebt", "sss", *debt) == [[debt[0], "default", "me"]]
        refusal = await stand.refused(MANAGER, "DropDebt", "sss", "", "", "")
        assert refusal == f"{OWN}NoSuchDebt"
    assert wishes.asked == [
        ("reboot", me, timedelta(microseconds=2**64 - 1), True),
        ("cancel", me, timedelta(microseconds=1)),
        ("forgive", me, "bad"),
        ("forgive", me, ""),
        ("drop_debt", me, *debt),
        ("drop_debt", me, "", "", ""),
    ]


async def test_only_those_who_may_can_ask_for_changes(daemon: DbusDaemon) -> None:
    wishes = Wishes()
    async with served(daemon, wishes=wishes, changers=frozenset({4711})) as stand:
        for member, signature, body in (
            ("Hold", "sx", ("why", 0)),
            ("Release", "s", ("h0",)),
            ("Reboot", "bt", (True, 1)),
            ("Cancel", "t", (1,)),
            ("Forgive", "s", ("bad",)),
            ("DropDebt", "sss", ("https://gone.example", "", "")),
        ):
            refusal = await stand.refused(MANAGER, member, signature, *body)
            assert refusal == f"{ERROR}AccessDenied"
    assert (wishes.holds, wishes.asked) == ({}, [])


@pytest.mark.skipif(os.getuid() != 0, reason="needs another user")
async def test_another_user_reads_but_does_not_reload(daemon: DbusDaemon) -> None:
    wishes = Wishes()
    async with served(daemon, wishes=wishes) as stand:
        await stand.call(PEER, "Ping")

        def ask(member: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [
                    *("setpriv", "--reuid=65534", "--clear-groups", "dbus-send"),
                    *(f"--bus={daemon.address}", "--print-reply", f"--dest={NAME}"),
                    *(PATH, f"{MANAGER}.{member}"),
                ],
                check=False,
                capture_output=True,
                text=True,
            )

        described = await asyncio.to_thread(ask, "Describe")
        assert described.returncode == 0, described.stderr
        refused = await asyncio.to_thread(ask, "Reload")
        assert "AccessDenied: uid 65534 may not call Reload" in refused.stderr
    assert wishes.reloads == 0


async def test_a_second_daemon_does_not_get_the_name(daemon: DbusDaemon) -> None:
    async with served(daemon):
        with pytest.raises(BusError):
            async with served(daemon):
                pass
