"""What two lock servers tell Prometheus: one that lends and refuses, and one that is not ready."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from rebootmgr.lending.questions import PreReboot, SteadyState, Unavailable
from rebootmgr.lending.terms import Rules, Terms
from rebootmgr.lockd.http.scrape import Scrape
from rebootmgr.lockd.lender import Lender
from rebootmgr.lockd.stores.sqlite import SqliteStore

GROUP: Final = "web"


async def _lent(path: Path) -> tuple[str, str]:
    """Have a server with one slot lend it twice, and refuse it twice."""
    lender = Lender(SqliteStore(path), Rules(groups={GROUP: Terms(slots=1)}))
    scrape = Scrape(lender)
    unopened = scrape.text().decode()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(lender.run())
        while isinstance(await lender.ask(SteadyState(GROUP, "nobody")), Unavailable):
            await asyncio.to_thread(int)
        for host in ("first", "second"):
            await lender.ask(PreReboot(GROUP, host))
        await lender.ask(SteadyState(GROUP, "first"))
        for host in ("second", "third"):
            await lender.ask(PreReboot(GROUP, host))
        text = scrape.text().decode()
        running.cancel()
    return text, unopened


def _said() -> tuple[str, str]:
    with TemporaryDirectory() as home:
        return asyncio.run(_lent(Path(home) / "lockd.sqlite"))


SAID, UNOPENED = _said()
SERIES: Final = {"server": SAID, "not ready": UNOPENED}
