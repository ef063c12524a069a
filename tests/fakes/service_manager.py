"""The end of NOTIFY_SOCKET that systemd listens at (sd_notify(3))."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.waiting import telling


class ServiceManager:
    """`async with ServiceManager(directory) as manager:`; `heard` is every datagram so far."""

    def __init__(self, directory: Path) -> None:
        self.path = str(directory / "notify")
        self.heard: list[str] = []
        self._arrived = asyncio.Event()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    async def __aenter__(self) -> Self:
        self._socket.bind(self.path)
        self.hear_again()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.be_deaf()
        self._socket.close()

    def be_deaf(self) -> None:
        """Read nothing, as a manager that is busy."""
        asyncio.get_running_loop().remove_reader(self._socket)

    def fill_up(self) -> None:
        """Leave no room in the queue, as many services do that tell something at once."""
        another = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        with another, suppress(BlockingIOError):
            while True:
                another.sendto(b"X_FULL=1", self.path)

    def hear_again(self) -> None:
        """Read what comes."""
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    def catch_up(self) -> None:
        """Hear at once what was sent so far."""
        with suppress(BlockingIOError):
            while True:
                self._read()

    def _read(self) -> None:
        self.heard.append(self._socket.recv(65536).decode())
        self._arrived.set()

    async def until(self, wanted: Callable[[str], bool]) -> str:
        """Wait for a datagram."""
        with telling(lambda: f"never told; the last: {self.heard[-10:]}"):
            while True:
                self._arrived.clear()
                for one in self.heard:
                    if wanted(one):
                        return one
                await self._arrived.wait()

    @property
    def beats(self) -> int:
        """How often the watchdog was fed."""
        return self.heard.count("WATCHDOG=1")

    async def until_beat(self, number: int) -> None:
        """Wait until the watchdog was fed that often."""
        await self.until(lambda _: self.beats >= number)

    async def until_status(self, text: str) -> str:
        """Wait for a STATUS= that holds `text`."""
        return await self.until(lambda one: one.startswith("STATUS=") and text in one)
