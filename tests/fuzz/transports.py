"""What comes over sockets: raw answers of lock servers, and clients of ours and of the metrics."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import aiohttp

from rebootmgr.fleetlock.proxy_words import Direct
from rebootmgr.fleetlock.request import Errand, UnsendableError, _post, _url
from rebootmgr.fleetlock.words import LONGEST_BODY
from rebootmgr.lending.questions import Granted, PreReboot, Question, SteadyState
from rebootmgr.lending.terms import Rules
from rebootmgr.lockd.http.entrance import Entrance
from rebootmgr.lockd.http.guest import Reception
from rebootmgr.lockd.http.pages import Pages
from rebootmgr.lockd.http.seats import Seats
from rebootmgr.lockd.lender import Lender
from rebootmgr.lockd.stores.sqlite import SqliteStore
from rebootmgr.lockd.watch import Watch
from rebootmgr.show.metrics_socket import MOST_CLIENTS, MetricsSocket
from tests.fuzz.dice import Dice
from tests.lockd.program import (
    PRE_REBOOT,
    PROTOCOL,
    Line,
    free_socket,
    kept_alive,
    question,
    request,
)

MOST_SEATS: Final = 4
TEXT: Final = b"".join(b"rebootmgr_series_%d 1.0\n" % number for number in range(2000))
HTTP: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 41\r\n"
    b'Retry-After: 7\r\nConnection: close\r\n\r\n{"kind": "success", "value": "the slot"}\r\n'
)


def fuzz_http(data: bytes) -> None:
    """A lock server that answers with any bytes, met by what runs in the child."""
    asyncio.run(_ask(Dice(data)))


async def _ask(dice: Dice) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(dice.altered(HTTP))
            await writer.drain()
            writer.close()
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    order = Errand(
        url=f"http://127.0.0.1:{port}/v1/pre-reboot",
        body="{}",
        headers={},
        timeout_s=300.0,  # nobody hangs here
        ca_file="",
        client_cert_file="",
        client_key_file="",
        authorization_file="",
    )
    async with server:
        try:
            found = await _post(order, _url(order.url), Direct())
        except (UnsendableError, aiohttp.ClientError, OSError, ValueError):
            return  # what the child answers for as a failed request
        assert isinstance(found["status"], int)
        assert isinstance(found["body"], str)
        assert len(found["body"]) <= LONGEST_BODY


def fuzz_metrics(data: bytes) -> None:
    """Clients that do anything, and one that only reads."""
    with TemporaryDirectory(prefix="rebootmgr-") as directory:
        asyncio.run(_scrape(Path(directory) / "sock", Dice(data)))


async def _scrape(path: Path, dice: Dice) -> None:
    loop = asyncio.get_running_loop()
    async with _served(path):
        clients = []
        for _ in range(dice.below(2 * MOST_CLIENTS)):
            client = _connected(path)
            clients.append(client)
            for _ in range(dice.below(4)):
                with suppress(OSError):
                    _act(client, dice)
            await loop.run_in_executor(None, lambda: None)  # let the server have its turn
        reader = _connected(path)
        reader.setblocking(False)  # noqa: FBT003 - takes no keyword
        found = b""
        with reader:
            while chunk := await loop.sock_recv(reader, 2**16):
                found += chunk
        for client in clients:
            client.close()
    assert found == TEXT


@asynccontextmanager
async def _served(path: Path) -> AsyncIterator[None]:
    metrics = MetricsSocket.open(path, mode=0o600, text=lambda: TEXT)
    try:
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(metrics.serve())
            yield
            serving.cancel()
    finally:
        metrics.close()


def _connected(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.connect(str(path))
    client.setblocking(False)  # noqa: FBT003 - takes no keyword
    return client


def _act(client: socket.socket, dice: Dice) -> None:
    match dice.below(6):
        case 0:
            client.send(dice.text().encode(errors="replace") * 200)
        case 1:
            client.shutdown(socket.SHUT_WR)
        case 2:
            client.shutdown(socket.SHUT_RD)
        case 3:
            client.recv(dice.below(4096) + 1)
        case 4:
            client.close()
        case _:
            pass  # it only holds on


def fuzz_lockd(data: bytes) -> None:
    """A host that sends any bytes to the lock server; another asks behind it."""
    asyncio.run(_be_asked(Dice(data)))


async def _be_asked(dice: Dice) -> None:
    asked: list[str] = []

    async def ask(asking: Question) -> Granted:
        assert isinstance(asking, PreReboot | SteadyState)
        asked.append(asking.id)
        return Granted()

    seats = Seats(MOST_SEATS)
    lender = Lender(SqliteStore(Path("/nonexistent/lockd.sqlite")), Rules())
    pages = Pages(ask, Watch(lender), seats)
    entrance = Entrance(Reception(pages.answer, pages.respond, seats), lambda: None)
    raw = kept_alive(PRE_REBOOT, question(), headers={**PROTOCOL, "Prefer": "wait=5"})
    with free_socket() as listener:
        listener.setblocking(False)  # noqa: FBT003 - takes no keyword
        port = listener.getsockname()[1]
        async with asyncio.TaskGroup() as tasks:
            opened = tasks.create_task(entrance.open(listener))
            odd = Line(*await asyncio.open_connection("127.0.0.1", port))
            odd.writer.write(dice.altered(raw * (1 + dice.below(3))))
            another = Line(*await asyncio.open_connection("127.0.0.1", port))
            another.writer.write(request(PRE_REBOOT, question("another")))
            assert (await another.answer()).status == 200
            heard = await _all_of(odd)
            seats.close()
            opened.cancel()
    assert asked.count("another") == 1
    statuses = [int(found) for found in re.findall(rb"HTTP/1\.[01] (\d+) ", heard)]
    assert all(200 <= status < 500 for status in statuses), heard


async def _all_of(line: Line) -> bytes:
    """Hang up, and hear what was said before."""
    heard = b""
    with suppress(OSError):
        line.writer.write_eof()
        while chunk := await line.reader.read(2**16):
            heard += chunk
    line.writer.close()
    return heard


TRANSPORTS: Final[dict[str, Callable[[bytes], None]]] = {
    "lock-server": fuzz_http,
    "metrics-client": fuzz_metrics,
    "lockd": fuzz_lockd,
}
