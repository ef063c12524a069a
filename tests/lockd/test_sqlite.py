"""What the store on SQLite keeps, and what it refuses to open."""

import asyncio
import json
import random
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rebootmgr.lending.group import MOST_VERSIONS
from rebootmgr.lending.history import MOST_KEPT, Happened, What
from rebootmgr.lending.questions import (
    About,
    Came,
    Failed,
    Frozen,
    Halted,
    Joined,
    Left,
    Lent,
    Resumed,
    SlotsSet,
    TakenBack,
    Thawed,
)
from rebootmgr.lending.saved import Saved
from rebootmgr.lockd.stores.keeper import StoreError
from rebootmgr.lockd.stores.sqlite import SqliteStore
from tests.lockd.program import NAMESPACE, may_mount

AT = datetime(2030, 1, 6, 12, 30, 15, 123456, tzinfo=UTC)
ABOUT = About((("rack", "a2"), ("zone", "b")), "v1", "v2")
LENT = Lent("g", "a", "worker-1", AT, ABOUT)
HALTED, CAME = Halted("g", "why", AT), Came("g", "v2", AT)
OF_VERSION_1 = """
CREATE TABLE holders ("group" TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL,
    since TEXT NOT NULL, PRIMARY KEY ("group", id)) WITHOUT ROWID;
CREATE TABLE waiting (ticket INTEGER PRIMARY KEY, "group" TEXT NOT NULL, id TEXT NOT NULL,
    name TEXT NOT NULL, since TEXT NOT NULL, UNIQUE ("group", id));
CREATE TABLE slots ("group" TEXT PRIMARY KEY, slots INTEGER NOT NULL, until TEXT) WITHOUT ROWID;
CREATE TABLE freezes ("group" TEXT PRIMARY KEY, reason TEXT NOT NULL, until TEXT,
    "by" TEXT NOT NULL, at TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE opened (at TEXT NOT NULL);
INSERT INTO holders VALUES ('g', 'a', 'worker-1', '2030-01-06T12:30:15.123456+00:00');
PRAGMA application_id = 1380797508;
PRAGMA user_version = 1;
"""
JOINED = Joined("g", "b", "", 7, AT)
SLOTS = SlotsSet("g", 3, AT)
GOT = Happened(at=AT, group="g", what=What.LENT, id="a", name="worker-1", detail="v1 → v2")
STOPPED = Happened(at=AT, group="", what=What.FROZEN, by="root", detail="why", until=AT)
GAVE = Happened(at=AT, group="h", what=What.RETURNED, id="b", held_s=312)
FROZEN, FROZEN_ALL = Frozen("g", "why", AT, "root", AT), Frozen("", "audit", None, "", AT)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lockd.sqlite"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    made = SqliteStore(path)
    yield made
    await made.close()


def content(path: Path) -> bytes:
    return path.read_bytes()


def write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def size(path: Path) -> int:
    return path.stat().st_size


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def with_noise(data: bytes, seed: int) -> bytes:
    damaged, chance = bytearray(data), random.Random(seed)  # noqa: S311 - repeatable
    for _ in range(40):
        place = chance.randrange(4096, len(damaged) - 4096)
        damaged[place : place + 16] = chance.randbytes(16)
    return bytes(damaged)


async def refusal(path: Path) -> str:
    store = SqliteStore(path)
    with pytest.raises(StoreError) as refused:
        await store.open()
    await store.close()
    return str(refused.value)


async def test_a_new_store_holds_nothing_and_is_for_its_owner_alone(
    store: SqliteStore, path: Path
) -> None:
    assert await store.open() == Saved()
    assert mode(path) == 0o600


async def test_a_store_whose_maker_was_killed_in_the_middle_is_made_again(
    store: SqliteStore, path: Path
) -> None:
    """Beside it lies a journal, which nobody can undo who may only read."""
    half = path.with_name("half")
    with closing(sqlite3.connect(half, isolation_level=None)) as database:
        database.execute("PRAGMA cache_size = 1")
        database.execute("BEGIN")
        database.execute("CREATE TABLE holders (text)")
        database.executemany("INSERT INTO holders VALUES (?)", [("x" * 4096,)] * 100)
        for suffix in ("", "-journal"):
            data = content(half.with_name(f"half{suffix}"))
            write(path.with_name(f"{path.name}{suffix}"), data)
    assert await store.open() == Saved()
    await store.write((LENT,))
    assert (await store.open()).holders == (LENT,)


async def test_what_was_written_is_read_again(store: SqliteStore) -> None:
    await store.open()
    await store.write((LENT, JOINED, SLOTS, FROZEN, FROZEN_ALL))
    assert await store.open() == Saved((LENT,), (JOINED,), (SLOTS,), (FROZEN_ALL, FROZEN))
    ends = (TakenBack("g", "a"), Left("g", "b"), SlotsSet("g", None, None))
    await store.write((*ends, Thawed("g"), Thawed("")))
    assert await store.open() == Saved()


async def test_what_a_roll_out_has_come_to_is_read_again(store: SqliteStore) -> None:
    await store.open()
    await store.write((LENT, Failed("g", "a", "rolled back"), HALTED, CAME))
    failed = replace(LENT, failed="rolled back")
    assert await store.open() == Saved((failed,), halts=(HALTED,), came=(CAME,))
    await store.write((Failed("g", "a", ""), Resumed("g")))
    assert await store.open() == Saved((LENT,), came=(CAME,))


async def test_of_the_versions_that_came_back_the_latest_are_kept(store: SqliteStore) -> None:
    await store.open()
    came = [Came("g", f"v{number}", AT) for number in range(2 * MOST_VERSIONS)]
    await store.write((CAME, *came, CAME))
    found = (await store.open()).came
    assert found == (*came[MOST_VERSIONS + 1 :], CAME)


async def test_what_happened_is_told_for_a_group_and_what_concerns_it(store: SqliteStore) -> None:
    await store.open()
    await store.write((LENT,), (GOT,))
    await store.write((FROZEN_ALL,), (STOPPED, GAVE))
    await store.open()
    assert await store.history(9) == (GOT, STOPPED, GAVE)
    assert await store.history(9, "g") == (GOT, STOPPED)
    assert await store.history(2) == (STOPPED, GAVE), "the latest"


async def test_what_did_not_come_about_is_not_in_the_history(store: SqliteStore) -> None:
    await store.open()
    with pytest.raises(StoreError):
        await store.write((TakenBack("g", "a"),), (GAVE,))
    await store.open()
    assert await store.history(9) == ()


async def test_the_history_ends_where_it_is_long(store: SqliteStore) -> None:
    await store.open()
    await store.write((), tuple(replace(GAVE, held_s=number) for number in range(MOST_KEPT)))
    await store.write((), (GOT, GAVE))
    told = await store.history(2 * MOST_KEPT)
    assert (len(told), told[0].held_s, told[-2:]) == (MOST_KEPT, 2, (GOT, GAVE))


async def test_a_store_of_the_first_version_is_taken_over_as_it_was(
    store: SqliteStore, path: Path
) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.executescript(OF_VERSION_1)
    before = Lent("g", "a", "worker-1", AT)
    assert await store.open() == Saved((before,))
    await store.write((Failed("g", "a", "why"), HALTED, CAME))
    assert await store.open() == Saved(
        (replace(before, failed="why"),), halts=(HALTED,), came=(CAME,)
    )


async def test_of_a_batch_all_is_written_or_nothing(store: SqliteStore) -> None:
    await store.open()
    await store.write((LENT,))
    with pytest.raises(StoreError, match="UNIQUE"):
        await store.write((JOINED, LENT))
    assert await store.open() == Saved((LENT,))


async def test_memory_that_differs_from_the_disk_is_noticed(store: SqliteStore) -> None:
    await store.open()
    with pytest.raises(StoreError, match="does not hold what it should"):
        await store.write((JOINED, TakenBack("g", "a")))
    assert await store.open() == Saved()


async def test_after_an_error_nothing_is_written_before_it_was_opened_anew(
    store: SqliteStore,
) -> None:
    await store.open()
    await store.write((LENT,))
    with pytest.raises(StoreError):
        await store.write((LENT,))
    with pytest.raises(StoreError, match="not open"):
        await store.write((JOINED,))
    assert await store.open() == Saved((LENT,))


async def test_a_second_server_on_the_file_is_refused_and_the_first_goes_on(
    store: SqliteStore, path: Path
) -> None:
    await store.open()
    assert "another process has it open" in await refusal(path)
    await store.write((LENT,))
    assert await store.open() == Saved((LENT,))


async def test_the_file_of_another_process_is_waited_for_and_then_refused(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert "another process has it open" in await refusal(path)


async def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    said = await refusal(tmp_path / "none" / "lockd.sqlite")
    assert f"{tmp_path}/none is no directory: create it" in said


async def test_what_is_no_database_is_refused_and_left_alone(path: Path) -> None:
    write(path, b"this is no database\n" * 500)
    assert "it is no SQLite database" in await refusal(path)
    assert content(path) == b"this is no database\n" * 500


async def test_the_database_of_another_program_is_refused_and_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE songs (title TEXT)")
    before = content(path)
    assert "the database of another program" in await refusal(path)
    assert content(path) == before


async def test_a_store_of_a_newer_version_is_refused_and_left_alone(
    store: SqliteStore, path: Path
) -> None:
    await store.open()
    await store.write((LENT,))
    await store.close()
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 99")
        other.execute("PRAGMA journal_mode = DELETE")
    before = content(path)
    assert "written by a newer rebootmgr-lockd (version 99" in await refusal(path)
    assert content(path) == before


@pytest.mark.parametrize("seed", range(8))
async def test_a_damaged_store_is_refused_and_left_alone(path: Path, seed: int) -> None:
    """Whatever page it hits that is in use: nothing is granted on what cannot be read right."""
    store = SqliteStore(path)
    await store.open()
    await store.write(tuple(Joined("g", f"h{n}", "a name", n, AT) for n in range(2000)))
    await store.close()
    damaged = with_noise(content(path), seed)
    write(path, damaged)
    assert "it is damaged: stop the server" in await refusal(path)
    assert content(path) == damaged


@pytest.mark.parametrize(
    "junk",
    [
        "UPDATE holders SET since = 'yesterday'",
        "UPDATE holders SET since = '2030-01-06T12:30:15'",
        "UPDATE slots SET slots = 'many'",
        "UPDATE holders SET name = x'00ff'",
    ],
)
async def test_a_row_that_makes_no_sense_is_damage(
    store: SqliteStore, path: Path, junk: str
) -> None:
    await store.open()
    await store.write((LENT, SLOTS))
    await store.close()
    with closing(sqlite3.connect(path)) as other, other:
        other.execute(junk)
    assert "it is damaged" in await refusal(path)


async def test_a_copy_is_made_while_it_runs_and_never_over_another_file(
    store: SqliteStore, tmp_path: Path
) -> None:
    await store.open()
    await store.write((LENT,))
    copy = tmp_path / "copy.sqlite"
    await store.backup(copy)
    await store.write((JOINED,))
    with pytest.raises(StoreError, match="File exists"):
        await store.backup(copy)
    assert mode(copy) == 0o600
    assert not await asyncio.to_thread(Path.exists, tmp_path / "copy.sqlite-wal")
    other = SqliteStore(copy)
    assert await other.open() == Saved((LENT,))
    await other.close()


class Telling(SqliteStore):
    """Says how its database is set."""

    async def setting(self, name: str) -> object:
        def read() -> object:
            assert self._database is not None
            return self._database.execute(f"PRAGMA {name}").fetchone()[0]

        return await self._done(read)


async def test_every_commit_waits_for_the_disk(path: Path) -> None:
    """SQLite's word for it is FULL, 2; with NORMAL a power cut takes the last commits."""
    store = Telling(path)
    await store.open()
    assert await store.setting("synchronous") == 2
    assert await store.setting("journal_mode") == "wal"
    await store.close()


async def test_a_torn_log_leads_to_before_or_after_a_batch_and_never_behind_what_was_told(
    store: SqliteStore, path: Path, tmp_path: Path
) -> None:
    """As after a power cut: what was flushed is there, and of the rest a part, or noise."""
    saved, ends = [await store.open()], [size(path.with_name("lockd.sqlite-wal"))]
    for number in range(6):
        batch = (Joined("g", f"h{number}", "", number, AT), Lent("g", f"h{number}", "", AT))
        await store.write(batch)
        ends.append(size(path.with_name("lockd.sqlite-wal")))
        saved.append(Saved(saved[-1].holders + batch[1:], saved[-1].waiting + batch[:1]))
    database, log = content(path), content(path.with_name("lockd.sqlite-wal"))
    chance = random.Random(1)  # noqa: S311 - repeatable
    cuts = [*ends, *(chance.randrange(ends[0], ends[-1]) for _ in range(60))]
    for number, cut in enumerate(cuts):
        copy = tmp_path / f"copy-{number}.sqlite"
        write(copy, database)
        noise = chance.randbytes(chance.choice([0, 100, 9000]))
        write(copy.with_name(copy.name + "-wal"), log[:cut] + noise)
        told = max(n for n, end in enumerate(ends) if end <= cut)
        other = SqliteStore(copy)
        assert await other.open() == saved[told]
        await other.close()


async def test_the_log_does_not_grow_without_bound(store: SqliteStore, path: Path) -> None:
    await store.open()
    for _ in range(30):
        await store.write(tuple(Joined("g", f"h{n}", "", n, AT) for n in range(2000)))
        await store.write(tuple(Left("g", f"h{n}") for n in range(2000)))
    log = path.with_name("lockd.sqlite-wal")
    assert 0 < log.stat().st_size < 2**24 + 2**20


@pytest.mark.skipif(not may_mount(), reason="no mount namespace may be made here")
def test_a_full_disk_and_a_read_only_one_forget_nothing_and_say_what_to_do(tmp_path: Path) -> None:
    """On real file systems: all that was told is read again as soon as there is room."""
    program = (sys.executable, "-m", "tests.lockd.small_disk", str(tmp_path))
    ran = subprocess.run([*NAMESPACE, *program], capture_output=True, check=True)
    seen = json.loads(ran.stdout)
    assert "the disk is full: make room on it" in seen["full"]
    assert "the disk is full: make room on it" in seen["shut"]
    assert seen["told"] > 10
    assert seen["roomy"] == ["a", *range(1, seen["told"] + 1)]
    assert "mounted read-only" in seen["frozen"]
