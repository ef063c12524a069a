"""A host and a lock server for each test that asks for them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.fleetlock import FakeFleetLock
from tests.fakes.host import Host


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    """A booted host with nothing pending; its daemon is not started yet."""
    async with Host(tmp_path) as host:
        yield host


@pytest.fixture
async def server() -> AsyncIterator[FakeFleetLock]:
    """A lock server with one slot, which nobody asks again while a test still looks."""
    async with FakeFleetLock(retry_after=3600) as server:
        yield server
