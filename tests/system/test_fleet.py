"""Three machines, one slot, and a network that fails when it hurts: never two down at once."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

import pytest

from tests.fakes.fleetlock import FakeFleetLock
from tests.fakes.fleetlock_dialects import Airlock
from tests.fakes.fleetlock_store import Store
from tests.fakes.fleetlock_wire import Script, Seen
from tests.fakes.host import fleet_lock
from tests.system.bridge import Bridge
from tests.system.conftest import MakeMachine
from tests.system.machine import REBOOTED, Machine
from tests.waiting import telling

pytestmark = pytest.mark.systems("one")  # what lock servers see

Event: TypeAlias = tuple[str, str]

SIZE: Final = 3
TIMEOUT_S: Final = 3
DRAINED: Final = "run/drained"
GO: Final = "run/go"
DRAIN: Final = f"touch /{DRAINED}\nuntil [ -e /{GO} ]; do sleep 0.1; done"


class Chronicle:
    """What happened to the fleet, in order: granted, down, up and released, and to whom."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._grew = asyncio.Event()

    def note(self, what: str, who: str) -> None:
        """Tell what happened."""
        self.events.append((what, who))
        self._grew.set()

    async def until(self, holds: Callable[[list[Event]], bool]) -> None:
        """Wait until that was told."""
        with telling(lambda: f"never so: {self.events}"):
            while not holds(self.events):
                self._grew.clear()
                await self._grew.wait()


@dataclass
class Witness:
    """A lock server that tells the story. Whom it grants a slot, it lets know when `may_say`."""

    story: Chronicle
    may_say: dict[str, asyncio.Event] = field(default_factory=dict)
    _airlock: Airlock = field(default_factory=Airlock)

    def answer(self, store: Store, request: Seen) -> Script:
        """As a dialect does."""
        before = set(store.holders.get("default", ()))
        script = self._airlock.answer(store, request)
        after = set(store.holders.get("default", ()))
        for node in before - after:
            self.story.note("released", node)
        for node in after - before:
            self.story.note("granted", node)
            script = replace(script, gate=self.may_say.setdefault(node, asyncio.Event()))
        return script


@dataclass
class Fleet:
    """The machines by their node ids, what connects them, and what happens to them."""

    bridge: Bridge
    server: FakeFleetLock
    witness: Witness
    machines: dict[str, Machine]

    @property
    def story(self) -> Chronicle:
        """What happened so far."""
        return self.witness.story


@pytest.fixture
async def fleet(make_machine: MakeMachine) -> AsyncIterator[Fleet]:
    """A fleet that is on and idle."""
    witness = Witness(Chronicle())
    with Bridge() as bridge:
        async with FakeFleetLock(host=bridge.address, dialect=witness, retry_after=1) as server:
            fleet = Fleet(bridge, server, witness, {})
            for number in range(SIZE):
                machine = await make_machine(f"{bridge.name}-{number}", bridge=bridge.name)
                bridge.connect(machine, 2 + number)
                node = f"{number:032x}"
                machine.configure(
                    f"{fleet_lock(server.url)}timeout_seconds = {TIMEOUT_S}\n"
                    f'[identity]\nnode_uuid = "{node}"\n'
                )
                machine.hook("pre-reboot.d", "drain", DRAIN)
                fleet.machines[node] = machine
            await asyncio.gather(*(machine.boot() for machine in fleet.machines.values()))
            for machine in fleet.machines.values():
                await machine.until(lambda said: said["state"] == "idle" and not said["slots"])
            yield fleet


async def go_on(*machines: Machine) -> None:
    """Have them ask at once, rather than minutes later, as people do who mended a network."""
    for done in await asyncio.gather(*(machine.ctl("reboot") for machine in machines)):
        assert done.status == 0, done


async def watch(fleet: Fleet, node: str) -> None:
    """Tell when a machine goes down, and that it does so to reboot."""
    status = await fleet.machines[node].wait_down()
    fleet.story.note("down", node)
    assert status == REBOOTED


async def update_next(fleet: Fleet, done: Sequence[str]) -> str:
    """See another machine through its update, its network failing at each worst moment; which."""
    story, bridge = fleet.story, fleet.bridge
    async with asyncio.TaskGroup() as people:
        left = [machine for node, machine in fleet.machines.items() if node not in done]
        people.create_task(go_on(*left))
        await story.until(lambda events: [what for what, _ in events[-1:]] == ["granted"])
        # While it asks: it never hears that it has the slot.
        node = story.events[-1][1]
        machine = fleet.machines[node]
        bridge.cut(machine)
        fleet.witness.may_say[node].set()
    await machine.until_blocked("lock_unreachable")
    bridge.mend(machine)
    await go_on(machine)
    # After the grant, before the reboot.
    drained = machine.inside(DRAINED)
    await machine.until(lambda said: said["state"] == "preparing" and drained.exists())
    bridge.cut(machine)
    machine.inside(GO).touch()
    await story.until(lambda events: events[-1] == ("down", node))
    # While it reboots, and before it gives its slot back: now nobody reaches the server.
    bridge.cut()
    machine.check_health()
    await machine.boot()
    story.note("up", node)
    await machine.end_health_check(well=True)
    await machine.until(lambda said: any(slot["error"] for slot in said["slots"]))
    assert fleet.server.holders == {"default": [node]}
    assert all(machine.is_up for machine in fleet.machines.values())
    bridge.mend()
    await story.until(lambda events: events[-1] == ("released", node))
    return node


async def test_a_fleet_whose_network_fails_when_it_hurts_is_updated_one_machine_at_a_time(
    fleet: Fleet,
) -> None:
    for machine in fleet.machines.values():
        await machine.stage("42.2")
    order: list[str] = []
    async with asyncio.TaskGroup() as watching:
        for node in fleet.machines:
            watching.create_task(watch(fleet, node))
        while len(order) < SIZE:
            order.append(await update_next(fleet, order))
    turn = ("granted", "down", "up", "released")
    assert fleet.story.events == [(what, node) for node in order for what in turn]
    assert set(order) == set(fleet.machines)
    for machine in fleet.machines.values():
        said = await machine.until(lambda said: said["state"] == "idle" and not said["slots"])
        assert said["booted"]["version"] == "42.2"
        assert [reboot["outcome"] for reboot in said["history"]] == ["succeeded"]
        assert machine.boots == 2
    assert fleet.server.holders == {"default": []}
