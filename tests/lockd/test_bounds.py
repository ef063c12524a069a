"""Connections that are slow, silent or idle: each costs a bounded amount, and keeps nobody out.

What is bounded is counted: descriptors, lines of the log, connections, never seconds.
"""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from socket import socket

import pytest

from rebootmgr.lockd_config.wanted import MOST_PLAIN, MOST_TLS
from tests.fakes.fleetlock_tls import Certificate
from tests.lockd.program import PRE_REBOOT, Line, Server, kept_alive, question, request, serving

MANY = 1000
ASKED = 20
A_FEW = 16
"""Descriptors beside the connections: files, sockets that listen, and one that is just closed."""
TLS = "[server]\ntls_cert_file = '/cert.pem'\ntls_key_file = '/key.pem'\n"
HEAD = kept_alive(PRE_REBOOT, question("slow"))
BEGUN = {
    "silent": b"",
    "slow with the head": HEAD[:40],
    "slow with the body": HEAD[:-5],
    "no HTTP that ever ends": b"POST /v1/pre-reboot HTTP/1.1\r\nX: ",
}


def descriptors(server: Server) -> int:
    return sum(1 for _ in Path(f"/proc/{server.process.pid}/fd").iterdir())


def resident_kb(server: Server) -> int:
    text = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0])


@contextmanager
def connected(server: Server, number: int, begun: bytes) -> Iterator[None]:
    """So many connections that say this and no more."""
    with ExitStack() as stack:
        for _ in range(number):
            one = stack.enter_context(socket())
            one.setblocking(False)  # noqa: FBT003 - positional only
            with suppress(BlockingIOError):
                one.connect(("127.0.0.1", server.port))
            with suppress(BlockingIOError, ConnectionError):
                one.send(begun)
        yield


async def served(server: Server, first: int, tls: ssl.SSLContext | None = None) -> int:
    """Ask as several hosts, one after the other; the most descriptors that it had meanwhile."""
    most = 0
    for number in range(first, first + ASKED):
        asked = request(PRE_REBOOT, question(f"h{number}"))
        answer = await server.send(asked, tls)
        assert answer.status == (200 if number == 0 else 423)
        most = max(most, descriptors(server))
    return most


@pytest.mark.parametrize("begun", BEGUN.values(), ids=BEGUN)
async def test_a_thousand_that_never_ask_keep_nobody_out(tmp_path: Path, begun: bytes) -> None:
    async with serving(tmp_path) as server:
        with connected(server, MANY, begun):
            assert await served(server, 0) <= MOST_PLAIN + A_FEW
        assert len(server.log.splitlines()) < 4 * ASKED


async def test_a_thousand_that_asked_and_stay_keep_nobody_out_and_cost_no_more_each_time(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as server:
        resident: list[int] = []
        for round_ in range(3):
            idle = [await asked_and_stayed(server, f"i{n}") for n in range(MANY)]
            assert await served(server, round_ * ASKED) <= MOST_PLAIN + A_FEW
            for line in idle:
                line.writer.close()
            resident.append(resident_kb(server))
        assert resident[2] < 1.05 * resident[1]
        assert len(server.log.splitlines()) < 4 * ASKED


async def asked_and_stayed(server: Server, host: str) -> Line:
    line = await server.connect()
    line.writer.write(kept_alive("/v1/steady-state", question(host)))
    assert (await line.next_answer()).status == 200
    return line


async def test_over_tls_fewer_are_connected_at_once_and_the_others_wait_for_their_turn(
    tmp_path: Path,
) -> None:
    made = Certificate.make(tmp_path)
    tls = ssl.create_default_context(cafile=str(made.cert))
    async with serving(tmp_path, TLS) as server:
        with connected(server, 4 * MOST_TLS, b""):
            assert await served(server, 0, tls) <= MOST_TLS + A_FEW
        async with asyncio.TaskGroup() as tasks:
            for number in range(2 * MOST_TLS):
                asked = request("/v1/steady-state", question(f"t{number}"))
                tasks.create_task(ask_until_answered(server, asked, tls))
        assert descriptors(server) <= MOST_TLS + A_FEW


async def ask_until_answered(server: Server, raw: bytes, tls: ssl.SSLContext) -> None:
    """Ask again, as hosts do, where we were too slow at shaking hands with so many at once."""
    while True:
        with suppress(ConnectionError, IndexError):  # or it hung up without a word
            assert (await server.send(raw, tls)).status == 200
            return
