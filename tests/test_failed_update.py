"""docs/failed-update.md is gone through: an update fails on a real daemon, and what follows."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.doc_shell import Machine, commands
from tests.fakes.host import Host, fleet_lock
from tests.lockd.program import serving

PAGE: Final = "docs/failed-update.md"
STATUS: Final = "rebootmgrctl fleet status"
ONE_ATTEMPT: Final = "[updates.limits]\nattempts_per_deployment = 1\n"


@dataclass
class Place:
    """A host of a fleet, and the server's machine."""

    host: Host
    node: Machine
    locks: Machine

    async def fail(self) -> None:
        """Have an update staged, booted, and given up by the boot loader."""
        await self.host.os.stage("42.2")
        await self.host.until_state("rebooting")
        await self.host.stop()
        self.host.trees.reboot()
        self.host.trees.rollback()
        await self.host.reboot()
        await self.host.start()
        await self.host.until(lambda status: bool(status["outcomes"]))


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    (tmp_path / "locks").mkdir()
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serving(tmp_path / "locks"))
        host = await stack.enter_async_context(Host(tmp_path / "node1"))
        host.configure(fleet_lock(f"http://127.0.0.1:{server.port}") + ONE_ATTEMPT)
        await host.start()
        made = Place(host, Machine(host.root, {}, host.environ), Machine(tmp_path / "locks"))
        await made.fail()
        yield made


async def test_a_failed_update_is_looked_at_forgiven_and_the_fleet_goes_on(place: Place) -> None:
    while "failed: rolled back" not in await place.locks.follow(STATUS):
        pass  # the report is under way
    await place.locks.follow(commands(PAGE, "fleet freeze"))
    said = await place.node.follow(commands(PAGE, "rebootmgrctl history"))
    assert "rolled_back" in said
    assert "slot_kept" in said
    await place.host.os.stage("42.2")
    await place.host.until_blocked("quarantined")
    assert "no longer kept" in await place.node.follow(commands(PAGE, "rebootmgrctl forgive"))
    await place.host.until(lambda status: not status["quarantine"])
    after = await place.locks.follow(commands(PAGE, "fleet thaw"))
    assert "halted" not in after
    assert "frozen" not in after
    await place.host.until_state("rebooting")


async def test_the_slot_of_a_host_that_is_lost_is_taken_back(place: Place) -> None:
    while "halted: " not in await place.locks.follow(STATUS):
        pass  # the report is under way
    await place.host.kill()
    held = await place.locks.follow("rebootmgrctl --json fleet holders")
    lost = commands(PAGE, "--forgive").replace("node1", held.split('"id": "')[1][:32])
    await place.locks.follow(lost)
    status = await place.locks.follow(STATUS)
    assert "0 of 1 slot lent" in status
    assert "halted" not in status
