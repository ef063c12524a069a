"""Every method call on a bus, as dbus-monitor(1) sees it pass."""

import asyncio
import os
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from dataclasses import dataclass
from signal import SIGKILL
from typing import Self

from tests.waiting import telling


@dataclass(frozen=True, slots=True)
class BusCall:
    """`at` is seconds since the epoch, by the monitor's clock."""

    at: float
    destination: str
    path: str
    member: str


class BusLog:
    """`async with BusLog(address) as log:`; it sees what is called from then on."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._calls: list[BusCall] = []

    async def __aenter__(self) -> Self:
        self._monitor: Process = await asyncio.create_subprocess_exec(
            *("setpriv", "--pdeathsig", "KILL", "dbus-monitor", "--address", self._address),
            *("--profile", "type=method_call"),
            stdin=DEVNULL,
            stdout=PIPE,
        )
        await self._read_line()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._monitor.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self._monitor.pid, SIGKILL)  # Popen's way may reap it behind asyncio
        await self._monitor.wait()

    async def until(self, member: str) -> list[BusCall]:
        """Wait until `member` was called; all calls up to the first of it."""
        with telling(lambda: f"{member} was never called; the last: {self._calls[-3:]}"):
            while not self._calls or self._calls[-1].member != member:
                await self._read_line()
        return self._calls

    async def _read_line(self) -> None:
        assert self._monitor.stdout is not None
        line = (await self._monitor.stdout.readline()).decode()
        if not line:
            raise EOFError("dbus-monitor ended")
        kind, *words = line.rstrip("\n").split("\t")
        if kind == "mc":
            at, _, _, destination, path, _, member = words
            self._calls.append(BusCall(float(at), destination, path, member))
