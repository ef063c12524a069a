"""Finding and reading the drop-ins (SPEC 2)."""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from rebootmgr.config.fragment import DropIn, Fragment, Ignored, Unread
from rebootmgr.errors import Problem
from rebootmgr.text import harmless

VENDOR: Final = "usr/lib/rebootmgr/config.d"
DIRECTORIES: Final = (  # the first has the last word
    "etc/rebootmgr/config.d",
    "run/rebootmgr/config.d",
    VENDOR,
)
LARGEST: Final = 1 << 20
_ENDING: Final = ".toml"


def read_drop_ins(root: Path, directories: Sequence[str] = DIRECTORIES) -> tuple[Fragment, ...]:
    """Read all drop-ins under `root`, in byte order of their names; failures are among them."""
    chosen: dict[str, Path] = {}
    found: list[Fragment] = []
    for directory in (root / each for each in directories):
        try:
            entries = sorted(directory.iterdir(), key=lambda path: os.fsencode(path.name))
        except FileNotFoundError:
            if directory.is_symlink():
                found.append(_unread(directory, "points nowhere", "repair or remove the link"))
            continue
        except OSError as error:
            found.append(_unreadable(directory, error))
            continue
        for path in entries:
            reason = _no_drop_in(path.name)
            if reason:
                found.append(Ignored(_problem(path, *reason)))
            else:
                chosen.setdefault(path.name, path)
    names = sorted(chosen, key=os.fsencode)
    return (*found, *(fragment for name in names for fragment in _read(chosen[name], root)))


def read_named(paths: Sequence[Path]) -> tuple[Fragment, ...]:
    """Read the files, and the drop-ins of the folders, that somebody named, as one folder.

    In byte order of their names; of one name the first that was given. What is not there, or holds
    nothing, is a failure among them: nobody is to take it for a configuration that was looked at.
    """
    chosen: dict[str, Path] = {}
    found: list[Fragment] = []
    for path in paths:
        if not path.is_dir():
            reason = _no_drop_in(path.name)
            if reason:
                found.append(Ignored(_problem(path, *reason)))
            if os.path.lexists(path):
                chosen.setdefault(path.name, path)
            else:
                found.append(_unread(path, "there is no such file", "correct its name"))
            continue
        within = read_drop_ins(path, (".",))
        if not any(isinstance(each, DropIn | Unread) for each in within):
            cure = f"name the folder of the drop-ins, or --root DIR for what has {DIRECTORIES[0]}"
            found.append(_unread(path, f"holds no {_ENDING} file with anything in it", cure))
        found += [each for each in within if isinstance(each, Ignored)]
        for each in within:
            if not isinstance(each, Ignored):
                file = Path(each.file if isinstance(each, DropIn) else each.problem.file)
                chosen.setdefault(file.name, file)
    names = sorted(chosen, key=os.fsencode)
    return (*found, *(one for name in names for one in _read(chosen[name], Path("/"))))


def _no_drop_in(name: str) -> tuple[str, str] | None:
    if name.startswith("."):
        return "is not read: its name starts with a dot", "rename or remove it"
    if not name.endswith(_ENDING):
        return f"is not read: its name does not end in {_ENDING}", "rename or remove it"
    return None


def _read(path: Path, root: Path) -> Iterator[Fragment]:
    """Yield the file as one fragment; none if it masks its name."""
    try:
        if path.is_symlink() and path.readlink() == Path(os.devnull):
            return
        content = _content(_inside(path, root))
        if not content:
            return
        text = content.decode("utf-8-sig")
    except FileNotFoundError:
        yield _unread(path, "is a link that points nowhere", "repair or remove the link")
    except _UnfitFileError as error:
        yield _unread(path, str(error), "a drop-in is a regular file of 1 MiB at most")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        yield Unread(_problem(path, "is not UTF-8", "save it as UTF-8", line=line))
    except OSError as error:
        yield _unreadable(path, error)
    else:
        yield DropIn(_name(path), text)


class _UnfitFileError(Exception):
    """What is there is no file for reading."""


def _inside(path: Path, root: Path) -> Path:
    """Follow links as the system under `root` would: absolute ones start there."""
    for _ in range(40):  # as many as Linux follows
        if not path.is_symlink():
            break
        target = path.readlink()
        path = root / target.relative_to("/") if target.is_absolute() else path.parent / target
    return path


def _content(path: Path) -> bytes:
    """Read a regular file without waiting for anybody; empty for the null device."""
    is_file = stat.S_ISREG(path.stat().st_mode)
    if path.is_char_device() and path.samefile(os.devnull):
        return b""
    if not is_file:
        raise _UnfitFileError("is no regular file")
    waiting_for_nobody = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    with os.fdopen(os.open(path, waiting_for_nobody), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise _UnfitFileError("is no regular file")
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise _UnfitFileError("is too large")
    return content


def _unreadable(path: Path, error: OSError) -> Unread:
    cure = "repair it, or remove it"
    if isinstance(error, PermissionError):
        cure = "run with sudo; the daemon's user must be able to read it, too"
    return _unread(path, f"cannot be read: {error.strerror}", cure)


def _unread(path: Path, message: str, hint: str) -> Unread:
    return Unread(_problem(path, message, hint))


def _problem(path: Path, message: str, hint: str, *, line: int | None = None) -> Problem:
    return Problem(file=_name(path), line=line, key="", message=message, hint=hint)


def _name(path: Path) -> str:
    return harmless(str(path), longest=4096)
