"""Who hangs up, or has to go: real connections, real HTTP, a real file; some of it at our pace."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from rebootmgr.lending.history import Happened
from rebootmgr.lending.questions import Change
from rebootmgr.lending.terms import Rules, Terms
from rebootmgr.lockd.http.entrance import Entrance
from rebootmgr.lockd.http.guest import Reception
from rebootmgr.lockd.http.pages import Pages
from rebootmgr.lockd.http.seats import Seats
from rebootmgr.lockd.lender import Lender
from rebootmgr.lockd.stores.sqlite import SqliteStore
from rebootmgr.lockd.watch import Watch
from tests.lockd.program import PRE_REBOOT, Line, free_socket, question, request


class Stuck(SqliteStore):
    """Writes only while `goes_on` is set; `begun` tells of a write that waits for that."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.goes_on, self.begun = asyncio.Event(), asyncio.Event()
        self.goes_on.set()

    async def write(self, changes: tuple[Change, ...], happened: tuple[Happened, ...] = ()) -> None:
        self.begun.set()
        await self.goes_on.wait()
        await super().write(changes, happened)


@dataclass
class Place:
    """A server within the test."""

    store: Stuck
    lender: Lender
    seats: Seats
    port: int

    async def ask(self, host: str) -> Line:
        """Ask; the answer is not waited for."""
        line = Line(*await asyncio.open_connection("127.0.0.1", self.port))
        line.writer.write(request(PRE_REBOOT, question(host)))
        return line

    async def until_asking(self, number: int) -> None:
        """Wait until so many wait for an answer."""
        while self.seats.asking != number:
            await asyncio.to_thread(int)

    @property
    def lent(self) -> set[str]:
        return set(self.lender.fleet.group("default").holders)


@asynccontextmanager
async def serving(root: Path, *, most: int = 256) -> AsyncIterator[Place]:
    store = Stuck(root / "lockd.sqlite")
    lender = Lender(store, Rules(groups={"default": Terms(slots=3)}))
    seats = Seats(most)
    pages = Pages(lender.ask, Watch(lender), seats)
    entrance = Entrance(Reception(pages.answer, pages.respond, seats), lambda: None)
    with free_socket() as listener:
        listener.setblocking(False)  # noqa: FBT003 - positional only
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(one) for one in (lender.run(), entrance.open(listener))]
            while lender.trouble:
                await asyncio.to_thread(int)
            yield Place(store, lender, seats, listener.getsockname()[1])
            store.goes_on.set()
            seats.close()
            for task in running:
                task.cancel()


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with serving(tmp_path) as made:
        yield made


async def test_a_question_whose_client_hangs_up_before_its_write_begins_grants_nothing(
    place: Place, tmp_path: Path
) -> None:
    place.store.goes_on.clear()
    first = await place.ask("first")
    await place.store.begun.wait()
    gone, stays = await place.ask("gone"), await place.ask("stays")
    await place.until_asking(3)
    gone.writer.close()
    await place.until_asking(2)
    place.store.goes_on.set()
    assert [(await line.answer()).status for line in (first, stays)] == [200, 200]
    assert place.lent == {"first", "stays"}
    with closing(sqlite3.connect(tmp_path / "copy.sqlite")) as copy:
        await place.lender.backup(tmp_path / "backup.sqlite")
        copy.execute("ATTACH ? AS backup", (str(tmp_path / "backup.sqlite"),))
        rows = copy.execute("SELECT id FROM backup.holders").fetchall()
    assert {host for (host,) in rows} == {"first", "stays"}


async def test_a_question_whose_client_hangs_up_while_it_is_written_is_a_lost_answer(
    place: Place,
) -> None:
    place.store.goes_on.clear()
    gone = await place.ask("gone")
    await place.store.begun.wait()
    gone.writer.close()
    await place.until_asking(0)
    place.store.goes_on.set()
    again = await (await place.ask("gone")).answer()
    assert (again.status, again.value) == (200, "a slot is yours already")
    assert place.lent == {"gone"}


async def test_whoever_hangs_up_on_a_store_that_is_stuck_leaves_nothing_behind(
    place: Place,
) -> None:
    place.store.goes_on.clear()
    first = await place.ask("first")
    await place.store.begun.wait()
    for number in range(300):
        line = await place.ask(f"h{number}")
        await place.until_asking(2)
        line.writer.close()
        await place.until_asking(1)
    assert place.seats.taken == 1
    place.store.goes_on.set()
    assert (await first.answer()).status == 200
    assert place.lent == {"first"}
    assert not place.lender.fleet.group("default").queue


async def test_where_there_is_no_room_whoever_sends_its_body_slowly_goes_without_a_word(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, most=1) as place:
        slow = Line(*await asyncio.open_connection("127.0.0.1", place.port))
        slow.writer.write(request(PRE_REBOOT, question("slow"))[:-5])
        while not place.seats.taken:
            await asyncio.to_thread(int)
        assert (await (await place.ask("first")).answer()).status == 200
        assert await slow.reader.read(-1) == b""
        slow.writer.close()
