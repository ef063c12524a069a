"""systemd's manager, asked on a real bus; and which link has a unit started."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rebootmgr.bus.connection import Bus
from rebootmgr.bus.words import ABSENT
from rebootmgr.errors import BusError
from rebootmgr.systemd.unit_files import find_starting_link
from rebootmgr.systemd.units import ServiceManager
from tests.fakes.systemd1 import FakeSystemd


@pytest.fixture
async def bus(address: str) -> AsyncIterator[Bus]:
    connection = await Bus.connect(address)
    yield connection
    await connection.close()


async def test_units_that_were_read_are_followed_and_systemd_is_subscribed_to_once(
    address: str, bus: Bus
) -> None:
    told: asyncio.Queue[str] = asyncio.Queue()
    async with FakeSystemd(address) as fake:
        systemd = ServiceManager(bus, patience_s=60.0)
        assert await systemd.read_state("a.service", told.put_nowait) == "inactive"
        fake.set_unit("a.service", "active")
        assert await told.get() == "a.service is active", "though it was not loaded"
        fake.set_unit("b@1.service", "failed")
        assert await systemd.read_state("a.service", told.put_nowait) == "active"
        assert await systemd.read_state("a.service", told.put_nowait) == "active"
        assert await systemd.read_state("b@1.service", told.put_nowait) == "failed"
        assert fake.calls.count("Subscribe") == 1
        fake.set_unit("a.service", "reloading")
        assert await told.get() == "a.service is reloading"
        fake.set_unit("b@1.service", "active")
        assert await told.get() == "b@1.service is active"


async def test_another_of_us_may_have_subscribed_before(address: str, bus: Bus) -> None:
    """It counts for the connection."""
    told: asyncio.Queue[str] = asyncio.Queue()
    async with FakeSystemd(address) as fake:
        fake.set_unit("a.service", "active")
        for _ in range(2):
            systemd = ServiceManager(bus, patience_s=60.0)
            assert await systemd.read_state("a.service", told.put_nowait) == "active"
        fake.set_unit("a.service", "failed")
        assert [await told.get(), await told.get()] == ["a.service is failed"] * 2


async def test_without_systemd_no_unit_runs(bus: Bus) -> None:
    systemd = ServiceManager(bus, patience_s=60.0, may_be_absent=True)
    assert await systemd.read_state("a.service", print) == "inactive"


async def test_of_a_systemd_that_is_away_for_a_moment_nobody_knows_what_runs(
    address: str, bus: Bus
) -> None:
    """An update driver that still runs is none that has ended."""
    systemd = ServiceManager(bus, patience_s=60.0)
    async with FakeSystemd(address) as fake:
        fake.set_unit("a.service", "active")
        await fake.service.leave()
        with pytest.raises(BusError, match="systemd is not on the bus") as caught:
            await systemd.read_state("a.service", print)
        assert caught.value.name not in ABSENT, "or somebody takes it for an answer"
        await fake.service.enter()
        assert await systemd.read_state("a.service", print) == "active"


def test_a_link_of_the_vendor_starts_a_unit_too(tmp_path: Path) -> None:
    """Of which systemctl --root is-enabled says that it is disabled."""
    unit = tmp_path / "usr/lib/systemd/system/a.service"
    link = unit.parent / "multi-user.target.wants/a.service"
    link.parent.mkdir(parents=True)
    link.symlink_to("../a.service")
    assert find_starting_link(tmp_path, "a.service") is None
    unit.write_text("[Service]\n[Install]\nWantedBy=multi-user.target\n")
    assert find_starting_link(tmp_path, "a.service") == link
