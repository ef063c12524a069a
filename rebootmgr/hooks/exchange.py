"""The files by which the daemon and the hook runner talk (SPEC 2, 8).

/run/rebootmgr is root's, `public` in it the daemon's and `hooks` root's again. So the way to a
file is opened step by step: a link that the daemon's user plants leads nowhere.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from rebootmgr.core.model import Phase
from rebootmgr.hooks.words import (
    LARGEST,
    Order,
    Result,
    Unusable,
    decode_order,
    decode_result,
    encode_order,
    encode_result,
)

RUN: Final = "run/rebootmgr"
PUBLIC: Final = "public"
HOOKS: Final = "hooks"
ORDER: Final = "deployment.json"
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def write_order(root: Path, order: Order) -> None:
    """Tell the runner what the next phase is about; OSError if that cannot be done."""
    (root / RUN / PUBLIC).mkdir(mode=0o755, parents=True, exist_ok=True)
    with _open_directory(root, PUBLIC) as directory:
        _replace(directory, ORDER, encode_order(order))


def read_order(root: Path) -> Order | Unusable:
    """Read what the daemon's user says that the phase is about."""
    match _read(root, PUBLIC, ORDER):
        case bytes() as data:
            read = decode_order(data)
            return Unusable(f"{ORDER} {read.why}") if isinstance(read, Unusable) else read
        case unusable:
            return unusable


def write_result(root: Path, result: Result) -> None:
    """Say how a phase ended, readable by everybody; OSError if that cannot be done."""
    (root / RUN / HOOKS).mkdir(mode=0o755, parents=True, exist_ok=True)
    with _open_directory(root, HOOKS) as directory:
        _refuse_others(directory, HOOKS)
        _replace(directory, _name(result.phase), encode_result(result))


def read_result(root: Path, phase: Phase) -> Result | Unusable:
    """Read how `phase` ended when it last did."""
    match _read(root, HOOKS, _name(phase)):
        case bytes() as data:
            read = decode_result(data, phase)
            return Unusable(f"{_name(phase)} {read.why}") if isinstance(read, Unusable) else read
        case unusable:
            return unusable


def _name(phase: Phase) -> str:
    return f"{phase.value}.json"


@contextmanager
def _open_directory(root: Path, name: str) -> Iterator[int]:
    """Open run/rebootmgr/NAME without following a link that others could have put there."""
    parent = os.open(root / RUN, _DIRECTORY)
    try:
        _refuse_others(parent, RUN)
        directory = os.open(name, _DIRECTORY, dir_fd=parent)
    finally:
        os.close(parent)
    try:
        yield directory
    finally:
        os.close(directory)


def _refuse_others(directory: int, name: str) -> None:
    facts = os.fstat(directory)
    if facts.st_uid not in {0, os.geteuid()} or facts.st_mode & 0o022:
        mode = stat.S_IMODE(facts.st_mode)
        what = f"belongs to user {facts.st_uid} with mode {mode:04o}: it must be root's alone"
        raise PermissionError(errno.EPERM, what, name)


def _read(root: Path, directory: str, name: str) -> bytes | Unusable:
    """Read a regular file without waiting for anybody."""
    try:
        with _open_directory(root, directory) as parent:
            file = os.open(name, _FILE, dir_fd=parent)
        with os.fdopen(file, "rb") as opened:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                return Unusable(f"{name} is no regular file")
            return opened.read(LARGEST + 1)
    except OSError as error:
        return Unusable(f"{error.filename or name}: {error.strerror}")


def _replace(directory: int, name: str, data: bytes) -> None:
    """Put a file in the place of the old one; nobody ever sees half of it."""
    new = f".{name}.new"
    with suppress(FileNotFoundError):
        os.unlink(new, dir_fd=directory)
    with os.fdopen(os.open(new, _NEW, 0o644, dir_fd=directory), "wb") as file:
        file.write(data)
        os.fchmod(file.fileno(), 0o644)
    os.replace(new, name, src_dir_fd=directory, dst_dir_fd=directory)
