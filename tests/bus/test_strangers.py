"""What strangers send us, on a real bus: it is not read, not decoded, and holds up nobody."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
import pytest_asyncio
from dbus_next.constants import MessageType
from dbus_next.message import Message
from dbus_next.signature import SignatureTree
from hypothesis import given
from hypothesis import strategies as st

from rebootmgr.bus.connection import LONGEST_TOLD, Bus, Header, Reply, Request, Signal
from rebootmgr.bus.framing import MOST_UNSENT
from rebootmgr.bus.header_words import FIXED, Kind, decode_header, decode_sizes
from rebootmgr.bus.peer import AT_ONCE, Peer
from rebootmgr.bus.strangers import (
    AT_ONCE_EACH,
    LONGEST_CALL,
    OWN,
    REFUSALS,
    SHARED,
    Strangers,
)
from rebootmgr.bus.words import DRIVER, LIMITS
from rebootmgr.errors import BusError
from tests.fakes.dbus_daemon import DbusDaemon
from tests.waiting import PATIENT_S

PATH, INTERFACE = "/object", "org.example.Interface"
ERROR = "org.freedesktop.DBus.Error."
LARGEST = 32 * 1024 * 1024 - 1000  # of a body that dbus-daemon carries


@pytest_asyncio.fixture
async def stranger(daemon: DbusDaemon) -> AsyncIterator[Bus]:
    bus = await Bus.connect(daemon.address)
    yield bus
    await bus.close()


def decoded() -> set[str]:
    """Of which types bodies were decoded since the last message of `send`."""
    return set(SignatureTree._cache)


class Clock:
    """A clock that is set."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def echo(request: Request) -> Reply:
    return Reply(request.signature, request.body)


def signal_to(bus: Bus, member: str, signature: str = "", body: Sequence[object] = ()) -> Message:
    """Make a signal to one connection alone, whatever it has subscribed to."""
    message = Message.new_signal(PATH, INTERFACE, member, signature, list(body))
    message.destination = bus.unique_name
    return message


def call_to(bus: Bus, signature: str, body: Sequence[object]) -> Message:
    where = (bus.unique_name, PATH, INTERFACE, "Member")
    return Message(*where, signature=signature, body=list(body))


async def send(bus: Bus, message: Message) -> None:
    """Send a message of any length; back when the bus has dealt with it."""
    bus._send(message)
    SignatureTree._cache.clear()  # of those that it wrote
    transport = bus._wire._transport
    assert transport is not None
    while transport.get_write_buffer_size():
        await a_turn()
    await bus.call(*DRIVER, "GetId")


async def a_turn() -> None:
    """Let whatever is ready go on."""
    turn = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(turn.set_result, None)
    await turn


async def call(bus: Bus, callee: Bus, signature: str = "", body: Sequence[object] = ()) -> str:
    """Call somebody; the error's name, "" for none."""
    where = (callee.unique_name, PATH, INTERFACE, "Member")
    try:
        await bus.call(*where, signature, body, timeout_s=PATIENT_S)
    except BusError as error:
        return error.name.removeprefix(ERROR)
    return ""


# What is not wanted


async def test_the_largest_signal_that_nobody_wants_is_not_decoded(bus: Bus, stranger: Bus) -> None:
    await send(stranger, signal_to(bus, "Huge", "ay", [bytes(LARGEST)]))
    await bus.call(*DRIVER, "GetId")  # answered behind it
    assert "ay" not in decoded()


async def test_a_signal_of_somebody_else_than_the_owner_is_not_decoded(
    bus: Bus, stranger: Bus, daemon: DbusDaemon
) -> None:
    heard: asyncio.Queue[Signal] = asyncio.Queue()
    await bus.subscribe("sender='org.example.Service'", heard.put_nowait)
    owner = await Bus.connect(daemon.address)
    await owner.own("org.example.Service")
    await send(stranger, signal_to(bus, "Forged", "au", [[1, 2]]))
    await owner.emit(PATH, INTERFACE, "Real", "ax", [[1, 2]])
    assert (await heard.get()).member == "Real"
    assert {"au", "ax"} & decoded() == {"ax"}
    await owner.close()


async def test_an_answer_that_nobody_waits_for_any_more_is_not_decoded(
    bus: Bus, stranger: Bus
) -> None:
    """The bus itself drops the answer to a question that was never asked."""
    asked = asyncio.Event()

    async def keep_waiting(_: Request) -> Reply:
        asked.set()
        await asyncio.get_running_loop().create_future()
        return Reply()

    stranger.serve(PATH, keep_waiting)
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(call(bus, stranger))
        await asked.wait()
        [serial] = bus._pending
        asking.cancel()
    question = Message(*DRIVER, "Any", serial=serial, sender=bus.unique_name)
    await send(stranger, Message.new_method_return(question, "au", [[1, 2]]))
    await bus.call(*DRIVER, "GetId")
    assert "au" not in decoded()


async def test_a_wanted_signal_that_is_too_long_is_told_without_its_body(
    bus: Bus, stranger: Bus
) -> None:
    heard: asyncio.Queue[Signal] = asyncio.Queue()
    await bus.subscribe(f"sender='{stranger.unique_name}'", heard.put_nowait)
    await stranger.emit(PATH, INTERFACE, "Long", "ay", [bytes(LONGEST_TOLD + 1)])
    told = await heard.get()
    assert (told.member, list(told.body)) == ("Long", [])


async def test_a_call_that_is_too_long_is_refused_by_its_header(bus: Bus, stranger: Bus) -> None:
    bus.serve(PATH, echo)
    assert await call(stranger, bus, "ay", [bytes(LARGEST)]) == "LimitsExceeded"
    assert await call(stranger, bus, "ay", [bytes(LONGEST_CALL - 4)]) == ""
    await send(stranger, call_to(bus, "ay", [bytes(LONGEST_CALL)]))
    await bus.call(*DRIVER, "GetId")
    assert "ay" not in decoded()
    await send(stranger, call_to(bus, "ay", [bytes(1000)]))
    await bus.call(*DRIVER, "GetId")
    assert "ay" in decoded()


async def test_a_call_that_the_header_tells_to_be_wrong_is_not_decoded(
    bus: Bus, stranger: Bus
) -> None:
    def check(_: Header) -> None:
        raise BusError("a.b.Wrong", "")

    bus.serve(PATH, echo, check=check)
    assert await call(stranger, bus, "au", [[1, 2]]) == "a.b.Wrong"
    assert await call(bus, stranger, "au", [[1, 2]]) == "UnknownObject"
    await send(stranger, call_to(bus, "au", [[1, 2]]))
    await bus.call(*DRIVER, "GetId")
    assert "au" not in decoded()


async def test_a_header_as_long_as_a_message_is_skipped(
    bus: Bus, stranger: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    bus.serve(PATH, echo)
    message = signal_to(bus, "LongPath")
    message.path = "/" + "x" * (LARGEST // 2)
    await send(stranger, message)
    assert await call(stranger, bus) == ""
    assert "skipping a message with a header of" in caplog.text


# How often, and how many


async def test_a_flood_without_waiting_is_answered_in_part_and_keeps_nobody_waiting(
    daemon: DbusDaemon, bus: Bus, stranger: Bus
) -> None:
    """10,000 at once; a second client is served in the midst of it, and our own calls are."""
    answered = 0

    async def answer(request: Request) -> Reply:
        nonlocal answered
        answered += request.sender == stranger.unique_name
        return Reply()

    bus.serve(PATH, answer)
    for _ in range(10_000):
        stranger._send(Message(bus.unique_name, PATH, INTERFACE, "Flood"))
    other = await Bus.connect(daemon.address)
    assert await call(other, bus) == ""
    await bus.call(*DRIVER, "GetId", timeout_s=PATIENT_S)
    await stranger.call(*DRIVER, "GetId", timeout_s=PATIENT_S)
    assert answered < OWN.burst + SHARED.burst + 100 * SHARED.per_s
    await other.close()


def test_one_who_calls_without_end_has_what_is_left_and_others_have_their_own() -> None:
    clock = Clock()
    strangers = Strangers(clock)
    for _ in range(int(OWN.burst + SHARED.burst)):
        strangers.admit(":1.7", 0)
    with pytest.raises(BusError, match="too often") as caught:
        strangers.admit(":1.7", 0)
    assert caught.value.name == LIMITS
    for number in range(100, 200):
        for _ in range(int(OWN.burst)):
            strangers.admit(f":1.{number}", 0)
    clock.now += 1 / OWN.per_s
    strangers.admit(":1.7", 0)
    clock.now += 3600
    for _ in range(int(OWN.burst + SHARED.burst)):
        strangers.admit(":1.7", 0)


def test_only_so_many_calls_are_under_way_for_each_and_for_all() -> None:
    strangers = Strangers(Clock())
    for sender in "abcd":
        for _ in range(AT_ONCE_EACH):
            strangers.admit(sender, 0)
            strangers.begin(sender)
        with pytest.raises(BusError, match="not answered yet"):
            strangers.admit(sender, 0)
    with pytest.raises(BusError, match="not answered yet"):
        strangers.admit("e", 0)
    strangers.end("a")
    strangers.admit("a", 0)


def test_refusals_have_an_end_too() -> None:
    strangers = Strangers(Clock())
    assert [strangers.may_be_told() for _ in range(1000)].count(True) == REFUSALS.burst


async def test_calls_that_are_refused_are_logged_once(
    bus: Bus, stranger: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    bus.serve(PATH, echo)
    for _ in range(5):
        assert await call(stranger, bus, "ay", [bytes(LONGEST_CALL)]) == "LimitsExceeded"
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert stranger.unique_name in caplog.text


# A bus that does not take what we send


async def test_while_the_bus_takes_no_answers_nothing_more_is_heard(
    daemon: DbusDaemon, bus: Bus, stranger: Bus
) -> None:
    asked = 0

    async def answer(_: Request) -> Reply:
        nonlocal asked
        asked += 1
        return Reply("s", ["x" * 1_000_000])

    bus.serve(PATH, answer)
    transport = bus._wire._transport
    assert transport is not None
    for _ in range(10):
        stranger._send(Message(bus.unique_name, PATH, INTERFACE, "Ask"))
    await stranger.call(*DRIVER, "GetId")
    daemon.freeze()  # with the questions sent on to us, and none of the answers taken
    while transport.is_reading() and asked < 10:
        await a_turn()
    assert not transport.is_reading()
    assert transport.get_write_buffer_size() < 2 * MOST_UNSENT + 10_000_000
    daemon.resume()
    while not transport.is_reading():
        await a_turn()
    await bus.call(*DRIVER, "GetId")
    assert asked == 10


async def test_what_the_bus_does_not_take_is_refused_at_last(daemon: DbusDaemon, bus: Bus) -> None:
    daemon.freeze()
    transport = bus._wire._transport
    assert transport is not None
    while transport.get_write_buffer_size() <= MOST_UNSENT:
        await bus.emit(PATH, INTERFACE, "More", "ay", [bytes(1_000_000)])
    with pytest.raises(BusError) as caught:
        await bus.emit(PATH, INTERFACE, "More", "", [])
    assert caught.value.name == LIMITS
    daemon.resume()
    while transport.get_write_buffer_size():
        await a_turn()
    await bus.call(*DRIVER, "GetId")


# Questions of our own


async def test_of_two_hundred_questions_a_few_wait_at_a_time(bus: Bus, stranger: Bus) -> None:
    """dbus-daemon lets one connection wait for 128 answers, and refuses every other call."""
    most = 0

    async def answer(_: Request) -> Reply:
        nonlocal most
        most = max(most, stranger._strangers._under_way.total())
        await a_turn()
        return Reply("s", ["done"])

    stranger.serve(PATH, answer)
    await stranger.own("org.example.Service")
    peer = Peer(bus, "org.example.Service", patience_s=PATIENT_S)
    answers = await asyncio.gather(*(peer.call(PATH, INTERFACE, "Ask") for _ in range(200)))
    assert answers == [["done"]] * 200
    assert 1 < most <= AT_ONCE


# Headers


@given(
    st.sampled_from([1, 2, 3, 4]),
    st.integers(1, 2**32 - 1),
    st.sampled_from(["", "s", "a{sv}", "(ss)"]),
)
def test_a_header_is_read_as_it_was_written(kind: int, serial: int, signature: str) -> None:
    bodies: dict[str, list[object]] = {"": [], "s": ["ä"], "a{sv}": [{}], "(ss)": [["a", "b"]]}
    message = Message(
        destination=":1.2", path=PATH, interface=INTERFACE, member="Member",
        message_type=MessageType(kind), error_name="a.b.C", reply_serial=serial,
        signature=signature, body=bodies[signature], serial=serial,
    )  # fmt: skip
    frame = bytes(message._marshall())  # type: ignore[no-untyped-call]
    fields, size = decode_sizes(frame[:FIXED])
    header = decode_header(frame[: FIXED + fields])
    assert len(frame) == FIXED + fields + size
    assert header == Header(
        kind=Kind(kind), flags=0, serial=serial, reply_serial=serial, sender="", path=PATH,
        interface=INTERFACE, member="Member", error_name="a.b.C", signature=signature,
        size=size, order="<",
    )  # fmt: skip


@given(st.binary(min_size=FIXED, max_size=200))
def test_whatever_else_comes_is_a_value_error(noise: bytes) -> None:
    for frame in (noise, b"l\1\0\1" + noise[4:12] + b"\x20\0\0\0" + noise[16:]):
        try:
            decode_sizes(frame[:FIXED])
            decode_header(frame)
        except ValueError:
            pass
