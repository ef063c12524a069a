"""Somebody who takes an inhibitor: an order in each line of standard input, an answer to each.

`take` holds one from now on, `release` lets it go; `race` does both, `after_s` apart, which counts
from the moment on which the daemon says that it is in the state `seen`, if one is given.
"""

import asyncio
import json
import os
import sys
from contextlib import suppress
from typing import Any

from dbus_next.aio.message_bus import MessageBus
from dbus_next.constants import BusType
from dbus_next.message import Message

LOGIND = ("org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager")
DRIVER = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
CHANGES = "type='signal',sender='org.rebootmgr1',path='/org/rebootmgr1'"


class Inhibitor:
    """At most one descriptor of logind's."""

    def __init__(self, bus: MessageBus) -> None:
        self._bus = bus
        self._held: list[int] = []
        self._news = asyncio.Event()
        self._state = ""

    async def watch(self) -> None:
        """Follow the state of the daemon."""
        self._bus.add_message_handler(self._hear)
        await self._bus.call(Message(*DRIVER, "AddMatch", signature="s", body=[CHANGES]))

    def _hear(self, message: Message) -> None:
        if message.member == "PropertiesChanged" and "State" in message.body[1]:
            self._state = message.body[1]["State"].value
            self._news.set()

    async def _until(self, state: str) -> None:
        with suppress(TimeoutError):  # then it is late, which is as good
            async with asyncio.timeout(5):
                while state not in {"", self._state}:
                    self._news.clear()
                    await self._news.wait()

    async def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        if order["do"] in {"release", "race"}:
            self._release()
        await self._until(order.get("seen", ""))
        with suppress(TimeoutError):
            async with asyncio.timeout(order.get("after_s", 0)):
                await asyncio.Event().wait()
        error = "" if order["do"] == "release" else await self._take(order)
        return {"held": bool(self._held), "error": error}

    def _release(self) -> None:
        for fd in self._held:
            os.close(fd)
        self._held.clear()

    async def _take(self, order: dict[str, Any]) -> str:
        what = [order.get("what", "shutdown"), order["who"], order["why"], order["mode"]]
        call = Message(*LOGIND, "Inhibit", signature="ssss", body=what)
        reply = await self._bus.call(call)
        assert reply is not None
        self._held += reply.unix_fds
        return reply.error_name or ""


async def main() -> None:
    bus = await MessageBus(bus_type=BusType.SYSTEM, negotiate_unix_fd=True).connect()
    inhibitor = Inhibitor(bus)
    await inhibitor.watch()
    orders = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(orders)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    while line := await orders.readline():
        answer = await inhibitor.obey(json.loads(line))
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
