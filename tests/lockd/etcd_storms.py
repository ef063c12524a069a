"""A fleet and several servers on one etcd, in virtual time, while everything between them fails.

What counts is what the hosts were told: `told` are those that hold a slot as far as they know.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Final

from rebootmgr.lending.questions import (
    Answer,
    Granted,
    PreReboot,
    Question,
    Refused,
    Returned,
    SteadyState,
    Unavailable,
)
from rebootmgr.lending.terms import Rules, Terms
from rebootmgr.lockd.lender import Lender
from rebootmgr.lockd.stores.etcd import EtcdStore
from tests.lockd.virtual_etcd import Etcd, Line
from tests.lockd.virtual_time import passed, run_in_no_time

PREFIX: Final = "/rebootmgr-lockd/"
GROUP: Final = "default"
HOSTS: Final = 6
UPDATES: Final = 3
SLOTS: Final = 2
SERVERS: Final = 2
STORM_S: Final = 120.0
PATIENCE_S: Final = 10.0
LONG_S: Final = 40.0
HOURS_S: Final = 7200.0
FAILURES: Final = ("storm", "cut", "pause", "break", "silent", "compact", "kill")
CALM_S: Final = 4 * 3600.0


class BrokenPromiseError(AssertionError):
    """What was told and what is kept contradict each other."""


@dataclass
class Server:
    """One instance; another life of it has a new lender and a new line."""

    line: Line
    lender: Lender
    running: "asyncio.Task[None]"


@dataclass
class Storm:
    """One seed, and what came of it."""

    seed: int
    etcd: Etcd = field(default_factory=Etcd)
    told: set[str] = field(default_factory=set)
    since: dict[str, float] = field(default_factory=dict)
    tally: Counter[str] = field(default_factory=Counter)
    servers: list[Server] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = Random(self.seed)  # noqa: S311 - repeatable
        self.nonces = count(1)
        self.etcd.changed = self.look

    # What must hold

    def look(self) -> None:
        """See after each change that nobody is forgotten, and that no slot too many is lent."""
        prefix = f"{PREFIX}g/{GROUP}/h/"
        now_s = asyncio.get_running_loop().time()
        holders = self.etcd.keys(prefix)
        self.since = {host: self.since.get(host, now_s) for host in holders}
        if forgotten := self.told - holders:
            self.breaks(f"forgotten: {sorted(forgotten)}")
        if len(holders) > SLOTS:
            self.breaks(f"{sorted(holders)} hold {SLOTS} slots")

    def hears(self, host: str, answer: Answer, asked_s: float) -> None:
        """Take down what a host was told."""
        self.tally[type(answer).__name__] += 1
        match answer:
            case Granted():
                self.told.add(host)
                if host not in self.since:
                    self.breaks(f"{host} was told of a slot that nobody wrote down")
                if len(self.told) > SLOTS:
                    self.breaks(f"{sorted(self.told)} all have one of {SLOTS} slots")
            case Refused():
                if host in self.told:
                    self.breaks(f"{host} was refused what it has")
                if self.since.get(host, asked_s) < asked_s:
                    self.breaks(f"{host} was refused, and held a slot before it asked")
            case Returned():
                if self.since.get(host, asked_s) < asked_s:
                    self.breaks(f"{host} was told that it holds nothing, and does")
            case _:
                pass

    def breaks(self, why: str) -> None:
        raise BrokenPromiseError(f"seed {self.seed}: {why}")

    # The servers

    def start(self, tasks: asyncio.TaskGroup) -> Server:
        line = Line(self.etcd, Random(self.chance.random()))  # noqa: S311
        store = EtcdStore(line, PREFIX, lambda: f"n{next(self.nonces)}")
        lender = Lender(store, Rules(groups={GROUP: Terms(slots=SLOTS)}))
        return Server(line, lender, tasks.create_task(lender.run()))

    async def kill(self, number: int, tasks: asyncio.TaskGroup) -> None:
        """End it between two moments; what it had sent may or may not have come through."""
        old = self.servers[number]
        old.line.dead = True
        old.running.cancel()
        self.servers[number] = self.start(tasks)

    async def rage(self, tasks: asyncio.TaskGroup) -> None:
        """Let one thing after the other go wrong, then nothing any more."""
        loop = asyncio.get_running_loop()
        while loop.time() < STORM_S:
            await passed(self.chance.expovariate(1 / 4.0))
            number = self.chance.randrange(SERVERS)
            line = self.servers[number].line
            what = self.chance.choice(FAILURES)
            self.tally[what] += 1
            match what:
                case "storm":
                    line.storm_until_s = loop.time() + self.chance.uniform(1.0, 20.0)
                    line.storm = self.chance.uniform(0.1, 0.6)
                case "cut":
                    line.cut_until_s = loop.time() + self.chance.uniform(1.0, 20.0)
                case "pause":
                    line.awake.clear()
                    loop.call_later(self.chance.uniform(1.0, 60.0), line.awake.set)
                case "break":
                    line.broken += 1
                case "silent":
                    line.silent_until_s = loop.time() + self.chance.uniform(1.0, 60.0)
                case "compact":
                    self.etcd.compact()
                case _:
                    await self.kill(number, tasks)

    # The hosts

    async def ask(self, host: str, question: Question) -> Answer:
        """Ask some server, and hang up if it takes too long."""
        server = self.chance.choice(self.servers)
        asked_s = asyncio.get_running_loop().time()
        answer: Answer = Unavailable()
        try:
            async with asyncio.timeout(self.chance.choice((0.005, PATIENCE_S, LONG_S, LONG_S))):
                await server.line.awake.wait()
                answer = await server.lender.ask(question)
                await server.line.awake.wait()
        except TimeoutError:
            self.tally["hung up"] += 1
            return Unavailable()
        if server.line.dead:
            return Unavailable()
        self.hears(host, answer, asked_s)
        return answer

    async def live(self, host: str) -> None:
        """Update a few times."""
        for _ in range(UPDATES):
            await passed(self.chance.uniform(0.0, 30.0))
            if not await self.holds(host):
                continue
            while self.chance.random() < 0.5:  # its agent was restarted, and asks again
                await passed(self.chance.choice((0.0, self.chance.expovariate(1 / 5.0))))
                await self.ask(host, PreReboot(GROUP, host))
            await passed(self.chance.expovariate(1 / 5.0))
            await self.returns(host)

    async def holds(self, host: str) -> bool:
        while True:
            wait_s = self.chance.choice((0.0, 0.0, 20.0))
            match await self.ask(host, PreReboot(GROUP, host, wait_s=wait_s)):
                case Granted():
                    return True
                case Refused(retry_after_s=retry_s):
                    if self.chance.random() < 0.1:  # its update went away
                        return False
                    await passed(min(retry_s, self.chance.uniform(1.0, 20.0)))
                case _:
                    if self.chance.random() < 0.3:
                        await self.returns(host)
                        return False
                    await passed(self.chance.uniform(0.1, 5.0))

    async def returns(self, host: str) -> None:
        self.told.discard(host)
        while not isinstance(await self.ask(host, SteadyState(GROUP, host)), Returned):
            await passed(self.chance.uniform(0.1, 5.0))

    async def pass_by(self) -> None:
        async with asyncio.timeout(CALM_S), asyncio.TaskGroup() as tasks:
            self.servers = [self.start(tasks) for _ in range(SERVERS)]
            async with asyncio.TaskGroup() as lives:
                lives.create_task(self.rage(tasks))
                for number in range(HOSTS):
                    lives.create_task(self.live(f"h{number}"))
            for number in range(HOSTS):  # whom nobody told of a slot has none after this
                await self.returns(f"h{number}")
            if held := self.etcd.keys(f"{PREFIX}g/{GROUP}/h/"):
                self.breaks(f"{sorted(held)} hold slots, and all gave theirs back")
            for server in self.servers:
                server.running.cancel()


def live_through(seed: int) -> Counter[str]:
    """Live through one storm; BrokenPromiseError."""
    storm = Storm(seed)
    run_in_no_time(storm.pass_by())
    return storm.tally


def wait_at_one_server(hours: int) -> Counter[str]:
    """Let a host wait for long that asks one of two servers only; its answers, and its places."""
    return run_in_no_time(_wait_at_one_server(hours))


async def _wait_at_one_server(hours: int) -> Counter[str]:
    storm, seen = Storm(0), Counter[str]()
    async with asyncio.TaskGroup() as tasks:
        storm.servers = [storm.start(tasks) for _ in range(SERVERS)]
        for number in range(SLOTS):
            assert await storm.holds(f"h{number}")
        one, other = storm.servers
        for _ in range(hours):
            answer = await one.lender.ask(PreReboot(GROUP, "patient"))
            seen[type(answer).__name__] += 1
            await passed(3600.0)
            for server in (one, other):
                [entry] = server.lender.fleet.group(GROUP).queue
                seen[f"ticket {entry.ticket}"] += 1
        for server in storm.servers:
            server.running.cancel()
    return seen


def hear(happens: Callable[[Server, Etcd], None], then: Callable[[Etcd], None]) -> list[str]:
    """Have one server lend to a host after something `happens` to the other; `then` on etcd, too.

    Who has a slot as the other knows by itself, some minutes later, and its trouble last.
    """
    return run_in_no_time(_hear(happens, then))


async def _hear(happens: Callable[[Server, Etcd], None], then: Callable[[Etcd], None]) -> list[str]:
    storm = Storm(0)
    async with asyncio.timeout(CALM_S), asyncio.TaskGroup() as tasks:
        storm.servers = [storm.start(tasks) for _ in range(SERVERS)]
        assert await storm.holds("h0")
        one, other = storm.servers
        await passed(1.0)
        happens(other, storm.etcd)
        assert isinstance(await one.lender.ask(PreReboot(GROUP, "h1")), Granted)
        then(storm.etcd)
        await passed(120.0)
        found = [*sorted(other.lender.fleet.group(GROUP).holders), other.lender.trouble]
        for server in storm.servers:
            server.running.cancel()
    return found


def ask_the_other_at_once(*, silent: bool) -> list[Answer]:
    """Have one server lend to a host that waits, which asks the other in that very moment.

    The other, which knows that it waits, may be told `silent`ly: not at all. What it answered until
    it said that the host has a slot.
    """
    return run_in_no_time(_ask_the_other(silent=silent))


async def _ask_the_other(*, silent: bool) -> list[Answer]:
    storm = Storm(0)
    async with asyncio.timeout(CALM_S), asyncio.TaskGroup() as tasks:
        storm.servers = [storm.start(tasks) for _ in range(SERVERS)]
        for number in range(SLOTS):
            assert await storm.holds(f"h{number}")
        one, other = storm.servers
        for server in (one, other):
            assert isinstance(await server.lender.ask(PreReboot(GROUP, "h")), Refused)
        if silent:
            other.line.silent_until_s = HOURS_S
        storm.told.discard("h0")
        assert isinstance(await one.lender.ask(SteadyState(GROUP, "h0")), Returned)
        assert isinstance(await one.lender.ask(PreReboot(GROUP, "h")), Granted)
        answers: list[Answer] = []
        while not answers or not isinstance(answers[-1], Granted):
            answers.append(await other.lender.ask(PreReboot(GROUP, "h")))
            await passed(1.0)
        for server in storm.servers:
            server.running.cancel()
    return answers


def put_back_while_lending(put_back: Callable[[Etcd, Etcd], None]) -> list[str]:
    """Restore a snapshot from before a grant below two servers that know better.

    Gives the trouble of each, once it has it; until then they are asked for slots.
    """
    return run_in_no_time(_put_back(put_back))


async def _put_back(put_back: Callable[[Etcd, Etcd], None]) -> list[str]:
    storm = Storm(0)
    async with asyncio.timeout(CALM_S), asyncio.TaskGroup() as tasks:
        storm.servers = [storm.start(tasks) for _ in range(SERVERS)]
        assert await storm.holds("h0")
        yesterday = storm.etcd.snapshot()
        for number in range(1, SLOTS):
            assert await storm.holds(f"h{number}")
        await passed(HOURS_S)
        storm.etcd.changed = lambda: None  # of what is forgotten now, nobody but us can tell
        put_back(storm.etcd, yesterday)
        said = []
        for server in storm.servers:
            while not server.lender.trouble:
                answer = await server.lender.ask(PreReboot(GROUP, "another"))
                assert not isinstance(answer, Granted)
                await passed(0.1)
            said.append(server.lender.trouble)
        for server in storm.servers:
            answer = await server.lender.ask(PreReboot(GROUP, "another"))
            assert answer == Unavailable()
            server.running.cancel()
    return said
