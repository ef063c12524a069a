"""A child process in a group of its own, that is never left behind and never signalled by mistake.

Not asyncio's: its `kill` may reap the child behind the back of its own watcher, and a number
that was reaped may belong to somebody else. Here the number stays ours until `finish`.
"""

import asyncio
import logging
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

KILL_S: Final = 5.0
LAST_WORDS_S: Final = 1.0
CHUNK: Final = 65536


class Child:
    """A running child; OSError when it cannot be started.

    `exited` is set when it is dead but not yet reaped, `silent` when its output has ended.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        environment: Mapping[str, str],
        stdin: int,
        stderr: int,
        heard: Callable[[bytes], None],
    ) -> None:
        """`heard` is given the output as it comes, b"" at its end; the rest as for `Popen`."""
        self.exited = asyncio.Event()
        self.silent = asyncio.Event()
        self._heard = heard
        self._loop = asyncio.get_running_loop()
        self._output, theirs = os.pipe2(os.O_CLOEXEC)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - no shell, and the caller vouches
                command,
                stdin=stdin,
                stdout=theirs,
                stderr=stderr,
                env=environment,
                cwd="/",
                umask=0o022,
                start_new_session=True,
            )
        except OSError:
            os.close(self._output)
            raise
        finally:
            os.close(theirs)
        try:
            self._pidfd = os.pidfd_open(self._process.pid)
        except OSError:
            self.signal(signal.SIGKILL)
            self._process.wait()
            os.close(self._output)
            raise
        os.set_blocking(self._output, False)
        self._loop.add_reader(self._pidfd, self._exit)
        self._loop.add_reader(self._output, self._read)

    def signal(self, number: signal.Signals) -> None:
        """Signal the whole group; only before `finish`."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    async def finish(self) -> int | None:
        """Kill what is left of the group, hear the last words and reap; return the exit status.

        None is for a process that not even KILL could end.
        """
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(KILL_S):
                    await self.exited.wait()
            # The dead leader is a zombie until it is reaped, so that the number is still its own.
            self.signal(signal.SIGKILL)
            with suppress(TimeoutError):  # somebody who left the group may keep the pipe open
                async with asyncio.timeout(LAST_WORDS_S):
                    await self.silent.wait()
        finally:
            self._loop.remove_reader(self._output)
            self._loop.remove_reader(self._pidfd)
            os.close(self._output)
            os.close(self._pidfd)
            status = self._process.poll()
            if status is None:
                log.error("process %s cannot be killed", self._process.pid)
        return status

    def _exit(self) -> None:
        self._loop.remove_reader(self._pidfd)
        self.exited.set()

    def _read(self) -> None:
        try:
            data = os.read(self._output, CHUNK)
        except BlockingIOError:
            return
        if not data:
            self._loop.remove_reader(self._output)
            self.silent.set()
        self._heard(data)
