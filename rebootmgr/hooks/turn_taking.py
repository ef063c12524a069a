"""One phase at a time on a host: what undoes a drain must not run beside it.

A daemon that was killed may be back while the hooks of the one before are still being ended.
"""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Final

LOCK: Final = "run/rebootmgr/hooks.lock"
_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


@asynccontextmanager
async def wait_for_turn(root: Path) -> AsyncIterator[None]:
    """Wait until no other runner below `root` runs hooks, and be the one that does. OSError.

    The lock is in root's directory and root's alone: nobody else can hold up the hooks with it.
    """
    path = root / LOCK
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    lock = os.open(path, _FLAGS, 0o600)
    try:
        await _locked(lock)
        yield
    finally:
        os.close(lock)


async def _locked(lock: int) -> None:
    """Wait in a thread that nobody waits for: it may take as long as the hooks of somebody else."""
    loop, held = asyncio.get_running_loop(), asyncio.Event()
    with suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    other = os.dup(lock)  # the same lock, and ours to close, whatever becomes of the wait

    def wait() -> None:
        fcntl.flock(other, fcntl.LOCK_EX)
        os.close(other)
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(held.set)

    Thread(target=wait, daemon=True).start()
    await held.wait()
