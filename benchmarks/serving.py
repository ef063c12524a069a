"""The lock server over HTTP: `python -m benchmarks.serving`, beside a bare handler of aiohttp.

Both run on one core, one after the other in each round; their 50 clients have another. What a
refusal takes of the processor does not depend on what else the machine does, rates do.
"""

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from time import perf_counter
from typing import Final

from benchmarks.figures import Figure, Figures, table
from benchmarks.processes import memory, processor_ms
from tests.lockd.program import (
    PRE_REBOOT,
    STEADY_STATE,
    free_socket,
    kept_alive,
    question,
    request,
    serving,
)

ROUNDS: Final = 3
CLIENTS: Final = 50
WAITING: Final = 10_000
REFUSALS: Final = 10_000
CONNECTIONS: Final = 3000  # of one request each
TURNS: Final = 40  # of each client: a grant and a return
SILENT: Final = 10_000
PINNED: Final = ("taskset", "--cpu-list", "0")


@dataclass
class Asking(asyncio.Protocol):
    """One client that asks one thing after the other, as fast as it is answered."""

    requests: list[bytes]
    status: bytes
    done: asyncio.Future[None]
    took_s: list[float]
    heard: bytes = b""
    began_s: float = 0.0
    transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a stream's
        self.transport = transport
        self._ask()

    def _ask(self) -> None:
        self.began_s = perf_counter()
        assert self.transport is not None  # noqa: S101 - it asks once connected
        self.transport.write(self.requests.pop())

    def data_received(self, data: bytes) -> None:
        self.heard += data
        head, found, body = self.heard.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        self.took_s.append(perf_counter() - self.began_s)
        self.heard = b""
        if not head.startswith(b"HTTP/1.1 " + self.status):
            self._end(RuntimeError(f"answered {head!r} {body!r}"))
        elif self.requests:
            self._ask()
        else:
            self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc or ConnectionError("hung up"))

    def _end(self, error: Exception | None) -> None:
        if not self.done.done():
            if error is None:
                self.done.set_result(None)
            else:
                self.done.set_exception(error)
        assert self.transport is not None  # noqa: S101 - it is connected
        self.transport.close()


async def asked(port: int, requests: Sequence[bytes], status: bytes) -> list[float]:
    """Ask all of these over one connection; how long each took."""
    loop = asyncio.get_running_loop()
    took_s: list[float] = []
    asking = Asking(list(requests), status, loop.create_future(), took_s)
    await loop.create_connection(lambda: asking, "127.0.0.1", port)
    await asking.done
    return took_s


def refused(number: int) -> bytes:
    return kept_alive(PRE_REBOOT, question(f"h{number}"))


async def kept(port: int) -> tuple[float, float]:
    """Refusals a second over connections that stay, and what 99 of 100 took at most, in ms."""
    each = REFUSALS // CLIENTS
    work = [[refused(client * each + n) for n in range(each)] for client in range(CLIENTS)]
    began = perf_counter()
    took = await asyncio.gather(*(asked(port, requests, b"423") for requests in work))
    spent = perf_counter() - began
    return REFUSALS / spent, p99_ms([one for each_took in took for one in each_took])


async def one_each(port: int) -> tuple[float, float]:
    """The same with a connection for each."""
    each = CONNECTIONS // CLIENTS
    took_s: list[float] = []

    async def be(client: int) -> None:
        for number in range(each):
            raw = request(PRE_REBOOT, question(f"h{client * each + number}"))
            began = perf_counter()
            await asked(port, [raw], b"423")
            took_s.append(perf_counter() - began)

    began = perf_counter()
    await asyncio.gather(*map(be, range(CLIENTS)))
    return CONNECTIONS / (perf_counter() - began), p99_ms(took_s)


async def turns(port: int) -> tuple[float, float]:
    """Grants and returns a second."""
    work = [
        [kept_alive(path, question(f"h{client}")) for path in (STEADY_STATE, PRE_REBOOT)] * TURNS
        for client in range(CLIENTS)
    ]
    began = perf_counter()
    took = await asyncio.gather(*(asked(port, requests, b"200") for requests in work))
    spent = perf_counter() - began
    return 2 * CLIENTS * TURNS / spent, p99_ms([one for each in took for one in each])


def p99_ms(took_s: list[float]) -> float:
    return sorted(took_s)[len(took_s) * 99 // 100] * 1000


async def join(port: int) -> None:
    """Have as many wait as there are to wait; the first gets the slot."""
    await asked(port, [kept_alive(PRE_REBOOT, question("holder"))], b"200")
    each = WAITING // CLIENTS
    work = [[refused(client * each + n) for n in range(each)] for client in range(CLIENTS)]
    await asyncio.gather(*(asked(port, requests, b"423") for requests in work))


@asynccontextmanager
async def bare() -> AsyncIterator[tuple[int, int]]:
    """Run the bare handler; its port and its process."""
    with free_socket() as listener:
        descriptor = listener.fileno()
        process = await asyncio.create_subprocess_exec(
            *(*PINNED, sys.executable, "-m", "benchmarks.bare_handler", str(descriptor)),
            pass_fds=(descriptor,),
        )
        port = listener.getsockname()[1]
    try:
        yield port, process.pid
    finally:
        process.kill()
        await process.wait()


async def with_silent(port: int, pid: int) -> float:
    """MB of the server while thousands are connected or wait to be."""
    async with AsyncExitStack() as stack:
        for _ in range(SILENT):
            one = stack.enter_context(socket())
            one.setblocking(False)  # noqa: FBT003 - positional only
            with suppress(BlockingIOError):
                one.connect(("127.0.0.1", port))
        await asked(port, [refused(1)], b"423")
        return memory(pid).rss


async def measure(folder: Path, found: dict[str, list[float]]) -> None:
    def note(name: str, *values: float) -> None:
        for kind, value in zip(("", ", p99"), values, strict=False):
            found.setdefault(name + kind, []).append(value)

    async with bare() as (port, pid):
        begun_ms = processor_ms(pid)
        note("bare, kept alive", *await kept(port))
        note("bare, processor", (processor_ms(pid) - begun_ms) * 1000 / REFUSALS)
        note("bare, a connection each", *await one_each(port))
    (folder / "full").mkdir()
    async with serving(folder / "full", wrapper=PINNED) as server:
        pid = server.process.pid
        await join(server.port)
        note("RSS, 10,000 waiting", memory(pid).rss)
        begun_ms = processor_ms(pid)
        note("refusals, kept alive", *await kept(server.port))
        note("refusals, processor", (processor_ms(pid) - begun_ms) * 1000 / REFUSALS)
        note("refusals, a connection each", *await one_each(server.port))
        note("RSS, 10,000 connected besides", await with_silent(server.port, pid))
    (folder / "busy").mkdir()
    slots = f"[groups.default]\nslots = {CLIENTS}\n"
    async with serving(folder / "busy", slots, wrapper=PINNED) as server:
        note("grants and returns", *await turns(server.port))


def run() -> Figures:
    """Give the rounds, the server against the bare handler."""
    mine = os.sched_getaffinity(0)
    found: dict[str, list[float]] = {}
    if len(mine) > 1:
        os.sched_setaffinity(0, mine - {0})
    try:
        for _ in range(ROUNDS):
            with tempfile.TemporaryDirectory(prefix="rebootmgr-bench-", dir=".") as name:
                asyncio.run(measure(Path(name).resolve(), found))
    finally:
        os.sched_setaffinity(0, mine)
    figures = {name: Figure(tuple(values), _unit(name)) for name, values in found.items()}
    for how in ("kept alive", "a connection each", "processor"):
        name = f"refusals, {how}"
        figures[name] = figures[name].against(figures[f"bare, {how}"])
    return figures


def _unit(name: str) -> str:
    if name.startswith("RSS"):
        return "MB"
    if name.endswith("processor"):
        return "us"
    return "ms" if name.endswith("p99") else "/s"


if __name__ == "__main__":
    print(*table(run()), sep="\n")
