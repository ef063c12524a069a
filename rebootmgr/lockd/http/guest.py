"""One connection of HTTP: aiohttp's, within our bounds, and refused in our words."""

import logging
from asyncio import AbstractEventLoop, BaseTransport, Task, Transport
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.http_parser import RawRequestMessage

from rebootmgr.lockd.http.seats import Doing, Seats
from rebootmgr.lockd.http.wire_words import Said

log = logging.getLogger(__name__)

LONGEST_BODY: Final = 16 * 1024
LONGEST_LINE: Final = 4096
LONGEST_FIELD: Final = 4096
MOST_FIELDS: Final = 64
LINGER_S: Final = 1.0

Answering = Callable[[web.BaseRequest, "Guest"], Awaitable[web.StreamResponse]]
Refusing = Callable[[web.BaseRequest, Said], web.Response]


class Guest(web.RequestHandler):
    """A connection that has a seat from its first byte to its last."""

    __slots__ = ("_refuse", "_seats", "seat")

    def __init__(
        self, manager: web.Server, seats: Seats, refuse: Refusing, loop: AbstractEventLoop
    ) -> None:
        super().__init__(
            manager,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # None is what switches it off
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_FIELD,
            max_headers=MOST_FIELDS,
            lingering_time=LINGER_S,
            auto_decompress=False,
        )
        self._seats = seats
        self._refuse = refuse

    def connection_made(self, transport: BaseTransport) -> None:
        """Take a seat."""
        assert isinstance(transport, Transport)  # noqa: S101 - a stream's
        descriptor = transport.get_extra_info("socket").fileno()
        # close() would wait for who never reads
        self.seat = self._seats.take(transport.abort, descriptor)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Leave it to others."""
        self._seats.leave(self.seat)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count the time for a request from its first byte."""
        if self.seat.doing in {Doing.NEW, Doing.RESTING}:
            self.seat.turn_to(Doing.RECEIVING, self._loop.time())
        super().data_received(data)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no HTTP, or too large; and what is a mistake of ours, which is logged."""
        match exc:
            case LineTooLong():
                said = Said(status=431, kind="headers_too_large", value="a header is too long")
            case HttpProcessingError() if "too many" in exc.message.lower():
                said = Said(status=431, kind="headers_too_large", value="too many headers")
            case HttpProcessingError():
                said = Said(status=400, kind="bad_request", value="this is no HTTP request")
            case _:
                log.error("a request failed by a mistake of ours", exc_info=exc)
                said = Said(status=500, kind="internal_error", value="a mistake of the server")
        response = self._refuse(request, said)
        response.force_close()
        return response


class Reception(web.Server):
    """Makes a guest of each connection, and brings the requests of each to `answer`.

    A question whose client hangs up is cancelled.
    """

    def __init__(self, answer: Answering, refuse: Refusing, seats: Seats) -> None:
        super().__init__(self._answer, request_factory=self._request, handler_cancellation=True)
        self._answering = answer
        self._refuse = refuse
        self.seats = seats

    def __call__(self) -> Guest:
        """Make what speaks with one client."""
        return Guest(self, self.seats, self._refuse, self._loop)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        guest = request.protocol
        assert isinstance(guest, Guest)  # noqa: S101 - we made it
        if not request.can_read_body:
            guest.seat.turn_to(Doing.ASKING, self._loop.time())
        try:
            return await self._answering(request, guest)
        finally:
            self.seats.end(guest.seat)

    def _request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: "Task[None]",
    ) -> web.BaseRequest:
        made: Any = web.BaseRequest
        request: web.BaseRequest = made(
            *(message, payload, protocol, writer, task, self._loop), client_max_size=LONGEST_BODY
        )
        return request
