"""The lender on a real store: what is told, what is on disk, and what happens at the ends."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from rebootmgr.lending.history import Happened
from rebootmgr.lending.questions import (
    Change,
    Done,
    Granted,
    PreReboot,
    Refused,
    Returned,
    SetSlots,
    SteadyState,
    Unavailable,
)
from rebootmgr.lending.terms import Rules, Terms
from rebootmgr.lockd.lender import Lender
from rebootmgr.lockd.stores.keeper import StoreError
from rebootmgr.lockd.stores.sqlite import SqliteStore

RULES = Rules(groups={"default": Terms(slots=1)})


def wish(host: str, wait_s: float = 0.0) -> PreReboot:
    return PreReboot("default", host, wait_s=wait_s)


def back(host: str) -> SteadyState:
    return SteadyState("default", host)


@asynccontextmanager
async def lending(store: SqliteStore) -> AsyncIterator[Lender]:
    lender = Lender(store, RULES)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(lender.run())
        try:
            yield lender
        finally:
            running.cancel()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lockd.sqlite"


@pytest.fixture
async def lender(path: Path) -> AsyncIterator[Lender]:
    async with lending(SqliteStore(path)) as made:
        await ready(made)
        yield made


async def ready(lender: Lender) -> None:
    """Ask until the store is open."""
    while isinstance(await lender.ask(back("nobody")), Unavailable):
        await asyncio.to_thread(int)
    assert lender.trouble == ""


async def test_before_the_store_is_read_nothing_is_granted(path: Path) -> None:
    lender = Lender(SqliteStore(path), RULES)
    assert await lender.ask(wish("a")) == Unavailable()
    assert lender.trouble == "the store is being opened"


async def test_a_slot_outlives_a_restart(path: Path) -> None:
    async with lending(SqliteStore(path)) as lender:
        await ready(lender)
        assert await lender.ask(wish("a")) == Granted()
    async with lending(SqliteStore(path)) as lender:
        await ready(lender)
        assert isinstance(await lender.ask(wish("b")), Refused)
        assert await lender.ask(wish("a")) == Granted(again=True)
        assert await lender.ask(back("a")) == Returned(had=True)
        assert list(lender.fleet.group("default").holders) == []


async def test_who_waits_on_the_line_gets_the_slot_that_comes_back(lender: Lender) -> None:
    await lender.ask(wish("a"))
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(lender.ask(wish("b", wait_s=60)))
        while not lender.fleet.group("default").queue.held:
            await asyncio.to_thread(int)
        assert await lender.ask(back("a")) == Returned(had=True)
    assert waiting.result() == Granted()


async def test_who_hung_up_gets_nothing(lender: Lender) -> None:
    await lender.ask(wish("a"))
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(lender.ask(wish("b", wait_s=60)))
        while not lender.fleet.group("default").queue.held:
            await asyncio.to_thread(int)
        waiting.cancel()
    await lender.ask(back("a"))
    assert await lender.ask(wish("c")) == Granted()


async def test_an_answer_that_is_held_comes_when_its_time_is_up(lender: Lender) -> None:
    await lender.ask(wish("a"))
    answer = await lender.ask(wish("b", wait_s=0.2))
    assert isinstance(answer, Refused)
    assert answer.retry_after_s == 1


async def test_who_waits_on_the_line_is_told_when_the_server_stops(path: Path) -> None:
    async with asyncio.TaskGroup() as tasks, lending(SqliteStore(path)) as lender:
        await ready(lender)
        await lender.ask(wish("a"))
        waiting = tasks.create_task(lender.ask(wish("b", wait_s=60)))
        while not lender.fleet.group("default").queue.held:
            await asyncio.to_thread(int)
    assert waiting.result() == Unavailable()
    assert await lender.ask(wish("a")) == Unavailable()


async def test_a_write_under_way_is_finished_and_told_when_the_server_stops(path: Path) -> None:
    async with asyncio.TaskGroup() as tasks, lending(SqliteStore(path)) as lender:
        await ready(lender)
        asked = tasks.create_task(lender.ask(wish("a")))
        while not lender.fleet.group("default").holders:
            await asyncio.wait([asked], timeout=0)
    assert asked.result() == Granted()


async def test_many_at_once_get_no_more_than_there_is(lender: Lender) -> None:
    lender.take_rules(Rules(groups={"default": Terms(slots=7)}))
    answers = await asyncio.gather(*(lender.ask(wish(f"h{n}")) for n in range(500)))
    assert answers.count(Granted()) == 7
    assert sum(isinstance(one, Refused) for one in answers) == 493
    assert lender.counts.grants == {"default": 7}
    assert lender.counts.refusals == {("default", "all_slots_full"): 493}
    assert sum(lender.counts.store["write"].counts) < 20


async def test_other_rules_count_at_once(lender: Lender) -> None:
    await lender.ask(wish("a"))
    assert isinstance(await lender.ask(wish("b")), Refused)
    lender.take_rules(Rules(groups={"default": Terms(slots=2)}))
    assert await lender.ask(wish("b")) == Granted()
    assert await lender.ask(SetSlots("default", 3)) == Done()
    assert await lender.ask(wish("c")) == Granted()


async def test_a_store_in_trouble_grants_nothing_says_why_and_is_opened_when_it_can_be(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        async with lending(SqliteStore(path)) as lender:
            while "another process has it open" not in lender.trouble:
                await asyncio.to_thread(int)
            assert await lender.ask(wish("a")) == Unavailable()
            other.execute("ROLLBACK")
            other.close()
            lender.take_rules(RULES)
            await ready(lender)
            assert await lender.ask(wish("a")) == Granted()
            assert lender.counts.store_errors == 1
    said = [one.getMessage() for one in caplog.records]
    assert len([one for one in said if "nothing is granted: " in one]) == 1
    assert "the store can be written again" in said


class Failing(SqliteStore):
    """Reports an error once: before the write that it is told to, or after it."""

    fails: str = ""

    async def write(self, changes: tuple[Change, ...], happened: tuple[Happened, ...] = ()) -> None:
        when, self.fails = self.fails, ""
        if when != "before":
            await super().write(changes, happened)
        if when:
            raise StoreError(f"the disk failed {when} the write")


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_failed_write_is_told_as_unknown_and_the_store_read_anew(
    path: Path, when: str
) -> None:
    store = Failing(path)
    async with lending(store) as lender:
        await ready(lender)
        store.fails = when
        assert await lender.ask(wish("a")) == Unavailable()
        assert lender.trouble == f"the disk failed {when} the write"
        await ready(lender)
        others = await lender.ask(wish("b"))
        assert isinstance(others, Granted if when == "before" else Refused)
        assert lender.counts.grants == ({"default": 1} if when == "before" else {})


async def test_a_copy_is_made_of_what_is_lent(lender: Lender, tmp_path: Path) -> None:
    await lender.ask(wish("a"))
    await lender.backup(tmp_path / "copy")
    with closing(sqlite3.connect(tmp_path / "copy")) as copy:
        assert copy.execute("SELECT id FROM holders").fetchall() == [("a",)]
