"""Connections to the bus of a test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rebootmgr.bus.connection import Bus
from tests.fakes.dbus_daemon import DbusDaemon


@asynccontextmanager
async def connected(daemon: DbusDaemon) -> AsyncIterator[Bus]:
    bus = await Bus.connect(daemon.address)
    try:
        yield bus
    finally:
        await bus.close()
