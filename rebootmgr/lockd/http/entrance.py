"""Accepting connections: as many as there are seats for, the others wait in the kernel.

asyncio's own way floods the journal once descriptors run out, and takes whoever comes.
"""

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Final

from rebootmgr.lockd.http.guest import Reception
from rebootmgr.lockd.http.seats import HEAD_S
from rebootmgr.rates import Hourly

log = logging.getLogger(__name__)

RETRY_S: Final = 1.0
_RECEIVED: Final = slice(128, 136)  # struct tcp_info, tcpi_bytes_received
_SCARCE: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Entrance:
    """Lets connections in at listening sockets; `context` gives what speaks TLS, None for none."""

    def __init__(self, reception: Reception, context: Callable[[], ssl.SSLContext | None]) -> None:
        self._reception = reception
        self._seats = reception.seats
        self._context = context
        self._hourly = Hourly()
        self._unbegun: set[socket.socket] = set()
        self._loop = asyncio.get_running_loop()

    async def open(self, listener: socket.socket) -> None:
        """Accept until cancelled."""
        async with asyncio.TaskGroup() as handshakes:
            while True:
                await self._seats.wait_for_room()
                try:
                    client, address = await self._loop.sock_accept(listener)
                except OSError as error:
                    await self._recover(error)
                    continue
                context = self._context()
                if context is None:
                    await self._let_in(client)
                else:
                    handshake = self._shake_hands(client, address, context)
                    self._seat(client, handshakes.create_task(handshake))

    async def _recover(self, error: OSError) -> None:
        """Go on after what an accept may meet; with no descriptors left, wait for one."""
        if error.errno not in _SCARCE:
            return
        if self._hourly.is_due(error.errno, self._loop.time()):
            log.warning("cannot accept connections for now: %s", error.strerror)
        self._seats.make_room()
        await self._seats.wait_for_change(RETRY_S)

    async def _let_in(self, client: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._reception, client)
        except OSError as error:
            client.close()
            log.debug("a client went away: %s", error)

    def _seat(self, client: socket.socket, handshake: asyncio.Task[None]) -> None:
        """Give it a seat before the next is accepted, which may be before it begins."""
        seat = self._seats.take(
            lambda: _cancel(handshake), client.fileno(), lambda: _has_spoken(client)
        )
        self._unbegun.add(client)

        def ended(_: asyncio.Task[None]) -> None:
            self._seats.leave(seat)
            if client in self._unbegun:
                self._unbegun.discard(client)
                client.close()

        handshake.add_done_callback(ended)

    async def _shake_hands(
        self, client: socket.socket, address: object, context: ssl.SSLContext
    ) -> None:
        """Let in whoever speaks TLS, and has a certificate where one is asked for."""
        self._unbegun.discard(client)
        try:
            await self._loop.connect_accepted_socket(
                self._reception, client, ssl=context, ssl_handshake_timeout=HEAD_S
            )
        except OSError as error:
            client.close()
            self._tell(address, error)

    def _tell(self, address: object, error: OSError) -> None:
        host = address[0] if isinstance(address, tuple) else "a local client"
        why = error.reason if isinstance(error, ssl.SSLError) else error.strerror
        if self._hourly.is_due(host, self._loop.time()):
            log.info("no TLS with %s: %s", host, why or "it hung up or said nothing")


def _has_spoken(client: socket.socket) -> bool:
    """Whether anything ever came from it, as the kernel counts (tcp(7))."""
    try:
        known = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _RECEIVED.stop)
    except OSError:  # it is gone, or comes from this host by a path
        return False
    return any(known[_RECEIVED])


def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
