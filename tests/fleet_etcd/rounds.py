"""Rounds of a fleet on two servers and three members of etcd, of which something always fails.

Everything is real: the members, a disk that is full, the program, the clients' connections; what is
cut are relays between members, in silence, and clients reach a leader that is cut off. What counts
is what clients were told. A client that has no answer asks another server, and knows nothing
meanwhile.
"""

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from random import Random
from typing import Final

import aiohttp

from tests.fakes.etcd import EtcdCluster, Member
from tests.lockd.program import Server, serving

SLOTS: Final = 3
UPDATES: Final = 2
ANSWER_S: Final = 8.0
HELD_S: Final = 0.3  # by a host, on average
PAUSE_S: Final = (2.0, 12.0)
BETWEEN_S: Final = 1.0
FAILURES: Final = (
    "leader killed",
    "leader stopped",
    "leader cut off",
    "majority killed",
    "disk full",
    "server killed",
    "server paused",
)
PROMISED_S: Final = 10
BACK_S: Final = (2, 5, PROMISED_S, 20)
PROBE: Final = "probe"


class BrokenPromiseError(AssertionError):
    """What was told and what is kept contradict each other."""


def on_etcd(etcd: EtcdCluster, slots: int = 1) -> str:
    """Configure a server."""
    urls = json.dumps([member.url for member in etcd.members])
    store = f'[store]\nkind = "etcd"\netcd_endpoints = {urls}\n'
    return f"{store}[groups.default]\nslots = {slots}\n"


class Round:
    """One cluster, two servers, and as many hosts as are wanted; from a seed.

    Who is paused is so for `pause_s`, 0: as long as anything else lasts.
    """

    def __init__(self, folder: Path, seed: int, hosts: int, pause_s: float = 0.0) -> None:
        self.folder, self.hosts, self.pause_s = folder, hosts, pause_s
        self.chance = Random(seed)  # noqa: S311 - repeatable
        self.told: set[str] = set()
        self.tally: Counter[str] = Counter()
        self.servers: list[Server] = []
        self.done = asyncio.Event()
        self.failure = ""

    async def run(self, failures: tuple[str, ...]) -> Counter[str]:
        """Let everything in `failures` happen once while all hosts update, and the rest be calm."""
        cluster = EtcdCluster(
            self.folder, breakable=bool({"leader cut off", "disk full"} & {*failures})
        )
        async with cluster as self.etcd, AsyncExitStack() as self.stack:
            for number in range(2):
                self.servers.append(await self.start(f"server{number}"))
            timeout = aiohttp.ClientTimeout(total=ANSWER_S)
            connector = aiohttp.TCPConnector(limit=0, force_close=True)
            async with aiohttp.ClientSession(timeout=timeout, connector=connector) as self.http:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self.fail(failures))
                    for number in range(self.hosts):
                        tasks.create_task(self.live(f"h{number}"))
                for number in range(self.hosts):
                    await self.returns(f"h{number}")
            if held := await self.etcd.names("/rebootmgr-lockd/g/default/h/"):
                raise BrokenPromiseError(f"{sorted(held)} hold slots, and all gave theirs back")
        return self.tally

    async def start(self, name: str) -> Server:
        home = self.folder / name
        home.mkdir(exist_ok=True)
        text = on_etcd(self.etcd, SLOTS)
        return await self.stack.enter_async_context(serving(home, text))

    async def fail(self, failures: tuple[str, ...]) -> None:
        """Bring each about, and mend it after a while."""
        for failure in failures:
            await self.passes(BETWEEN_S)
            self.tally[failure] += 1
            self.failure = failure
            span_s = self.chance.uniform(*PAUSE_S)
            match failure:
                case "leader killed":
                    dead = await self.etcd.kill_leader()
                    await self.is_back(span_s)
                    self.etcd.start(dead)
                case "leader stopped":
                    leader = await self.etcd.leader()
                    async with self.stopped(_pid(leader)):
                        await self.is_back(span_s)
                case "leader cut off":
                    await self.etcd.cut(await self.etcd.leader())
                    await self.is_back(span_s)
                    await self.etcd.mend()
                case "majority killed":
                    dead = await self.etcd.kill_leader()
                    other = next(one for one in self.etcd.members if one is not dead)
                    self.etcd.kill(other)
                    await self.passes(span_s)
                    self.etcd.start(other)
                    await self.etcd.until_healthy()
                    await self.is_back(0.0)
                    self.etcd.start(dead)
                case "disk full":
                    await self.fills_a_disk(span_s)
                case "server killed":
                    number = self.chance.randrange(2)
                    self.servers[number].process.kill()
                    await self.servers[number].process.wait()
                    await self.passes(span_s)
                    self.servers[number] = await self.start(f"server{number}-again")
                case _:
                    number = self.chance.randrange(2)
                    async with self.stopped(self.servers[number].process.pid):
                        await self.passes(self.pause_s or span_s)
            await self.etcd.until_healthy()
        self.done.set()

    async def fills_a_disk(self, span_s: float) -> None:
        """Leave a member no room, so that it ends, and give it back."""
        member = self.etcd.small
        if member is None:
            self.tally["no small disk"] += 1
            return
        self.etcd.fill(member)
        await self.is_back(span_s)
        assert member.process is not None
        ended = member.process.poll() is not None
        self.tally["member with a full disk ended" if ended else "member bore a full disk"] += 1
        self.etcd.clear(member)
        if ended:
            self.etcd.kill(member)
            self.etcd.start(member)

    async def is_back(self, span_s: float) -> None:
        """Note how long it takes until each server lends; let so much time pass at least."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.passes(span_s))
            for server in self.servers:
                tasks.create_task(self.lends(server))

    async def lends(self, server: Server) -> None:
        loop = asyncio.get_running_loop()
        since_s = loop.time()
        while await self.ask(PROBE, "steady-state", server) != 200:
            await self.passes(0.05)
        gone_s = loop.time() - since_s
        within = next((f"within {one} s" for one in BACK_S if gone_s <= one), "later")
        after = "" if gone_s <= PROMISED_S else f" after {self.failure}"
        self.tally[f"back {within}{after}"] += 1

    @asynccontextmanager
    async def stopped(self, pid: int) -> AsyncIterator[None]:
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    async def passes(self, span_s: float) -> None:
        """Let the hosts go on for a while."""
        with suppress(TimeoutError):
            async with asyncio.timeout(span_s):
                await asyncio.Event().wait()

    # The hosts

    async def ask(self, host: str, api: str, server: Server | None = None) -> int:
        """Ask some server, or this one; 0: no answer."""
        server = server or self.chance.choice(self.servers)
        body = json.dumps({"client_params": {"id": host, "group": "default"}})
        headers = {"fleet-lock-protocol": "true"}
        if self.chance.random() < 0.5:
            headers["Prefer"] = "wait=5"
        url = f"http://127.0.0.1:{server.port}/v1/{api}"
        try:
            async with self.http.post(url, data=body, headers=headers) as response:
                await response.read()
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            status = 0
        self.tally[f"{api} {status}"] += 1
        if (api, status) == ("pre-reboot", 200):
            self.told.add(host)
            if len(self.told) > SLOTS:
                raise BrokenPromiseError(f"{sorted(self.told)} all have one of {SLOTS} slots")
        if status == 423 and host in self.told:
            raise BrokenPromiseError(f"{host} was refused what it has")
        return status

    async def live(self, host: str) -> None:
        """Update until all that fails has failed, and a few times at least."""
        updates = 0
        while updates < UPDATES or not self.done.is_set():
            while await self.ask(host, "pre-reboot") != 200:
                await self.passes(self.chance.uniform(0.05, 1.0))
            await self.passes(self.chance.expovariate(1 / HELD_S))
            if self.chance.random() < 0.2:
                await self.ask(host, "pre-reboot")
            held = await self.etcd.names("/rebootmgr-lockd/g/default/h/") if updates == 0 else ()
            if updates == 0 and held is not None and host not in held:
                raise BrokenPromiseError(f"{host} is forgotten: {held}")
            await self.returns(host)
            updates += 1

    async def returns(self, host: str) -> None:
        self.told.discard(host)
        while await self.ask(host, "steady-state") != 200:
            await self.passes(self.chance.uniform(0.05, 0.5))


def _pid(member: Member) -> int:
    assert member.process is not None
    return member.process.pid
