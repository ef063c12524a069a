"""What each path answers: FleetLock for hosts; health, metrics and state; a page for people."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final

from aiohttp import web

from rebootmgr.core.counters import Api
from rebootmgr.fleetlock import admin_names, header_names
from rebootmgr.lending.questions import Answer, PreReboot, Question
from rebootmgr.lockd.http.guest import Guest
from rebootmgr.lockd.http.letting_in import Door
from rebootmgr.lockd.http.scrape import Scrape
from rebootmgr.lockd.http.seats import HEAD_S, HELD_AFTER_S, Doing, Seats
from rebootmgr.lockd.http.streams import Streams, encode_piece
from rebootmgr.lockd.http.wire_words import (
    Client,
    Said,
    Unfit,
    decode_client,
    decode_question,
    decode_report,
    encode_answer,
)
from rebootmgr.lockd.looking import look, look_back
from rebootmgr.lockd.page.drawing import CONTENT_SECURITY_POLICY, STATIC, Page
from rebootmgr.lockd.watch import Encode, Watch
from rebootmgr.lockd_config.wanted import HostWanted
from rebootmgr.rates import Hourly

log = logging.getLogger(__name__)

PRE_REBOOT: Final = f"/v1/{Api.PRE_REBOOT}"
STEADY_STATE: Final = f"/v1/{Api.STEADY_STATE}"
REPORTS: Final = "/api/v1/reports"
TOO_OFTEN_S: Final = 60
_CHALLENGE: Final = 'Basic realm="rebootmgr-lockd", charset="UTF-8"'
_ALWAYS: Final = {
    header_names.LOCKD: "1",
    "Server": "rebootmgr-lockd",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}
_JSON: Final = {**_ALWAYS, "Content-Type": "application/json; charset=utf-8"}
_SCRAPE: Final = {**_ALWAYS, "Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
_HTML: Final = {
    **_ALWAYS,
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "no-referrer",
}
_HEADERS: Final = {
    "host": header_names.HOST,
    "prefer": "Prefer",
    "labels": header_names.LABELS,
    "booted": header_names.BOOTED,
    "target": header_names.TARGET,
}
_WRONG: Final = {400, 401, 403, 404, 405, 408, 413, 431}

MOST_ROWS: Final = 1000
"""So many hosts of a group, and events, are shown, however many somebody asks for."""

_LOOKING: Final = ("GET", "HEAD")
FOR_THE_EYE: Final = ("/", "/live", *STATIC)
ROUTES: Final[Mapping[str, tuple[str, ...]]] = {
    PRE_REBOOT: ("POST",),
    STEADY_STATE: ("POST",),
    REPORTS: ("POST",),
    **dict.fromkeys(
        (
            *(admin_names.STATUS, admin_names.HISTORY, admin_names.EVENTS),
            *("/metrics", "/healthz", "/readyz"),
        ),
        _LOOKING,
    ),
    **dict.fromkeys(FOR_THE_EYE, _LOOKING),
}
"""Every path with its methods; docs/openapi.yaml describes each that is for programs."""
OPEN_TO_ALL: Final = frozenset({"/healthz", "/readyz"})


Asking = Callable[[Question], Awaitable[Answer]]


class Pages:
    """Answers requests: `ask` brings a question to the lender, `watch` shows what there is to see.

    `door` and `hosts` may be replaced at any time: the next request goes by the new ones.
    """

    def __init__(self, ask: Asking, watch: Watch, seats: Seats) -> None:
        self._ask = ask
        self._lender = watch.lender
        self._seats = seats
        self._scrape = Scrape(watch.lender)
        self._watch = watch
        self._page = Page()
        self._drawn: tuple[int, bytes] | None = None
        self._streams = Streams(watch, seats)
        self._loop = asyncio.get_running_loop()
        self._hourly = Hourly()
        self.door = Door("", 0)
        self.hosts: Mapping[str, HostWanted] = {}

    async def answer(self, request: web.BaseRequest, guest: Guest) -> web.StreamResponse:
        """Answer one request."""
        found = await self._answer(request, guest)
        return self.respond(request, found) if isinstance(found, Said) else found

    async def _answer(self, request: web.BaseRequest, guest: Guest) -> web.StreamResponse | Said:
        path = request.raw_path.partition("?")[0]
        path = path if path.startswith("/v1/") else "/" + request.path.lstrip("/")
        methods = ROUTES.get(path)
        if methods is None:
            return _no_such_page(path)
        if request.method not in methods:
            return _wrong_method(request, ", ".join(methods))
        if path not in OPEN_TO_ALL and not self._is_let_in(request):
            return _UNAUTHORIZED
        match path:
            case "/v1/pre-reboot":
                return await self._fleet_lock(Api.PRE_REBOOT, request, guest)
            case "/v1/steady-state":
                return await self._fleet_lock(Api.STEADY_STATE, request, guest)
            case "/api/v1/reports":
                return await self._report(request, guest)
            case admin_names.STATUS:
                return _shown(look(self._lender, request.query, MOST_ROWS))
            case admin_names.HISTORY:
                return _shown(await look_back(self._lender, request.query, MOST_ROWS))
            case admin_names.EVENTS:
                return await self._watched(request, guest, encode_piece)
            case "/":
                return self._shown()
            case "/live":
                return await self._watched(request, guest, self._page.piece)
            case _ if path in STATIC:
                return _found(self._page.static[path], {**_ALWAYS, "Content-Type": STATIC[path]})
            case "/metrics":
                return _found(self._scrape.text(), _SCRAPE)
            case "/healthz":
                return _UP
            case "/readyz":
                trouble = self._lender.trouble
                not_ready = Said(status=503, kind="not_ready", value=trouble, retry_after_s=5)
                return not_ready if trouble else _UP
            case _:
                raise AssertionError(path)

    def _shown(self) -> web.Response:
        """Show the page, rendered once for all who look at it in the same moment."""
        look, pieces = self._watch.pieces()
        if self._drawn is None or self._drawn[0] != look:
            self._drawn = look, self._page.whole(pieces)
        return _found(self._drawn[1], _HTML)

    async def _watched(
        self, request: web.BaseRequest, guest: Guest, encode: Encode
    ) -> web.StreamResponse | Said:
        return await self._streams.serve(
            request,
            guest,
            encode=encode,
            headers=_ALWAYS,
            may_stay=lambda: self._is_let_in(request),
        )

    def respond(self, request: web.BaseRequest, said: Said) -> web.Response:
        """Say it, unless whoever asked is wrong too often."""
        if said.status in _WRONG:
            said = self._patiently(request.remote or "a local client", said)
        headers = _JSON
        if said.retry_after_s is not None:
            headers = {**headers, "Retry-After": str(said.retry_after_s)}
        if said.allow:
            headers = {**headers, "Allow": said.allow}
        if said.status == HTTPStatus.UNAUTHORIZED:
            headers = {**headers, "WWW-Authenticate": _CHALLENGE}
        return web.Response(status=said.status, body=said.body, headers=headers)

    def _patiently(self, address: str, said: Said) -> Said:
        now_s = self._loop.time()
        if self._hourly.is_due((address, said.kind), now_s):
            log.info("refused %s: %s (%s)", address, said.value, said.kind)
        if self.door.is_patient_with(address, now_s):
            return said
        value = f"too many requests that cannot be answered, the last: {said.value}"
        return Said(status=429, kind="too_often", value=value, retry_after_s=TOO_OFTEN_S)

    def _is_let_in(self, request: web.BaseRequest) -> bool:
        return self.door.lets_in(request.headers.get("Authorization"), self._loop.time())

    async def _fleet_lock(self, api: Api, request: web.BaseRequest, guest: Guest) -> Said:
        read = await self._read(request, guest)
        if isinstance(read, Said):
            return read
        client, _ = read
        said = {name: request.headers.get(header, "") for name, header in _HEADERS.items()}
        question = decode_question(api, client, said, self.hosts)
        return encode_answer(await self._asked(question, guest), client)

    async def _report(self, request: web.BaseRequest, guest: Guest) -> Said:
        read = await self._read(request, guest)
        if isinstance(read, Said):
            return read
        client, body = read
        report = decode_report(body, client)
        if isinstance(report, Unfit):
            return Said(status=400, kind="bad_request", value=report.why)
        return encode_answer(await self._ask(report), client)

    async def _read(self, request: web.BaseRequest, guest: Guest) -> tuple[Client, bytes] | Said:
        """Read which host it is."""
        if request.headers.get(header_names.PROTOCOL) != "true":
            value = f'the header "{header_names.PROTOCOL}: true" is missing'
            return Said(status=400, kind="missing_fleetlock_header", value=value)
        read = await _read_client(request, guest.seat.since_s + HEAD_S)
        guest.seat.turn_to(Doing.ASKING, self._loop.time())
        return read

    async def _asked(self, question: Question, guest: Guest) -> Answer:
        """Ask; an answer that is held back leaves its seat to others."""
        if not (isinstance(question, PreReboot) and question.wait_s > 0.0):
            return await self._ask(question)
        holding = self._loop.call_later(HELD_AFTER_S, self._seats.set_apart, guest.seat, Doing.HELD)
        try:
            return await self._ask(question)
        finally:
            holding.cancel()


_UNAUTHORIZED: Final = Said(
    status=401, kind="unauthorized", value="the Authorization header is missing or not accepted"
)


_UP: Final = Said(status=200, kind="success", value="up")


def _found(body: bytes, headers: Mapping[str, str]) -> web.Response:
    return web.Response(body=body, headers=headers)


def _shown(shown: bytes | Said) -> web.Response | Said:
    return shown if isinstance(shown, Said) else _found(shown, _JSON)


def _no_such_page(path: str) -> Said:
    if path in admin_names.CHANGES:
        value = "that is asked at the server's socket, on its host: `rebootmgrctl fleet`"
        return Said(status=403, kind="forbidden", value=value)
    value = "there is no such page; hosts ask at /v1/pre-reboot and /v1/steady-state"
    return Said(status=404, kind="not_found", value=value)


def _wrong_method(request: web.BaseRequest, allow: str) -> Said:
    value = f"this path takes {allow}, not {request.method[:20]}"
    return Said(status=405, kind="method_not_allowed", value=value, allow=allow)


async def _read_client(request: web.BaseRequest, until_s: float) -> tuple[Client, bytes] | Said:
    """Read who asks; what is no question is answered at once."""
    try:
        async with asyncio.timeout_at(until_s):
            body = await request.read()
    except TimeoutError:
        return Said(status=408, kind="request_timeout", value="the body did not come in time")
    except web.HTTPRequestEntityTooLarge:
        return Said(status=413, kind="body_too_large", value="the body is too large")
    except web.RequestPayloadError:
        return Said(status=400, kind="bad_request", value="the body is not as it was announced")
    client = decode_client(body)
    if isinstance(client, Unfit):
        return Said(status=400, kind="bad_request", value=client.why)
    return client, body
