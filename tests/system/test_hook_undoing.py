"""A drain that no reboot follows is undone, and only then does the slot go back."""

import signal
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Final, TypeAlias

import pytest

from tests.fakes.fleetlock import FakeFleetLock
from tests.fakes.host import fleet_lock
from tests.system.machine import Machine
from tests.system.processes import RPM_OSTREED, Process, hook_units
from tests.system.story import Story

PRE: Final = "/v1/pre-reboot"
STEADY: Final = "/v1/steady-state"
DRAIN: Final = "pre-reboot 10-drain"
UNDO: Final = "abandoned 10-undo"
HANG: Final = "exec sleep infinity\n"


async def until_ready(machine: Machine, server: FakeFleetLock, drain: str, undo: str = "") -> Story:
    """Boot a machine with these hooks; the story begins when nothing is left of the boot."""
    story = Story(machine, server)
    machine.configure(fleet_lock(server.url))
    await machine.boot()
    await story.until(STEADY)
    await machine.until_state("idle")
    story.forget()
    story.hook("pre-reboot.d", "10-drain", drain)
    story.hook("post-boot.d", "10-undo", undo)
    return story


# What ends a drain


async def hold(machine: Machine) -> None:
    held = await machine.ctl("hold", "--reason", "the year's end", "--forever")
    assert held.status == 0, held


async def withdrawal(machine: Machine) -> None:
    await machine.cleanup()


async def reload(machine: Machine) -> None:
    """A new policy starts over."""
    await machine.do("systemctl", "reload", "rebootmgr.service")


async def kill_of_the_runner(machine: Machine) -> None:
    await Process.hook_runner(machine).kill()


async def stop_of_the_unit(machine: Machine) -> None:
    await machine.do("systemctl", "stop", *hook_units(machine))


async def restart_of_the_daemon(machine: Machine) -> None:
    """A daemon that is stopped takes its drain along, and leaves the undoing to the next one."""
    await machine.do("systemctl", "stop", "rebootmgr.service")
    assert hook_units(machine) == []
    await machine.do("systemctl", "start", "rebootmgr.service")


async def kill_of_the_daemon(machine: Machine) -> None:
    """So does one that is killed: its connection ends with it. Then it is started again."""
    runner = Process.hook_runner(machine)
    await Process.main_of(machine).kill()
    await runner.wait_ended()


ENDS: Final = (
    *(hold, withdrawal, reload),
    *(stop_of_the_unit, restart_of_the_daemon, kill_of_the_runner, kill_of_the_daemon),
)


async def test_whatever_ends_a_drain_it_is_undone_before_the_slot_goes_back(
    machine: Machine, server: FakeFleetLock
) -> None:
    gate = "mkfifo /run/gate 2>/dev/null; read -r _ </run/gate"
    story = await until_ready(machine, server, f"trap 'exit 1' TERM\n{HANG}", gate)
    told: list[str] = []
    for end in ENDS:
        await machine.stage("42.2")
        told += (PRE, DRAIN)
        await story.until(*told)
        await end(machine)
        told += (UNDO,)
        await story.until(*told)
        await machine.cleanup()  # or it would be tried again, with the slot that it has
        await machine.until(lambda status: status["pending"] is None)
        assert len(server.holders["default"]) == 1, end
        machine.inside("run/gate").write_text("\n")
        told += (STEADY,)
        await story.until(*told)
        status = await machine.until_state("idle")
        for placed in status["holds"]:
            await machine.ctl("release", placed["id"])
    assert story.lines == told
    assert machine.boots == 1
    system = await machine.run("systemctl", "is-system-running")
    assert system.out.strip() == "running", "not degraded by a runner that was killed"


async def test_a_drain_that_outlasts_its_opening_is_ended_and_undone(
    machine: Machine, server: FakeFleetLock
) -> None:
    began = monotonic()
    story = await until_ready(machine, server, HANG)
    booting = timedelta(seconds=monotonic() - began)  # which takes longer than to begin a drain
    freeze = datetime.now(UTC) + timedelta(seconds=4) + 2 * booting
    start = freeze.isoformat(timespec="seconds")
    machine.configure(
        '[updates.clock]\nrequire_synchronized = "never"\n'
        f'[[updates.blackout]]\nname = "freeze"\nstart = {start}\nend = 2100-01-01T00:00:00Z\n',
        "60-freeze.toml",
    )
    await machine.do("systemctl", "reload", "rebootmgr.service")
    await machine.stage("42.2")
    await story.until(PRE, DRAIN, UNDO, STEADY)
    await machine.until_blocked("blackout")
    assert story.lines == [PRE, DRAIN, UNDO, STEADY]


# The daemon, or the whole machine, is gone between the drain and the reboot


async def while_draining(machine: Machine, server: FakeFleetLock) -> Story:
    story = await until_ready(machine, server, HANG)
    await machine.stage("42.2")
    await story.until(PRE, DRAIN)
    return story


async def when_drained(machine: Machine, server: FakeFleetLock) -> Story:
    """Nobody answers the last look at the deployments, so that no reboot is called."""
    stop = f"systemctl kill --signal=STOP {RPM_OSTREED}"
    story = await until_ready(machine, server, stop)
    await machine.stage("42.2")
    await machine.until_state("committing")
    return story


REACHED: Final = (while_draining, when_drained)
Reach: TypeAlias = Callable[[Machine, FakeFleetLock], Awaitable[Story]]


@pytest.mark.parametrize("reach", REACHED)
async def test_a_drain_is_undone_by_the_next_start_of_a_daemon_that_was_killed(
    machine: Machine, server: FakeFleetLock, reach: Reach
) -> None:
    story = await reach(machine, server)
    await Process.main_of(machine).kill()
    if reach is when_drained:
        Process.main_of(machine, RPM_OSTREED).send(signal.SIGCONT)
    await machine.cleanup()  # before it is started again, or it would go on with the update
    assert len(server.holders["default"]) == 1
    await story.until(PRE, DRAIN, UNDO, STEADY)
    await machine.until(lambda status: status["state"] == "idle" and not status["slots"])
    assert hook_units(machine) == []
    assert not machine.remembered()["drained"]
    assert server.holders["default"] == []
    assert machine.boots == 1


@pytest.mark.parametrize("reach", REACHED)
async def test_a_drain_is_undone_in_the_boot_after_a_power_cut(
    machine: Machine, server: FakeFleetLock, reach: Reach
) -> None:
    story = await reach(machine, server)
    assert len(server.holders["default"]) == 1
    await machine.power_cut()
    await machine.boot()
    await story.until(PRE, DRAIN, "post-boot 10-undo", STEADY)
    status = await machine.until(lambda status: status["state"] == "idle" and not status["slots"])
    assert status["booted"]["version"] == "42.1"
    assert not machine.remembered()["drained"]
    assert server.holders["default"] == []
