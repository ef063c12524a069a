"""A store on a file system that gets full, has room again, and is mounted read-only.

`python -m tests.lockd.small_disk DIRECTORY` mounts a small one there, in a mount namespace that
the caller made, and writes one line of JSON about what it saw.
"""

import asyncio
import json
import subprocess
import sys
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from rebootmgr.lending.questions import Joined, Lent
from rebootmgr.lockd.stores.keeper import StoreError
from rebootmgr.lockd.stores.sqlite import SqliteStore

AT = datetime(2030, 1, 6, tzinfo=UTC)
HOLDER = Lent("g", "a", "", AT)
_FILLED = 256 * 1024


def main(directory: Path) -> None:
    """See it full, then roomy, then read-only."""
    mount("-t", "tmpfs", "-o", "size=512k", "none", str(directory))
    path, filler = directory / "lockd.sqlite", directory / "filler"
    filler.write_bytes(b"\0" * _FILLED)
    told, full = asyncio.run(until_full(path))
    shut = asyncio.run(opened(path))
    filler.unlink()
    roomy = asyncio.run(opened(path))
    mount("-o", "remount,ro", str(directory))
    frozen = asyncio.run(opened(path))
    seen = {"told": told, "full": full, "shut": shut, "roomy": roomy, "frozen": frozen}
    sys.stdout.write(json.dumps(seen) + "\n")


def mount(*arguments: str) -> None:
    """Mount, or fail."""
    subprocess.run(["mount", *arguments], check=True)


async def until_full(path: Path) -> tuple[int, str]:
    """Lend one slot and let hosts join until the store refuses; say how many were told so."""
    store = SqliteStore(path)
    await store.open()
    await store.write((HOLDER,))
    for ticket in count(1):
        try:
            await store.write((Joined("g", f"h{ticket}", "n" * 200, ticket, AT),))
        except StoreError as error:
            await store.close()
            return ticket - 1, str(error)
    raise AssertionError("it never gets full")


async def opened(path: Path) -> str | list[int | str]:
    """Open and read it: who holds and the tickets of those who wait, or what is in the way."""
    store = SqliteStore(path)
    try:
        found = await store.open()
    except StoreError as error:
        return str(error)
    finally:
        await store.close()
    return [*(one.id for one in found.holders), *(one.ticket for one in found.waiting)]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
