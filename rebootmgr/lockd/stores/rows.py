"""The tables of the SQLite store, and what each change does to them."""

from datetime import UTC, datetime
from typing import Final, TypeAlias

from rebootmgr.fleetlock.labels_words import decode_labels, encode_labels
from rebootmgr.lending.group import MOST_VERSIONS
from rebootmgr.lending.history import Happened, What
from rebootmgr.lending.questions import (
    About,
    Came,
    Change,
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

APPLICATION: Final = 0x524D4C44  # "RMLD", in the header of the file
VERSION: Final = 3
ROLL_OUT: Final = (
    """CREATE TABLE halts (
    "group" TEXT PRIMARY KEY, reason TEXT NOT NULL, at TEXT NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE came (
    "group" TEXT NOT NULL, version TEXT NOT NULL, at TEXT NOT NULL, UNIQUE ("group", version))""",
)
HAPPENED: Final = """CREATE TABLE history (
    number INTEGER PRIMARY KEY, at TEXT NOT NULL, "group" TEXT NOT NULL, what TEXT NOT NULL,
    id TEXT NOT NULL, name TEXT NOT NULL, "by" TEXT NOT NULL, detail TEXT NOT NULL,
    held_s INTEGER, until TEXT)"""
SCHEMA: Final = (
    """CREATE TABLE holders (
    "group" TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL, since TEXT NOT NULL,
    labels TEXT NOT NULL DEFAULT '', booted TEXT NOT NULL DEFAULT '',
    target TEXT NOT NULL DEFAULT '', failed TEXT NOT NULL DEFAULT '',
    PRIMARY KEY ("group", id)) WITHOUT ROWID""",
    """CREATE TABLE waiting (
    ticket INTEGER PRIMARY KEY, "group" TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL,
    since TEXT NOT NULL, UNIQUE ("group", id))""",
    """CREATE TABLE slots (
    "group" TEXT PRIMARY KEY, slots INTEGER NOT NULL, until TEXT) WITHOUT ROWID""",
    """CREATE TABLE freezes (
    "group" TEXT PRIMARY KEY, reason TEXT NOT NULL, until TEXT, "by" TEXT NOT NULL,
    at TEXT NOT NULL) WITHOUT ROWID""",
    "CREATE TABLE opened (at TEXT NOT NULL)",
    *ROLL_OUT,
    HAPPENED,
)
UPGRADES: Final = {  # from a version to the next
    1: (
        *(
            f"ALTER TABLE holders ADD COLUMN {name} TEXT NOT NULL DEFAULT ''"
            for name in ("labels", "booted", "target", "failed")
        ),
        *ROLL_OUT,
    ),
    2: (HAPPENED,),
}

Value: TypeAlias = str | int | None
Row: TypeAlias = tuple[Value, ...]

HOLDERS: Final = 'SELECT "group", id, name, since, labels, booted, target, failed FROM holders'
WAITING: Final = 'SELECT "group", id, name, ticket, since FROM waiting'
FREEZES: Final = 'SELECT "group", reason, until, "by", at FROM freezes'
HALTS: Final = 'SELECT "group", reason, at FROM halts'
CAME: Final = 'SELECT "group", version, at FROM came ORDER BY rowid'
SLOTS: Final = 'SELECT "group", slots, until FROM slots'
HISTORY: Final = """SELECT at, "group", what, id, name, "by", detail, held_s, until FROM history
    WHERE ?1 = '' OR "group" IN (?1, '') ORDER BY number DESC LIMIT ?2"""
ADD: Final = """INSERT INTO history (at, "group", what, id, name, "by", detail, held_s, until)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""
FORGET: Final = "DELETE FROM history WHERE number <= (SELECT max(number) FROM history) - ?"


def statement(change: Change) -> tuple[str, Row]:
    """Say how a change is written."""
    match change:
        case Joined(group, host, name, ticket, at):
            sql = 'INSERT INTO waiting ("group", id, name, ticket, since) VALUES (?, ?, ?, ?, ?)'
            return sql, (group, host, name, ticket, at.isoformat())
        case Left(group, host):
            return 'DELETE FROM waiting WHERE "group" = ? AND id = ?', (group, host)
        case Lent(group, host, name, at, about, failed):
            sql = (
                'INSERT INTO holders ("group", id, name, since, labels, booted, target, failed)'
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
            )
            told = (encode_labels(about.labels), about.booted, about.target)
            return sql, (group, host, name, at.isoformat(), *told, failed)
        case TakenBack(group, host):
            return 'DELETE FROM holders WHERE "group" = ? AND id = ?', (group, host)
        case SlotsSet(group, None, _):
            return 'DELETE FROM slots WHERE "group" = ?', (group,)
        case SlotsSet(group, slots, until):
            sql = 'INSERT OR REPLACE INTO slots ("group", slots, until) VALUES (?, ?, ?)'
            return sql, (group, slots, _written(until))
        case Frozen(group, reason, until, by, at):
            sql = (
                'INSERT OR REPLACE INTO freezes ("group", reason, until, "by", at)'
                " VALUES (?, ?, ?, ?, ?)"
            )
            return sql, (group, reason, _written(until), by, at.isoformat())
        case Thawed(group):
            return 'DELETE FROM freezes WHERE "group" = ?', (group,)
        case Failed(group, host, reason):
            sql = 'UPDATE holders SET failed = ? WHERE "group" = ? AND id = ?'
            return sql, (reason, group, host)
        case Came(group, version, at):
            sql = 'INSERT OR REPLACE INTO came ("group", version, at) VALUES (?, ?, ?)'
            return sql, (group, version, at.isoformat())
        case Halted(group, reason, at):
            sql = 'INSERT INTO halts ("group", reason, at) VALUES (?, ?, ?)'
            return sql, (group, reason, at.isoformat())
        case Resumed(group):
            return 'DELETE FROM halts WHERE "group" = ?', (group,)


def is_one_row(change: Change) -> bool:
    """Whether it must find, or make, exactly one row; else memory and disk differ."""
    return not isinstance(change, SlotsSet)


def _written(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()


def tidying(change: Change) -> tuple[str, Row] | None:
    """Say what is dropped after a change: of the versions that came back the oldest."""
    if not isinstance(change, Came):
        return None
    sql = (
        'DELETE FROM came WHERE "group" = ? AND rowid NOT IN'
        ' (SELECT rowid FROM came WHERE "group" = ? ORDER BY rowid DESC LIMIT ?)'
    )
    return sql, (change.group, change.group, MOST_VERSIONS)


def row_of(one: Happened) -> Row:
    """Say what is written of something that happened."""
    when, until = one.at.isoformat(), _written(one.until)
    told = (one.id, one.name, one.by, one.detail, one.held_s)
    return (when, one.group, str(one.what), *told, until)


def happened_of(row: Row) -> Happened:
    """Read what happened; ValueError for what makes no sense."""
    at, group, what, host, name, by, detail, held_s, until = row
    return Happened(
        at=_instant(at),
        group=_text(group),
        what=What(_text(what)),
        id=_text(host),
        name=_text(name),
        by=_text(by),
        detail=_text(detail),
        held_s=None if held_s is None else _number(held_s),
        until=_end(until),
    )


def saved(
    holders: list[Row],
    waiting: list[Row],
    slots: list[Row],
    freezes: list[Row],
    halts: list[Row],
    came: list[Row],
) -> Saved:
    """Read the rows; ValueError says which makes no sense."""
    return Saved(
        tuple(map(_holder, holders)),
        tuple(
            Joined(_text(group), _text(host), _text(name), _number(ticket), _instant(since))
            for group, host, name, ticket, since in waiting
        ),
        tuple(
            SlotsSet(_text(group), _number(number), _end(until)) for group, number, until in slots
        ),
        tuple(
            Frozen(_text(group), _text(reason), _end(until), _text(by), _instant(at))
            for group, reason, until, by, at in freezes
        ),
        tuple(Halted(_text(group), _text(reason), _instant(at)) for group, reason, at in halts),
        tuple(Came(_text(group), _text(version), _instant(at)) for group, version, at in came),
    )


def _holder(row: Row) -> Lent:
    group, host, name, since, labels, booted, target, failed = row
    about = About(decode_labels(_text(labels)), _text(booted), _text(target))
    return Lent(_text(group), _text(host), _text(name), _instant(since), about, _text(failed))


def _text(value: Value) -> str:
    if isinstance(value, str):
        return value
    raise ValueError(f"{value!r} stands where a text should")


def _number(value: Value) -> int:
    if isinstance(value, int):
        return value
    raise ValueError(f"{value!r} stands where a number should")


def _end(value: Value) -> datetime | None:
    return None if value is None else _instant(value)


def _instant(value: Value) -> datetime:
    instant = datetime.fromisoformat(_text(value))
    if instant.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone")
    return instant.astimezone(UTC)
