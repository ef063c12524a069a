"""Hooks are real programs here, and so is their runner: found by the rules, run in order, and
never left behind.
"""

import asyncio
import logging
import os
from pathlib import Path

import pytest

from rebootmgr.core.events import HooksAnswer, HooksFailed, HooksPassed
from rebootmgr.core.model import Deployment, DeploymentId, Phase, UpdateKey
from rebootmgr.hooks.files import DIRECTORIES
from rebootmgr.hooks.launch import HookChild
from rebootmgr.hooks.phases import HookPhases
from tests.hooks.hook_scripts import BOOTED, TARGET, T, gone, hook, pid_in


def phases(root: Path, timeout_s: int = 300) -> HookPhases:
    return HookPhases(root, HookChild(root), timeout_s=timeout_s)


async def run(root: Path, phase: Phase = Phase.CHECK, *, timeout_s: int = 300) -> HooksAnswer:
    return await phases(root, timeout_s).run(T, phase, TARGET, BOOTED)


def said(capfd: pytest.CaptureFixture[str]) -> list[str]:
    """What the runner logged."""
    return capfd.readouterr().err.splitlines()


@pytest.mark.parametrize("phase", Phase)
async def test_without_hooks_every_phase_passes(tmp_path: Path, phase: Phase) -> None:
    assert await run(tmp_path, phase) == HooksPassed(T)
    assert phases(tmp_path).phases() == frozenset()


async def test_hooks_run_in_byte_order_and_the_nearest_directory_wins(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for top in ("usr/lib", "run", "etc"):
        hook(tmp_path, f"{top}/checks.d/20-all", f"echo {top}")
    hook(tmp_path, "usr/lib/checks.d/30-low", "echo usr/lib")
    hook(tmp_path, "run/checks.d/30-low", "echo run")
    hook(tmp_path, "etc/checks.d/a", "echo lower case")
    hook(tmp_path, "etc/checks.d/B", "echo upper case")
    hook(tmp_path, "usr/lib/checks.d/50-masked", "exit 1")
    (tmp_path / "etc/rebootmgr/checks.d/50-masked").symlink_to("/dev/null")
    hook(tmp_path, "usr/lib/checks.d/60-empty", "exit 1")
    (tmp_path / "run/rebootmgr/checks.d/60-empty").touch()
    assert await run(tmp_path) == HooksPassed(T)
    assert said(capfd) == [
        "<6>20-all: etc",
        "<6>30-low: run",
        "<6>B: upper case",
        "<6>a: lower case",
    ]


NO_PROGRAMS = (".hidden", "edited~", "old.rpmsave", "new.rpmnew", "was.rpmorig", "x.md", "README")


async def test_what_is_no_hook_by_its_name_is_skipped_and_named_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for mode in (0o755, 0o644):
        for name in NO_PROGRAMS:
            hook(tmp_path, f"etc/checks.d/{name}", "exit 1", mode=mode)
    (tmp_path / "etc/rebootmgr/checks.d/folder").mkdir()
    hooks = phases(tmp_path)
    assert hooks.phases() == frozenset()
    for _ in range(2):
        assert await hooks.run(T, Phase.CHECK, None, None) == HooksPassed(T)
    assert len(caplog.messages) == len(NO_PROGRAMS) + 1
    assert all("is not run" in line for line in caplog.messages)


@pytest.mark.parametrize("name", ["10-plain", "10-plain.sh", "README.sh", "md", "rpmsave"])
@pytest.mark.parametrize("phase", Phase)
async def test_a_file_that_is_not_executable_blocks_and_says_the_cure(
    tmp_path: Path, name: str, phase: Phase
) -> None:
    """0644 is what Butane and a ConfigMap give a file that nobody gave a mode."""
    ran = tmp_path / "ran"
    directory = DIRECTORIES[phase]
    hook(tmp_path, f"etc/{directory}/00-good", f"touch {ran}")
    bad = hook(tmp_path, f"etc/{directory}/{name}", "exit 0", mode=0o644)
    hooks = phases(tmp_path)
    assert phase in hooks.phases()
    answer = await hooks.run(T, phase, TARGET, BOOTED)
    assert answer == HooksFailed(T, name, f"{bad} is not executable: chmod +x")
    assert ran.exists() is (phase is Phase.ABANDONED)
    bad.chmod(0o755)
    assert await hooks.run(T, phase, TARGET, BOOTED) == HooksPassed(T)
    assert ran.exists()


async def test_a_file_without_its_bit_does_not_uncover_the_one_that_it_was_to_replace(
    tmp_path: Path,
) -> None:
    hook(tmp_path, "usr/lib/checks.d/10-x", f"touch {tmp_path}/ran")
    hook(tmp_path, "etc/checks.d/10-x", "exit 0", mode=0o644)
    assert isinstance(await run(tmp_path), HooksFailed)
    assert not (tmp_path / "ran").exists()


async def test_what_is_no_file_at_all_blocks_and_keeps_nobody_waiting(tmp_path: Path) -> None:
    directory = tmp_path / "etc/rebootmgr/checks.d"
    directory.mkdir(parents=True)
    os.mkfifo(directory / "10-pipe", 0o755)
    answer = HooksFailed(T, "10-pipe", f"{directory}/10-pipe is no file: remove it")
    assert await run(tmp_path) == answer


async def test_a_link_to_a_real_program_works(tmp_path: Path) -> None:
    real = hook(tmp_path, "usr/lib/elsewhere/real", "exit 0")
    (tmp_path / "etc/rebootmgr/checks.d").mkdir(parents=True)
    (tmp_path / "etc/rebootmgr/checks.d/link").symlink_to(real)
    assert await run(tmp_path) == HooksPassed(T)
    real.write_text("#!/bin/sh\nexit 1\n")
    assert await run(tmp_path) == HooksFailed(T, "link", "exit status 1")


async def test_a_hook_is_told_what_it_needs_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/secret")
    monkeypatch.setenv("LD_PRELOAD", "")
    out = tmp_path / "out"
    for phase, directory in [
        (Phase.CHECK, "checks.d"),
        (Phase.PRE_REBOOT, "pre-reboot.d"),
        (Phase.ABANDONED, "post-boot.d"),
    ]:
        hook(tmp_path, f"etc/{directory}/env", f"cat > {out}; readlink /proc/$$/cwd; env > {out}")
        assert await run(tmp_path, phase) == HooksPassed(T)
        found = dict(line.split("=", 1) for line in out.read_text().splitlines())
        assert {key: found[key] for key in sorted(found) if key not in {"PWD", "_", "SHLVL"}} == {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin",
            "REBOOTMGR_BOOTED_DEPLOYMENT": "fcos-aa.0",
            "REBOOTMGR_DEPLOYMENT": "fcos-bb.0",
            "REBOOTMGR_PHASE": phase.value,
            "REBOOTMGR_VERSION": "42.1",
        }


async def test_the_first_failure_ends_a_phase_with_its_last_line(tmp_path: Path) -> None:
    hook(tmp_path, "etc/checks.d/10-ok", "echo fine")
    hook(tmp_path, "etc/checks.d/20-no", "echo one; printf 'bad\\033[2J\\n\\n'; exit 3")
    hook(tmp_path, "etc/checks.d/30-late", f"touch {tmp_path}/late")
    assert await run(tmp_path) == HooksFailed(T, "20-no", "bad [2J")
    assert not (tmp_path / "late").exists()


async def test_the_undoing_goes_on_after_a_failure(tmp_path: Path) -> None:
    hook(tmp_path, "etc/post-boot.d/10-no", "echo no >&2; exit 1")
    hook(tmp_path, "etc/post-boot.d/20-unsafe", "exit 0", mode=0o777)
    hook(tmp_path, "etc/post-boot.d/30-uncordon", f"touch {tmp_path}/uncordoned")
    assert await run(tmp_path, Phase.ABANDONED) == HooksFailed(T, "10-no", "no")
    assert (tmp_path / "uncordoned").exists()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("exit 3", "exit status 3"),
        ("kill -9 $$", "ended by signal 9 (Killed)"),
        ("echo words; kill -9 $$", "ended by signal 9 (Killed); it last said: words"),
        ("kill -40 $$", "ended by signal 40 (Real-time signal 6)"),
        ("printf 'no newline'; exit 1", "no newline"),
    ],
)
async def test_a_failure_always_says_something(tmp_path: Path, text: str, line: str) -> None:
    hook(tmp_path, "etc/checks.d/x", text)
    assert await run(tmp_path) == HooksFailed(T, "x", line)


async def test_a_file_that_is_no_program_fails(tmp_path: Path) -> None:
    hook(tmp_path, "etc/checks.d/x", "").write_text("no first line")
    assert await run(tmp_path) == HooksFailed(T, "x", "cannot be run: Exec format error")


async def test_what_others_can_change_is_not_run_and_neither_is_anything_else(
    tmp_path: Path,
) -> None:
    touch = f"touch {tmp_path}/ran"
    hook(tmp_path, "etc/checks.d/10-good", touch)
    bad = hook(tmp_path, "etc/checks.d/20-bad", touch, mode=0o775)
    answer = await run(tmp_path)
    assert isinstance(answer, HooksFailed)
    assert answer.hook == "20-bad"
    assert f"{bad} can be written by others (mode 0775): chmod go-w" in answer.line
    bad.unlink()
    for directory in (bad.parent, bad.parent.parent):
        directory.chmod(0o777)
        answer = await run(tmp_path)
        assert isinstance(answer, HooksFailed)
        assert f"{directory} can be written by others" in answer.line
        directory.chmod(0o755)
    assert not (tmp_path / "ran").exists()
    assert await run(tmp_path) == HooksPassed(T)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
async def test_what_belongs_to_somebody_else_is_not_run(tmp_path: Path) -> None:
    path = hook(tmp_path, "etc/checks.d/x", "exit 0")
    os.chown(path, 4242, 4242)
    answer = await run(tmp_path)
    assert isinstance(answer, HooksFailed)
    assert "belongs to user 4242" in answer.line


@pytest.mark.parametrize("target", ["nowhere", "loop"])
async def test_a_link_that_leads_nowhere_fails_the_phase(tmp_path: Path, target: str) -> None:
    directory = tmp_path / "etc/rebootmgr/checks.d"
    directory.mkdir(parents=True)
    (directory / "loop").symlink_to(target)
    assert isinstance(await run(tmp_path), HooksFailed)


def written(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


async def run_too_long(root: Path, pid: Path) -> tuple[HooksAnswer, int]:
    """Run a hook that never ends, with time enough to write its `pid`; also how long that was."""
    timeout_s = 1
    while True:
        answer = await run(root, timeout_s=timeout_s)
        if written(pid):
            return answer, timeout_s
        timeout_s *= 2


async def test_a_hook_that_takes_too_long_is_ended_with_its_group(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    hook(tmp_path, "etc/checks.d/slow", f"echo busy; sleep 999 & echo $! > {pid}; wait")
    answer, timeout_s = await run_too_long(tmp_path, pid)
    line = f"took longer than {timeout_s} s; it last said: busy"
    assert answer == HooksFailed(T, "slow", line)
    await gone(pid_in(pid))


async def test_a_hook_that_ignores_term_is_killed(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    text = f"trap '' TERM; echo $$ > {pid}; while :; do sleep 1; done"
    hook(tmp_path, "etc/checks.d/stubborn", text)
    answer, timeout_s = await run_too_long(tmp_path, pid)
    assert answer == HooksFailed(T, "stubborn", f"took longer than {timeout_s} s")
    await gone(pid_in(pid))


async def test_cancelling_ends_the_group_and_reaps(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    os.mkfifo(ready)
    text = f"sleep 99 & echo $$ $! > {ready}; wait"
    hook(tmp_path, "etc/pre-reboot.d/drain", text)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(run(tmp_path, Phase.PRE_REBOOT))
        leader, child = map(int, (await asyncio.to_thread(ready.read_text)).split())
        task.cancel()
    assert task.cancelled()
    with pytest.raises(ProcessLookupError):
        os.kill(leader, 0)
    await gone(child)


async def test_a_child_that_keeps_the_output_open_holds_nothing_up(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    hook(tmp_path, "etc/checks.d/forks", f"tail -f /dev/null & echo $! > {pid}; exit 0")
    assert await run(tmp_path) == HooksPassed(T)
    await gone(pid_in(pid))


async def test_a_daemon_that_left_the_group_holds_nothing_up(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    leaving = f"setsid sh -c 'echo $$ > {pid}; exec tail -f /dev/null' &"
    text = f"{leaving} while [ ! -s {pid} ]; do :; done; exit 1"
    hook(tmp_path, "etc/checks.d/leaves", text)
    try:
        assert await run(tmp_path) == HooksFailed(T, "leaves", "exit status 1")
    finally:
        os.kill(pid_in(pid), 9)


@pytest.mark.parametrize("flood", ["head -c 100000000 /dev/zero", "yes | head -c 100000000"])
async def test_a_flood_of_output_is_neither_kept_nor_logged_whole(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], flood: str
) -> None:
    hook(tmp_path, "etc/checks.d/flood", f"{flood}; echo; echo the end; exit 1")
    assert await run(tmp_path) == HooksFailed(T, "flood", "the end")
    assert len(said(capfd)) <= 1002


async def test_phases_names_what_has_hooks(tmp_path: Path) -> None:
    hook(tmp_path, "etc/post-boot.d/x", "exit 0")
    assert phases(tmp_path).phases() == {Phase.POST_BOOT, Phase.ABANDONED}


async def test_a_hook_that_does_not_quote_is_given_plain_words(tmp_path: Path) -> None:
    out = tmp_path / "out"
    hook(tmp_path, "etc/checks.d/x", f"echo [$REBOOTMGR_DEPLOYMENT][$REBOOTMGR_VERSION] > {out}")
    odd = Deployment(id=DeploymentId("--all * ;x.0"), key=UpdateKey("b"), version="4 $(id)\n\u202e")
    answer = await phases(tmp_path).run(T, Phase.CHECK, odd, None)
    assert answer == HooksPassed(T)
    assert out.read_text() == "[_-all____x.0][4___id___]\n"
