"""The two ways to a hook runner: through its socket on a real host, as our child with --root."""

import asyncio
import errno
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Final, Protocol

from rebootmgr.child import Child
from rebootmgr.errors import RebootmgrError

SOCKET: Final = Path("/run/rebootmgr/hooks.sock")
HANG_UP_S: Final = 4.0  # TERM and KILL of one hook; a daemon that is stopped has no more
_RUNNER: Final = "rebootmgr.hooks.runner"
_STDERR: Final = 2
_CHUNK: Final = 4096
_START: Final = "systemctl start rebootmgr-hook.socket"


class HookRunner(Protocol):
    """Whatever leads to a hook runner."""

    def connect(self) -> AbstractAsyncContextManager[socket.socket]:
        """Connect to one that has nothing to do yet, non-blocking; RebootmgrError with the cure.

        Afterwards its hooks have been ended, as far as that was possible in a few seconds.
        """
        ...


def choose_hook_runner(root: Path) -> HookRunner:
    """Choose how hooks are run: on a real host as root, behind their socket (SPEC 8)."""
    return HookSocket(SOCKET) if root.samefile("/") else HookChild(root)


class HookSocket:
    """Has systemd start a runner for each connection to its socket at `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[socket.socket]:
        """Connect; RebootmgrError where nobody listens, with what to do about that."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as connection:
            try:
                connection.connect(str(self._path))
            except OSError as error:
                raise RebootmgrError(self._explain(error)) from error
            try:
                yield connection
            finally:
                await _hang_up(connection)

    def _explain(self, error: OSError) -> str:
        match error.errno:
            case errno.ENOENT | errno.ENOTDIR:
                missing = f"{self._path} is missing"
                return f"no hook runner on this host: {missing} ({_START}; a container has none)"
            case errno.ECONNREFUSED:
                return f"no hook runner on this host: nobody listens at {self._path} ({_START})"
            case errno.EAGAIN:
                return "the hook runner has too much to do: journalctl -t rebootmgr-hook"
            case _:
                return f"the hook runner cannot be reached at {self._path}: {error.strerror}"


class HookChild:
    """Starts the runner directly, as our own user; its log is ours."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[socket.socket]:
        """Start it; RebootmgrError if that cannot be done."""
        ours, theirs = socket.socketpair()
        with ours:
            ours.settimeout(0)
            with theirs:
                runner = self._start(theirs)
            try:
                yield ours
            finally:
                try:
                    await _hang_up(ours)
                finally:
                    ours.close()  # which ends its hook where hanging up did not
                    await runner.finish()

    def _start(self, connection: socket.socket) -> Child:
        try:
            return Child(
                [sys.executable, "-P", "-s", "-m", _RUNNER, "--root", self._root],
                environment=_environment(),
                stdin=connection.fileno(),
                stderr=_STDERR,
                heard=lambda _: None,
            )
        except OSError as error:
            why = f"the hook runner cannot be started: {error.strerror}"
            raise RebootmgrError(why) from error


async def _hang_up(connection: socket.socket) -> None:
    """End the hooks, and wait until the runner has seen them end, too."""
    with suppress(OSError):  # it may have hung up first, and TimeoutError is one
        connection.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(HANG_UP_S):
            while await asyncio.get_running_loop().sock_recv(connection, _CHUNK):
                pass


def _environment() -> dict[str, str]:
    """Find modules where we find them."""
    return {"PYTHONPATH": os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)}
