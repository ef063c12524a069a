"""The lock server on three members of etcd: `python -m benchmarks.serving_on_etcd`, one and two.

All of them, and their 50 clients, share this machine; on SQLite the same is asked in the same
round, so what comes of a machine that does other things besides cancels out.
"""

import asyncio
import json
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from time import perf_counter
from typing import Final

from benchmarks.figures import Figure, Figures, table
from benchmarks.serving import asked, p99_ms
from tests.fakes.etcd import EtcdCluster, find_etcd
from tests.lockd.program import PRE_REBOOT, STEADY_STATE, kept_alive, question, serving

ROUNDS: Final = 3
CLIENTS: Final = 50
WAITING: Final = 5000
TURNS: Final = 40  # of each client: a grant and a return
WAYS: Final = ("SQLite", "etcd", "etcd, two servers")
SLOTS: Final = f"[groups.busy]\nslots = {CLIENTS}\n[groups.default]\nslots = 1\n"


async def at_once(
    ports: Sequence[int], work: Callable[[int], Sequence[bytes]], status: bytes
) -> tuple[float, float]:
    """Have all clients ask, each one server; answers a second, and what 99 of 100 took, in ms."""
    began = perf_counter()
    took = await asyncio.gather(
        *(asked(ports[client % len(ports)], work(client), status) for client in range(CLIENTS))
    )
    spent = perf_counter() - began
    took_s = [one for each in took for one in each]
    return len(took_s) / spent, p99_ms(took_s)


async def measure(ports: Sequence[int], note: Callable[[str, float, float], None]) -> None:
    """Let 5,000 join behind one holder, refuse them again, and lend to others."""
    each = WAITING // CLIENTS

    def waiting(client: int) -> list[bytes]:
        hosts = range(client * each, (client + 1) * each)
        return [kept_alive(PRE_REBOOT, question(f"h{number}")) for number in hosts]

    def turning(client: int) -> list[bytes]:
        both = (STEADY_STATE, PRE_REBOOT)
        return [kept_alive(api, question(f"b{client}", "busy")) for api in both] * TURNS

    note("grants and returns", *await at_once(ports, turning, b"200"))
    await asked(ports[0], [kept_alive(PRE_REBOOT, question("holder"))], b"200")
    note("joins", *await at_once(ports, waiting, b"423"))
    note("refusals", *await at_once(ports, waiting, b"423"))


async def each_way(folder: Path, found: dict[str, list[float]]) -> None:
    async with EtcdCluster(folder) as etcd:
        for way in WAYS:
            urls = json.dumps([member.url for member in etcd.members])
            told = {
                "kind": '"etcd"',
                "etcd_endpoints": urls,
                "etcd_prefix": json.dumps(f"/{WAYS.index(way)}/"),
            }
            store = "".join(f"{key} = {value}\n" for key, value in told.items())
            text = f"[store]\n{store}{SLOTS}" if way != "SQLite" else SLOTS

            def note(what: str, rate: float, p99: float, way: str = way) -> None:
                found.setdefault(f"{what}, {way}", []).append(rate)
                found.setdefault(f"{what}, {way}, p99", []).append(p99)

            async with AsyncExitStack() as stack:
                ports = []
                for number in range(2 if way.endswith("two servers") else 1):
                    home = folder / f"{way} {number}"
                    home.mkdir()
                    server = await stack.enter_async_context(serving(home, text))
                    ports.append(server.port)
                await measure(ports, note)


def run() -> Figures:
    """Give the rounds, on etcd against SQLite; nothing where there is no etcd."""
    found: dict[str, list[float]] = {}
    if not find_etcd():
        return {}
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(prefix="rebootmgr-bench-", dir=".") as name:
            asyncio.run(each_way(Path(name).resolve(), found))
    figures = {
        name: Figure(tuple(values), "ms" if name.endswith("p99") else "/s")
        for name, values in found.items()
    }
    for name, figure in figures.items():
        what, _, way = name.partition(", ")
        if way in WAYS[1:]:
            figures[name] = figure.against(figures[f"{what}, {WAYS[0]}"])
    return figures


if __name__ == "__main__":
    print(*table(run()), sep="\n")
