"""Paths of sockets, which the kernel wants short."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

LONGEST_ADDRESS: Final = 107  # unix(7): sun_path holds 108 bytes with the final zero


@contextmanager
def unix_address(path: Path) -> Iterator[str]:
    """Give an address for `path` that the kernel takes, however long the path is (unix(7))."""
    if len(os.fsencode(path)) <= LONGEST_ADDRESS:
        yield str(path)
        return
    parent = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{parent}/{path.name}"
    finally:
        os.close(parent)
