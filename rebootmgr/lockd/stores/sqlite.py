"""The store of one server alone: a file of SQLite (https://www.sqlite.org/wal.html).

Requests that meet share a commit, and a commit is on disk (`synchronous=FULL`). The file is ours
alone while it is open (`locking_mode=EXCLUSIVE`): what we know of it in memory stays true.
"""

import asyncio
import errno
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from rebootmgr.lending.history import MOST_KEPT, Happened
from rebootmgr.lending.questions import Change
from rebootmgr.lending.saved import Saved
from rebootmgr.lockd.stores.keeper import StoreError
from rebootmgr.lockd.stores.rows import (
    ADD,
    APPLICATION,
    CAME,
    FORGET,
    FREEZES,
    HALTS,
    HISTORY,
    HOLDERS,
    SCHEMA,
    SLOTS,
    UPGRADES,
    VERSION,
    WAITING,
    Row,
    happened_of,
    is_one_row,
    row_of,
    saved,
    statement,
    tidying,
)

T = TypeVar("T")

_BUSY_S: Final = 2.0  # for another process to let go of the file
_MODE: Final = 0o600
_SETTINGS: Final = (
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA journal_size_limit = 16777216",
)
_HINTS: Final = {
    "SQLITE_BUSY": "another process has it open: does a second rebootmgr-lockd run on it?",
    "SQLITE_FULL": "the disk is full: make room on it, and lending goes on by itself",
    "SQLITE_READONLY": "it cannot be written: look at its owner, at that of its directory and"
    " whether the file system is mounted read-only",
    "SQLITE_CANTOPEN": "it cannot be opened: look at its owner and at that of its directory",
    "SQLITE_PERM": "it may not be opened: look at its owner and at that of its directory",
    "SQLITE_CORRUPT": "it is damaged: stop the server, move the file and its -wal away and put a"
    " backup in their place; until then nothing is granted",
    "SQLITE_NOTADB": "it is no SQLite database: set store.path to another file, or move it away",
    "SQLITE_IOERR_SHMSIZE": "the disk is full: make room on it, and lending goes on by itself",
    "SQLITE_IOERR": "the disk has errors: look at the kernel's log",
}
_REFUSALS: Final = {
    errno.ENOSPC: "SQLITE_FULL",
    errno.EROFS: "SQLITE_READONLY",
    errno.EACCES: "SQLITE_PERM",
}


class SqliteStore:
    """Keeps a fleet in the file `path`, whose directory is there."""

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="sqlite")
        self._database: sqlite3.Connection | None = None

    @property
    def is_shared(self) -> bool:
        """Whether others write to it: nobody else can open it."""
        return False

    async def follow(self, stirred: Callable[[], None]) -> None:
        """Hear of nobody, for there are no others."""

    def news(self) -> tuple[Change, ...]:
        """Nothing, ever."""
        return ()

    async def tell(self, tickets: frozenset[int]) -> None:
        """Tell nobody."""

    def heard(self) -> frozenset[int]:
        """Nobody, ever."""
        return frozenset()

    async def open(self) -> Saved:
        """Open the file, or make it, and read it; one that is damaged or newer is left alone."""
        return await self._done(self._open)

    async def write(self, changes: tuple[Change, ...], happened: tuple[Happened, ...] = ()) -> None:
        """Commit the changes; after an error the file is closed, for nobody knows what it holds."""
        await self._done(lambda: self._write(changes, happened))

    async def history(self, most: int, group: str = "") -> tuple[Happened, ...]:
        """Give the latest that happened, oldest first."""
        return await self._done(lambda: self._history(most, group))

    async def backup(self, file: Path) -> None:
        """Copy the database into a file that is not there yet."""
        await self._done(lambda: self._backup(file.absolute()))

    async def close(self) -> None:
        """Let go of the file."""
        await self._done(self._close)

    async def _done(self, work: Callable[[], T]) -> T:
        """Do it in the one thread that touches the file; once begun it goes on to its end."""
        try:
            return await asyncio.shield(asyncio.wrap_future(self._writer.submit(work)))
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {_said(error)}") from error
        except OSError as error:
            raise StoreError(f"{self._path}: {_refused(error)}") from error

    # In the writer's thread

    def _open(self) -> Saved:
        self._close()
        if not self._path.parent.is_dir():
            raise StoreError(
                f"{self._path.parent} is no directory: create it, or set store.path to another"
            )
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE))
        is_new = self._is_new()
        with ExitStack() as undone:
            database = undone.enter_context(closing(self._connected("rw")))
            found = self._take(database, is_new=is_new)
            undone.pop_all()
        self._database = database
        return found

    def _is_new(self) -> bool:
        """Refuse what is damaged or not of this program, and do not touch it."""
        try:
            return self._looks_new("ro")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_READONLY_ROLLBACK":
                raise
        # Whoever made it died before it was whole: only who may write can undo that, and read it.
        return self._looks_new("rw")

    def _looks_new(self, mode: str) -> bool:
        with closing(self._connected(mode)) as database:
            ((application,),) = database.execute("PRAGMA application_id")
            ((tables,),) = database.execute("SELECT count(*) FROM sqlite_master")
            if not application and not tables:
                return True
            self._mind_whose(database)
            found = [text for (text,) in database.execute("PRAGMA integrity_check(1)")]
            if found != ["ok"]:
                raise StoreError(f"{self._path}: {_HINTS['SQLITE_CORRUPT']} ({found[0]})")
            return False

    def _connected(self, mode: str) -> sqlite3.Connection:
        return sqlite3.connect(
            f"{self._path.as_uri()}?mode={mode}", uri=True, timeout=_BUSY_S, isolation_level=None
        )

    def _mind_whose(self, database: sqlite3.Connection) -> None:
        ((application,),) = database.execute("PRAGMA application_id")
        ((version,),) = database.execute("PRAGMA user_version")
        if application != APPLICATION:
            raise StoreError(
                f"{self._path}: it is the database of another program: set store.path to another"
                " file, or move it away"
            )
        if version > VERSION:
            raise StoreError(
                f"{self._path}: it was written by a newer rebootmgr-lockd (version {version} of the"
                f" tables, this one knows {VERSION}): install that one again, or put a backup from"
                " before in its place"
            )

    def _take(self, database: sqlite3.Connection, *, is_new: bool) -> Saved:
        """Make it ours, prove that it can be written, and read it."""
        for setting in _SETTINGS:
            database.execute(setting)
        database.execute("BEGIN IMMEDIATE")
        if is_new:
            database.execute(f"PRAGMA application_id = {APPLICATION}")
            database.execute(f"PRAGMA user_version = {VERSION}")
            for table in SCHEMA:
                database.execute(table)
        self._mind_whose(database)
        self._upgrade(database)
        database.execute("DELETE FROM opened")
        database.execute("INSERT INTO opened VALUES (?)", (datetime.now(UTC).isoformat(),))
        database.execute("COMMIT")

        def rows(query: str) -> list[Row]:
            return database.execute(query).fetchall()

        try:
            read = map(rows, (HOLDERS, WAITING, SLOTS, FREEZES, HALTS, CAME))
            return saved(*read)
        except ValueError as error:
            raise StoreError(f"{self._path}: {_HINTS['SQLITE_CORRUPT']} ({error})") from error

    def _upgrade(self, database: sqlite3.Connection) -> None:
        """Bring the tables of an older version up to this one."""
        ((found,),) = database.execute("PRAGMA user_version")
        for version in range(found, VERSION):
            for order in UPGRADES[version]:
                database.execute(order)
        if found != VERSION:
            database.execute(f"PRAGMA user_version = {VERSION}")

    def _write(self, changes: tuple[Change, ...], happened: tuple[Happened, ...]) -> None:
        database = self._database
        if database is None:
            raise StoreError(f"{self._path}: it is not open")
        try:
            database.execute("BEGIN IMMEDIATE")
            for change in changes:
                self._carry_out(database, change)
            if happened:
                database.executemany(ADD, map(row_of, happened))
                database.execute(FORGET, (MOST_KEPT,))
            database.execute("COMMIT")
        except (sqlite3.Error, StoreError):
            self._close()
            raise

    def _carry_out(self, database: sqlite3.Connection, change: Change) -> None:
        done = database.execute(*statement(change))
        if is_one_row(change) and done.rowcount != 1:
            raise StoreError(f"{self._path}: it does not hold what it should ({change})")
        if (more := tidying(change)) is not None:
            database.execute(*more)

    def _history(self, most: int, group: str) -> tuple[Happened, ...]:
        database = self._database
        if database is None:
            raise StoreError(f"{self._path}: it is not open")
        latest = database.execute(HISTORY, (group, most)).fetchall()
        try:
            return tuple(map(happened_of, reversed(latest)))
        except ValueError as error:
            raise StoreError(f"{self._path}: {_HINTS['SQLITE_CORRUPT']} ({error})") from error

    def _backup(self, file: Path) -> None:
        database = self._database
        if database is None:
            raise StoreError(f"{self._path}: it is not open")
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
        try:
            with closing(sqlite3.connect(file, isolation_level=None)) as copy:
                database.backup(copy)  # all at once: in steps it would never end beside writes
                copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a -wal
            os.fsync(descriptor)
        except (sqlite3.Error, OSError):
            file.unlink()
            raise
        finally:
            os.close(descriptor)

    def _close(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            database.close()


def _said(error: sqlite3.Error) -> str:
    name = getattr(error, "sqlite_errorname", "")
    hint = next((said for word, said in _HINTS.items() if name.startswith(word)), "")
    return f"{hint} ({error})" if hint else str(error)


def _refused(error: OSError) -> str:
    said = error.strerror or str(error)
    word = _REFUSALS.get(error.errno or 0)
    return f"{_HINTS[word]} ({said})" if word else said
