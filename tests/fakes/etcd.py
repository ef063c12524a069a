"""A real etcd of three members on loopback, and its JSON gateway (etcd 3.4, /v3/kv).

`async with EtcdCluster(tmp_path) as etcd:` starts it; `await etcd.kill_leader()` and
`etcd.start(member)` are a crash and a recovery. Members die with the test, whatever happens.
With `breakable=True` it can be cut off from the others, too, and the last one has a small disk of
its own, where a namespace may be made for that.
"""

import asyncio
import base64
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import aiohttp

from tests.waiting import telling

ROOT: Final = Path(__file__).parent.parent.parent
FETCHED: Final = ROOT / ".venv/etcd/usr/bin/etcd"
ASK_AGAIN_S: Final = 0.1
REQUEST: Final = aiohttp.ClientTimeout(total=3.0, sock_connect=1.0)  # airlock's 3 s
NAMESPACE: Final = ("unshare", "--map-root-user", "--mount")
DISK_MB: Final = 160  # etcd keeps two times 64 MB free for its log
FILLED_AT_ONCE: Final = 4096
Json = dict[str, Any]


class Unavailable(Exception):  # noqa: N818 - a state of the cluster
    """No member did it. Of a write this means that it may have been done."""


def find_etcd() -> str:
    """Find the server: on PATH or where packaging/prepare has put it; "" where there is none."""
    return shutil.which("etcd") or (str(FETCHED) if FETCHED.exists() else "")


@dataclass
class Member:
    """One server."""

    name: str
    client_port: int
    peer_port: int
    listens: int = 0  # behind what is between it and the others; 0: nothing is
    process: subprocess.Popen[bytes] | None = None
    disk: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.client_port}"

    @property
    def peer_url(self) -> str:
        """Where the others reach it."""
        return f"http://127.0.0.1:{self.peer_port}"


@dataclass
class EtcdCluster:
    """Three members; the calls try one after the other until one answers."""

    home: Path
    members: list[Member] = field(default_factory=list)
    breakable: bool = False
    _links: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> Self:
        ports = _free_ports(9)
        self.members = [Member(f"m{i}", ports[3 * i], ports[3 * i + 1]) for i in range(3)]
        if self.breakable:
            for member, port in zip(self.members, ports[2::3], strict=True):
                member.listens = port
        self._http = aiohttp.ClientSession(timeout=REQUEST)
        try:
            if self.breakable:
                await self._make_breakable()
            for member in self.members:
                self.start(member)
            await self.until_healthy()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        for member in self.members:
            self.kill(member)
            if member.disk is not None:
                member.disk.kill()
                member.disk.communicate()
        if self._links is not None:
            self._links.kill()
            self._links.communicate()
        await self._http.close()

    def start(self, member: Member) -> None:
        """Start it, or start it again with the data that it has."""
        peers = ",".join(f"{one.name}={one.peer_url}" for one in self.members)
        with (self.home / f"{member.name}.log").open("ab") as log:
            member.process = subprocess.Popen(
                [
                    *(() if member.disk is None else _within(member.disk.pid)),
                    *("setpriv", "--pdeathsig", "KILL", find_etcd()),
                    *("--name", member.name, "--data-dir", str(self.home / member.name)),
                    *("--listen-client-urls", member.url, "--advertise-client-urls", member.url),
                    *(
                        "--listen-peer-urls",
                        f"http://127.0.0.1:{member.listens or member.peer_port}",
                    ),
                    *("--initial-advertise-peer-urls", member.peer_url),
                    *("--initial-cluster", peers, "--initial-cluster-state", "new"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"]},  # etcd takes any setting from the environment
            )

    def kill(self, member: Member) -> None:
        """SIGKILL, if it runs."""
        if member.process is not None:
            member.process.kill()
            member.process.wait()
            member.process = None

    async def kill_leader(self) -> Member:
        """SIGKILL the member that leads; it."""
        leader = await self.leader()
        self.kill(leader)
        return leader

    # What breaks only where it is `breakable`

    async def cut(self, member: Member) -> None:
        """Let nothing through from it to the others, and back; clients reach it."""
        status = await self._ask(member, "maintenance/status", {})
        await self._tell_links(f"cut {int(status['header']['member_id']):x} {member.peer_port}")

    async def mend(self) -> None:
        """Let everything through again."""
        await self._tell_links("mend")

    @property
    def small(self) -> Member | None:
        """The member that has a small disk."""
        return next((member for member in self.members if member.disk is not None), None)

    def fill(self, member: Member) -> None:
        """Leave no room on its disk."""
        with suppress(OSError), self._filler(member).open("wb", buffering=0) as file:
            while True:
                file.write(bytes(FILLED_AT_ONCE))

    def clear(self, member: Member) -> None:
        """Make room again."""
        self._filler(member).unlink()

    def _filler(self, member: Member) -> Path:
        assert member.disk is not None
        home = (self.home / member.name).resolve().relative_to("/")
        return Path(f"/proc/{member.disk.pid}/root") / home / "filler"

    async def _make_breakable(self) -> None:
        self._links = self._start_links()
        last = self.members[-1]
        home = self.home / last.name
        home.mkdir(mode=0o700)
        disk = _mount_small(home)
        if await asyncio.to_thread(_line_of, disk) == "ready":
            last.disk = disk
        else:
            disk.communicate()
        await asyncio.to_thread(_line_of, self._links)

    def _start_links(self) -> subprocess.Popen[bytes]:
        pairs = [f"{member.peer_port}:{member.listens}" for member in self.members]
        return subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.etcd_links", *pairs],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )

    async def _tell_links(self, line: str) -> None:
        assert self._links is not None
        assert self._links.stdin is not None
        self._links.stdin.write(f"{line}\n".encode())
        self._links.stdin.flush()
        await asyncio.to_thread(_line_of, self._links)

    async def leader(self) -> Member:
        """Find the member that leads."""
        status = await self._call("maintenance/status", {})
        for member in self.members:
            if member.process is not None:
                own = await self._ask(member, "maintenance/status", {})
                if own["header"]["member_id"] == status["leader"]:
                    return member
        raise AssertionError(f"nobody leads: {status}")

    async def names(self, prefix: str) -> set[str] | None:
        """Name the keys below a prefix, without it; None: no member says."""
        end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        asked = {"key": _encode(prefix), "range_end": _encode(end), "keys_only": True}
        try:
            answer = await self._call("kv/range", asked)
        except Unavailable:
            return None
        keys = (base64.b64decode(one["key"]).decode() for one in answer.get("kvs", ()))
        return {key.removeprefix(prefix) for key in keys}

    async def until_healthy(self) -> None:
        """Wait until every member that runs answers a linearizable read."""
        for member in self.members:
            with telling(lambda: f"{member.name} is not healthy"):  # noqa: B023 - called in here
                while member.process is not None and not await self._is_healthy(member):
                    with suppress(TimeoutError):
                        async with asyncio.timeout(ASK_AGAIN_S):
                            await asyncio.Event().wait()

    async def read(self, key: str) -> tuple[str | None, int]:
        """Read the value of `key` and its version; None and 0 where there is none."""
        answer = await self._call("kv/range", {"key": _encode(key)})
        for found in answer.get("kvs", ()):
            return base64.b64decode(found["value"]).decode(), int(found["version"])
        return None, 0

    async def write(self, key: str, value: str, *, version: int) -> bool:
        """Write `value` if `key` has that version still; whether it had."""
        compare = {
            "key": _encode(key), "target": "VERSION", "result": "EQUAL", "version": str(version),
        }  # fmt: skip
        put = {"requestPut": {"key": _encode(key), "value": _encode(value)}}
        answer = await self._call("kv/txn", {"compare": [compare], "success": [put]})
        return bool(answer.get("succeeded", False))

    async def _is_healthy(self, member: Member) -> bool:
        try:
            await self._ask(member, "kv/range", {"key": _encode("health")})
        except (aiohttp.ClientError, TimeoutError):
            return False
        return True

    async def _call(self, what: str, body: Json) -> Json:
        """Ask any member; the next one only if this one surely did nothing."""
        for member in self.members:
            try:
                return await self._ask(member, what, body)
            except aiohttp.ClientConnectorError:
                continue
            except (aiohttp.ClientError, TimeoutError) as error:
                raise Unavailable(repr(error)) from error
        raise Unavailable("no member can be reached")

    async def _ask(self, member: Member, what: str, body: Json) -> Json:
        async with self._http.post(f"{member.url}/v3/{what}", data=json.dumps(body)) as response:
            response.raise_for_status()
            answer: Json = await response.json(content_type=None)
            return answer


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode("ascii")


def _free_ports(number: int) -> Sequence[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    try:
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _within(pid: int) -> tuple[str, ...]:
    return ("nsenter", "--target", str(pid), "--user", "--mount", "--preserve-credentials")


def _line_of(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().decode().strip()


def _mount_small(home: Path) -> subprocess.Popen[bytes]:
    """Keep a namespace in which there is a small disk; it says when that is so."""
    mount = f'mount -t tmpfs -o size={DISK_MB}m,mode=0700 none "$0" && echo ready && exec cat'
    return subprocess.Popen(
        [*NAMESPACE, "sh", "-c", mount, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
