"""A Unix socket that speaks the D-Bus framing: authentication's one line, then whole messages."""

import asyncio
import os
import struct
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import unquote

from rebootmgr.errors import BusError
from rebootmgr.text import harmless

_FIXED_HEADER: Final = 16
_ORDER: Final = {ord("l"): "<", ord("B"): ">"}
_PROTOCOL_VERSION: Final = 1
_LONGEST_MESSAGE: Final = 128 * 1024 * 1024  # D-Bus specification, "Message Format"
_LONGEST_GREETING: Final = 4096
_FAREWELL_S: Final = 1.0


class Wire(asyncio.Protocol):
    """One connection, in frames. `lost` becomes the reason when it ends, whoever ends it."""

    def __init__(self, *, deliver: Callable[[bytes], None], forsake: Callable[[str], None]) -> None:
        loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[str] = loop.create_future()
        self._closed: asyncio.Future[None] = loop.create_future()
        self._deliver = deliver
        self._forsake = forsake
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._is_greeted = False

    async def open(self, address: str) -> None:
        """Connect to the first of the addresses that answers; OSError or BusError if none does.

        What the bus says to our authentication is read with the first message: clients may send
        on without waiting (as sd-bus does), and a refusal ends the connection.
        """
        failure: OSError | None = None
        for path in _decode_paths(address):
            try:
                self._transport, _ = await asyncio.get_running_loop().create_unix_connection(
                    lambda: self, path
                )
            except OSError as error:
                failure = error
                continue
            uid = str(os.geteuid()).encode().hex()
            self._transport.write(f"\0AUTH EXTERNAL {uid}\r\nBEGIN\r\n".encode())
            return
        raise failure or BusError("", f"no unix:path= or unix:abstract= in {address!r}")

    def send(self, frame: bytes) -> None:
        """Queue a message; BusError once the connection is lost."""
        if self.lost.done():
            raise BusError("", self.lost.result())
        if self._transport is None:
            raise BusError("", "not connected to the bus")
        self._transport.write(frame)

    def end(self, reason: str) -> None:
        """Give the connection up: at once, and for good."""
        self._lose(reason)
        if self._transport is not None:
            self._transport.abort()

    async def close(self) -> None:
        """Send what is queued (within a second), then end; every descriptor is closed then."""
        self._lose("closed")
        if self._transport is None:
            return
        self._transport.close()
        try:
            async with asyncio.timeout(_FAREWELL_S):
                await asyncio.shield(self._closed)
        except TimeoutError:  # a bus that does not read must not keep us
            self._transport.abort()
            await self._closed

    def data_received(self, data: bytes) -> None:
        """Take what came: asyncio.Protocol."""
        if self.lost.done():
            return
        self._buffer += data
        if not self._is_greeted:
            self._take_greeting()
        if self._is_greeted:
            for frame in self._frames():
                self._deliver(frame)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end: asyncio.Protocol; the socket is closed right after."""
        self._lose(f"the bus closed the connection{f': {exc}' if exc else ''}")
        self._closed.set_result(None)

    def _lose(self, reason: str) -> None:
        if not self.lost.done():
            self.lost.set_result(reason)
            self._forsake(reason)

    def _take_greeting(self) -> None:
        line, found, rest = self._buffer.partition(b"\r\n")
        if found and line.startswith(b"OK"):
            self._is_greeted = True
            self._buffer = rest
        elif found or len(line) > _LONGEST_GREETING:
            said = harmless(line.decode("ascii", "replace"))
            self.end(f"the bus refused our authentication: {said}")

    def _frames(self) -> Iterator[bytes]:
        while len(self._buffer) >= _FIXED_HEADER and not self.lost.done():
            order = _ORDER.get(self._buffer[0])
            if order is None or self._buffer[3] != _PROTOCOL_VERSION:
                self.end("the bus does not speak D-Bus")
                return
            body, _, fields = struct.unpack_from(f"{order}III", self._buffer, 4)
            size = _FIXED_HEADER + (fields + 7 & ~7) + body
            if size > _LONGEST_MESSAGE:
                self.end(f"the bus sent a message of {size} bytes")
                return
            if len(self._buffer) < size:
                return
            frame = bytes(memoryview(self._buffer)[:size])
            del self._buffer[:size]
            yield frame


def _decode_paths(address: str) -> Iterator[str]:
    """Paths of the Unix sockets in a server address (D-Bus specification, "Server Addresses")."""
    for entry in address.split(";"):
        transport, _, options = entry.strip().partition(":")
        if transport != "unix":
            continue
        for option in options.split(","):
            match option.partition("="):
                case "path", "=", path:
                    yield unquote(path)
                case "abstract", "=", path:
                    yield "\0" + unquote(path)
                case _:  # a guid, say
                    pass
