"""A Unix socket that speaks the D-Bus framing: authentication's one line, then whole messages.

Each message is announced by its header first. A body that nobody wants is read into the same few
kilobytes again and again, however long it is, and never put together.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import unquote

from rebootmgr.bus.header_words import FIXED, Header, decode_header, decode_sizes
from rebootmgr.bus.words import LIMITS
from rebootmgr.errors import BusError
from rebootmgr.text import harmless

_CHUNK: Final = 64 * 1024  # at most so much is worked off before somebody else has a turn
_LONGEST_HEADER: Final = 16 * 1024
_LONGEST_GREETING: Final = 4096
_STOP_HEARING: Final = 256 * 1024  # bytes that the bus has not taken
_FLOOD: Final = 200
_RESPITE_S: Final = 0.005
MOST_UNSENT: Final = 4 * 1024 * 1024
_FAREWELL_S: Final = 1.0

log = logging.getLogger(__name__)


class Wire(asyncio.BufferedProtocol):
    """One connection, in messages. `lost` becomes the reason when it ends, whoever ends it.

    `wants` says by the header whether `deliver` is to be given the body. While the bus does not
    take what we send, nothing is heard: our answers must not pile up here. Nor is it for a moment
    after so many that nobody wanted: what comes one by one costs eight times what waits together.
    """

    def __init__(
        self,
        *,
        wants: Callable[[Header], bool],
        deliver: Callable[[Header, bytearray], None],
        forsake: Callable[[str], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[str] = loop.create_future()
        self._closed: asyncio.Future[None] = loop.create_future()
        self._wants = wants
        self._deliver = deliver
        self._forsake = forsake
        self._transport: asyncio.Transport | None = None
        self._space = memoryview(bytearray(_CHUNK))
        self._is_greeted = False
        self._part = bytearray()
        self._needed = FIXED
        self._to_skip = 0
        self._fields = 0
        self._header: Header | None = None
        self._unwanted = 0
        self._is_full = False

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
            self._transport.set_write_buffer_limits(high=_STOP_HEARING)
            uid = str(os.geteuid()).encode().hex()
            self._transport.write(f"\0AUTH EXTERNAL {uid}\r\nBEGIN\r\n".encode())
            return
        raise failure or BusError("", f"no unix:path= or unix:abstract= in {address!r}")

    def send(self, frame: bytes) -> None:
        """Queue a message; BusError once the connection is lost, LIMITS while too much waits."""
        if self.lost.done():
            raise BusError("", self.lost.result())
        if self._transport is None:
            raise BusError("", "not connected to the bus")
        if self._transport.get_write_buffer_size() > MOST_UNSENT:
            raise BusError(LIMITS, "the bus does not take what we send")
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

    def get_buffer(self, sizehint: int) -> memoryview:
        """Say where to put what comes: asyncio.BufferedProtocol."""
        return self._space

    def buffer_updated(self, nbytes: int) -> None:
        """Take what came: asyncio.BufferedProtocol."""
        data = self._space[:nbytes]
        if not self._is_greeted:
            data = self._take_greeting(data)
        while data and not self.lost.done():
            if self._to_skip:
                skipped = min(self._to_skip, len(data))
                self._to_skip -= skipped
                data = data[skipped:]
                continue
            taken = data[: self._needed - len(self._part)]
            self._part += taken
            data = data[len(taken) :]
            if len(self._part) == self._needed:
                self._advance()
        if self._unwanted > _FLOOD:
            self._rest()

    def pause_writing(self) -> None:
        """Hear nothing while the bus does not take our answers: asyncio.BaseProtocol."""
        self._is_full = True
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Hear again: asyncio.BaseProtocol."""
        self._is_full = False
        self._hear_again()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end: asyncio.BaseProtocol; the socket is closed right after."""
        self._lose(f"the bus closed the connection{f': {exc}' if exc else ''}")
        self._closed.set_result(None)

    def _rest(self) -> None:
        self._unwanted = 0
        if self._transport is not None:
            self._transport.pause_reading()
            asyncio.get_running_loop().call_later(_RESPITE_S, self._hear_again)

    def _hear_again(self) -> None:
        if self._transport is not None and not self._is_full:
            self._transport.resume_reading()

    def _lose(self, reason: str) -> None:
        if not self.lost.done():
            self.lost.set_result(reason)
            self._forsake(reason)

    def _take_greeting(self, data: memoryview) -> memoryview:
        self._part += data
        line, found, rest = self._part.partition(b"\r\n")
        self._part = bytearray()
        if found and line.startswith(b"OK"):
            self._is_greeted = True
            return memoryview(rest)
        if found or len(line) > _LONGEST_GREETING:
            said = harmless(line.decode("ascii", "replace"))
            self.end(f"the bus refused our authentication: {said}")
        self._part = line
        return memoryview(b"")

    def _advance(self) -> None:
        """Take what was collected: the fixed part, the whole header, or the body."""
        if self._header is not None:
            header, body = self._header, self._part
            self._restart()
            self._deliver(header, body)
        elif self._fields:
            self._take_header()
        else:
            self._take_fixed_part()

    def _take_fixed_part(self) -> None:
        try:
            self._fields, body = decode_sizes(self._part)
        except ValueError as error:
            self.end(str(error))
            return
        if self._fields > _LONGEST_HEADER:  # no name, and no path that any of us has, is so long
            log.debug("skipping a message with a header of %s bytes", self._fields)
            skip = self._fields + body
            self._restart(skip=skip)
        elif self._fields:
            self._needed += self._fields
        else:
            self._restart(skip=body)

    def _take_header(self) -> None:
        _, body = decode_sizes(self._part)
        try:
            header = decode_header(self._part)
        except ValueError as error:  # it must not end the bus
            log.debug("skipping a message that cannot be read: %s", harmless(str(error)))
            self._restart(skip=body)
            return
        self._restart(skip=body)
        if not self._wants(header):
            self._unwanted += 1
            return
        if body:
            self._to_skip, self._header, self._needed = 0, header, body
        else:
            self._deliver(header, bytearray())

    def _restart(self, *, skip: int = 0) -> None:
        self._part = bytearray()
        self._needed, self._fields, self._header = FIXED, 0, None
        self._to_skip = skip


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
