"""Programs of ours that start in no time: forked from a process that has loaded their modules.

Each is a real process with its own arguments, environment, descriptors and end; all that it does
not do is to start an interpreter and to import. Tests of just that, of what ps(1) shows, or of
what is inherited start it as a host does. What is forked ends with this process at the latest.
"""

import asyncio
import atexit
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

from tests.fakes import nurse
from tests.fakes.nurse import LONGEST, Order

KILLED: Final = -signal.SIGKILL


class Forked:
    """A process that runs, as `asyncio.subprocess.Process` shows it."""

    def __init__(self, pid: int, life: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._life = life
        self._ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(life, self._hear)

    def _hear(self) -> None:
        asyncio.get_running_loop().remove_reader(self._life)
        self.returncode = int(self._life.recv(LONGEST) or KILLED)  # with its nursery
        self._life.close()
        self._ended.set()

    async def wait(self) -> int:
        """Wait for its end; the exit status, or less than 0 for a signal."""
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Signal it unless it is known to have ended."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


class Nursery:
    """A process that has imported some modules, and runs the first of them whenever it is told."""

    def __init__(self, *modules: str) -> None:
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [
                    *("setpriv", "--pdeathsig", "KILL", sys.executable),
                    *("-m", nurse.__name__, str(theirs.fileno()), *modules),
                ],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def close(self) -> None:
        """End it, and with it whatever it forked."""
        self._line.close()
        self._process.wait()

    async def fork(
        self, *arguments: str, env: Mapping[str, str], fds: Sequence[int], cwd: str = ""
    ) -> Forked:
        """Run it; `fds` become its standard input, output, error and so on."""
        life, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        life.settimeout(0)
        order = Order(list(arguments), dict(env), cwd or str(Path.cwd()))
        with theirs:
            text = json.dumps(asdict(order)).encode()
            socket.send_fds(self._line, [text], [theirs.fileno(), *fds])
        pid = await asyncio.get_running_loop().sock_recv(life, LONGEST)
        assert pid, "the nursery is gone"
        return Forked(int(pid), life)

    async def run(self, *arguments: str, env: Mapping[str, str]) -> tuple[int, str, str]:
        """Run it to its end with nothing to read: exit status, standard output and error."""
        with TemporaryFile() as nothing, TemporaryFile() as out, TemporaryFile() as err:
            fds = [stream.fileno() for stream in (nothing, out, err)]
            process = await self.fork(*arguments, env=env, fds=fds)
            try:
                status = await process.wait()
            finally:
                process.kill()
            written = [os.pread(fd, os.fstat(fd).st_size, 0).decode() for fd in fds[1:]]
        return status, written[0], written[1]


_made: Final[dict[tuple[str, ...], Nursery]] = {}


def nursery(*modules: str) -> Nursery:
    """The one for these modules, for as long as this process lives."""
    if modules not in _made:
        _made[modules] = Nursery(*modules)
        atexit.register(_made[modules].close)
    return _made[modules]


def nurses() -> set[int]:
    """The process of each, which is a child of ours all the while."""
    return {one.pid for one in _made.values()}
