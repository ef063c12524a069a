"""What a lock server's heart does: `python -m benchmarks.lending`, without HTTP around it.

Grants and returns of 50 clients at once are set against appending to a file and flushing it, one
after the other, on the same disk in the same round; refusals against nothing: they touch no disk.
"""

import asyncio
import os
import tempfile
from pathlib import Path
from time import perf_counter

from benchmarks.figures import Figure, Figures, count, table
from rebootmgr.lending.questions import (
    Answer,
    Granted,
    PreReboot,
    Question,
    Refused,
    Returned,
    SteadyState,
)
from rebootmgr.lending.terms import Rules, Terms
from rebootmgr.lockd.lender import Lender
from rebootmgr.lockd.stores.sqlite import SqliteStore

ROUNDS = 5
CLIENTS = 50
TURNS = 20  # of each client: a grant and a return
REFUSALS = 5000
WAITING = 10_000
AT_ONCE = 256  # as many as may be connected
APPENDS = 500
GROUP = "default"


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def appends_a_second(folder: Path) -> float:
    descriptor = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    began = perf_counter()
    for _ in range(APPENDS):
        os.write(descriptor, b"a grant, as short as it may be\n")
        os.fdatasync(descriptor)
    spent = perf_counter() - began
    os.close(descriptor)
    return APPENDS / spent


async def opened(lender: Lender) -> None:
    while not isinstance(await lender.ask(SteadyState(GROUP, "nobody")), Returned):
        await asyncio.to_thread(int)


async def wanted(lender: Lender, question: Question, kind: type[Answer]) -> None:
    answer = await lender.ask(question)
    if not isinstance(answer, kind):
        raise TypeError(f"{question} was answered by {answer}")


async def take_turns(lender: Lender, host: str) -> None:
    for _ in range(TURNS):
        await wanted(lender, PreReboot(GROUP, host), Granted)
        await wanted(lender, SteadyState(GROUP, host), Returned)


async def grants_and_returns_a_second(folder: Path) -> float:
    lender = Lender(SqliteStore(folder / "busy"), Rules(groups={GROUP: Terms(slots=CLIENTS)}))
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(lender.run())
        await opened(lender)
        began = perf_counter()
        await asyncio.gather(*(take_turns(lender, f"h{number}") for number in range(CLIENTS)))
        spent = perf_counter() - began
        running.cancel()
    return 2 * CLIENTS * TURNS / spent


async def refusals_a_second(folder: Path) -> tuple[float, float]:
    """Once 10,000 wait; and how many MB more they are than an empty queue."""
    lender = Lender(SqliteStore(folder / "full"), Rules())
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(lender.run())
        await opened(lender)
        empty_mb = resident_mb()
        questions = [PreReboot(GROUP, f"h{n}", f"worker-{n}.example.com") for n in range(WAITING)]
        for begin in range(0, WAITING, AT_ONCE):
            await asyncio.gather(*map(lender.ask, questions[begin : begin + AT_ONCE]))
        waiting_mb = resident_mb() - empty_mb
        began = perf_counter()
        for question in questions[1 : REFUSALS + 1]:
            await wanted(lender, question, Refused)
        spent = perf_counter() - began
        running.cancel()
    return REFUSALS / spent, waiting_mb


def run() -> Figures:
    writes: list[float] = []
    bare: list[float] = []
    refusals: list[float] = []
    memory: list[float] = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(prefix="rebootmgr-bench-", dir=".") as name:
            folder = Path(name)
            bare.append(appends_a_second(folder))
            writes.append(asyncio.run(grants_and_returns_a_second(folder)))
            told, waiting_mb = asyncio.run(refusals_a_second(folder))
            refusals.append(told)
            memory.append(waiting_mb)
    appends = Figure(tuple(bare), "/s")
    return {
        "append and flush": appends,
        "grants and returns, 50 clients": Figure(tuple(writes), "/s").against(appends),
        "refusals, 10,000 waiting": Figure(tuple(refusals), "/s"),
        "memory of 10,000 waiting": count(memory[0], "MB"),
    }


if __name__ == "__main__":
    print(*table(run()), sep="\n")
