"""Hooks in their units: a stand-in for systemd on a real bus, which really runs the runner."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rebootmgr.bus.connection import Bus
from rebootmgr.core.events import HooksAnswer, HooksFailed, HooksPassed, HooksUnclear
from rebootmgr.core.model import Phase
from rebootmgr.hooks.phases import Hooks
from rebootmgr.hooks.runner_unit import HookUnits
from tests.fakes.dbus_daemon import DbusDaemon
from tests.fakes.hook_units import GONE, FakeHookUnits
from tests.fakes.service import ERROR, Refused
from tests.fakes.systemd1 import FakeSystemd
from tests.hooks.hook_scripts import BOOTED, TARGET, T, configure, gone, hook, pid_in

SYSTEMD = "org.freedesktop.systemd1"


@pytest.fixture
async def systemd(daemon: DbusDaemon) -> AsyncIterator[FakeSystemd]:
    async with FakeSystemd(daemon.address) as systemd:
        yield systemd


@pytest.fixture
async def units(systemd: FakeSystemd, tmp_path: Path) -> AsyncIterator[FakeHookUnits]:
    async with FakeHookUnits(systemd, tmp_path) as units:
        yield units


async def run(root: Path, runner: HookUnits, phase: Phase = Phase.CHECK) -> HooksAnswer:
    return await Hooks(root, runner).run(T, phase, TARGET, BOOTED)


@pytest.mark.parametrize("phase", Phase)
async def test_an_empty_directory_costs_nothing(
    tmp_path: Path, systemd: FakeSystemd, units: FakeHookUnits, bus: Bus, phase: Phase
) -> None:
    (tmp_path / "etc/rebootmgr/checks.d").mkdir(parents=True)
    assert await run(tmp_path, HookUnits(bus), phase) == HooksPassed(T)
    assert systemd.calls == []


@pytest.mark.parametrize("phase", Phase)
async def test_each_phase_runs_in_its_own_unit(
    tmp_path: Path, units: FakeHookUnits, bus: Bus, phase: Phase
) -> None:
    out = tmp_path / "out"
    for directory in ("checks.d", "pre-reboot.d", "post-boot.d"):
        hook(tmp_path, f"etc/{directory}/x", f"echo $REBOOTMGR_PHASE $REBOOTMGR_VERSION > {out}")
    assert await run(tmp_path, HookUnits(bus), phase) == HooksPassed(T)
    assert units.started == [phase]
    assert units.stopped == []
    assert out.read_text() == f"{phase} 42.1\n"


async def test_a_unit_whose_turn_has_not_come_is_waited_for(
    tmp_path: Path, units: FakeHookUnits, bus: Bus
) -> None:
    """It is inactive before it runs, too."""
    hook(tmp_path, "etc/checks.d/x", "exit 0")
    units.may_run.clear()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(run(tmp_path, HookUnits(bus)))
        await units.seen_waiting.wait()
        units.may_run.set()
        assert await task == HooksPassed(T)


async def test_a_hook_that_fails_says_why_although_its_unit_failed(
    tmp_path: Path, units: FakeHookUnits, bus: Bus
) -> None:
    hook(tmp_path, "etc/checks.d/10-no", "echo not today; exit 3")
    runner = HookUnits(bus)
    for _ in range(2):  # a failed unit can be started again
        assert await run(tmp_path, runner) == HooksFailed(T, "10-no", "not today")
        await units.until(Phase.CHECK, "failed")
    assert units.started == [Phase.CHECK, Phase.CHECK]


async def test_a_phase_may_take_as_long_as_its_hooks_may_together(
    tmp_path: Path, units: FakeHookUnits, bus: Bus
) -> None:
    configure(tmp_path, timeout_s=1)
    hook(tmp_path, "etc/post-boot.d/10-slow", "sleep 999")
    hook(tmp_path, "etc/post-boot.d/20-slow", "sleep 999")
    answer = await run(tmp_path, HookUnits(bus), Phase.ABANDONED)
    assert answer == HooksFailed(T, "10-slow", "took longer than 1 s")


async def test_a_phase_that_is_called_off_is_stopped_and_gone(
    tmp_path: Path, units: FakeHookUnits, bus: Bus
) -> None:
    pid = tmp_path / "pid"
    hook(tmp_path, "etc/pre-reboot.d/drain", f"echo $$ > {pid}; exec sleep 99")
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(run(tmp_path, HookUnits(bus), Phase.PRE_REBOOT))
        await units.until(Phase.PRE_REBOOT, "activating")
        task.cancel()
        await asyncio.wait({task})
        assert units.stopped == [Phase.PRE_REBOOT]
        await units.until(Phase.PRE_REBOOT, *GONE)
    assert task.cancelled()
    if pid.exists():
        await gone(pid_in(pid))


async def test_a_hook_that_ignores_its_end_is_waited_for(
    tmp_path: Path, units: FakeHookUnits, bus: Bus
) -> None:
    pid = tmp_path / "pid"
    os.mkfifo(pid)
    text = f"trap '' TERM; echo $$ > {pid}; while :; do sleep 1; done"
    hook(tmp_path, "etc/pre-reboot.d/drain", text)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(run(tmp_path, HookUnits(bus), Phase.PRE_REBOOT))
        leader = int(await asyncio.to_thread(pid.read_text))
        task.cancel()
        await asyncio.wait({task})
        with pytest.raises(ProcessLookupError):
            os.kill(leader, 0)


async def test_what_runs_from_before_is_stopped_first_whatever_its_phase(
    tmp_path: Path, units: FakeHookUnits, bus: Bus
) -> None:
    diary, began = tmp_path / "diary", tmp_path / "began"
    os.mkfifo(began)
    note = f"echo $REBOOTMGR_PHASE began >> {diary}"
    end = f"trap 'echo drain ended >> {diary}; exit' TERM"
    text = f"{end}; {note}; echo > {began}; while :; do sleep 0.1; done"
    hook(tmp_path, "etc/pre-reboot.d/drain", text)
    hook(tmp_path, "etc/post-boot.d/undo", note)
    runner = HookUnits(bus)
    async with asyncio.TaskGroup() as tasks:
        before = tasks.create_task(run(tmp_path, HookUnits(bus), Phase.PRE_REBOOT))
        await asyncio.to_thread(began.read_text)
        assert await run(tmp_path, runner, Phase.ABANDONED) == HooksPassed(T)
        assert isinstance(await before, HooksFailed)
    assert diary.read_text().splitlines() == [
        "pre-reboot began",
        "drain ended",
        "abandoned began",
    ]
    units.start_by_hand(Phase.CHECK)
    assert await run(tmp_path, runner, Phase.ABANDONED) == HooksPassed(T)


async def test_nothing_runs_beside_what_cannot_be_stopped(
    tmp_path: Path, units: FakeHookUnits, bus: Bus
) -> None:
    hook(tmp_path, "etc/checks.d/x", "exit 0")
    units.command = ("sleep", "99")
    units.start_by_hand(Phase.POST_BOOT)
    await units.until(Phase.POST_BOOT, "activating")
    units.stop_refused = Refused(f"{ERROR}.AccessDenied", "Permission denied")
    answer = await run(tmp_path, HookUnits(bus))
    unit = "rebootmgr-hook@post-boot.service"
    assert answer == HooksUnclear(T, f"checks.d: {unit} is still running and cannot be stopped")
    assert units.started == [Phase.POST_BOOT]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (f"{SYSTEMD}.NoSuchUnit", "Unit not found.", "reinstall rebootmgr"),
        (f"{SYSTEMD}.UnitMasked", "Unit is masked.", "systemctl unmask rebootmgr-hook@check"),
        (f"{ERROR}.AccessDenied", "Permission denied", "is 50-rebootmgr.rules installed?"),
        (f"{ERROR}.InteractiveAuthorizationRequired", "Interactive", "50-rebootmgr.rules"),
        (f"{SYSTEMD}.ShuttingDown", "System\nis going down", "System is going down"),
    ],
)
async def test_a_unit_that_cannot_be_started_says_what_to_do(
    tmp_path: Path, units: FakeHookUnits, bus: Bus, name: str, text: str, said: str
) -> None:
    hook(tmp_path, "etc/checks.d/x", "exit 0")
    assert await run(tmp_path, HookUnits(bus)) == HooksPassed(T)
    units.start_refused = Refused(name, text)
    answer = await run(tmp_path, HookUnits(bus))
    assert isinstance(answer, HooksUnclear)
    assert said in answer.why
    assert units.stopped == []


async def test_without_systemd_no_hook_runs(tmp_path: Path, bus: Bus) -> None:
    hook(tmp_path, "etc/checks.d/x", "exit 0")
    answer = await run(tmp_path, HookUnits(bus))
    assert isinstance(answer, HooksUnclear)
    assert "systemd is not on the bus" in answer.why


async def test_a_runner_that_dies_says_nothing_although_it_passed_before(
    tmp_path: Path, units: FakeHookUnits, bus: Bus
) -> None:
    hook(tmp_path, "etc/checks.d/x", "exit 0")
    assert await run(tmp_path, HookUnits(bus)) == HooksPassed(T)
    for command in (("true",), ("sh", "-c", "kill -9 $$")):
        units.command = command
        answer = await run(tmp_path, HookUnits(bus))
        assert isinstance(answer, HooksUnclear)
        assert "without a result" in answer.why


async def test_a_phase_that_never_ends_is_stopped(
    tmp_path: Path, units: FakeHookUnits, bus: Bus
) -> None:
    units.command = ("sleep", "99")
    said = await HookUnits(bus).run(Phase.CHECK, within_s=0.3)
    assert said == "rebootmgr-hook@check.service did not end within 0.3 s"
    assert units.stopped == [Phase.CHECK]
    await units.until(Phase.CHECK, *GONE)


async def test_a_unit_that_does_not_stop_is_not_waited_for_for_ever(
    tmp_path: Path, units: FakeHookUnits, bus: Bus
) -> None:
    units.command = ("sh", "-c", "trap '' TERM; while :; do sleep 0.1; done")
    await HookUnits(bus, stop_s=0.3).run(Phase.CHECK, within_s=0.5)
    await units.until(Phase.CHECK, "activating", "deactivating", *GONE)
    units.kill(Phase.CHECK)
    await units.until(Phase.CHECK, *GONE)


async def test_signals_that_get_lost_are_made_up_for(
    tmp_path: Path, units: FakeHookUnits, bus: Bus
) -> None:
    hook(tmp_path, "etc/checks.d/x", "exit 0")
    units.mute = True
    assert await run(tmp_path, HookUnits(bus, ask_again_s=0.1)) == HooksPassed(T)


async def test_a_systemd_that_is_away_for_a_moment_ends_nothing(
    tmp_path: Path, systemd: FakeSystemd, units: FakeHookUnits, bus: Bus
) -> None:
    """As it is when it executes itself anew: the drain goes on."""
    go = tmp_path / "go"
    os.mkfifo(go)
    hook(tmp_path, "etc/pre-reboot.d/drain", f"cat {go}")
    runner = HookUnits(bus, ask_again_s=0.1)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(run(tmp_path, runner, Phase.PRE_REBOOT))
        await units.until(Phase.PRE_REBOOT, "activating")
        await systemd.service.leave()
        await asyncio.to_thread(go.write_text, "on\n")
        await units.until(Phase.PRE_REBOOT, *GONE)
        await systemd.service.enter()
        assert await task == HooksPassed(T)
    assert units.stopped == []


async def test_a_lost_bus_ends_the_wait(tmp_path: Path, units: FakeHookUnits, bus: Bus) -> None:
    units.command = ("sleep", "99")
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(HookUnits(bus, ask_again_s=0.1).run(Phase.CHECK, within_s=3600))
        await units.until(Phase.CHECK, "activating")
        await bus.close()
        assert "cannot be started" in await task
