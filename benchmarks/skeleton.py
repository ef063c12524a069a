"""The least that a daemon of this kind could be: asyncio, dbus-next, prometheus_client, no purpose.

It owns a name on the bus, listens to rpm-ostree, serves its metrics on the socket named on its
command line, says so on standard output, and waits. All that rebootmgrd costs more is rebootmgr's.
"""

import asyncio
import sys

from dbus_next.aio.message_bus import MessageBus
from dbus_next.constants import MessageType
from dbus_next.message import Message
from prometheus_client import CollectorRegistry, Gauge, generate_latest

RULE = "type='signal',sender='org.projectatomic.rpmostree1'"


async def main(address: str, metrics: str) -> None:
    bus = await MessageBus(bus_address=address).connect()
    await bus.request_name("org.rebootmgr1.Skeleton")
    await bus.call(
        Message(
            destination="org.freedesktop.DBus",
            path="/org/freedesktop/DBus",
            interface="org.freedesktop.DBus",
            member="AddMatch",
            message_type=MessageType.METHOD_CALL,
            signature="s",
            body=[RULE],
        )
    )
    registry = CollectorRegistry()
    Gauge("skeleton_bones", "How many.", registry=registry).set(206)

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(generate_latest(registry))
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_unix_server(serve, metrics)
    print("READY=1", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
