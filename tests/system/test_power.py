"""The daemon is killed, and the machine loses its power, in each state: the slot is accounted for,
there is one reboot, and nothing is forgotten."""

import asyncio
import json
from typing import Final

import pytest

from rebootmgr.updates.file_watch import FileWatch
from tests.fakes.fleetlock import FakeFleetLock
from tests.fakes.host import Json, fleet_lock
from tests.system.held_states import STATES, Held, reach
from tests.system.holds import release
from tests.system.machine import Machine
from tests.system.processes import Process

pytestmark = pytest.mark.systems("one")  # what is on the disk is our own

OSTREE: Final = "var/lib/stand-in/ostree.json"
# Stops after the staged deployment was finalized, and takes for ever.
LINGER: Final = """\
[Unit]
DefaultDependencies=no
Before=ostree-finalize-staged.service final.target
Conflicts=final.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
ExecStop=/bin/sleep infinity

[Install]
WantedBy=sysinit.target
"""


def asked(server: FakeFleetLock) -> list[str]:
    """What the lock server was asked, in order."""
    return [request.target.removeprefix("/v1/") for request in server.seen]


def holders(server: FakeFleetLock) -> list[str]:
    """Who holds the slot."""
    return list(server.holders.get("default", ()))


def outcomes(status: Json) -> tuple[str, ...]:
    """What came of each reboot that was asked for."""
    return tuple(reboot["outcome"] for reboot in status["history"])


async def until_at_rest(machine: Machine, server: FakeFleetLock, *, version: str) -> Json:
    """Wait until nothing is pending and nobody holds the slot."""
    await server.wait_seen(1)  # a first boot is confirmed, of which status shows nothing
    status = await machine.until(lambda status: status["state"] == "idle" and not holders(server))
    assert status["booted"]["version"] == version
    return status


async def is_up_and_keeps(machine: Machine, server: FakeFleetLock, held: list[str]) -> None:
    """Check that a boot gives nothing back before it is complete, and complete it."""
    await machine.until_incomplete()
    assert holders(server) == held
    await machine.end_health_check(well=True)


async def until_updated(
    machine: Machine, server: FakeFleetLock, wanted: tuple[str, ...] = ("succeeded",)
) -> None:
    """Let it reboot, with the slot in its hand from before until the boot is complete."""
    await machine.until_rebooted()
    assert asked(server)[-1] == "pre-reboot"
    assert len(holders(server)) == 1
    await is_up_and_keeps(machine, server, holders(server))
    status = await until_at_rest(machine, server, version="42.2")
    assert outcomes(status) == wanted
    assert asked(server)[-1] == "steady-state"


@pytest.mark.parametrize("held", STATES, ids=lambda held: held.name)
async def test_a_daemon_that_is_killed_in_any_state_goes_on_as_if_it_had_not_been(
    machine: Machine, server: FakeFleetLock, held: Held
) -> None:
    await reach(machine, server, held)
    await Process.main_of(machine).kill()
    if held.name in {"starting", "rebooting"}:  # they last, until the host goes on
        await machine.until_state(held.state)
    await held.go_on(machine)
    if held.boots == 1:
        await until_updated(machine, server)
    else:
        status = await until_at_rest(machine, server, version="42.2")
        assert outcomes(status) == ("succeeded",)
    assert machine.boots == 2


@pytest.mark.parametrize("held", STATES, ids=lambda held: held.name)
async def test_a_power_cut_in_any_state_loses_no_slot_and_forgets_nothing(
    machine: Machine, server: FakeFleetLock, held: Held
) -> None:
    await reach(machine, server, held)
    kept = holders(server)
    await machine.power_cut()
    await machine.boot()
    await is_up_and_keeps(machine, server, kept)
    if held.boots == 2:
        status = await until_at_rest(machine, server, version="42.2")
        assert outcomes(status) == ("succeeded",)
        return
    # What was staged is gone with the power; the timer stages it again.
    status = await until_at_rest(machine, server, version="42.1")
    assert outcomes(status) == held.judged
    await machine.stage("42.2")
    if held.name == "waiting":
        await release(machine)
    await until_updated(machine, server, (*held.judged, "succeeded"))


async def test_a_power_cut_after_the_update_was_finalized_takes_the_place_of_the_reboot(
    machine: Machine, server: FakeFleetLock
) -> None:
    machine.configure(fleet_lock(server.url))
    machine.write("etc/systemd/system/linger.service", LINGER)
    wanted = machine.root / "etc/systemd/system/sysinit.target.wants/linger.service"
    wanted.symlink_to("../linger.service")
    await machine.boot()
    await until_at_rest(machine, server, version="42.1")
    machine.check_health()
    finalized = asyncio.Event()

    def look(_: str) -> None:
        trees = json.loads((machine.root / OSTREE).read_text())["trees"]
        if len(trees) == 2 and not trees[0]["staged"]:
            finalized.set()

    with FileWatch(machine.root, (OSTREE,), look):
        await machine.stage("42.2")
        await finalized.wait()
    kept = holders(server)
    assert len(kept) == 1
    assert machine.is_up
    await machine.power_cut()
    await machine.boot()
    await is_up_and_keeps(machine, server, kept)
    status = await until_at_rest(machine, server, version="42.2")
    assert outcomes(status) == ("succeeded",)
    assert asked(server) == ["steady-state", "pre-reboot", "steady-state"]
