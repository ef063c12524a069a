"""Servers that are killed under load, and what their clients were told and found on disk.

The server is the program, and speaks HTTP. No client waits for anything but its answer: it asks,
and if it was granted, it gives back at once or later, in this life of the server or in another.
What counts is what it was told.
"""

import asyncio
import os
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from http import HTTPStatus
from pathlib import Path
from typing import Final

from tests.fakes.nursery import nursery
from tests.lockd.program import (
    HANDED_OVER,
    PRE_REBOOT,
    PROTOCOL,
    STEADY_STATE,
    Line,
    configure,
    free_socket,
    kept_alive,
    question,
)

HOSTS: Final = 50
SLOTS: Final = 5
MOST_ANSWERS: Final = 250
LONGEST_START_S: Final = 0.1
MOST_SHUT: Final = 20_000
EVENTS: Final = ("granted", "returned", "refused", "no answer", "hung up")
_GONE: Final = (ConnectionError, asyncio.IncompleteReadError)


class BrokenPromiseError(AssertionError):
    """What was told, and what is on disk, contradict each other."""


class Kills:
    """One store through many lives of its server; `told` hold a slot as far as they know."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.chance = folder, random.Random(seed)  # noqa: S311 - repeatable
        self.told: set[str] = set()
        self.left, self.port, self.later_s = 0, 0, 0.0
        self.shut = 0
        self.kill: Callable[[], None] = lambda: None
        self.killing: asyncio.TimerHandle | None = None
        self.tally: Counter[str] = Counter()

    async def run(self, lives: int, *, each: int = 0) -> Counter[str]:
        """Let the server live and die so often, and until each event came `each` times.

        Gives what happened, and how often it was killed.
        """
        configure(self.folder, f"[groups.default]\nslots = {SLOTS}\n")
        while self.tally["kills"] < lives or any(self.tally[one] < each for one in EVENTS):
            async with self.server():
                await self.live()
                self.tally["kills"] += 1
                self.look_at_the_disk()
        return self.tally

    @asynccontextmanager
    async def server(self) -> AsyncIterator[None]:
        """Start it; in the end it is dead."""
        env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        options = ("--root", str(self.folder))
        with free_socket() as listener, (self.folder / "log").open("ab") as log:
            self.port = listener.getsockname()[1]
            fds = (0, 1, log.fileno(), listener.fileno())
            process = await nursery(HANDED_OVER).fork(*options, env=env, fds=fds)
        self.kill = process.kill
        try:
            yield
        finally:
            process.kill()
            await process.wait()

    async def live(self) -> None:
        """Ask until the server is dead: while it starts, or soon after so many answers."""
        self.shut = 0
        self.left = self.chance.choice([0, self.chance.randrange(1, MOST_ANSWERS)])
        self.later_s = self.chance.uniform(0.0, 0.003 if self.left else LONGEST_START_S)
        if not self.left:
            self.end()
        async with asyncio.TaskGroup() as tasks:
            for number in range(HOSTS):
                tasks.create_task(self.be(f"h{number}"))
        if self.killing is not None:
            self.killing.cancel()
        self.kill()  # all may have hung up before; it is not waited for yet

    def end(self) -> None:
        """Kill it in a moment."""
        loop = asyncio.get_running_loop()
        self.killing = loop.call_later(self.later_s, self.kill)

    async def be(self, host: str) -> None:
        """One host, until the server is gone."""
        try:
            line = Line(*await asyncio.open_connection("127.0.0.1", self.port))
        except OSError:
            return
        try:
            while await self.goes_on(host, line):
                pass
        finally:
            line.writer.close()

    async def goes_on(self, host: str, line: Line) -> bool:
        """Say one thing and hear the answer; not if it hangs up, or the server is gone."""
        gives_back = host in self.told and self.chance.random() < 0.7
        if gives_back:
            self.told.remove(host)
        waits = {"Prefer": "wait=1"} if self.chance.random() < 0.3 else {}
        path = STEADY_STATE if gives_back else PRE_REBOOT
        line.writer.write(kept_alive(path, question(host), headers=PROTOCOL | waits))
        if self.chance.random() < 0.02:
            self.tally["hung up"] += 1
            return False
        try:
            status = (await line.next_answer()).status
        except _GONE:
            self.tally["no answer"] += 1
            return False
        self.tally[_event(status, gives_back=gives_back)] += 1
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            self.shut += 1
            if self.shut > MOST_SHUT:
                log = (self.folder / "log").read_text("utf-8", "replace")
                raise BrokenPromiseError(f"it does not open its store: {log[-2000:]}")
        else:
            self.left -= 1
            if self.left == 0:
                self.end()
        if status == HTTPStatus.OK and not gives_back:
            self.told.add(host)
            if len(self.told) > SLOTS:
                raise BrokenPromiseError(f"{sorted(self.told)} all have one of {SLOTS} slots")
        return True

    def look_at_the_disk(self) -> None:
        """See that nothing granted is forgotten, on a copy: the next life finds it as it was."""
        store = self.folder / "var/lib/rebootmgr-lockd/lockd.sqlite"
        copy = self.folder / "copy.sqlite"
        for suffix in ("", "-wal"):
            found = store.with_name(store.name + suffix)
            copy.with_name(copy.name + suffix).unlink(missing_ok=True)
            if found.exists():
                shutil.copy(found, copy.with_name(copy.name + suffix))
        with closing(sqlite3.connect(copy)) as database:
            tables = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
            rows = database.execute("SELECT id FROM holders").fetchall() if tables[0] else []
        holders = {host for (host,) in rows}
        if not self.told <= holders:
            raise BrokenPromiseError(f"forgotten: {sorted(self.told - holders)}")
        if len(holders) > SLOTS:
            raise BrokenPromiseError(f"{sorted(holders)} hold {SLOTS} slots")


def _event(status: int, *, gives_back: bool) -> str:
    match status:
        case HTTPStatus.OK:
            return "returned" if gives_back else "granted"
        case HTTPStatus.LOCKED:
            return "refused"
        case HTTPStatus.SERVICE_UNAVAILABLE:
            return "store unavailable"
        case _:
            raise BrokenPromiseError(f"answered {status}")
