"""What a run makes is its own, and a later one removes it when nothing of that run lives any more.

Two runs at once have nothing in common but the roots, which nobody changes.
"""

import fcntl
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.system.keeping import is_kept, keep
from tests.system.roots import CACHE

RUNS: Final = CACHE / "runs"
_PREFIX: Final = "rebootmgr-test"
_NAME: Final = "REBOOTMGR_SYSTEM_RUN"  # for what the run becomes, and what it starts


def begin_run() -> None:
    """Give this run a name."""
    os.environ[_NAME] = f"{_PREFIX}-{secrets.token_hex(4)}"


def own(parent: Path) -> Path:
    """Where this run has a directory of its own, once it was claimed."""
    return parent / os.environ[_NAME]


def claim(parent: Path, remove: Callable[[Path], None]) -> None:
    """Make and keep a directory of our own there; have those removed of runs that are over."""
    parent.mkdir(parents=True, exist_ok=True)
    alone = os.open(parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(alone, fcntl.LOCK_EX)
        for old in parent.glob(f"{_PREFIX}-*"):
            if not is_kept(old):
                remove(old)
        own(parent).mkdir()
        keep(own(parent))
    finally:
        os.close(alone)
