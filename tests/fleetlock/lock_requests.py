"""What the tests of requests to a lock server share."""

import os
from contextlib import suppress
from pathlib import Path

from rebootmgr.core.events import LockAnswer, LockUnclear
from tests.fakes.nursery import nurses


def unclear(answer: LockAnswer, detail: str, *, answered: bool = False) -> None:
    assert isinstance(answer, LockUnclear)
    assert detail in answer.detail
    assert answer.answered is answered


def children() -> set[int]:
    """Every process whose parent we are, zombies included, but for the nurseries."""
    found: set[int] = set()
    for thread in Path(f"/proc/{os.getpid()}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            found |= {int(pid) for pid in (thread / "children").read_text().split()}
    return found - nurses()
