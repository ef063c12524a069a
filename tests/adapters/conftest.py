"""What tests of adapters meet: a bus, a lock server, a certificate."""

from collections.abc import AsyncIterator, Iterator

import pytest

from rebootmgr.bus.connection import Bus
from tests.fakes.dbus_daemon import DbusDaemon
from tests.fakes.fleetlock import FakeFleetLock
from tests.fakes.fleetlock_tls import Certificate


@pytest.fixture
def daemon() -> Iterator[DbusDaemon]:
    with DbusDaemon() as daemon:
        yield daemon


@pytest.fixture
async def bus(daemon: DbusDaemon) -> AsyncIterator[Bus]:
    bus = await Bus.connect(daemon.address)
    yield bus
    await bus.close()


@pytest.fixture
async def fake() -> AsyncIterator[FakeFleetLock]:
    async with FakeFleetLock() as server:
        yield server


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate.make(tmp_path_factory.mktemp("tls"))
