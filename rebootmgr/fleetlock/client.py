"""The lock server: one short-lived child per request, so that none of it ever lives in here."""

import asyncio
import errno
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Final

from rebootmgr.child import Child
from rebootmgr.core.counters import Api
from rebootmgr.core.events import LockAnswer, ReleaseAnswer
from rebootmgr.core.memory import PastReboot
from rebootmgr.core.model import Slot, Ticket
from rebootmgr.fleetlock.header_names import REPORTS
from rebootmgr.fleetlock.words import (
    NOTHING_TOLD,
    Answer,
    Reply,
    Server,
    Silence,
    Told,
    decode_error_kind,
    decode_lock_answer,
    decode_release_answer,
    decode_reply,
    encode_errand,
    encode_report,
    encode_request,
    is_refusal,
)

log = logging.getLogger(__name__)

Observed = Callable[[Api, str | None, float], None]

CHILD: Final = "rebootmgr.fleetlock.request"
LONGEST_RELEASE_S: Final = 120.0
REPORT_S: Final = 10.0  # the slot goes back after it
GRACE_S: Final = 10.0
LONGEST_LINE: Final = 1024 * 1024
LONGEST_SHOWN: Final = 64 * 1024 * 1024  # 8 MiB, were each of its bytes escaped
CANCELLED: Final = "client_cancelled_request"
KEPT: Final = (
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "ssl_cert_file",
    "ssl_cert_dir",
)


class LockClient:
    """The client of the FleetLock protocol. Requests may overlap; the core sees to it."""

    def __init__(self, *, observed: Observed, child: str = CHILD, grace_s: float = GRACE_S) -> None:
        """`observed` is told of each request: the operation, what failed, and the seconds."""
        self._observed = observed
        self._child = child
        self._grace_s = grace_s
        self._told: set[Server] = set()

    async def acquire(
        self, ticket: Ticket, slot: Slot, server: Server, told: Told = NOTHING_TOLD
    ) -> LockAnswer:
        """POST v1/pre-reboot. Cancelled, it closes the connection before it returns."""
        reply = await self.ask(Api.PRE_REBOOT, slot, server, server.timeout_s, told)
        return decode_lock_answer(ticket, slot, reply, at=datetime.now(UTC))

    async def release(
        self, ticket: Ticket, slot: Slot, server: Server, told: Told = NOTHING_TOLD
    ) -> ReleaseAnswer:
        """POST v1/steady-state, which is given two minutes at most."""
        timeout_s = min(server.timeout_s, LONGEST_RELEASE_S)
        reply = await self.ask(Api.STEADY_STATE, slot, server, timeout_s, told)
        return decode_release_answer(ticket, slot, reply, at=datetime.now(UTC))

    async def ask(
        self, api: Api, slot: Slot, server: Server, timeout_s: float, told: Told = NOTHING_TOLD
    ) -> Reply:
        """Send one request and give what came back, as it is. Cancelled, it leaves nothing."""
        began = monotonic()
        kind: str | None = CANCELLED
        try:
            request = encode_request(api, slot, server, timeout_s=timeout_s, told=told)
            reply = await self._send(request, timeout_s + self._grace_s)
            kind = decode_error_kind(api, reply)
        finally:
            self._observed(api, kind, monotonic() - began)
        self._tell(server, reply)
        return reply

    async def report(self, slot: Slot, server: Server, reboot: PastReboot, *, booted: str) -> Reply:
        """Tell a server that wants to hear it what became of a reboot; 204 where it heard."""
        body = encode_report(slot, reboot, booted=booted)
        errand = encode_errand(REPORTS, body, server, {}, timeout_s=REPORT_S)
        return await self._send(errand, REPORT_S + self._grace_s)

    async def look(self, path: str, server: Server, timeout_s: float) -> Reply:
        """Read what rebootmgr-lockd shows at `path`, whole or not at all."""
        errand = encode_errand(path, b"", server, {}, timeout_s=timeout_s, reads=True)
        return await self._send(errand, timeout_s + self._grace_s, longest=LONGEST_SHOWN)

    def _tell(self, server: Server, reply: Reply) -> None:
        """Log once what only a change of the configuration can cure."""
        match reply:
            case Answer() if is_refusal(reply):
                pass
            case Answer(status=400 | 401 | 403 as status) if server not in self._told:
                self._told.add(server)
                log.error(
                    "lock server %s answers HTTP %s: check group, node_uuid and credentials",
                    server.public_url,
                    status,
                )
            case Answer(status=200):
                self._told.discard(server)
            case _:
                pass

    async def _send(
        self, request: bytes, patience_s: float, *, longest: int = LONGEST_LINE
    ) -> Reply:
        said = bytearray()
        answered = asyncio.Event()

        def heard(data: bytes) -> None:
            said.extend(data)
            if not data or b"\n" in data or len(said) > longest:
                answered.set()

        try:
            child, stdin = self._start(request, heard)
        except OSError as error:
            return Silence(f"cannot start the request process: {error.strerror}")
        try:
            async with asyncio.timeout(patience_s):
                await answered.wait()
        except TimeoutError:
            return Silence("the request process gave no answer in time")
        finally:
            child.signal(signal.SIGKILL)
            try:
                status = await child.finish()
            finally:
                os.close(stdin)
        line, newline, _ = said.partition(b"\n")
        if not newline:
            return Silence(f"the request process gave no answer (status {status})")
        return decode_reply(bytes(line))

    def _start(self, request: bytes, heard: Callable[[bytes], None]) -> tuple[Child, int]:
        """Start the child; its standard input stays open, for its end means cancel."""
        theirs, ours = os.pipe2(os.O_CLOEXEC)
        try:
            os.set_blocking(ours, False)
            if os.write(ours, request) < len(request):
                raise OSError(errno.E2BIG, "the request is too long")  # noqa: TRY301 - as a write's
            child = Child(
                [sys.executable, "-P", "-s", "-m", self._child],
                environment=_environment(),
                stdin=theirs,
                stderr=subprocess.DEVNULL,  # a traceback could hold a secret
                heard=heard,
            )
        except OSError:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        return child, ours


def _environment() -> dict[str, str]:
    """Keep what leads to servers, and find modules where we do; no bus, no NOTIFY_SOCKET."""
    kept = {name: value for name, value in os.environ.items() if name.lower() in KEPT}
    path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
    return {**kept, "PYTHONPATH": path}
