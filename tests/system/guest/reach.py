"""What a user may change: `python3 -m tests.system.guest.reach` tries, and prints it.

Every directory and file below / is tried, but for what the kernel shows (/proc, /sys, /dev).
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

KERNEL: Final = {"/proc", "/sys", "/dev"}
DRAFT: Final = ".reach"


def reached(top: str) -> Iterator[str]:
    """Name the directories that take a new file, and the files elsewhere that can be opened."""
    for directory, within, files in os.walk(top):
        within[:] = [name for name in within if os.path.join(directory, name) not in KERNEL]  # noqa: PTH118 - a hundred thousand of them
        if may_make(directory):
            yield directory
            within.clear()  # whatever is in there is its own
            continue
        for name in files:
            path = Path(directory, name)
            if not path.is_symlink() and path.is_file() and may_open(path):
                yield str(path)


def may_make(directory: str) -> bool:
    """Whether a file can be made in it."""
    path = Path(directory, DRAFT)
    try:
        path.touch(exist_ok=False)
    except OSError:
        return False
    path.unlink()
    return True


def may_open(path: Path) -> bool:
    """Whether it can be written to; nothing is."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.stdout.writelines(f"{path}\n" for path in reached("/"))
