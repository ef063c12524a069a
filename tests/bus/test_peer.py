"""A service that may not run, and how it is asked."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from rebootmgr.bus.connection import Bus, Reply, Request, variant
from rebootmgr.bus.peer import Peer
from rebootmgr.bus.words import ABSENT, PROPERTIES, encode_object_path
from rebootmgr.errors import BusError
from tests.fakes.dbus_daemon import DbusDaemon

NAME = "org.example.Service"
OBJECT = ("/object", "org.example.Interface")


@pytest_asyncio.fixture
async def service(daemon: DbusDaemon) -> AsyncIterator[Bus]:
    """Has the name, an interface with one property, and a method that echoes."""

    async def answer(request: Request) -> Reply:
        match request.member, request.body:
            case "Get", [_, "A"]:
                return Reply("v", [variant("s", "a")])
            case "Get", _:
                return Reply()
            case "GetAll", [interface] if interface == OBJECT[1]:
                return Reply("a{sv}", [{"A": variant("s", "a")}])
            case "GetAll", _:
                return Reply("s", ["no dictionary"])
            case _:
                return Reply(request.signature, request.body)

    bus = await Bus.connect(daemon.address)
    bus.serve(OBJECT[0], answer)
    await bus.own(NAME)
    yield bus
    await bus.close()


def peer(bus: Bus) -> Peer:
    return Peer(bus, NAME, patience_s=60.0)


async def test_it_is_called_and_its_properties_are_read(bus: Bus, service: Bus) -> None:
    assert await peer(bus).call(*OBJECT, "Echo", "su", ["x", 1]) == ["x", 1]
    assert await peer(bus).get(*OBJECT, "A") == "a"
    assert await peer(bus).get_all(*OBJECT) == {"A": "a"}


async def test_an_answer_without_a_property_is_an_error_with_a_name(bus: Bus, service: Bus) -> None:
    """Without one it would look like a lost connection."""
    for question in (peer(bus).get(*OBJECT, "B"), peer(bus).get_all(OBJECT[0], "another")):
        with pytest.raises(BusError, match=r"answered Get.* with something else") as caught:
            await question
        assert caught.value.name


async def test_who_is_not_there_is_absent_and_not_started_unless_asked_to_be(
    daemon: DbusDaemon, bus: Bus, tmp_path: Path
) -> None:
    daemon.install_service(NAME, ["/bin/sh", "-c", f"touch {tmp_path}/started; exit 1"])
    absent = peer(bus)
    await absent.subscribe(print)
    await absent.subscribe_owner(print)
    for question in (
        absent.call(*OBJECT, "Echo"),
        absent.get(*OBJECT, "A"),
        absent.get_all(*OBJECT),
    ):
        with pytest.raises(BusError) as caught:
            await question
        assert caught.value.name in ABSENT
    assert not (tmp_path / "started").exists()
    with pytest.raises(BusError):
        await absent.get(*OBJECT, "A", autostart=True)
    assert (tmp_path / "started").exists()


async def test_whom_the_bus_cannot_start_is_absent(bus: Bus) -> None:
    with pytest.raises(BusError) as caught:
        await peer(bus).call(*OBJECT, "Echo", autostart=True)
    assert caught.value.name in ABSENT


async def test_a_mute_one_is_waited_for_as_long_as_was_said(bus: Bus, service: Bus) -> None:
    async def mute(_: Request) -> Reply:
        await asyncio.Event().wait()
        return Reply()

    service.serve("/mute", mute)
    for question in (
        peer(bus).call("/mute", OBJECT[1], "Echo", patience_s=0.01),
        Peer(bus, NAME, patience_s=0.01).get("/mute", OBJECT[1], "A"),
    ):
        with pytest.raises(BusError, match=r"did not answer .* within 0.01 s"):
            await question


async def test_its_signals_its_changes_and_its_leaving_are_told(bus: Bus, service: Bus) -> None:
    heard: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    def note(kind: str) -> None:
        heard.put_nowait((kind, ""))

    watched = peer(bus)
    await watched.subscribe(lambda signal: heard.put_nowait(("all", signal.member)), path="/a")
    await watched.subscribe_properties(lambda _: note("changed"), path="/b", arg0="wanted")
    await watched.subscribe_owner(lambda signal: heard.put_nowait(("owner", signal.body[2])))
    await service.emit("/a", "org.example.Other", "Happened", "", [])
    assert await heard.get() == ("all", "Happened")
    for interface in ("unwanted", "wanted"):
        body: list[object] = [interface, {}, []]
        await service.emit("/b", PROPERTIES, "PropertiesChanged", "sa{sv}as", body)
    assert await heard.get() == ("changed", "")
    await service.close()
    assert await heard.get() == ("owner", "")
    assert heard.empty()


@pytest.mark.parametrize(
    ("label", "escaped"),
    [
        ("boot-complete.target", "boot_2dcomplete_2etarget"),
        ("rebootmgr-hook@check.service", "rebootmgr_2dhook_40check_2eservice"),
        ("0a9", "_30a9"),
        ("a_b", "a_5fb"),
        ("\u00e9", "_c3_a9"),
        ("", "_"),
    ],
)
def test_any_text_is_a_label_of_a_path(label: str, escaped: str) -> None:
    """As sd_bus_path_encode(3) has it."""
    assert encode_object_path("/prefix", label) == f"/prefix/{escaped}"
