"""rpm-ostree's properties and ostree's files, read as `core.facts` (SPEC 4)."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, TypeVar

from rebootmgr.core.facts import Change, Deployments, Finalization, NotOstree, OsUnknown, Work
from rebootmgr.core.model import Deployment, DeploymentId, UpdateKey
from rebootmgr.text import harmless
from rebootmgr.updates.change_words import (
    Arguments,
    chosen_arguments,
    decode_change,
    encode_change_key,
)
from rebootmgr.updates.gvariant_words import decode_dictionary
from rebootmgr.updates.lock_words import NOBODY_KNOWN

T = TypeVar("T")

LONGEST_FILE: Final = 1024 * 1024
_OBJECT_PATH: Final = re.compile(r"(/[A-Za-z0-9_]+)+")
_LAST_TIMESTAMP: Final = 253_402_300_799  # the year 9999
UNLOCK_BOOTC: Final = "`bootc upgrade --from-downloaded`, as root, unlocks it"
_AT_REST: Final = frozenset({"inactive", "deactivating", "failed"})


@dataclass(frozen=True, slots=True)
class UnreadableFile:
    """A file that is there, or may be, and could not be read."""

    detail: str


FileContent = bytes | None | UnreadableFile
"""What a file holds; None where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """Who registered as update driver (facts/rpm-ostree.md §3.5)."""

    name: str
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedFile:
    """ostree's own word on what is staged; `arguments` and `initrds` are None where it has none."""

    osname: str
    id: DeploymentId
    finalization: Finalization
    arguments: tuple[str, ...] | None
    initrds: tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Witnesses:
    """Who else was asked, besides rpm-ostree's properties.

    `staged_file` is ostree's staged-deployment, written at `staged_at`, `has_lock_file` whether
    there is a staged-deployment-locked beside it; `driver` who registered and reboots by himself,
    or would, were he not `resting`; `applier` is
    bootc's timer, where it reboots; `client` whose transaction runs; `arguments` are the kernel's
    of the booted deployment; `sysroot` is who has locked it.
    """

    staged_file: FileContent = None
    has_lock_file: bool = False
    staged_at: datetime | None = None
    driver: str = ""
    resting: str = ""
    applier: str = ""
    client: str = ""
    arguments: tuple[str, ...] | None = None
    sysroot: Work | None = None


class _OddError(Exception):
    """Something is not as rpm-ostree makes it; the text says what, and what to do about it."""

    def __init__(self, what: str, cure: str = "") -> None:
        super().__init__(what)
        self.cure = cure


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
    sysroot: Mapping[str, Any], booted_os: Mapping[str, Any], others: Witnesses
) -> Deployments | OsUnknown:
    """Read the properties of Sysroot and of the booted OS; any oddity makes it unknown.

    So does what another witness says otherwise: whoever is right, something is changing.
    """
    try:
        old = _table(booted_os, "BootedDeployment")
        new = _table(booted_os, "DefaultDeployment")
        booted = _deployment(old, "BootedDeployment")
        default = _deployment(new, "DefaultDeployment")
        staged = _flag(new, "staged")
        file = decode_staged_file(others.staged_file)
        on_disk = _on_disk(sysroot)
        _compare(booted, default if staged else None, file, _text(old, "osname"))
        if staged:
            _find(default, on_disk)
        change = Change()
        if staged and default.id != booted.id:
            arguments = _arguments(file, others)
            same_base = default.key == booted.key
            change = decode_change(new, old, arguments, same_base=same_base)
            if same_base:
                key = encode_change_key(default.key, new, arguments, default.id)
                default = replace(default, key=key)
        return Deployments(
            booted=booted,
            default=default,
            staged=staged,
            finalization=_finalization(new, file, others) if staged else Finalization.OPEN,
            unlocked=harmless(_text(old, "unlocked")) or "none",
            transaction=_transaction(sysroot, others.client),
            sysroot=others.sysroot,
            driver=others.driver or others.applier or _policy(sysroot),
            registered=bool(others.driver),
            resting_driver=others.resting,
            change=change,
            queued=_queued(sysroot, booted, _text(old, "osname")) if staged else "",
            on_disk=on_disk,
            staged_at=others.staged_at if staged else None,
        )
    except _OddError as odd:
        return OsUnknown(f"rpm-ostree: {odd}", odd.cure)


def decode_staged_file(content: FileContent) -> StagedFile | UnreadableFile | None:
    """Read ostree's staged-deployment; None where there is none."""
    match content:
        case None | UnreadableFile():
            return content
        case bytes() if not 0 < len(content) <= LONGEST_FILE:
            return UnreadableFile("it is empty, or longer than any")
    try:
        table = decode_dictionary(content)
        target = decode_dictionary(_of(table, "target", bytes))
        osname, name = _of(target, "osname", str), _of(target, "name", str)
        is_locked = table.get("locked", False)
        finalization = Finalization.UNKNOWN
        if isinstance(is_locked, bool):
            finalization = Finalization.LOCKED if is_locked else Finalization.OPEN
    except (ValueError, LookupError) as error:
        return UnreadableFile(harmless(f"{type(error).__name__}: {error}"))
    kargs, initrds = table.get("kargs"), table.get("overlay-initrds")
    return StagedFile(
        osname=harmless(osname),
        id=DeploymentId(harmless(f"{osname}-{name}")),
        finalization=finalization,
        arguments=chosen_arguments(map(harmless, kargs)) if isinstance(kargs, tuple) else None,
        initrds=initrds if isinstance(initrds, tuple) else None,
    )


def _of(table: Mapping[str, Any], key: str, kind: type[T]) -> T:
    match table[key]:
        case kind() as value:
            return value
        case _:
            raise ValueError(f"{key} is of another type")


_WITHDRAWN: Final = (
    "should it stay so: `rpm-ostree reload`, then `rpm-ostree status` (both as root) says what is"
)


def _compare(
    booted: Deployment,
    staged: Deployment | None,
    file: StagedFile | UnreadableFile | None,
    osname: str,
) -> None:
    """Let ostree's file and rpm-ostree agree on what is staged, or nothing is known.

    libostree deletes the file first and touches ostree/deploy last, so rpm-ostree shows a
    deployment that is being withdrawn for as long as that takes, even if told to look again. That
    file held its lock: without it, nobody can say that it was open.
    """
    match file:
        case UnreadableFile(detail) if staged is None:
            raise _OddError(f"what is staged cannot be read: {detail}")
        case None if staged is not None:
            what = harmless(staged.version or staged.id)
            raise _OddError(f"{what} is being withdrawn: its staged file is gone", _WITHDRAWN)
        case StagedFile(id=id) if staged is not None and id != staged.id:
            raise _OddError(f"shows {staged.id} as staged, and ostree's file {id}", _WITHDRAWN)
        case StagedFile(id=id) if staged is None and file.osname == osname and id != booted.id:
            raise _OddError(f"shows nothing as staged, and ostree's file {id}", _WITHDRAWN)
        case _:
            pass


def _find(staged: Deployment, on_disk: tuple[str, ...]) -> None:
    if on_disk and staged.id not in on_disk:
        raise _OddError(f"shows {staged.id} as staged, and not among its deployments")


def _arguments(file: StagedFile | UnreadableFile | None, others: Witnesses) -> Arguments:
    if not isinstance(file, StagedFile):
        return Arguments(booted=others.arguments)
    return Arguments(staged=file.arguments, booted=others.arguments, initrds=file.initrds)


def _queued(sysroot: Mapping[str, Any], booted: Deployment, osname: str) -> str:
    """Name the version that would boot next without the staged one, if it is not the booted one."""
    for table in sysroot.get("Deployments", []):
        if not isinstance(table, dict) or table.get("staged") or table.get("osname") != osname:
            continue
        is_booted = table.get("id") == booted.id
        return "" if is_booted else harmless(str(table.get("version") or table.get("id")))
    return ""


def decode_driver(content: FileContent) -> Driver | OsUnknown | None:
    """Read update-driver.gv; None where nobody registered, unknown where it makes no sense."""
    match content:
        case None:
            return None
        case UnreadableFile(detail):
            return OsUnknown(f"who drives updates is unknown: {detail}")
        case bytes():
            try:
                found = decode_dictionary(content).items()
                texts = {key: value for key, value in found if isinstance(value, str)}
                unit = texts["driver-sd-unit"]
            except (ValueError, LookupError) as error:
                text = harmless(repr(error))
                return OsUnknown(f"who drives updates is unknown: update-driver.gv: {text}")
            return Driver(name=harmless(texts.get("driver-name", "")), unit=unit)


def describe_driver(driver: Driver, active_state: str) -> tuple[str, str]:
    """Say that `driver` reboots by itself, if its unit's ActiveState says so; else that it rests.

    A failed unit does not reboot anything (until it is restarted: then it is `activating`).
    """
    name = f" ({driver.name})" if driver.name else ""
    state = f"{driver.unit}{name} is {active_state}"
    if active_state in _AT_REST:
        return "", harmless(state)
    return harmless(f"{state} and reboots by itself"), ""


def describe_applier(timer: str, commands: Iterable[Sequence[str]]) -> str:
    """Say that bootc's timer reboots by itself, if one of the commands that it starts does."""
    for command in commands:
        if "--apply" in command:
            what = harmless(" ".join(command), longest=80)
            cure = f"`systemctl mask --now {timer}`, or let it stage only: docs/bootc.md"
            return f"{timer} starts `{what}`, which reboots by itself ({cure})"
    return ""


def _finalization(
    default: Mapping[str, Any], file: StagedFile | UnreadableFile | None, others: Witnesses
) -> Finalization:
    """Any of three signs locks; what cannot be read may be a lock (facts/rpm-ostree.md §3.4)."""
    key = default.get("finalization-locked", False)
    if key is True or others.has_lock_file:
        return Finalization.LOCKED
    inside = file.finalization if isinstance(file, StagedFile) else Finalization.UNKNOWN
    if inside is Finalization.OPEN and key is not False:
        return Finalization.UNKNOWN
    return inside


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
        timestamp=timestamp_of(table.get("timestamp")),
    )


def timestamp_of(found: object) -> int:
    """Read seconds since the epoch; 0 for anything that no calendar has."""
    return found if type(found) is int and 0 <= found <= _LAST_TIMESTAMP else 0


def describe_holder(holders: tuple[int, ...], unit: str, *, lock: str = "/ostree/lock") -> Work:
    """Say who has locked the sysroot, and how to end that; `unit` is bootc's, if it is at work.

    A `bootc upgrade --apply` whose reboot an inhibitor refused sleeps for ever, and holds the lock
    (facts/bootc.md §5).
    """
    known = [str(process) for process in holders if process != NOBODY_KNOWN]
    who = f" (process {', '.join(known)})" if known else ""
    what = f"bootc, ostree or rpm-ostree is at work on the sysroot{who}"
    if unit:
        cure = f"refused its reboot by an inhibitor, bootc sleeps for ever: `systemctl stop {unit}`"
        return Work(f"{what}: {unit} is activating", cure)
    return Work(what, f"`lsof {lock}`, as root, says who it is: end that process")


def decode_client(sysroot: Mapping[str, Any]) -> str:
    """Read whose transaction is running, as a name on the bus; "" for nobody's."""
    match sysroot.get("ActiveTransaction"):
        case [str(), str(client), *_]:
            return client
        case _:
            return ""


def _transaction(sysroot: Mapping[str, Any], client: str) -> Work | None:
    match sysroot.get("ActiveTransaction", ["", "", ""]):
        case ["", *_]:
            return None
        case [str(method), *_]:
            who = f"its client is {client}: end that one" if client else "end its client"
            cure = f"{who} (`rpm-ostree cancel` hangs on one that was never started)"
            return Work(harmless(f"rpm-ostree transaction in progress: {method}"), harmless(cure))
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
