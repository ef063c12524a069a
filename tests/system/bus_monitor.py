"""One observer of a machine's bus: every message, in the order in which the bus passed it on."""

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from dbus_next.aio.message_bus import MessageBus
from dbus_next.constants import MessageType
from dbus_next.message import Message

from rebootmgr.bus.connection import Bus
from tests.waiting import telling

_DRIVER = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.Monitoring")


@dataclass(frozen=True, slots=True)
class Passed:
    """A message; `at` by CLOCK_MONOTONIC of the monitor, `order` counts."""

    order: int
    at: float
    message: Message

    @property
    def is_error(self) -> bool:
        return self.message.message_type is MessageType.ERROR

    @property
    def has_descriptor(self) -> bool:
        return bool(self.message.unix_fds)

    def answers(self, call: "Passed") -> bool:
        mine, its = self.message, call.message
        return mine.reply_serial == its.serial and mine.destination == its.sender


class BusMonitor:
    """`async with BusMonitor(address) as monitor:`; outlives its bus, hears nothing more then."""

    def __init__(self, address: str) -> None:
        self._bus = MessageBus(bus_address=address, negotiate_unix_fd=True)
        self._passed: list[Passed] = []
        self._news = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self._bus.connect()
        self._bus.add_message_handler(self._hear)
        everything = Message(*_DRIVER, "BecomeMonitor", signature="asu", body=[[], 0])
        reply = await self._bus.call(everything)
        assert reply is not None
        assert reply.message_type is MessageType.METHOD_RETURN, reply.body
        return self

    async def __aexit__(self, *_: object) -> None:
        self._bus.disconnect()  # type: ignore[no-untyped-call]
        await self.wait_lost()
        self._bus._stream.close()  # dbus-next leaves both open
        self._bus._sock.close()

    def _hear(self, message: Message) -> bool:
        self._passed.append(Passed(len(self._passed), time.monotonic(), message))
        for fd in message.unix_fds:  # or an inhibitor would last as long as we do
            os.close(fd)
        self._news.set()
        return message.message_type is MessageType.METHOD_CALL  # a monitor answers nothing

    async def wait_lost(self) -> None:
        """Wait until the bus is gone, and everything was heard."""
        with suppress(EOFError, OSError):
            await self._bus.wait_for_disconnect()  # type: ignore[no-untyped-call]

    async def catch_up(self, bus: Bus) -> None:
        """Wait until all was heard that the bus has passed on before."""
        logind = ("org.freedesktop.login1", "/org/freedesktop/login1")
        heard = len(self.calls("Ping"))
        await bus.call(*logind, "org.freedesktop.DBus.Peer", "Ping")
        await self.until(lambda: len(self.calls("Ping")) > heard)

    def forget(self) -> None:
        """Begin anew."""
        self._passed.clear()

    def calls(self, member: str) -> list[Passed]:
        """All calls of `member`."""
        return [
            one
            for one in self._passed
            if one.message.message_type is MessageType.METHOD_CALL and one.message.member == member
        ]

    def answer(self, call: Passed) -> Passed | None:
        """What was answered, None if nothing was."""
        kinds = (MessageType.METHOD_RETURN, MessageType.ERROR)
        answers = (
            one for one in self._passed if one.message.message_type in kinds and one.answers(call)
        )
        return next(answers, None)

    def signals(self, member: str) -> list[Passed]:
        """All signals of that name."""
        return [
            one
            for one in self._passed
            if one.message.message_type is MessageType.SIGNAL and one.message.member == member
        ]

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until what was heard makes it so."""
        with telling(
            lambda: f"never so; the last: {[one.message.member for one in self._passed[-9:]]}"
        ):
            while not holds():
                self._news.clear()
                await self._news.wait()
