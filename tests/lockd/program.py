"""The real lock server in a process of its own, and clients that speak to it byte by byte."""

import asyncio
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.fakes.nursery import Forked, nursery
from tests.fakes.service_manager import ServiceManager

# Puts the listening socket where systemd would, and becomes the server.
HAND_OVER: Final = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
os.execv(sys.executable, [sys.executable, "-m", "rebootmgr.lockd.main", *sys.argv[2:]])
"""
HANDED_OVER: Final = "tests.lockd.handed_over"
ROOT: Final = Path(__file__).parents[2]
PROTOCOL: Final = {"fleet-lock-protocol": "true"}
PRE_REBOOT: Final = "/v1/pre-reboot"
STEADY_STATE: Final = "/v1/steady-state"


NAMESPACE: Final = ("unshare", "--map-root-user", "--mount")


def may_mount() -> bool:
    """Whether a namespace may be made here in which something is mounted."""
    return subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode == 0


def configure(root: Path, text: str, name: str = "50-test.toml") -> Path:
    """Write a drop-in, and what every server needs."""
    (root / "var/lib/rebootmgr-lockd").mkdir(parents=True, exist_ok=True)
    folder = root / "etc/rebootmgr-lockd/config.d"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def free_socket() -> socket.socket:
    """Listen at a free port of loopback, as systemd would for us."""
    made = socket.socket()
    made.bind(("127.0.0.1", 0))
    made.listen(4096)
    return made


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer, as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def kind(self) -> str:
        return str(json.loads(self.body)["kind"])

    @property
    def value(self) -> str:
        return str(json.loads(self.body)["value"])


def parsed(raw: bytes) -> Answered:
    head, _, body = raw.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return Answered(int(status.split()[1]), headers, body)


def question(host: str = "h1", group: str = "default") -> bytes:
    return json.dumps({"client_params": {"id": host, "group": group}}).encode()


def request(
    path: str, body: bytes = b"", method: str = "POST", headers: Mapping[str, str] = PROTOCOL
) -> bytes:
    return kept_alive(path, body, method, {"Connection": "close", **headers})


def kept_alive(
    path: str, body: bytes = b"", method: str = "POST", headers: Mapping[str, str] = PROTOCOL
) -> bytes:
    """A request after which the connection stays open."""
    lines = [f"{method} {path} HTTP/1.1", "Host: x"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


class Server:
    """The program while it runs. `port` is where it listens."""

    def __init__(
        self,
        root: Path,
        process: Process | Forked,
        port: int,
        manager: ServiceManager,
        log: Path,
    ) -> None:
        self.root, self.process, self.port, self.manager = root, process, port, manager
        self._log = log

    @property
    def log(self) -> str:
        """What it said so far."""
        return self._log.read_text()

    async def connect(self, tls: ssl.SSLContext | None = None) -> "Line":
        name = None if tls is None else "localhost"
        streams = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=tls, server_hostname=name
        )
        return Line(*streams)

    async def send(self, raw: bytes, tls: ssl.SSLContext | None = None) -> Answered:
        """Send, and read all that comes until the end."""
        line = await self.connect(tls)
        line.writer.write(raw)
        with suppress(ConnectionError):
            await line.writer.drain()
        return await line.answer()

    async def ask(
        self, host: str = "h1", group: str = "default", *, headers: Mapping[str, str] | None = None
    ) -> Answered:
        sent = request(PRE_REBOOT, question(host, group), headers={**PROTOCOL, **(headers or {})})
        return await self.send(sent)

    async def give_back(self, host: str = "h1", group: str = "default") -> Answered:
        return await self.send(request(STEADY_STATE, question(host, group)))

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answered:
        return await self.send(request(path, method="GET", headers=headers or {}))

    async def reload(self) -> None:
        """Have it read its configuration, and wait until it did."""
        before = self.manager.heard.count("READY=1")
        self.process.send_signal(signal.SIGHUP)
        await self.manager.until(lambda _: self.manager.heard.count("READY=1") > before)

    async def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return await self.process.wait()


@dataclass
class Line:
    """One connection to it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def answer(self) -> Answered:
        """Read all that comes until the end."""
        raw = await self.reader.read(-1)
        self.writer.close()
        return parsed(raw)

    async def next_answer(self) -> Answered:
        """Read one answer; the connection stays open."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(parsed(head).headers["Content-Length"])
        return parsed(head + await self.reader.readexactly(length))

    async def wait_closed(self) -> None:
        """Wait until the server has hung up."""
        with suppress(ConnectionError):
            while await self.reader.read(65536):
                pass
        self.writer.close()


def heard_in(root: Path) -> ServiceManager:
    """Listen for what a server tells, in place of whoever did before."""
    (root / "notify").unlink(missing_ok=True)
    return ServiceManager(root)


@asynccontextmanager
async def serving(
    root: Path,
    text: str = "",
    *,
    listener: socket.socket | None = None,
    wrapper: Sequence[str] = (),
    until: str = "READY=1",
) -> AsyncIterator[Server]:
    """Run the server on loopback, by way of `wrapper`, until the block ends."""
    configure(root, text)
    given = listener or free_socket()
    log = root / "log"
    manager = heard_in(root)
    async with manager:
        env = {**os.environ, "NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "2000000"}
        options = ("--root", str(root), "--log-level", "debug")
        with given, log.open("wb") as said:
            process: Process | Forked
            if wrapper:
                process = await asyncio.create_subprocess_exec(
                    *(*wrapper, sys.executable, "-c", HAND_OVER, str(given.fileno()), *options),
                    cwd=ROOT,
                    env=env,
                    pass_fds=(given.fileno(),),
                    stderr=said,
                )
            else:
                fds = (0, 1, said.fileno(), given.fileno())
                process = await nursery(HANDED_OVER).fork(*options, env=env, fds=fds, cwd=str(ROOT))
            port = given.getsockname()[1]
        try:
            server = Server(root, process, port, manager, log)
            await manager.until(lambda one: one == until)
            yield server
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            await process.wait()
