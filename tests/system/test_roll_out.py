"""Three machines roll out through a real lock server, the canary first; one does not return."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import pytest

from tests.fakes.host import fleet_lock
from tests.fakes.spoken import Json, told
from tests.system.bridge import Bridge
from tests.system.conftest import MakeMachine
from tests.system.machine import REBOOTED, Machine
from tests.system.packages import in_image
from tests.system.test_lockd import SERVICE, install, said
from tests.waiting import telling

pytestmark = pytest.mark.systems("one")  # what the lock server decides

CANARY: Final = "canary"
WORKERS: Final = "workers"
GROUPS: Final = f"""
[server]
listen = ["0.0.0.0:3333"]
plain_http = true
[groups.{CANARY}]
[groups.{WORKERS}]
after = ["{CANARY}"]
soak_minutes = 0
max_hold_minutes = 1
"""
ROLL_OUT: Final = "42.2"
ASK_AGAIN_S: Final = 1.0


@dataclass
class Fleet:
    """A lock server and its hosts, the first of them the canary; all are up."""

    server: Machine
    hosts: list[Machine]

    async def group(self, name: str) -> Json:
        """Tell what the server says of one group."""
        shown = await self.server.do("rebootmgrctl", "--json", "fleet", "status", name)
        [group] = json.loads(shown)["groups"]
        assert isinstance(group, dict)
        return group

    async def until(self, name: str, holds: Callable[[Json], bool]) -> Json:
        """Wait until the server says so."""
        last: Json = {}
        with telling(lambda: f"never so: {last}"):
            while not holds(last := await self.group(name)):
                with suppress(TimeoutError):
                    async with asyncio.timeout(ASK_AGAIN_S):
                        await asyncio.Event().wait()
        return last

    async def happened(self) -> list[tuple[str, str]]:
        """Tell who got a slot and who gave it back, in order."""
        shown = await self.server.do("rebootmgrctl", "--json", "fleet", "history", "-n", "99")
        return [(one["what"], one["name"]) for one in json.loads(shown)["history"]]


@pytest.fixture
async def fleet(make_machine: MakeMachine, suite: str) -> AsyncIterator[Fleet]:
    """Machines that are on and idle."""
    with Bridge() as bridge:
        server, *hosts = [
            await make_machine(f"{bridge.name}-{number}", bridge=bridge.name) for number in range(4)
        ]
        for number, machine in enumerate((server, *hosts)):
            bridge.connect(machine, 2 + number)
            machine.write("etc/hostname", f"{machine.name}\n")
        await install(server, suite)
        server.write("etc/rebootmgr-lockd/config.d/50-test.toml", GROUPS)
        await in_image(server, "systemctl", "enable", SERVICE)
        await in_image(server, "systemctl", "disable", "rebootmgr.service")
        await server.boot()
        url = f"http://{bridge.address.rpartition('.')[0]}.2:3333"
        for number, machine in enumerate(hosts):
            group = WORKERS if number else CANARY
            machine.configure(f'{fleet_lock(url)}[identity]\ngroup = "{group}"\n')
        await asyncio.gather(*(machine.boot() for machine in hosts))
        for machine in hosts:
            await machine.until(lambda said: said["state"] == "idle" and not said["slots"])
        yield Fleet(server, hosts)


async def until_down(machine: Machine) -> Machine:
    """See it go down to reboot."""
    assert await machine.wait_down() == REBOOTED
    return machine


async def test_a_canary_goes_first_and_a_dead_host_halts_its_group_until_people_forgive_it(
    fleet: Fleet,
) -> None:
    canary, *workers = fleet.hosts
    for worker in workers:
        await worker.stage(ROLL_OUT)
        assert CANARY in told(await worker.until_blocked("lock_refused"))
    await canary.stage(ROLL_OUT)
    await canary.until_rebooted()
    async with asyncio.TaskGroup() as watching:
        downs = [watching.create_task(until_down(worker)) for worker in workers]
        done, _ = await asyncio.wait(downs, return_when=asyncio.FIRST_COMPLETED)
        [dead] = [task.result() for task in done]  # its power supply went with the reboot
        [other] = [worker for worker in workers if worker is not dead]
        assert await fleet.happened() == [
            ("lent", canary.name),
            ("returned", canary.name),
            ("lent", dead.name),
        ]
        halted = await fleet.until(WORKERS, lambda group: group["stands"] is not None)
        assert halted["stands"]["kind"] == "halted"
        [holder] = halted["holders"]
        assert (holder["name"], holder["overdue"]) == (dead.name, True)
        held = datetime.now(UTC) - datetime.fromisoformat(holder["since"])
        assert held.total_seconds() > 60
        text = await fleet.server.do("rebootmgrctl", "fleet", "status", WORKERS)
        assert "halted: all slots are held for longer than 1 minute," in text
        assert f"* {dead.name}" in text
        assert "overdue" in text
        await other.ctl("reboot")  # it asks at once, rather than when it was told to
        assert "halted" in told(await other.until(lambda said: "halted" in told(said)))
        assert other.is_up
        resumed = await fleet.server.do(
            "rebootmgrctl", "fleet", "resume", WORKERS, "--forgive", dead.name
        )
        assert f"{dead.name} has no slot of it any more" in resumed
        await other.ctl("reboot")
    await other.boot()
    await dead.boot()  # it was repaired
    for machine in fleet.hosts:
        seen = await machine.until(lambda said: said["state"] == "idle" and not said["slots"])
        assert seen["booted"]["version"] == ROLL_OUT
        assert machine.boots == 2
    await fleet.until(WORKERS, lambda group: not group["holders"])
    assert [name for what, name in await fleet.happened() if what == "lent"] == [
        canary.name,
        dead.name,
        other.name,
    ]
    assert "Traceback" not in await said(fleet.server)
