"""What administrators on this host get, over a socket that knows who they are."""

import asyncio
import errno
import grp
import logging
import os
import pwd
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from aiohttp import web

from rebootmgr.fleetlock.admin_names import BACKUP, CHANGES, GROUP, HISTORY, RELOAD, STATUS
from rebootmgr.lending.questions import Release
from rebootmgr.lockd.admin_words import decode_wish, encode_done, group_of_holder
from rebootmgr.lockd.http.guest import Guest
from rebootmgr.lockd.http.seats import HEAD_S, Doing
from rebootmgr.lockd.http.wire_words import Said, Unfit
from rebootmgr.lockd.lender import Lender
from rebootmgr.lockd.looking import look, look_back
from rebootmgr.lockd.stores.keeper import StoreError

log = logging.getLogger(__name__)

MODE: Final = 0o666  # who may do what is asked of each request
MOST_CONNECTIONS: Final = 16
MOST_ROWS: Final = 100_000  # however many somebody asks for
METHODS: Final = {
    **dict.fromkeys((STATUS, HISTORY), "GET"),
    **dict.fromkeys(CHANGES, "POST"),
}

_JSON: Final = {"Content-Type": "application/json; charset=utf-8"}
_SO_PEERGROUPS: Final = 59  # socket(7); Python has no name for it
_MOST_GROUPS: Final = 256  # in 1,024 bytes, the most that Python's getsockopt() takes


class AdminPages:
    """Answers administrators; root, the server's own user and the group `GROUP` may change things.

    Backups are made in a folder below `scratch`, and are gone once they are sent. `reload` takes
    the configuration anew, and says what is in the way, line by line.
    """

    def __init__(
        self, lender: Lender, scratch: Path, reload: Callable[[], Awaitable[Sequence[str]]]
    ) -> None:
        self._lender = lender
        self._scratch = scratch
        self._reload = reload

    async def answer(self, request: web.BaseRequest, guest: Guest) -> web.StreamResponse:
        """Answer one request."""
        guest.seat.turn_to(Doing.ASKING, asyncio.get_running_loop().time())  # whatever its body
        allowed = METHODS.get(request.path)
        if allowed is None:
            value = f"there is no {request.path[:60]}"
            return self.respond(request, Said(status=404, kind="not_found", value=value))
        if request.method != allowed:
            value = f"this path takes {allowed}"
            said = Said(status=405, kind="method_not_allowed", value=value, allow=allowed)
            return self.respond(request, said)
        if request.path == STATUS:
            return self._shown(request, look(self._lender, request.query, MOST_ROWS))
        if request.path == HISTORY:
            return self._shown(request, await look_back(self._lender, request.query, MOST_ROWS))
        if not may_change(request):
            value = f"only root and the group {GROUP} may do that"
            return self.respond(request, Said(status=403, kind="forbidden", value=value))
        if request.path == BACKUP:
            return await self._backup(request)
        is_reload = request.path == RELOAD
        said = await (self._take_anew() if is_reload else self._change(request))
        if said.status == HTTPStatus.OK:
            log.info("%s: %s", _who(request), said.value)
        return self.respond(request, said)

    def respond(self, request: web.BaseRequest, said: Said) -> web.Response:
        """Say it."""
        del request
        headers = {**_JSON, "Allow": said.allow} if said.allow else _JSON
        return web.Response(status=said.status, body=said.body, headers=headers)

    def _shown(self, request: web.BaseRequest, shown: bytes | Said) -> web.Response:
        if isinstance(shown, Said):
            return self.respond(request, shown)
        return web.Response(body=shown, headers=_JSON)

    async def _take_anew(self) -> Said:
        """Have the configuration read and taken, whole or not at all."""
        if problems := await self._reload():
            return Said(status=409, kind="not_reloaded", value="\n".join(problems))
        return Said(status=200, kind="success", value="the configuration is taken")

    async def _change(self, request: web.BaseRequest) -> Said:
        """Do what is wanted, once it is on disk."""
        lender, at = self._lender, self._lender.moment()
        try:
            async with asyncio.timeout(HEAD_S):
                body = await request.read()
        except TimeoutError:
            return Said(status=408, kind="request_timeout", value="the body did not come in time")
        except web.HTTPRequestEntityTooLarge:
            return Said(status=413, kind="body_too_large", value="the body is too large")
        except web.RequestPayloadError:
            return Said(status=400, kind="bad_request", value="the body is not as it was announced")
        wish = decode_wish(request.path, body, _who(request), at)
        if isinstance(wish, Unfit):
            return Said(status=400, kind="bad_request", value=wish.why)
        before = lender.fleet
        if isinstance(wish, Release) and not wish.group:
            found = group_of_holder(before, wish.host)
            if isinstance(found, Said):
                return found
            wish = replace(wish, group=found)
        return encode_done(wish, await lender.ask(wish), before, lender.rules)

    async def _backup(self, request: web.BaseRequest) -> web.StreamResponse:
        with TemporaryDirectory(prefix=".backup-", dir=self._scratch) as folder:
            copy = Path(folder, "lockd.sqlite")
            try:
                await self._lender.backup(copy)
            except StoreError as error:
                said = Said(status=503, kind="store_unavailable", value=str(error))
                return self.respond(request, said)
            with copy.open("rb") as file:  # noqa: ASYNC230 - a local file that was just written
                response = web.StreamResponse(headers={"Content-Type": "application/vnd.sqlite3"})
                response.content_length = os.fstat(file.fileno()).st_size
                await response.prepare(request)
                while chunk := file.read(1 << 18):
                    await response.write(chunk)
                await response.write_eof()
                return response


def _who(request: web.BaseRequest) -> str:
    """Name the user at the other end."""
    uid, _ = _credentials(request)
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _credentials(request: web.BaseRequest) -> tuple[int, int]:
    """Read user and group of the other end, as of when it connected (unix(7))."""
    connected = request.get_extra_info("socket")
    _, uid, gid = struct.unpack(
        "3i", connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    )
    return uid, gid


def may_change(request: web.BaseRequest) -> bool:
    """Whether the process at the other end may change things; root's own eyes see it in /proc."""
    connected = request.get_extra_info("socket")
    found = getattr(connected, "getsockopt", None)
    if found is None:
        return False
    uid, gid = _credentials(request)
    if uid in {0, os.geteuid()}:
        return True
    wanted = _gid_of(GROUP)
    if wanted is None:
        return False
    try:
        groups = set(_numbers(found(socket.SOL_SOCKET, _SO_PEERGROUPS, 4 * _MOST_GROUPS)))
    except OSError as error:
        if error.errno != errno.ERANGE:
            raise
        groups = _groups_of(uid)
    return wanted in {gid, *groups}


def _groups_of(uid: int) -> set[int]:
    """Ask the database of users, for whoever is in more groups than the kernel can tell us."""
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        return set()
    return set(os.getgrouplist(user.pw_name, user.pw_gid))


def _numbers(packed: bytes) -> Iterator[int]:
    return (number for (number,) in struct.iter_unpack("I", packed))


def _gid_of(group: str) -> int | None:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        return None
