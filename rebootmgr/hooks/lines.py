"""Lines over a connection, none longer than what may be said (SPEC 8)."""

import asyncio
import socket
from typing import Final

from rebootmgr.hooks.words import LARGEST

_CHUNK: Final = 4096


class Lines:
    """Reads what comes over `connection`, which has to be non-blocking."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._read = b""

    async def read(self) -> bytes | None:
        """Wait for a line; None at the end. One that is too long is cut, and the last. OSError."""
        loop = asyncio.get_running_loop()
        while b"\n" not in self._read:
            if len(self._read) > LARGEST:
                line, self._read = self._read, b""
                return line
            more = await loop.sock_recv(self._connection, _CHUNK)
            if not more:
                return None
            self._read += more
        line, _, self._read = self._read.partition(b"\n")
        return line

    async def wait_ended(self) -> None:
        """Wait until the other side hangs up; who says anything more is taken to have."""
        if not self._read:
            try:
                await asyncio.get_running_loop().sock_recv(self._connection, 1)
            except OSError:  # a connection that broke has ended, too
                return
