"""The bus, against a real dbus-daemon that is killed, frozen, restarted, and against liars."""

import asyncio
import contextlib
import gc
import os
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from dbus_next.message import Message
from dbus_next.signature import SignatureTree

from rebootmgr.bus.connection import LONGEST_TOLD, Bus, Reply, Request, Signal, variant
from rebootmgr.bus.words import DRIVER, LIMITS, NO_REPLY
from rebootmgr.errors import BusError
from tests.fakes.dbus_daemon import DbusDaemon
from tests.waiting import PATIENT_S, telling

NAME = "org.example.Service"
OBJECT = (NAME, "/object", "org.example.Interface")


@pytest_asyncio.fixture
async def other(daemon: DbusDaemon) -> AsyncIterator[Bus]:
    bus = await Bus.connect(daemon.address)
    yield bus
    await bus.close()


def descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counted, not walked


async def echo(request: Request) -> Reply:
    return Reply(request.signature, request.body)


async def everything_started() -> None:
    """Give each task that is ready its first turn."""
    turn = asyncio.Event()
    asyncio.get_running_loop().call_soon(turn.set)
    await turn.wait()


async def ping(bus: Bus) -> None:
    await bus.call(*DRIVER, "GetId")


async def fails(awaitable: Awaitable[object]) -> BusError:
    with pytest.raises(BusError) as caught:
        await awaitable
    return caught.value


# Connecting and losing


async def test_a_connection_has_a_unique_name(bus: Bus) -> None:
    assert bus.unique_name.startswith(":1.")


@pytest.mark.parametrize(
    "address",
    ["", "nonsense", "tcp:host=localhost,port=1", "unix:path=/nowhere/at/all", "unix:guid=1"],
)
async def test_an_address_that_leads_nowhere_is_an_error(address: str) -> None:
    error = await fails(Bus.connect(address))
    assert error.name == ""
    assert "cannot connect" in error.text


async def test_the_first_address_that_answers_is_used(daemon: DbusDaemon) -> None:
    escaped = daemon.address.replace("-", "%2d")
    bus = await Bus.connect(f"unix:path=/nowhere;{escaped},guid=00")
    await bus.close()


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"OK",
        b"OK 00\r\n",
        b"REJECTED EXTERNAL\r\n",
        b"x" * 5000,
        b"OK 00\r\nHTTP/1.1 200 OK\r\n",
    ],
    ids=["nothing", "half a line", "only OK", "a refusal", "a flood", "another protocol"],
)
async def test_a_socket_that_closes_during_authentication_is_an_error(
    tmp_path: Path, said: bytes
) -> None:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"BEGIN\r\n")
        writer.write(said)
        await writer.drain()
        writer.close()

    before = descriptors()
    async with await asyncio.start_unix_server(accept, tmp_path / "bus"):
        assert (await fails(Bus.connect(f"unix:path={tmp_path / 'bus'}"))).name == ""
    assert descriptors() == before


async def test_a_bus_that_does_not_answer_is_given_up(daemon: DbusDaemon) -> None:
    daemon.freeze()
    error = await fails(Bus.connect(daemon.address, timeout_s=0.1))
    assert "no answer within 0.1 s" in error.text


async def test_a_killed_bus_ends_calls_under_way_and_later_ones(
    daemon: DbusDaemon, bus: Bus
) -> None:
    daemon.freeze()
    calls = [asyncio.get_running_loop().create_task(bus.call(*DRIVER, "GetId")) for _ in range(9)]
    await everything_started()
    daemon.kill()
    for call in calls:
        assert (await fails(call)).name == ""
    assert "closed" in await bus.wait_lost()
    for late in (
        bus.call(*DRIVER, "GetId"),
        bus.subscribe("type='signal'", print),
        bus.own("a.b"),
        bus.emit("/a", "b.c", "D", "", []),
    ):
        assert (await fails(late)).name == ""  # it would be NO_REPLY of a call that waited
    assert bus._pending == {}


async def test_a_lost_bus_is_told_even_if_nobody_waited(daemon: DbusDaemon) -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    bus = await Bus.connect(daemon.address)
    call = asyncio.get_running_loop().create_task(bus.call(*DRIVER, "GetId"))
    daemon.kill()
    with contextlib.suppress(BusError):
        await call
    await bus.wait_lost()
    await bus.close()
    del bus, call
    gc.collect()
    assert complaints == []


async def test_a_restarted_bus_takes_new_connections_only(daemon: DbusDaemon, bus: Bus) -> None:
    daemon.restart()
    assert (await fails(ping(bus))).name == ""
    fresh = await Bus.connect(daemon.address)
    await ping(fresh)
    await fresh.close()


async def test_fifty_connections_and_kills_leave_no_descriptor(daemon: DbusDaemon) -> None:
    before = descriptors()
    for _ in range(50):
        bus = await Bus.connect(daemon.address)
        call = asyncio.get_running_loop().create_task(ping(bus))
        daemon.restart()
        with contextlib.suppress(BusError):
            await call
        await bus.wait_lost()
        await bus.close()
    assert descriptors() == before


async def test_close_leaves_no_descriptor_and_ends_the_waiting(daemon: DbusDaemon) -> None:
    before = descriptors()
    bus = await Bus.connect(daemon.address)
    await bus.close()
    assert descriptors() == before
    assert await bus.wait_lost() == "closed"
    await bus.close()
    assert (await fails(ping(bus))).text == "closed"


async def test_close_does_not_wait_for_a_bus_that_does_not_read(daemon: DbusDaemon) -> None:
    before = descriptors()
    bus = await Bus.connect(daemon.address)
    daemon.freeze()
    for _ in range(4):
        await bus.emit("/a", "b.c", "D", "ay", [bytes(1_000_000)])
    await bus.close()
    assert descriptors() == before


# Calling


async def test_values_go_there_and_come_back_unwrapped(bus: Bus, other: Bus) -> None:
    wrapped = ["ä", ("one", 2), {"key": variant("(sv)", ("in", variant("as", ("x",))))}, b"\0\1"]
    unwrapped = ["ä", ["one", 2], {"key": ["in", ["x"]]}, b"\0\1"]

    async def answer(request: Request) -> Reply:
        assert request.body == unwrapped
        return Reply(request.signature, wrapped)

    other.serve(OBJECT[1], answer)
    await other.own(NAME)
    assert await bus.call(*OBJECT, "Echo", "s(su)a{sv}ay", wrapped) == unwrapped


async def test_an_answer_of_three_megabytes_arrives(bus: Bus, other: Bus) -> None:
    text = "x" * 3_000_000

    async def answer(_: Request) -> Reply:
        return Reply("s", [text])

    other.serve(OBJECT[1], answer)
    await other.own(NAME)
    assert await bus.call(*OBJECT, "Long", timeout_s=PATIENT_S) == [text]


async def test_an_answer_that_is_too_long_is_an_error_at_once(bus: Bus, other: Bus) -> None:
    async def answer(_: Request) -> Reply:
        return Reply("s", ["x" * (LONGEST_TOLD + 1)])

    other.serve(OBJECT[1], answer)
    await other.own(NAME)
    error = await fails(bus.call(*OBJECT, "TooLong", timeout_s=PATIENT_S))
    assert error.name == LIMITS
    assert "longer than" in error.text


async def test_a_call_that_is_not_answered_times_out_and_leaves_nothing(
    daemon: DbusDaemon, bus: Bus
) -> None:
    before = descriptors()
    daemon.freeze()
    error = await fails(bus.call(*DRIVER, "GetId", timeout_s=0.05))
    assert error.name == NO_REPLY
    assert bus._pending == {}
    daemon.resume()
    await ping(bus)  # the late answer came first, and went nowhere
    assert bus._pending == {}
    assert descriptors() == before


async def test_a_cancelled_call_leaves_nothing(daemon: DbusDaemon, bus: Bus) -> None:
    daemon.freeze()
    call = asyncio.get_running_loop().create_task(ping(bus))
    await everything_started()
    assert len(bus._pending) == 1
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert bus._pending == {}


async def test_an_error_without_a_text_has_a_name(bus: Bus, tmp_path: Path) -> None:
    async with wiretap(tmp_path, lambda serial: message(3, serial, error_name="a.b.Error")) as liar:
        assert (await fails(ping(liar))).name == "a.b.Error"


async def test_the_text_of_an_error_is_made_harmless(bus: Bus, other: Bus) -> None:
    async def refuse(_: Request) -> Reply:
        raise BusError("a.b.Error", "first\n\x1b[31msecond")

    other.serve(OBJECT[1], refuse)
    await other.own(NAME)
    error = await fails(bus.call(*OBJECT, "Anything"))
    assert (error.name, error.text) == ("a.b.Error", "first [31msecond")


async def test_no_autostart_starts_nothing(daemon: DbusDaemon, bus: Bus, tmp_path: Path) -> None:
    daemon.install_service(NAME, ["/bin/sh", "-c", f"touch {tmp_path}/started; exit 1"])
    error = await fails(bus.call(*OBJECT, "Anything", autostart=False))
    assert error.name.endswith(("NameHasNoOwner", "ServiceUnknown"))
    await bus.subscribe(f"sender='{NAME}'", print)
    assert not (tmp_path / "started").exists()
    await fails(bus.call(*OBJECT, "Anything"))
    assert (tmp_path / "started").exists()


async def test_an_answer_of_a_service_that_leaves_is_no_reply(bus: Bus, other: Bus) -> None:
    async def leave(_: Request) -> Reply:
        other._wire.end("left")
        return Reply()

    other.serve(OBJECT[1], leave)
    await other.own(NAME)
    assert (await fails(bus.call(*OBJECT, "Anything"))).name == NO_REPLY


# Serving


async def test_the_name_of_somebody_else_cannot_be_owned(bus: Bus, other: Bus) -> None:
    await other.own(NAME)
    await other.own(NAME)
    assert NAME in (await fails(bus.own(NAME))).text


async def test_an_object_that_is_not_there_is_refused(bus: Bus, other: Bus) -> None:
    error = await fails(bus.call(other.unique_name, "/nothing", "a.b", "C"))
    assert error.name == "org.freedesktop.DBus.Error.UnknownObject"


async def test_a_handler_that_fails_unexpectedly_ends_the_bus(bus: Bus, other: Bus) -> None:
    async def fail(_: Request) -> Reply:
        raise LookupError("a bug")

    other.serve(OBJECT[1], fail)
    assert (await fails(bus.call(other.unique_name, *OBJECT[1:], "Anything"))).name == NO_REPLY
    assert "a bug" in await other.wait_lost()


async def test_other_tools_can_call_us(daemon: DbusDaemon, bus: Bus) -> None:
    bus.serve(OBJECT[1], echo)
    await bus.own(NAME)
    process = await asyncio.create_subprocess_exec(
        "dbus-send", f"--bus={daemon.address}", "--print-reply=literal", f"--dest={NAME}",
        OBJECT[1], "org.example.Interface.Echo", "string:hello", stdout=subprocess.PIPE,
    )  # fmt: skip
    said, _ = await process.communicate()
    assert said.decode().strip() == "hello"


# Signals


class Heard:
    def __init__(self) -> None:
        self.members: list[str] = []
        self._more = asyncio.Event()

    def __call__(self, signal: Signal) -> None:
        self.members.append(signal.member)
        self._more.set()

    async def until(self, member: str) -> None:
        with telling(lambda: f"no {member}, only {self.members}"):
            while member not in self.members:
                self._more.clear()
                await self._more.wait()


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("type='signal',interface='a.b'", ["Two", "Three", "Four", "End"]),
        ("interface='a.b',path='/x/y'", ["Two", "Four", "End"]),
        ("path_namespace='/x'", ["One", "Two", "Three", "Four", "End"]),
        ("path_namespace='/x/y',interface='a.b'", ["Two", "Four", "End"]),
        ("interface='a.b',arg0='me'", ["Four", "End"]),
        ("interface='a.b',member='Two'", ["Two", "End"]),
    ],
)
async def test_a_rule_gets_what_it_matches_and_nothing_else(
    bus: Bus, other: Bus, heard: Heard, rule: str, expected: list[str]
) -> None:
    await bus.subscribe(rule, heard)
    await bus.subscribe("interface='the.end'", heard)
    await bus.subscribe("path='/elsewhere'", lambda _: None)  # it arrives, but not for `heard`
    await other.emit("/x/y", "c.d", "One", "", [])
    await other.emit("/x/y", "a.b", "Two", "s", ["you"])
    await other.emit("/x", "a.b", "Three", "u", [7])
    await other.emit("/x/y", "a.b", "Four", "s", ["me"])
    await other.emit("/elsewhere", "x.y", "Five", "", [])
    await other.emit("/xyz", "the.end", "End", "", [])
    await heard.until("End")
    assert heard.members == expected


async def test_a_well_known_sender_is_followed_from_owner_to_owner(
    bus: Bus, other: Bus, daemon: DbusDaemon, heard: Heard
) -> None:
    await bus.subscribe(f"sender='{NAME}'", heard)
    await other.emit("/a", "a.b", "BeforeItHadTheName", "", [])
    await other.own(NAME)
    await other.emit("/a", "a.b", "First", "", [])
    await heard.until("First")
    await other.close()
    successor = await Bus.connect(daemon.address)
    await successor.own(NAME)
    await successor.emit("/a", "a.b", "Second", "", [])
    await heard.until("Second")
    assert heard.members == ["First", "Second"]
    await successor.close()


@pytest.mark.parametrize("is_owned", [True, False])
async def test_a_signal_sent_to_us_directly_is_not_the_owners(
    daemon: DbusDaemon, bus: Bus, other: Bus, heard: Heard, *, is_owned: bool
) -> None:
    if is_owned:
        await other.own(NAME)
    await bus.subscribe(f"type='signal',sender='{NAME}'", heard)
    await bus.subscribe("sender='org.freedesktop.DBus',member='NameOwnerChanged'", heard)
    await bus.subscribe("interface='the.end'", heard)
    heard.members.clear()
    liar = await Bus.connect(daemon.address)
    await liar.call(*DRIVER, "GetId")
    for interface, member, body in (
        ("a.b", "Forged", []),
        # the liar is not the bus either, which could make it the owner
        (DRIVER[2], "NameOwnerChanged", [NAME, "", liar.unique_name]),
        ("a.b", "Forged", []),
        ("the.end", "End", []),
    ):
        forged = Message.new_signal(DRIVER[1], interface, member, "s" * len(body), body)
        forged.destination = bus.unique_name
        liar._send(forged)
    await heard.until("End")
    assert "Forged" not in heard.members
    await liar.close()


@pytest.mark.parametrize("rule", ["type='method_call'", "eavesdrop='true'", "path=/a", ""])
async def test_a_rule_that_cannot_be_followed_is_a_mistake(bus: Bus, rule: str) -> None:
    with pytest.raises(ValueError, match="match rule"):
        await bus.subscribe(rule, print)


# Liars and strangers


@contextlib.asynccontextmanager
async def wiretap(tmp_path: Path, answer: Callable[[int], bytes]) -> AsyncIterator[Bus]:
    """Connect to a bus that answers every call but Hello with `answer(serial)`."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"BEGIN\r\n")
        writer.write(b"OK 00\r\n")
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readexactly(16)
                body, serial, fields = struct.unpack_from("<III", head, 4)
                await reader.readexactly((fields + 7) // 8 * 8 + body)
                hello = message(2, serial, signature="s", body=b"\4\0\0\0:1.1\0")
                writer.write(hello if serial == 1 else answer(serial))
                await writer.drain()
        writer.close()

    async with await asyncio.start_unix_server(accept, tmp_path / "tap"):
        bus = await Bus.connect(f"unix:path={tmp_path / 'tap'}")
        yield bus
        await bus.close()


def message(  # noqa: PLR0913 - it has this many parts
    kind: int,
    reply_serial: int,
    *,
    flags: int = 0,
    error_name: str = "",
    signature: str = "",
    body: bytes = b"",
    extra: bytes = b"",
) -> bytes:
    """Write a message by hand, with whatever dbus-next would not write."""
    fields = struct.pack("<BBsBI", 5, 1, b"u", 0, reply_serial)
    if error_name:
        fields += (
            struct.pack("<BBsBI", 4, 1, b"s", 0, len(error_name)) + error_name.encode() + b"\0"
        )
    if signature:
        fields += bytes(-len(fields) % 8)
        fields += struct.pack("<BBsBB", 8, 1, b"g", 0, len(signature)) + signature.encode() + b"\0"
    if extra:
        fields += bytes(-len(fields) % 8) + extra
    head = struct.pack("<sBBBIII", b"l", kind, flags, 1, len(body), 99, len(fields))
    return head + fields + bytes(-len(fields) % 8) + body


@pytest.mark.parametrize(
    "stranger",
    [
        message(9, 5),
        message(2, 5, extra=struct.pack("<BBsBI", 77, 1, b"u", 0, 1)),
        message(2, 5, signature="s", body=b"\xff\0\0\0short\0"),
        message(2, 5, signature="s", body=b"\1\0\0\0\xff\0"),
        message(3, 5),
        message(4, 5),
    ],
    ids=["type", "header field", "length", "encoding", "error without name", "signal without path"],
)
async def test_a_message_that_nobody_knows_is_skipped(tmp_path: Path, stranger: bytes) -> None:
    async with wiretap(tmp_path, lambda serial: stranger + message(2, serial, flags=0xF0)) as bus:
        await ping(bus)
        await ping(bus)


async def test_a_flood_of_signatures_is_not_remembered(tmp_path: Path) -> None:
    def signatures(serial: int) -> bytes:
        several = [f"{'s' * n}{'u' * serial}" for n in range(1, 100)]
        return b"".join(message(2, 0, signature=each) for each in several) + message(2, serial)

    async with wiretap(tmp_path, signatures) as bus:
        for _ in range(10):
            await ping(bus)
    assert len(SignatureTree._cache) <= 400


async def test_no_descriptor_can_be_sent_to_us(daemon: DbusDaemon, bus: Bus) -> None:
    before = descriptors()
    stranger = socket.socket(socket.AF_UNIX)
    with stranger:
        stranger.connect(daemon.address.removeprefix("unix:path="))
        stranger.sendall(b"\0AUTH EXTERNAL " + str(os.geteuid()).encode().hex().encode() + b"\r\n")
        stranger.recv(4096)
        stranger.sendall(b"NEGOTIATE_UNIX_FD\r\n")
        assert stranger.recv(4096).startswith(b"AGREE")
        stranger.sendall(b"BEGIN\r\n")
        fields = [(1, "o", "/a"), (2, "s", "a.b"), (3, "s", "C"), (6, "s", bus.unique_name)]
        hello = [(1, "o", DRIVER[1]), (2, "s", DRIVER[0]), (3, "s", "Hello"), (6, "s", DRIVER[0])]
        stranger.sendall(bytes_of_call(1, hello))
        socket.send_fds(stranger, [bytes_of_call(2, fields, fds=1)], [stranger.fileno()])
        await ping(bus)
        await ping(bus)
        assert descriptors() == before + 1


def bytes_of_call(serial: int, texts: list[tuple[int, str, str]], fds: int = 0) -> bytes:
    fields = b""
    for code, kind, text in texts:
        fields += bytes(-len(fields) % 8)
        fields += (
            struct.pack("<BBsBI", code, 1, kind.encode(), 0, len(text)) + text.encode() + b"\0"
        )
    if fds:
        fields += bytes(-len(fields) % 8) + struct.pack("<BBsBI", 9, 1, b"u", 0, fds)
    head = struct.pack("<sBBBIII", b"l", 1, 0, 1, 0, serial, len(fields))
    return head + fields + bytes(-len(fields) % 8)


def test_it_can_be_imported_where_typing_lost_a_name() -> None:
    script = (
        "import typing; vars(typing).pop('no_type_check_decorator', None);"
        "from rebootmgr.bus.connection import Bus; print(Bus.__name__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert done.stdout == "Bus\n"
