"""A lock server that is looked at: `python -m benchmarks looking`, while 10,000 hosts wait.

Each look comes after a change, so that nothing is answered with what was made for another. What is
told of a grant is counted from the moment at which its host has the answer.
"""

import asyncio
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Final

from benchmarks.figures import Figure, Figures, milliseconds, table
from rebootmgr.fleetlock.admin_names import EVENTS, HISTORY, STATUS
from rebootmgr.lending.questions import Change, Joined, Lent
from rebootmgr.lockd.stores.sqlite import SqliteStore
from tests.cli.client import ctl
from tests.lockd.program import Server, configure, serving
from tests.lockd.watcher import watching

ROUNDS: Final = 7
WAITING: Final = 10_000
HOLDING: Final = 100
SLOTS: Final = f"[groups.default]\nslots = {HOLDING + ROUNDS}\n[groups.other]\nslots = {ROUNDS}\n"
LOOKS: Final = {
    "the page": "/",
    "status, as it comes": STATUS,
    "status, 1,000 of those that wait": f"{STATUS}?waiting=1000",
    "history": HISTORY,
    "metrics": "/metrics",
}


async def fill(root: Path) -> None:
    """Have the server find a full fleet in its store."""
    configure(root, SLOTS)
    now = datetime.now(UTC)
    changes: list[Change] = [Lent("default", f"{n:032x}", f"up-{n}", now) for n in range(HOLDING)]
    changes += [
        Joined("default", f"{n:032x}", f"worker-{n}", n, now)
        for n in range(HOLDING, HOLDING + WAITING)
    ]
    store = SqliteStore(root / "var/lib/rebootmgr-lockd/lockd.sqlite")
    await store.open()
    await store.write(tuple(changes))
    await store.close()


async def looked(server: Server, path: str) -> float:
    """Ask for it, over a connection of its own; how long that took."""
    began = perf_counter()
    answer = await server.get(path)
    took_s = perf_counter() - began
    if answer.status != 200:
        raise RuntimeError(f"{path}: answered {answer.status} {answer.body!r}")
    return took_s


async def shown_to_people(server: Server) -> float:
    """Run the client, which is most of it."""
    began = perf_counter()
    status, _, err = await ctl(server.root, "fleet", "status")
    if status:
        raise RuntimeError(err)
    return perf_counter() - began


async def told(server: Server, host: str) -> tuple[float, float]:
    """How long until a new watcher knows the fleet, and until it knows of a grant."""
    began = perf_counter()
    async with watching(server.port) as watcher:
        await watcher.until(lambda seen: {"default", "other"} <= seen.groups.keys())
        known_s = perf_counter() - began
        granted = await server.ask(host, "other")
        if granted.status != 200:
            raise RuntimeError(f"not granted: {granted.body!r}")
        began = perf_counter()
        await watcher.until(lambda seen: host in seen.holders("other"))
        return known_s, perf_counter() - began


async def measure(root: Path) -> Figures:
    await fill(root)
    took: dict[str, list[float]] = {}
    async with serving(root, SLOTS) as server:
        for number in range(ROUNDS):
            known_s, granted_s = await told(server, f"new-{number}")
            took.setdefault(f"all that is so, at {EVENTS}", []).append(known_s)
            took.setdefault("a grant is told after", []).append(granted_s)
            for name, path in LOOKS.items():
                took.setdefault(name, []).append(await looked(server, path))
            took.setdefault("rebootmgrctl fleet status", []).append(await shown_to_people(server))
        sizes = {
            f"{name}, size": Figure((len((await server.get(path)).body) / 1024,), "KB")
            for name, path in LOOKS.items()
        }
    return {**{name: milliseconds(each) for name, each in took.items()}, **sizes}


def run() -> Figures:
    """Give what looking takes."""
    with tempfile.TemporaryDirectory(prefix="rebootmgr-bench-") as name:
        return asyncio.run(measure(Path(name)))


if __name__ == "__main__":
    sys.stdout.write("".join(f"{line}\n" for line in table(run())))
