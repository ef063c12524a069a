"""The metrics socket: who connects is told everything at once, and nothing is asked (SPEC 10)."""

import asyncio
import errno
import logging
import os
import resource
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from rebootmgr.core.counters import Process
from rebootmgr.errors import RebootmgrError
from rebootmgr.rates import Allowance, Bucket, Buckets, Hourly
from rebootmgr.unix_sockets import listen_at_path

STAT: Final = Path("/proc/self/stat")
STATM: Final = Path("/proc/self/statm")
FDS: Final = Path("/proc/self/fd")
STARTTIME: Final = (
    19  # proc(5): field 22, counted from the one behind the command's closing bracket
)


class OwnProcess:
    """Reads what a scrape shows of us; the start is taken once, so that it does not jitter.

    prometheus_client's own collector needs /proc/stat, which ProcSubset=pid hides.
    """

    def __init__(self) -> None:
        fields = STAT.read_bytes().rpartition(b")")[2].split()
        after_boot = int(fields[STARTTIME]) / os.sysconf("SC_CLK_TCK")
        booted = time.clock_gettime(time.CLOCK_REALTIME) - time.clock_gettime(time.CLOCK_BOOTTIME)
        self._start = booted + after_boot

    def read(self) -> Process:
        """Look now; OSError where not even /proc can be opened (EMFILE)."""
        pages = [int(field) for field in STATM.read_bytes().split()[:2]]
        return Process(
            start=self._start,
            cpu_s=time.process_time(),
            virtual=pages[0] * resource.getpagesize(),
            resident=pages[1] * resource.getpagesize(),
            open_fds=sum(1 for _ in FDS.iterdir()) - 1,  # the listing itself is one of them
            max_fds=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        )


log = logging.getLogger(__name__)

MOST_CLIENTS: Final = 64
MOST_EACH: Final = 16
SCRAPES: Final = Allowance(250, 20)
"""Of one user; whoever comes more often is shown the door."""
CLIENTS: Final = Allowance(1000, 1000)
"""Of all users; the others wait in the backlog."""
WAIT_S: Final = 0.02
BACKLOG: Final = 1024  # a client that finds it full, and does not block, fails at once (unix(7))
SEND_S: Final = 5.0
DRAIN_S: Final = 1.0
DRAIN_BYTES: Final = 64 * 1024
RETRY_S: Final = 1.0


class MetricsSocket:
    """A listening socket at `path`; nothing that a client does or omits reaches the daemon."""

    def __init__(self, listener: socket.socket, path: Path, text: Callable[[], bytes]) -> None:
        self._listener = listener
        self._path = path
        self._text = text
        self._clients: dict[asyncio.Task[None], int] = {}
        self._scrapes = Buckets(SCRAPES)
        self._all = Bucket(CLIENTS)
        self._hourly = Hourly()
        self._retry: asyncio.TimerHandle | None = None
        self._group: asyncio.TaskGroup | None = None
        self._inode = path.lstat().st_ino

    @classmethod
    def open(cls, path: Path, *, mode: int, text: Callable[[], bytes]) -> Self:
        """Bind and listen; connecting needs write permission, so `mode` says who may scrape.

        Raises RebootmgrError when somebody serves there already, or the path cannot be bound.
        """
        return cls(_listening(path, mode), path, text)

    def set_mode(self, mode: int) -> None:
        """Change who may scrape; a socket whose file is gone is put there again.

        RebootmgrError, and everything as it was, when something else is in its place.
        """
        try:
            is_ours = self._path.lstat().st_ino == self._inode
            if is_ours:
                self._path.chmod(mode)
        except FileNotFoundError:
            is_ours = False
        except OSError as error:
            text = f"cannot change the mode of {self._path}: {error.strerror}"
            raise RebootmgrError(text) from error
        if not is_ours:
            self._replace(_listening(self._path, mode))

    def _replace(self, listener: socket.socket) -> None:
        """Go on with another listener; who still waits at the old one finds nobody."""
        if self._group is not None:
            self._hush()
        self._listener.close()
        self._listener, self._inode = listener, self._path.lstat().st_ino
        if self._group is not None:
            self._listen(self._group)

    async def serve(self) -> None:
        """Answer until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            self._listen(group)
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self._hush()
                self._group = None

    def _hush(self) -> None:
        """Accept nobody for now."""
        asyncio.get_running_loop().remove_reader(self._listener)
        if self._retry is not None:
            self._retry.cancel()

    def _listen(self, group: asyncio.TaskGroup) -> None:
        asyncio.get_running_loop().add_reader(self._listener, self._accept, group)

    def _accept(self, group: asyncio.TaskGroup) -> None:
        """Take one client: its task sends before the next one is taken, whatever a flood brings."""
        now = time.monotonic()
        if not self._all.take(now):
            self._listen_later(group, WAIT_S)
            return
        try:
            client, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:  # no descriptors or memory: the client waits in the backlog
            log.warning("cannot accept a metrics client: %s", error)
            self._listen_later(group, RETRY_S)
            return
        uid = _user_of(client)
        if not self._scrapes.take(uid, now):
            client.close()
            if self._hourly.is_due(uid, now):
                text = "uid %s asks for metrics more than %g times a second: not answering each"
                log.warning(text, uid, SCRAPES.per_s)
            return
        client.settimeout(0)
        self._make_room(uid)
        task = group.create_task(self._answer(client))
        self._clients[task] = uid
        task.add_done_callback(lambda done: self._clients.pop(done, None))

    def _listen_later(self, group: asyncio.TaskGroup, in_s: float) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._listener)
        self._retry = loop.call_later(in_s, self._listen, group)

    def _make_room(self, uid: int) -> None:
        """Let the oldest go, of whoever has the most: it was sent its text long ago."""
        each = Counter(self._clients.values())
        if each[uid] < MOST_EACH:
            if len(self._clients) < MOST_CLIENTS:
                return
            [(uid, _)] = each.most_common(1)
        oldest = next(task for task, its in self._clients.items() if its == uid)
        del self._clients[oldest]
        oldest.cancel()

    async def _answer(self, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with client:
            try:
                async with asyncio.timeout(SEND_S):
                    await loop.sock_sendall(client, self._text())
                client.shutdown(socket.SHUT_WR)
                with suppress(TimeoutError):
                    async with asyncio.timeout(DRAIN_S):
                        await _drain(client)
                _discard(client)
            except OSError as error:
                log.debug("a metrics client went away: %s", error)

    def close(self) -> None:
        """Stop listening; the file goes first, so that a successor's is never taken for ours."""
        with suppress(OSError):
            self._path.unlink()
        self._listener.close()


def _listening(path: Path, mode: int) -> socket.socket:
    """Bind and listen at `path`; RebootmgrError when somebody serves there, or nobody could."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return listen_at_path(path, mode=mode, backlog=BACKLOG)
    except OSError as error:
        raise RebootmgrError(_why(path, error)) from error


def _why(path: Path, error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            what = f"another process serves metrics at {path}"
            return f"{what}: is a second rebootmgrd running?"
        case errno.ENOTSOCK:
            return f"{path} is in the way of the metrics socket: remove it"
        case _:
            owner = "the daemon's user must own this directory: see RuntimeDirectory= of the unit"
            return f"cannot serve metrics at {path}: {error.strerror or error} ({owner})"


def _user_of(client: socket.socket) -> int:
    """Say whose it is (unix(7), SO_PEERCRED)."""
    credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", credentials)
    return int(uid)


async def _drain(client: socket.socket) -> None:
    """Wait for the client to hang up, whatever it says until then."""
    loop = asyncio.get_running_loop()
    left = DRAIN_BYTES
    while left > 0:
        chunk = await loop.sock_recv(client, left)
        if not chunk:
            return
        left -= len(chunk)


def _discard(client: socket.socket) -> None:
    """Take what is still queued: closing on unread data would reset the client's connection."""
    client.shutdown(socket.SHUT_RD)
    with suppress(BlockingIOError):
        while client.recv(DRAIN_BYTES):
            pass
