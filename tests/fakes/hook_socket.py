"""rebootmgr-hook.socket and its service: a runner for each connection, as systemd starts them."""

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from tests.fakes.spoken import Json
from tests.waiting import telling

CHECKOUT: Final = Path(__file__).parents[2]
RUN: Final = "run/rebootmgr"
SILENT_S: Final = 0.5  # then it is the runner's to wait


class FakeHookSocket:
    """Listens at `path` below `root` and really starts the runner.

    `started` counts connections that were taken, `ended` runners that are gone; `orders` is what
    was asked. `command` is run instead of the runner; beyond `most` at once connections are
    dropped, as MaxConnections= has it.
    """

    def __init__(self, root: Path) -> None:
        self.path = root / RUN / "hooks.sock"
        self.command: Sequence[str] | None = None
        self.most = 1024
        self.orders: list[Json] = []
        self.started = 0
        self.ended = 0
        self._root = root
        self._runners: list[Process] = []
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._tasks = await asyncio.TaskGroup().__aenter__()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._listener.bind(os.fspath(self.path))
        self._listener.listen()
        self._accepting = self._tasks.create_task(self._accept())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.leave()
        for number in (signal.SIGTERM, signal.SIGKILL):
            self._signal(number)
        await self._tasks.__aexit__(None, None, None)

    def leave(self) -> None:
        """Listen no more, as a unit that is stopped."""
        self._accepting.cancel()
        self._listener.close()

    def kill(self) -> None:
        """Kill the runners, as the kernel may when memory is short."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        """As `systemctl stop 'rebootmgr-hook@*.service'`."""
        self._signal(signal.SIGTERM)

    async def until_started(self, count: int) -> None:
        """Wait until so many connections were taken."""
        with telling(lambda: f"{self.started} connections were taken, not {count}"):
            while self.started < count:
                self._changed.clear()
                await self._changed.wait()

    async def until_ended(self, count: int) -> None:
        """Wait until so many runners are gone."""
        with telling(lambda: f"{self.ended} of {self.started} runners ended, not {count}"):
            while self.ended < count:
                self._changed.clear()
                await self._changed.wait()

    def _signal(self, number: signal.Signals) -> None:
        for runner in self._runners:
            if runner.returncode is None:
                with suppress(ProcessLookupError):
                    os.kill(runner.pid, number)

    async def _accept(self) -> None:
        while True:
            connection, _ = await asyncio.get_running_loop().sock_accept(self._listener)
            if self.started - self.ended >= self.most:
                connection.close()
                continue
            self.started += 1
            self._changed.set()
            self._tasks.create_task(self._run(connection))

    async def _run(self, connection: socket.socket) -> None:
        runner = (sys.executable, "-P", "-s", "-m", "rebootmgr.hooks.runner")
        with connection:
            await self._note(connection)
            process = await asyncio.create_subprocess_exec(
                *(self.command or (*runner, "--root", str(self._root))),
                stdin=connection.fileno(),
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT)},
                start_new_session=True,
            )
        self._runners.append(process)
        await process.wait()
        self.ended += 1
        self._changed.set()

    async def _note(self, connection: socket.socket) -> None:
        """See what is asked, and leave it to the runner to read."""
        readable, loop = asyncio.Event(), asyncio.get_running_loop()
        loop.add_reader(connection, readable.set)
        try:
            async with asyncio.timeout(SILENT_S):
                await readable.wait()
        except TimeoutError:
            return
        finally:
            loop.remove_reader(connection)
        with suppress(ValueError):
            self.orders.append(json.loads(connection.recv(65536, socket.MSG_PEEK)))
