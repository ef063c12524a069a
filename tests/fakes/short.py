"""Directories in which sockets can be bound, wherever TMPDIR is."""

import tempfile
from pathlib import Path
from typing import Final

_SHORT: Final = "/tmp"  # noqa: S108  # `mkdtemp` makes what nobody else can have made
_LONGEST: Final = 107  # bytes that a socket's path may have: sun_path of unix(7), without NUL
_RANDOM: Final = 8  # characters that `mkdtemp` adds


def short_directory(prefix: str, *, inside: int) -> Path:
    """A new directory of this user alone, in TMPDIR, or in /tmp where that leaves too little room.

    `inside` is how many bytes a socket's name in it may have, its slash and all that follows.
    """
    parent = tempfile.gettempdir()
    length = len(parent.encode()) + 1 + len(prefix.encode()) + _RANDOM + inside
    return Path(tempfile.mkdtemp(prefix=prefix, dir=parent if length <= _LONGEST else _SHORT))
