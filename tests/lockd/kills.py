"""Servers that are killed under load, and what their clients were told and found on disk.

No client waits for anything but its answer: it asks, and if it was granted, it gives back at once
or later, in this life of the server or in another. What counts is what it was told.
"""

import asyncio
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Final

HOSTS: Final = 50
SLOTS: Final = 5
MOST_ANSWERS: Final = 400
LONGEST_START_S: Final = 0.1


class BrokenPromiseError(AssertionError):
    """What was told, and what is on disk, contradict each other."""


class Kills:
    """One store through many lives of its server; `told` hold a slot as far as they know."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.chance = folder, random.Random(seed)  # noqa: S311 - repeatable
        self.told: set[str] = set()
        self.left, self.pid, self.later_s = 0, 0, 0.0
        self.killing: asyncio.TimerHandle | None = None
        self.tally: Counter[str] = Counter()

    async def run(self, lives: int) -> Counter[str]:
        """Let the server live and die; what was told on the way."""
        nursery = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.lockd.nursery", str(SLOTS),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert nursery.stdin is not None
        assert nursery.stdout is not None
        try:
            for _ in range(lives):
                nursery.stdin.write(f"{self.folder}/lockd.sqlite {self.folder}/socket\n".encode())
                pid = int(await nursery.stdout.readline())
                await self.live(pid)
                self.look_at_the_disk()
        finally:
            nursery.stdin.close()
            await nursery.wait()
        return self.tally

    async def live(self, pid: int) -> None:
        """Ask until the server is dead: while it starts, or soon after so many answers."""
        self.pid = pid
        self.left = self.chance.choice([0, self.chance.randrange(1, MOST_ANSWERS)])
        self.later_s = self.chance.uniform(0.0, 0.003 if self.left else LONGEST_START_S)
        if not self.left:
            self.end()
        async with asyncio.TaskGroup() as tasks:
            for number in range(HOSTS):
                tasks.create_task(self.be(f"h{number}"))
        if self.killing is not None:
            self.killing.cancel()
        os.kill(pid, signal.SIGKILL)  # all may have hung up before; it is not waited for yet

    def end(self) -> None:
        """Kill it in a moment."""
        loop = asyncio.get_running_loop()
        self.killing = loop.call_later(self.later_s, os.kill, self.pid, signal.SIGKILL)

    async def be(self, host: str) -> None:
        """One host, until the server is gone."""
        try:
            reader, writer = await asyncio.open_unix_connection(f"{self.folder}/socket")
        except OSError:
            return
        try:
            while await self.goes_on(host, reader, writer):
                pass
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def goes_on(
        self, host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Say one thing and hear the answer; not if it hangs up, or the server is gone."""
        gives_back = host in self.told and self.chance.random() < 0.7
        if gives_back:
            self.told.remove(host)
        held_s = self.chance.choice([0.0, 0.0, 0.05])
        asked = {"wants": not gives_back, "id": host, "wait_s": held_s}
        writer.write(json.dumps(asked).encode() + b"\n")
        if self.chance.random() < 0.02:
            self.tally["hung up"] += 1
            return False
        answer = (await reader.readline()).decode().strip()
        self.tally[answer or "no answer"] += 1
        if answer not in {"", "Unavailable"}:
            self.left -= 1
            if self.left == 0:
                self.end()
        if answer == "Granted":
            self.told.add(host)
            if len(self.told) > SLOTS:
                raise BrokenPromiseError(f"{sorted(self.told)} all have one of {SLOTS} slots")
        return bool(answer)

    def look_at_the_disk(self) -> None:
        """See that nothing granted is forgotten, on a copy: the next life finds it as it was."""
        copy = self.folder / "copy.sqlite"
        for suffix in ("", "-wal"):
            found = self.folder / f"lockd.sqlite{suffix}"
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
