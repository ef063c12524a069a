"""Our own client: it does not answer a storm of changes with a storm of questions."""

import asyncio

from rebootmgr.bus.connection import Bus, Reply, Request
from rebootmgr.bus.words import PROPERTIES
from rebootmgr.control.daemon_client import BURST_S, DaemonClient, connected
from rebootmgr.control.members import MANAGER, NAME, PATH
from rebootmgr.errors import BusError, RebootmgrError
from tests.control.connections import connected as connection
from tests.fakes.dbus_daemon import DbusDaemon


def explain(error: BusError, member: str) -> RebootmgrError:
    return RebootmgrError(f"{member}: {error}")


class Changing:
    """A daemon of which everything changes all the time; it counts who looks."""

    def __init__(self, bus: Bus) -> None:
        self.looks = 0
        self._bus = bus

    async def serve(self) -> None:
        self._bus.serve(PATH, self._describe)
        await self._bus.own(NAME)

    async def _describe(self, _: Request) -> Reply:
        self.looks += 1
        return Reply("s", ["{}"])

    async def change(self, times: int) -> None:
        for _ in range(times):
            body = [MANAGER, {}, []]
            await self._bus.emit(PATH, PROPERTIES, "PropertiesChanged", "sa{sv}as", body)


async def changed(client: DaemonClient) -> None:
    assert await client.changed(3600)


async def test_a_burst_of_changes_is_one_change(daemon: DbusDaemon) -> None:
    async with connection(daemon) as bus, connected(daemon.address, explain) as client:
        changing = Changing(bus)
        await changing.serve()
        await client.watch()
        await changing.change(1000)
        await changed(client)
        await client.status()  # answered behind them all
        await client.changed(0)
        assert not await client.changed(0)
        assert changing.looks == 1


async def test_a_storm_without_end_is_looked_at_a_few_times_a_second(daemon: DbusDaemon) -> None:
    """The first at once; of the time that others take nothing is counted."""
    loop = asyncio.get_running_loop()
    async with connection(daemon) as bus, connected(daemon.address, explain) as client:
        changing = Changing(bus)
        await changing.serve()
        await client.watch()
        began = loop.time()
        for _ in range(4):
            await changing.change(100)
            await changed(client)
            await client.status()
        assert loop.time() - began >= 3 * BURST_S
