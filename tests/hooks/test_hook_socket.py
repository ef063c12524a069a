"""Hooks behind their socket, as on a real host: a runner for each connection, and its absence."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from rebootmgr.core.events import HooksAnswer, HooksFailed, HooksPassed, HooksUnclear
from rebootmgr.core.model import Phase
from rebootmgr.hooks.launch import HookSocket
from rebootmgr.hooks.phases import HookPhases
from tests.fakes.hook_socket import FakeHookSocket
from tests.hooks.hook_scripts import BOOTED, TARGET, T, gone, hook

ENDED: Final = "ended before its time: journalctl -t rebootmgr-hook says why"


@pytest.fixture
async def hooks(tmp_path: Path) -> AsyncIterator[FakeHookSocket]:
    async with FakeHookSocket(tmp_path) as hooks:
        yield hooks


async def run(
    root: Path, path: Path, phase: Phase = Phase.CHECK, *, timeout_s: int = 300
) -> HooksAnswer:
    phases = HookPhases(root, HookSocket(path), timeout_s=timeout_s)
    return await phases.run(T, phase, TARGET, BOOTED)


async def why_unclear(root: Path, path: Path) -> str:
    answer = await run(root, path)
    assert isinstance(answer, HooksUnclear), answer
    return answer.why


@pytest.mark.parametrize("phase", Phase)
async def test_an_empty_directory_costs_nothing(
    tmp_path: Path, hooks: FakeHookSocket, phase: Phase
) -> None:
    (tmp_path / "etc/rebootmgr/checks.d").mkdir(parents=True)
    assert await run(tmp_path, hooks.path, phase) == HooksPassed(T)
    assert hooks.started == 0


@pytest.mark.parametrize("phase", Phase)
async def test_each_phase_has_a_runner_of_its_own(
    tmp_path: Path, hooks: FakeHookSocket, phase: Phase
) -> None:
    out = tmp_path / "out"
    for directory in ("checks.d", "pre-reboot.d", "post-boot.d"):
        hook(tmp_path, f"etc/{directory}/x", f"echo $REBOOTMGR_PHASE $REBOOTMGR_VERSION > {out}")
    assert await run(tmp_path, hooks.path, phase) == HooksPassed(T)
    assert hooks.started == 1
    await hooks.until_ended(1)
    assert out.read_text() == f"{phase} 42.1\n"


async def test_the_time_of_a_hook_comes_with_the_order(
    tmp_path: Path, hooks: FakeHookSocket
) -> None:
    """And from nowhere else: what a drop-in says that was refused decides nothing."""
    drop_in = tmp_path / "etc/rebootmgr/config.d/50.toml"
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text("[hooks]\ntimeout_seconds = 999\nnonsense = 1\n")
    hook(tmp_path, "etc/post-boot.d/10-slow", "exec sleep 99")
    hook(tmp_path, "etc/post-boot.d/20-slow", "exec sleep 99")
    answer = await run(tmp_path, hooks.path, Phase.ABANDONED, timeout_s=1)
    assert answer == HooksFailed(T, "10-slow", "took longer than 1 s")


async def test_a_phase_that_is_called_off_is_stopped_and_gone(
    tmp_path: Path, hooks: FakeHookSocket
) -> None:
    pid = tmp_path / "pid"
    os.mkfifo(pid)
    text = f"trap '' TERM; echo $$ > {pid}; while :; do sleep 1; done"
    hook(tmp_path, "etc/pre-reboot.d/drain", text)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(run(tmp_path, hooks.path, Phase.PRE_REBOOT))
        leader = int(await asyncio.to_thread(pid.read_text))
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        with pytest.raises(ProcessLookupError):
            os.kill(leader, 0)
    await hooks.until_ended(1)


async def test_an_undoing_waits_for_a_drain_that_is_still_being_ended(
    tmp_path: Path, hooks: FakeHookSocket
) -> None:
    diary, began = tmp_path / "diary", tmp_path / "began"
    os.mkfifo(began)
    end = f"trap 'sleep 0.5; echo drain ended >> {diary}; exit' TERM"
    hook(tmp_path, "etc/pre-reboot.d/drain", f"{end}; echo > {began}; while :; do sleep 0.1; done")
    hook(tmp_path, "etc/post-boot.d/undo", f"echo undone >> {diary}")
    async with asyncio.TaskGroup() as tasks:
        before = tasks.create_task(run(tmp_path, hooks.path, Phase.PRE_REBOOT))
        await asyncio.to_thread(began.read_text)
        undoing = tasks.create_task(run(tmp_path, hooks.path, Phase.ABANDONED))
        before.cancel()
        assert await undoing == HooksPassed(T)
    assert diary.read_text().splitlines() == ["drain ended", "undone"]


async def test_a_runner_that_dies_says_nothing_although_it_passed_before(
    tmp_path: Path, hooks: FakeHookSocket
) -> None:
    hook(tmp_path, "etc/checks.d/x", "exit 0")
    assert await run(tmp_path, hooks.path) == HooksPassed(T)
    for command in (("true",), ("sh", "-c", "kill -9 $$")):
        hooks.command = command
        assert ENDED in await why_unclear(tmp_path, hooks.path)
    hooks.command = None
    hook(tmp_path, "etc/checks.d/x", "kill -9 $PPID")
    assert ENDED in await why_unclear(tmp_path, hooks.path)


async def test_a_runner_that_is_stopped_gives_no_verdict(
    tmp_path: Path, hooks: FakeHookSocket
) -> None:
    """As every unit is when the host goes down: that is no fault of the update."""
    pid = tmp_path / "pid"
    os.mkfifo(pid)
    hook(tmp_path, "etc/post-boot.d/health", f"echo $$ > {pid}; exec sleep 99")
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(run(tmp_path, hooks.path, Phase.POST_BOOT))
        leader = int(await asyncio.to_thread(pid.read_text))
        hooks.stop()
        answer = await task
    assert isinstance(answer, HooksUnclear)
    assert ENDED in answer.why
    await gone(leader)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (r'{"hook":"x","exit":0,"last_line":""}\n', ENDED),
        (r'{"hook":"x","exit":0,"last_line":""}\n{"end":tr', ENDED),
        (r'{"hook":"x","exit":"0","last_line":""}\n{"end":true}\n', "answer lacks a key"),
        (r"ready\n", "answer is no JSON"),
        (r"\n", "answer is no JSON"),
    ],
)
async def test_what_is_no_whole_answer_is_none(
    tmp_path: Path, hooks: FakeHookSocket, said: str, why: str
) -> None:
    hook(tmp_path, "etc/checks.d/x", "exit 0")
    hooks.command = ("sh", "-c", f"head -n 1 <&0 >/dev/null; printf '{said}' >&0")
    assert why in await why_unclear(tmp_path, hooks.path)


async def test_without_a_socket_no_hook_runs_and_the_reason_says_the_cure(tmp_path: Path) -> None:
    ran, path = tmp_path / "ran", tmp_path / "run/rebootmgr/hooks.sock"
    hook(tmp_path, "etc/checks.d/x", f"touch {ran}")
    why = await why_unclear(tmp_path, path)
    assert why.startswith(f"checks.d: no hook runner on this host: {path} is missing")
    async with FakeHookSocket(tmp_path) as hooks:
        hooks.leave()
        why = await why_unclear(tmp_path, path)
        assert "no hook runner on this host: nobody listens at" in why
    short = HookSocket(Path("/run/rebootmgr/nowhere.sock"))
    answer = await HookPhases(tmp_path, short, timeout_s=1).run(T, Phase.CHECK, None, None)
    assert isinstance(answer, HooksUnclear)
    assert answer.why == (
        "checks.d: no hook runner on this host: /run/rebootmgr/nowhere.sock is missing"
        " (systemctl start rebootmgr-hook.socket; a container has none)"
    )
    assert not ran.exists()


async def test_a_flood_of_connections_costs_no_more_than_the_hooks_and_they_come_back(
    tmp_path: Path, hooks: FakeHookSocket
) -> None:
    """Of somebody who is the daemon's user: silent ones, up to what systemd takes at once."""
    hook(tmp_path, "etc/checks.d/x", "exit 0")
    hooks.most = 4
    writers = [(await asyncio.open_unix_connection(hooks.path))[1] for _ in range(hooks.most)]
    await hooks.until_started(hooks.most)
    assert ENDED in await why_unclear(tmp_path, hooks.path)
    for writer in writers:
        writer.close()
    await hooks.until_ended(4)
    assert await run(tmp_path, hooks.path) == HooksPassed(T)
