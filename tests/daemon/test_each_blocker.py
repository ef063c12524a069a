"""Each reason, alone on a real daemon, is what every place shows, and nothing else (SPEC 7).

`rebootmgrctl why` and `status`, STATUS= of sd_notify(3), the metric, and the log.
"""

import asyncio
import json
from asyncio import Runner
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import pytest

from rebootmgr.core.model import Reason
from tests.daemon.lone_blockers import (
    RUNNING,
    STARTING,
    Lone,
    Stage,
    free,
    memory,
    until_clean,
    withdraw,
)
from tests.fakes.fleetlock import FakeFleetLock
from tests.fakes.host import Host, reasons
from tests.fakes.service_manager import ServiceManager
from tests.waiting import BOUND_S


def test_the_table_has_every_reason_once() -> None:
    found = Counter(lone.reason for lone in (*RUNNING, *STARTING))
    assert found == Counter(Reason)


class Theatre:
    """A host, a lock server and a service manager that live longer than one test."""

    def __init__(self, root: Path) -> None:
        self.host = Host(root)
        self.server = FakeFleetLock()
        self._stack = AsyncExitStack()

    async def open(self) -> None:
        await self._stack.enter_async_context(self.host)
        await self._stack.enter_async_context(self.server)
        self.manager = ServiceManager(self.host.dbus.dir)
        await self._stack.enter_async_context(self.manager)
        self.host.more_environ["NOTIFY_SOCKET"] = self.manager.path

    async def close(self) -> None:
        await self._stack.aclose()

    async def play(self, lone: Lone) -> None:
        """Bring it about while the daemon runs; then undo it."""
        since = len(self._log())
        async with asyncio.timeout(BOUND_S), AsyncExitStack() as undo:
            undo.push_async_callback(until_clean, self.host)
            try:
                await lone.arrange(Stage(self.host, self.server, undo))
                await self.judge(lone, since)
            finally:
                await withdraw(self.host)

    async def judge(self, lone: Lone, since: int) -> None:
        """Look everywhere."""
        status = await self.host.until(
            lambda status: (
                reasons(status) == [lone.reason]
                and bool(status["pending"]) == lone.is_pending
                and lone.said in status["blockers"][0]["detail"]
            )
        )
        [blocker] = status["blockers"]
        await self._judge_screens(lone.reason, blocker["detail"])
        series = await self.host.metrics()
        shown = {name for name, value in series.items() if "_blocked{" in name and value}
        assert shown == {f'rebootmgr_blocked{{reason="{lone.reason}"}}'}
        sentence = status["sentence"]
        assert (lone.sentence or lone.said) in sentence
        assert " more)" not in sentence
        await self.manager.until_status(sentence)
        assert self._last_status() == f"STATUS={sentence}"
        log = self._log()[since:].splitlines()
        logged = [line[3:] for line in log if lone.logged in line] if lone.logged else [sentence]
        assert {f"<{n}>{logged[-1]}" for n in range(8)} & set(log), log

    async def _judge_screens(self, reason: str, detail: str) -> None:
        why = json.loads(await self._ctl("--json", "why"))
        assert [(one["reason"], one["detail"]) for one in why["blockers"]] == [(reason, detail)]
        closed = [gate["gate"] for gate in why["gates"] if gate["state"] == "blocking"]
        assert closed == ([] if reason == Reason.REBOOTING else [reason])
        screen = await self._ctl("status")
        blocked = [line.split()[1] for line in screen.splitlines() if line.startswith(" x ")]
        assert blocked[:1] == [reason]
        assert not set(blocked[1:]) & set(Reason)  # a hold is listed, too, by its id
        words = "next opening" if reason == Reason.OUTSIDE_WINDOW else detail
        assert words in " ".join(screen.split())

    async def _ctl(self, *arguments: str) -> str:
        status, out, err = await self.host.main(*arguments)
        assert (status, err) == (0, "")
        return out

    def _log(self) -> str:
        return self.host.log.read_text() if self.host.log.exists() else ""

    def _last_status(self) -> str:
        return [one for one in self.manager.heard if one.startswith("STATUS=")][-1]


OF_THE_SERVER: Final = {one for one in Reason if one.startswith("lock_")}


@pytest.fixture(scope="module", params=["alone", "in a fleet"])
def stages(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Runner, Theatre]]:
    """One daemon for all that can be brought about while it runs, and one for a lock server's."""
    theatre = Theatre(tmp_path_factory.mktemp("host"))
    with Runner() as runner:
        runner.run(theatre.open())
        theatre.host.configure("")
        known = free(theatre.server.url) if request.param == "in a fleet" else []
        theatre.host.remember(**memory(), confirmed=known)
        runner.run(theatre.host.start())
        yield runner, theatre
        runner.run(theatre.close())


@pytest.mark.parametrize(
    ("stages", "lone"),
    [("in a fleet" if one.reason in OF_THE_SERVER else "alone", one) for one in RUNNING],
    ids=[one.reason for one in RUNNING],
    indirect=["stages"],
)
def test_a_reason_alone_is_told_everywhere(
    stages: tuple[Runner, Theatre], lone: Lone, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner, theatre = stages
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", theatre.host.dbus.address)
    monkeypatch.setenv("COLUMNS", "300")
    runner.run(theatre.play(lone))


@pytest.mark.parametrize("lone", STARTING, ids=lambda lone: lone.reason)
async def test_a_reason_that_is_there_from_the_start_is_told_everywhere(
    tmp_path: Path, lone: Lone, monkeypatch: pytest.MonkeyPatch
) -> None:
    theatre = Theatre(tmp_path)
    await theatre.open()
    undo = AsyncExitStack()  # with the host goes everything that was done to it
    try:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", theatre.host.dbus.address)
        monkeypatch.setenv("COLUMNS", "300")
        await lone.arrange(Stage(theatre.host, theatre.server, undo))
        await theatre.host.start(*lone.options, wait=False)
        await theatre.judge(lone, 0)
    finally:
        await theatre.close()
