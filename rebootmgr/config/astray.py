"""What lies on disk as if it were configuration, and is read by nobody; what follows from that."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from rebootmgr.config.drop_ins import DIRECTORIES
from rebootmgr.config.fragment import DropIn, Fragment, Unread
from rebootmgr.errors import Problem
from rebootmgr.text import harmless

_HOME: Final = f"/{DIRECTORIES[0]}"
_NEIGHBOURS: Final = (  # where people put it, and where a program of the same name had it
    "etc/rebootmgr/*.toml",
    "etc/rebootmgr/*.conf",
    "etc/rebootmgr/conf.d/*",
    "etc/rebootmgr/rebootmgr.d/*",
    "etc/rebootmgr.toml",
    "etc/rebootmgr.conf",
    "etc/rebootmgr.d/*",
)
_ZINCATI: Final = "etc/zincati/config.d/*.toml"
_MOST: Final = 20


def find_astray(
    root: Path, fragments: Sequence[Fragment], *, directories: Sequence[str] = DIRECTORIES
) -> Iterator[Problem]:
    """Yield a warning for each file that is not read, masks nothing or is missed."""
    has_some = any(isinstance(each, DropIn) for each in fragments)
    yield from _empty(root, directories)
    neighbours = _NEIGHBOURS if has_some else (*_NEIGHBOURS, _ZINCATI)
    found = [path for pattern in neighbours for path in sorted(root.glob(pattern))]
    for path in [path for path in found if path.is_file()][:_MOST]:
        yield _problem(path, "is not read", f"move it to {_HOME}, with a name that ends in .toml")
    if not any(isinstance(each, DropIn | Unread) for each in fragments):
        message = "no drop-in is read, so defaults apply: reboots as soon as an update is staged"
        cure = "if that is meant, put a drop-in there that says so, even as a comment"
        yield Problem(file=_HOME, line=None, key="", message=message, hint=cure)


def _empty(root: Path, directories: Sequence[str]) -> Iterator[Problem]:
    """Yield the files that would mask a name, of which there is no other."""
    folders = [root / each for each in directories]
    for number, folder in enumerate(folders):
        for path in sorted(folder.glob("*.toml"))[:_MOST] if folder.is_dir() else ():
            others = (below / path.name for below in folders[number + 1 :])
            if _is_empty(path) and not any(map(os.path.lexists, others)):
                yield _problem(path, "is empty, and masks nothing", "write into it, or remove it")


def _is_empty(path: Path) -> bool:
    try:
        return path.is_file() and not path.stat().st_size
    except OSError:
        return False


def _problem(path: Path, message: str, hint: str) -> Problem:
    name = harmless(str(path), longest=4096)
    return Problem(file=name, line=None, key="", message=message, hint=hint)
