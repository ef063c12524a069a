"""rpm-ostree's properties and ostree's files, read as `core.facts` (SPEC 4)."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from rebootmgr.core.facts import Deployments, Finalization, NotOstree, OsUnknown
from rebootmgr.core.model import Deployment, DeploymentId, UpdateKey
from rebootmgr.text import harmless

_ALIGNMENT: Final = 8


def decode_strings(data: bytes) -> dict[str, str]:
    """Read the strings of a serialised `a{sv}`, other values left out; ValueError for junk."""
    strings: dict[str, str] = {}
    for entry in _elements(data):
        width = _offset_width(len(entry))
        key_end = _offset(entry, len(entry) - width, width)
        value, separator, kind = entry[_aligned(key_end) : -width].rpartition(b"\0")
        if not separator:
            raise ValueError("a value without a type")
        key = _string(entry[:key_end])
        if kind == b"s":
            strings[key] = _string(value)
    return strings


def _elements(data: bytes) -> Iterator[bytes]:
    if not data:
        return
    width = _offset_width(len(data))
    table = _offset(data, len(data) - width, width)
    if (len(data) - table) % width:
        raise ValueError("a table of offsets that does not fit")
    start = 0
    for place in range(table, len(data), width):
        end = _offset(data, place, width)
        start = _aligned(start)
        if not start < end <= table:
            raise ValueError("offsets that overlap")
        yield data[start:end]
        start = end


def _offset(data: bytes, place: int, width: int) -> int:
    found = int.from_bytes(data[max(place, 0) : place + width], "little")
    if place < 0 or found > place:
        raise ValueError("an offset that points outside")
    return found


def _offset_width(size: int) -> int:
    return 1 if size <= 0xFF else 2 if size <= 0xFFFF else 4 if size <= 0xFFFF_FFFF else 8


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGNMENT) * _ALIGNMENT


def _string(data: bytes) -> str:
    if not data.endswith(b"\0") or b"\0" in data[:-1]:
        raise ValueError("a string without an end")
    return data[:-1].decode()


LONGEST_FILE: Final = 1024 * 1024
_OBJECT_PATH: Final = re.compile(r"(/[A-Za-z0-9_]+)+")
_LAST_TIMESTAMP: Final = 253_402_300_799  # the year 9999
_LOCK_KEY: Final = b"locked\0\0"  # a key of the dictionary, padded; a kernel argument is not
_LOCKED: Final = _LOCK_KEY + b"\x01\0b\x07"
_UNLOCKED: Final = _LOCK_KEY + b"\0\0b\x07"
_AT_REST: Final = frozenset({"inactive", "deactivating", "failed"})


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that is there, or may be, and could not be read."""

    detail: str


FileContent = bytes | None | Unreadable
"""What a file holds; None where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """Who registered as update driver (facts/rpm-ostree.md §3.5)."""

    name: str
    unit: str


class _OddError(Exception):
    """Something is not as rpm-ostree makes it; the text says what."""


def decode_booted_path(sysroot: Mapping[str, Any]) -> str | OsUnknown | NotOstree:
    """Where the booted OS is on the bus: `Sysroot.Booted`."""
    match sysroot.get("Booted"):
        case "/":
            return NotOstree("rpm-ostree: not booted into a deployment of this system")
        case str(path) if _OBJECT_PATH.fullmatch(path):
            return path
        case _:
            return OsUnknown("rpm-ostree names no booted OS")


def decode_deployments(
    sysroot: Mapping[str, Any],
    booted_os: Mapping[str, Any],
    *,
    staged_file: FileContent,
    has_lock_file: bool,
    driver: str,
    staged_at: datetime | None = None,
) -> Deployments | OsUnknown:
    """Read the properties of Sysroot and of the booted OS; any oddity makes it unknown.

    `staged_file` is ostree's staged-deployment, `has_lock_file` whether there is a
    staged-deployment-locked beside it, `driver` what `describe_driver` said, `staged_at` when the
    file was written.
    """
    try:
        booted = _table(booted_os, "BootedDeployment")
        default = _table(booted_os, "DefaultDeployment")
        staged = _flag(default, "staged")
        return Deployments(
            booted=_deployment(booted, "BootedDeployment"),
            default=_deployment(default, "DefaultDeployment"),
            staged=staged,
            finalization=(
                _finalization(default, staged_file, has_lock_file=has_lock_file)
                if staged
                else Finalization.OPEN
            ),
            unlocked=harmless(_text(booted, "unlocked")) or "none",
            transaction=_transaction(sysroot),
            driver=driver or _policy(sysroot),
            on_disk=_on_disk(sysroot),
            staged_at=staged_at if staged else None,
        )
    except _OddError as odd:
        return OsUnknown(f"rpm-ostree: {odd}")


def decode_driver(content: FileContent) -> Driver | OsUnknown | None:
    """Read update-driver.gv; None where nobody registered, unknown where it makes no sense."""
    match content:
        case None:
            return None
        case Unreadable(detail):
            return OsUnknown(f"who drives updates is unknown: {detail}")
        case bytes():
            try:
                found = decode_strings(content)
                unit = found["driver-sd-unit"]
            except (ValueError, LookupError) as error:
                text = harmless(repr(error))
                return OsUnknown(f"who drives updates is unknown: update-driver.gv: {text}")
            return Driver(name=harmless(found.get("driver-name", "")), unit=unit)


def describe_driver(driver: Driver, active_state: str) -> str:
    """Say that `driver` reboots by itself, if its unit's ActiveState says so; "" if not.

    A failed unit does not reboot anything (until it is restarted: then it is `activating`).
    """
    if active_state in _AT_REST:
        return ""
    name = f" ({driver.name})" if driver.name else ""
    return harmless(f"{driver.unit}{name} is {active_state} and reboots by itself")


def _finalization(
    default: Mapping[str, Any], staged_file: FileContent, *, has_lock_file: bool
) -> Finalization:
    """Any of three signs locks; what cannot be read may be a lock (facts/rpm-ostree.md §3.4).

    A staged deployment without its file counts as open: only that file, or one beside it, can
    hold a lock, and rpm-ostree was told to look again before we looked. At worst (somebody
    removed it by hand) the reboot brings up the old tree, which SPEC 9 counts.
    """
    key = default.get("finalization-locked", False)
    if key is True or has_lock_file:
        return Finalization.LOCKED
    inside = _lock_inside(staged_file)
    if inside is Finalization.OPEN and key is not False:
        return Finalization.UNKNOWN
    return inside


def _lock_inside(staged_file: FileContent) -> Finalization:
    match staged_file:
        case None:
            return Finalization.OPEN
        case bytes() if 0 < len(staged_file) <= LONGEST_FILE:
            if _LOCKED in staged_file:
                return Finalization.LOCKED
            if _LOCK_KEY in staged_file and _UNLOCKED not in staged_file:
                return Finalization.UNKNOWN
            return Finalization.OPEN
        case _:
            return Finalization.UNKNOWN


def _deployment(table: Mapping[str, Any], where: str) -> Deployment:
    found = table.get("id")
    if not isinstance(found, str) or not found:
        raise _OddError(f"{where} has no id")
    if harmless(found) != found:
        raise _OddError(f"{where} has an id that is no id: {harmless(found)}")
    content = (
        _text(table, "container-image-reference-digest")
        or _text(table, "base-checksum")
        or _text(table, "checksum")
        or found
    )
    return Deployment(
        id=DeploymentId(found),
        key=UpdateKey(harmless(f"{_text(table, 'osname')}:{content}")),
        version=harmless(_text(table, "version")),
        timestamp=_timestamp(table.get("timestamp")),
    )


def _timestamp(found: object) -> int:
    """Read seconds since the epoch; 0 for anything that no calendar has."""
    return found if type(found) is int and 0 <= found <= _LAST_TIMESTAMP else 0


def _transaction(sysroot: Mapping[str, Any]) -> str:
    match sysroot.get("ActiveTransaction", ["", "", ""]):
        case [str(method), *_]:
            return harmless(method)
        case _:
            raise _OddError("ActiveTransaction is no transaction")


def _policy(sysroot: Mapping[str, Any]) -> str:
    if _text(sysroot, "AutomaticUpdatePolicy") == "apply":
        return "rpm-ostreed (AutomaticUpdatePolicy=apply) reboots by itself"
    return ""


def _on_disk(sysroot: Mapping[str, Any]) -> tuple[str, ...]:
    match sysroot.get("Deployments", []):
        case list(tables):
            return tuple(
                harmless(table["id"])
                for table in tables
                if isinstance(table, dict) and isinstance(table.get("id"), str)
            )
        case _:
            raise _OddError("Deployments is no list")


def _table(table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    match table.get(key):
        case dict(found) if found:
            return found
        case _:
            raise _OddError(f"{key} is empty")


def _flag(table: Mapping[str, Any], key: str) -> bool:
    match table.get(key, False):
        case bool(found):
            return found
        case _:
            raise _OddError(f"{key} is neither true nor false")


def _text(table: Mapping[str, Any], key: str) -> str:
    match table.get(key, ""):
        case str(found):
            return found
        case _:
            raise _OddError(f"{key} is no text")
