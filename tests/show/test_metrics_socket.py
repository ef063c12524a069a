"""The metrics socket, with real clients of every kind."""

import asyncio
import os
import resource
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, time

import pytest

from rebootmgr.errors import RebootmgrError
from rebootmgr.show.metrics_socket import (
    MOST_EACH,
    SCRAPES,
    MetricsSocket,
    OwnProcess,
)
from rebootmgr.unix_sockets import unix_address

TEXT = b"".join(b"rebootmgr_series_%d 1.0\n" % number for number in range(300))
HUGE = TEXT * 200  # does not fit into any socket buffer


CROWD = """
import socket, sys
clients = []
for _ in range(200):
    clients.append(socket.socket(socket.AF_UNIX))
    clients[-1].connect(sys.argv[1])
    clients[-1].recv(1)
print(len(clients), flush=True)
sys.stdin.read()
"""

needs_root = pytest.mark.skipif(
    os.getuid() != 0 or not Path("/usr/bin/python3").exists(), reason="needs another user"
)


@pytest.fixture
def path() -> Iterator[Path]:
    with TemporaryDirectory(prefix="rebootmgr-") as root:  # short, unlike tmp_path
        Path(root).chmod(0o755)
        yield Path(root) / "run/rebootmgr/public/metrics.promsock"


@asynccontextmanager
async def served(path: Path, text: Callable[[], bytes] = lambda: TEXT) -> AsyncIterator[None]:
    metrics = MetricsSocket.open(path, mode=0o666, text=text)
    try:
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(metrics.serve())
            try:
                yield
            finally:
                serving.cancel()
    finally:
        metrics.close()


async def connected(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.setblocking(False)  # noqa: FBT003 - takes no keyword
    with unix_address(path) as address:
        await asyncio.get_running_loop().sock_connect(client, address)
    return client


async def rest(client: socket.socket) -> bytes:
    """Read to the end; a reset instead of an end raises."""
    chunks = []
    while chunk := await asyncio.get_running_loop().sock_recv(client, 65536):
        chunks.append(chunk)
    return b"".join(chunks)


async def scrape(path: Path) -> bytes:
    with await connected(path) as client:
        return await rest(client)


async def test_a_client_that_says_nothing_gets_everything_and_a_clean_end(path: Path) -> None:
    async with served(path):
        assert await scrape(path) == TEXT


async def test_the_first_read_has_everything(path: Path) -> None:
    """A known proxy reads once, 10,024 bytes."""
    async with served(path):
        with await connected(path) as client:
            first = await asyncio.get_running_loop().sock_recv(client, 10024)
    assert first == TEXT


async def test_a_text_larger_than_the_kernel_takes_at_once_arrives_whole(path: Path) -> None:
    async with served(path, lambda: HUGE):
        assert await scrape(path) == HUGE


async def test_each_client_gets_the_text_of_its_moment(path: Path) -> None:
    numbers = iter(range(10))
    async with served(path, lambda: b"n %d\n" % next(numbers)):
        assert [await scrape(path) for _ in range(3)] == [b"n 0\n", b"n 1\n", b"n 2\n"]


async def test_what_a_client_sends_is_ignored_and_it_sees_a_clean_end(path: Path) -> None:
    async with served(path):
        with await connected(path) as client:
            await asyncio.get_running_loop().sock_sendall(client, b"GET /metrics HTTP/1.1\r\n\r\n")
            assert await rest(client) == TEXT


async def test_a_client_that_speaks_late_is_not_cut_off(path: Path) -> None:
    async with served(path):
        with await connected(path) as client:
            assert await rest(client) == TEXT
            await asyncio.get_running_loop().sock_sendall(client, b"thank you\n")


async def test_ten_megabytes_from_a_client_do_not_spoil_its_answer(path: Path) -> None:
    async with served(path):
        with await connected(path) as client:
            with pytest.raises(BrokenPipeError):
                await asyncio.get_running_loop().sock_sendall(client, b"x" * 10_000_000)
            assert await rest(client) == TEXT


async def test_a_client_that_closes_its_half_first_is_answered(path: Path) -> None:
    async with served(path):
        with await connected(path) as client:
            client.shutdown(socket.SHUT_WR)
            assert await rest(client) == TEXT


async def test_clients_that_go_away_at_once_harm_nobody(path: Path) -> None:
    async with served(path, lambda: HUGE):
        for _ in range(50):
            (await connected(path)).close()
        assert await scrape(path) == HUGE


async def test_clients_that_never_read_hold_up_nobody(path: Path) -> None:
    async with served(path, lambda: HUGE):
        silent = [await connected(path) for _ in range(2 * MOST_EACH)]
        assert await asyncio.gather(*(scrape(path) for _ in range(4))) == [HUGE] * 4
        for client in silent:
            client.close()


async def test_two_hundred_scrapes_at_once_are_all_answered_whole(path: Path) -> None:
    async with served(path):
        answers = await asyncio.gather(*(scrape(path) for _ in range(200)))
    assert answers == [TEXT] * 200


async def test_a_user_who_scrapes_without_end_is_answered_now_and_then_and_named_once(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever else scrapes has an allowance of their own."""
    made = 0

    def text() -> bytes:
        nonlocal made
        made += 1
        return TEXT

    began = monotonic()
    async with served(path, text):
        answers = [await scrape(path) for _ in range(3 * int(SCRAPES.burst))]
        seconds = monotonic() - began
    assert set(answers) == {TEXT, b""}
    assert made == answers.count(TEXT)
    assert SCRAPES.burst <= made <= SCRAPES.burst + SCRAPES.per_s * seconds + 1
    [record] = caplog.records
    assert f"uid {os.getuid()} asks for metrics" in record.getMessage()


@needs_root
async def test_one_users_clients_do_not_crowd_out_anothers(path: Path) -> None:
    async with served(path, lambda: HUGE):
        ours = await connected(path)
        command = ("/usr/bin/python3", "-c", CROWD, path)  # ours may be out of their reach
        crowd = await asyncio.create_subprocess_exec(
            *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command),
            stdout=asyncio.subprocess.PIPE,
            stdin=asyncio.subprocess.PIPE,
        )
        assert crowd.stdout is not None
        assert await crowd.stdout.readline() == b"200\n"
        with ours:
            assert await rest(ours) == HUGE
        await crowd.communicate(b"")


async def test_clients_that_never_hang_up_are_let_go(path: Path) -> None:
    """Each waits for the end only; nothing of it may stay open with us."""
    before = OwnProcess().read().open_fds
    async with served(path):
        clients = [await connected(path) for _ in range(100)]
        ends = [await rest(client) for client in clients]
        assert ends == [TEXT] * 100
        await scrape(path)
        ours = OwnProcess().read().open_fds - before - len(clients)
        assert ours <= MOST_EACH + 4  # listener and event loop
        for client in clients:
            client.close()


async def test_a_failing_text_costs_that_scrape_only(path: Path) -> None:
    failures = iter([OSError(24, "Too many open files")])

    def text() -> bytes:
        for failure in failures:
            raise failure
        return TEXT

    async with served(path, text):
        assert await scrape(path) == b""
        assert await scrape(path) == TEXT


async def test_without_descriptors_clients_wait_and_are_answered_later(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with served(path):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.settimeout(0)
        lowest = os.dup(client.fileno())  # accept() would take this number or a higher one
        os.close(lowest)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
            client.connect(str(path))
            asyncio.get_running_loop().call_later(
                0.2, resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard)
            )
            assert await rest(client) == TEXT
            assert [record.levelname for record in caplog.records] == ["WARNING"]  # no busy loop
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            client.close()


async def test_an_idle_socket_wakes_nobody_up(path: Path) -> None:
    async with served(path):
        await scrape(path)
        loop = asyncio.get_running_loop()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
        quiet = loop.create_future()
        loop.call_later(0.5, quiet.set_result, None)
        await quiet
        switches = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - before
    assert switches <= 3  # our own timer is one of them


def test_a_socket_left_behind_is_replaced(path: Path) -> None:
    path.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as dead, unix_address(path) as address:
        dead.bind(address)
    MetricsSocket.open(path, mode=0o666, text=lambda: TEXT).close()
    assert not path.exists()


async def test_the_socket_of_another_daemon_is_not_taken_over(path: Path) -> None:
    async with served(path):
        with pytest.raises(RebootmgrError, match="second rebootmgrd"):
            MetricsSocket.open(path, mode=0o666, text=lambda: b"other\n")
        assert await scrape(path) == TEXT


def test_a_file_in_the_way_is_named_and_left_alone(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_text("precious")
    with pytest.raises(RebootmgrError, match="in the way"):
        MetricsSocket.open(path, mode=0o666, text=lambda: TEXT)
    assert path.read_text() == "precious"


def test_a_directory_that_cannot_be_made_is_a_clear_error(path: Path) -> None:
    (path.parent.parent.parent).mkdir(parents=True)
    path.parent.parent.write_text("a file where the directory should be")
    with pytest.raises(RebootmgrError, match=r"cannot serve metrics at .*RuntimeDirectory="):
        MetricsSocket.open(path, mode=0o666, text=lambda: TEXT)


@pytest.mark.parametrize("mode", [0o666, 0o660, 0o600])
def test_the_mode_is_the_configured_one_whatever_the_umask(path: Path, mode: int) -> None:
    umask = os.umask(0o077)
    try:
        metrics = MetricsSocket.open(path, mode=mode, text=lambda: TEXT)
    finally:
        os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    metrics.set_mode(0o640)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    metrics.close()


async def test_a_path_longer_than_an_address_works_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / ("deep" * 30) / "metrics.promsock"
    async with served(path):
        assert await scrape(path) == TEXT
    assert not path.exists()


def test_our_process_is_read_plausibly() -> None:
    process = OwnProcess().read()
    assert 0 < process.cpu_s < 3600
    assert 1_000_000 < process.resident < process.virtual
    assert 3 <= process.open_fds < process.max_fds
    assert OwnProcess().read().start == pytest.approx(process.start, abs=1)


def test_the_start_of_a_process_is_when_it_was_started() -> None:
    code = "from rebootmgr.show.metrics_socket import OwnProcess; print(OwnProcess().read().start)"
    before = time()
    started = float(subprocess.check_output([sys.executable, "-c", code]))
    assert before - 1 < started < time() + 1  # the kernel counts in ticks
