"""bootc's timer, as systemd tells it: asked once, and again when that may be another."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rebootmgr.bus.connection import Bus
from rebootmgr.core.facts import OsUnknown
from rebootmgr.updates.rivals import BOOTC_TIMER, Rivals
from tests.fakes.dbus_daemon import DbusDaemon
from tests.fakes.systemd1 import FakeSystemd

SERVICE = "bootc-fetch-apply-updates.service"
APPLY = ["/usr/bin/bootc", "upgrade", "--apply", "--quiet"]
STAGE = ["/usr/bin/bootc", "upgrade", "--quiet"]


@pytest.fixture
async def systemd(daemon: DbusDaemon) -> AsyncIterator[FakeSystemd]:
    """A systemd that has never heard of bootc."""
    async with FakeSystemd(daemon.address) as fake:
        yield fake


class Asked:
    """The rivals of a host below `root`, and what they told."""

    def __init__(self, bus: Bus, root: Path) -> None:
        self.told: asyncio.Queue[str] = asyncio.Queue()
        self._rivals = Rivals(bus, root, patience_s=60.0)

    async def applier(self) -> str:
        found = await self._rivals.read(None, self.told.put_nowait)
        assert not isinstance(found, OsUnknown), found
        return found.applier


@pytest.fixture
def asked(bus: Bus, tmp_path: Path) -> Asked:
    return Asked(bus, tmp_path)


async def test_a_host_without_bootc_asks_once(systemd: FakeSystemd, asked: Asked) -> None:
    assert [await asked.applier() for _ in range(3)] == ["", "", ""]
    assert systemd.calls.count("GetUnit") == 1


async def test_an_active_timer_is_asked_once_and_again_when_it_stops(
    systemd: FakeSystemd, asked: Asked
) -> None:
    systemd.set_service(SERVICE, [APPLY], needed=[])
    systemd.set_unit(BOOTC_TIMER, "active")
    for _ in range(3):
        assert "--apply" in await asked.applier()
    assert systemd.calls.count("GetUnit") == 1
    systemd.set_unit(BOOTC_TIMER, "inactive")
    assert await asked.told.get() == f"{BOOTC_TIMER} is inactive"
    assert await asked.applier() == ""


async def test_a_reload_has_an_active_timer_asked_again(systemd: FakeSystemd, asked: Asked) -> None:
    systemd.set_service(SERVICE, [APPLY], needed=[])
    systemd.set_unit(BOOTC_TIMER, "active")
    assert "--apply" in await asked.applier()
    systemd.set_service(SERVICE, [STAGE], needed=[])
    systemd.reload()
    assert await asked.told.get() == "systemd has reloaded its units"
    assert await asked.applier() == ""


async def test_the_last_answer_stands_while_systemd_is_away_and_no_longer(
    systemd: FakeSystemd, asked: Asked
) -> None:
    systemd.set_service(SERVICE, [APPLY], needed=[])
    systemd.set_unit(BOOTC_TIMER, "active")
    assert "--apply" in await asked.applier()
    await systemd.service.leave()
    assert "--apply" in await asked.applier()
    systemd.set_unit(BOOTC_TIMER, "inactive")
    await systemd.service.enter()
    assert await asked.told.get() == "systemd is on the bus again"
    assert await asked.applier() == ""


async def test_what_a_condition_forbids_is_no_rival_until_it_holds(
    systemd: FakeSystemd, asked: Asked, tmp_path: Path
) -> None:
    systemd.set_service(SERVICE, [APPLY], needed=["/run/ostree-booted"])
    systemd.set_unit(BOOTC_TIMER, "active")
    assert await asked.applier() == ""
    (tmp_path / "run").mkdir()
    (tmp_path / "run/ostree-booted").touch()
    assert "--apply" in await asked.applier()
    assert systemd.calls.count("GetUnit") == 1
