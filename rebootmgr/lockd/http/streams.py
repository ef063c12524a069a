"""Server-sent events: what is so now, then what changes, to as many as there is room for."""

import asyncio
import json
import logging
import socket
from collections.abc import Callable, Mapping
from typing import Final

from aiohttp import web

from rebootmgr.lockd.http.guest import Guest
from rebootmgr.lockd.http.seats import MOST_WATCHING, Doing, Seats
from rebootmgr.lockd.http.wire_words import Said
from rebootmgr.lockd.watch import Encode, Piece, Watch

log = logging.getLogger(__name__)

SLOW_S: Final = 5.0
"""So long may a reader leave what it was sent unread, beyond `UNREAD`."""
UNREAD: Final = 64 * 1024
"""Bytes for one reader in the kernel, and about as many beside."""

_RETRY_MS: Final = 3000
_SLOW: Final = "too slow: what was sent was not read for too long; connect again"
_STOPPING: Final = "the server is stopping"
_NOT_LET_IN: Final = "the Authorization header is not accepted any more"
_FULL: Final = Said(
    status=503,
    kind="too_many_watching",
    value=f"{MOST_WATCHING} watch already: come back later",
    retry_after_s=30,
)


def encode_piece(piece: Piece) -> bytes:
    """Write a piece as an event of its kind, in JSON."""
    return encode_event(piece.kind, json.dumps(piece.document))


def encode_event(kind: str, text: str) -> bytes:
    """Write an event; no line of the text ends with it."""
    lines = "".join(f"data: {line}\n" for line in text.splitlines())
    return f"event: {kind}\n{lines}\n".encode()


class Streams:
    """Lets people and programs watch; `watch` says what there is to tell."""

    def __init__(self, watch: Watch, seats: Seats) -> None:
        self._watch = watch
        self._seats = seats

    async def serve(
        self,
        request: web.BaseRequest,
        guest: Guest,
        *,
        encode: Encode,
        headers: Mapping[str, str],
        may_stay: Callable[[], bool],
    ) -> web.StreamResponse | Said:
        """Tell one who watches until it goes, may not stay, does not read or the server stops."""
        guest.seat.turn_to(Doing.ASKING, asyncio.get_running_loop().time())  # whatever its body
        if self._watch.over or not self._seats.set_apart(guest.seat, Doing.WATCHING):
            return _FULL
        _bound(request)
        response = web.StreamResponse(headers={**headers, "Content-Type": "text/event-stream"})
        response.force_close()
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        with self._watch.joined():
            try:
                reason = await self._tell(response, encode, may_stay)
            except TimeoutError:
                reason = _SLOW
                log.info("%s was cut off: %s", request.remote or "a local client", reason)
            except ConnectionError:
                return response
        try:
            async with asyncio.timeout(SLOW_S):
                await response.write(encode_event("end", json.dumps({"reason": reason})))
                await response.write_eof()
        except (TimeoutError, ConnectionError):
            guest.seat.drop()
        return response

    async def _tell(
        self, response: web.StreamResponse, encode: Encode, may_stay: Callable[[], bool]
    ) -> str:
        """Tell until the end; why it ended. TimeoutError: it does not read."""
        seen = 0
        await response.write(f"retry: {_RETRY_MS}\n\n".encode())
        while not self._watch.over:
            if not may_stay():
                return _NOT_LET_IN
            seen, pieces = self._watch.pieces(seen)
            for piece in pieces:
                async with asyncio.timeout(SLOW_S):
                    await response.write(piece.encoded(encode))
            await self._watch.until_changed(seen)
        return _STOPPING


def _bound(request: web.BaseRequest) -> None:
    """Have the kernel keep no more for it than that: else it is megabytes."""
    connected = request.get_extra_info("socket")
    if connected is not None:
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNREAD // 2)  # it doubles that
