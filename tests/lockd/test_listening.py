"""Where the server listens by itself, at real addresses of this host."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fakes.service_manager import ServiceManager
from tests.lockd.program import PRE_REBOOT, ROOT, configure, parsed, question, request

ASKED = request(PRE_REBOOT, question())


@dataclass
class Own:
    """A server that was handed no socket."""

    process: asyncio.subprocess.Process
    manager: ServiceManager
    log_file: Path

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    async def reload(self) -> None:
        before = self.manager.heard.count("READY=1")
        self.process.send_signal(signal.SIGHUP)
        await self.manager.until(lambda _: self.manager.heard.count("READY=1") > before)


@asynccontextmanager
async def listening(root: Path, *addresses: str) -> AsyncIterator[Own]:
    listen(root, *addresses)
    log = root / "log"
    async with ServiceManager(root) as manager:
        with log.open("wb") as said:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "rebootmgr.lockd.main", "--root", str(root)),
                cwd=ROOT,
                env={**os.environ, "NOTIFY_SOCKET": manager.path},
                stderr=said,
            )
        try:
            await manager.until(lambda one: one == "READY=1")
            yield Own(process, manager, log)
        finally:
            process.terminate()
            await process.wait()


def listen(root: Path, *addresses: str) -> None:
    configure(root, f"[server]\nlisten = {list(addresses)}\n")


async def status_at(host: str, port: int) -> int:
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(ASKED)
    answer = parsed(await reader.read(-1))
    writer.close()
    return answer.status


async def status_at_path(path: Path) -> int:
    os.chdir(path.parent)  # the whole path may be longer than a socket's may be
    reader, writer = await asyncio.open_unix_connection(path.name)
    writer.write(ASKED)
    answer = parsed(await reader.read(-1))
    writer.close()
    return answer.status


def reserved(family: socket.AddressFamily, host: str) -> socket.socket:
    """Keep a port for a server that sets SO_REUSEADDR: nobody else is given it meanwhile."""
    made = socket.socket(family)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((host, 0))
    return made


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as tried:
            tried.bind(("::1", 0))
    except OSError:
        return False
    return True


async def test_it_is_asked_over_ipv4_and_at_a_path_and_stops_at_one_when_told(
    tmp_path: Path,
) -> None:
    (tmp_path / "run").mkdir()
    with reserved(socket.AF_INET, "127.0.0.1") as port, reserved(socket.AF_INET, "127.0.0.1") as b:
        first, second = port.getsockname()[1], b.getsockname()[1]
        async with listening(tmp_path, f"127.0.0.1:{first}", "unix:/run/a.sock") as server:
            assert await status_at("127.0.0.1", first) == 200
            assert await status_at_path(tmp_path / "run/a.sock") == 200
            listen(tmp_path, f"127.0.0.1:{second}", "unix:/run/a.sock")
            await server.reload()
            assert await status_at("127.0.0.1", second) == 200
            assert await status_at_path(tmp_path / "run/a.sock") == 200
            with pytest.raises(ConnectionRefusedError):
                await status_at("127.0.0.1", first)


@pytest.mark.skipif(not has_ipv6(), reason="this host has no IPv6")
async def test_it_is_asked_over_ipv6_at_the_same_port_as_over_ipv4(tmp_path: Path) -> None:
    with reserved(socket.AF_INET6, "::1") as kept:
        port = kept.getsockname()[1]
        async with listening(tmp_path, f"[::1]:{port}", f"127.99.1.1:{port}"):
            assert await status_at("::1", port) == 200
            assert await status_at("127.99.1.1", port) == 200


async def test_an_address_that_is_taken_is_named_and_what_was_there_goes_on(
    tmp_path: Path,
) -> None:
    with reserved(socket.AF_INET, "127.0.0.1") as kept, socket.socket() as taken:
        port = kept.getsockname()[1]
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        other = taken.getsockname()[1]
        async with listening(tmp_path, f"127.0.0.1:{port}") as server:
            listen(tmp_path, f"127.0.0.1:{port}", f"127.0.0.1:{other}")
            await server.reload()
            assert f"127.0.0.1:{other}" in server.log
            assert "the configuration stays as it was" in server.log
            assert await status_at("127.0.0.1", port) == 200
