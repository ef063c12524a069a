"""What administrators on this host get, over a socket that knows who they are."""

import asyncio
import errno
import grp
import os
import pwd
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from aiohttp import web

from rebootmgr.lending.questions import Done, Unavailable
from rebootmgr.lending.saying import sentence
from rebootmgr.lockd.http.guest import Guest
from rebootmgr.lockd.http.seats import HEAD_S, Doing
from rebootmgr.lockd.http.wire_words import Said, Unfit, decode_resume
from rebootmgr.lockd.lender import Lender
from rebootmgr.lockd.stores.keeper import StoreError

SOCKET: Final = "run/rebootmgr-lockd/admin.sock"
RESUME: Final = "/api/v1/resume"
GROUP: Final = "rebootmgr-lockd"
BACKUP: Final = "/api/v1/backup"
MODE: Final = 0o666  # who may do what is asked of each request
MOST_CONNECTIONS: Final = 16

_SO_PEERGROUPS: Final = 59  # socket(7); Python has no name for it
_MOST_GROUPS: Final = 256  # in 1,024 bytes, the most that Python's getsockopt() takes


class AdminPages:
    """Answers administrators; root, the server's own user and the group `GROUP` may change things.

    Backups are made in a folder below `scratch`, and are gone once they are sent.
    """

    def __init__(self, lender: Lender, scratch: Path) -> None:
        self._lender = lender
        self._scratch = scratch

    async def answer(self, request: web.BaseRequest, guest: Guest) -> web.StreamResponse:
        """Answer one request."""
        guest.seat.turn_to(Doing.ASKING, asyncio.get_running_loop().time())  # whatever its body
        if request.path not in {BACKUP, RESUME}:
            value = f"there is no {request.path[:60]}"
            return self.respond(request, Said(status=404, kind="not_found", value=value))
        if request.method != "POST":
            value = "this path takes POST"
            said = Said(status=405, kind="method_not_allowed", value=value, allow="POST")
            return self.respond(request, said)
        if not may_change(request):
            value = f"only root and the group {GROUP} may do that"
            return self.respond(request, Said(status=403, kind="forbidden", value=value))
        if request.path == RESUME:
            return self.respond(request, await self._resume(request))
        return await self._backup(request)

    def respond(self, request: web.BaseRequest, said: Said) -> web.Response:
        """Say it."""
        del request
        headers = {"Content-Type": "application/json; charset=utf-8"}
        if said.allow:
            headers["Allow"] = said.allow
        return web.Response(status=said.status, body=said.body, headers=headers)

    async def _resume(self, request: web.BaseRequest) -> Said:
        """End a halt: `{"group", "forgive"}`, the latter a host's id or name, or nothing."""
        try:
            async with asyncio.timeout(HEAD_S):
                told = decode_resume(await request.read())
        except (TimeoutError, web.HTTPRequestEntityTooLarge, web.RequestPayloadError):
            return Said(status=400, kind="bad_request", value="the body is not as announced")
        if isinstance(told, Unfit):
            return Said(status=400, kind="bad_request", value=told.why)
        answer = await self._lender.ask(told)
        match answer:
            case Done():
                return Said(status=200, kind="success", value=sentence(answer))
            case Unavailable():
                return Said(status=503, kind="store_unavailable", value=sentence(answer))
            case _:
                return Said(status=404, kind="not_found", value=sentence(answer))

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


def may_change(request: web.BaseRequest) -> bool:
    """Whether the process at the other end may change things; root's own eyes see it in /proc."""
    connected = request.get_extra_info("socket")
    found = getattr(connected, "getsockopt", None)
    if found is None:
        return False
    _, uid, gid = struct.unpack("3i", found(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
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
