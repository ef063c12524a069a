"""What a lock server is told of a reboot when it does not hear at once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from rebootmgr.core.memory import PastReboot
from rebootmgr.core.model import DeploymentId, Outcome, Slot
from rebootmgr.daemon.outcome_reports import OutcomeReports
from rebootmgr.fleetlock.client import LockClient
from rebootmgr.fleetlock.words import Server
from tests.fakes.fleetlock import FakeFleetLock, Script, reply
from tests.waiting import PATIENT_S

REBOOT = PastReboot(
    at=datetime(2030, 1, 6, tzinfo=UTC),
    target=DeploymentId("b" * 64),
    version="42.2",
    outcome=Outcome.ROLLED_BACK,
    cause="10-db: no replica",
)


@pytest.fixture
async def server() -> AsyncIterator[FakeFleetLock]:
    async with FakeFleetLock() as made:
        yield made


async def told(server: FakeFleetLock, *answers: Script) -> int:
    """How often it is told, when it gives these answers."""
    server.script += answers
    slot = Slot(server.url, "default", "h1")
    async with asyncio.TaskGroup() as tasks:
        reports = OutcomeReports(LockClient(observed=lambda *_: None), tasks, again_s=(0.0, 0.0))
        at = Server(base_url=server.url, timeout_s=PATIENT_S)
        reports.begin(slot, at, REBOOT, booted="42.1")
        await reports.wait_tried(slot)
        assert len(server.seen) >= 1
    return len(server.seen)


async def test_a_report_that_is_not_heard_is_repeated(server: FakeFleetLock) -> None:
    assert await told(server, reply(503), reply(429), reply(204)) == 3


async def test_a_report_that_is_never_heard_comes_to_an_end(server: FakeFleetLock) -> None:
    assert await told(server, *[reply(500)] * 9) == 3


@pytest.mark.parametrize("status", [200, 204, 400, 401, 404])
async def test_a_report_that_was_answered_is_not_repeated(
    server: FakeFleetLock, status: int
) -> None:
    assert await told(server, reply(status)) == 1


async def test_a_slot_of_which_nothing_is_told_is_not_waited_for(server: FakeFleetLock) -> None:
    async with asyncio.TaskGroup() as tasks:
        reports = OutcomeReports(LockClient(observed=lambda *_: None), tasks)
        await reports.wait_tried(Slot(server.url, "default", "h1"))
    assert server.seen == []
