"""Hooks are real programs here: found by the rules, run in order, and never left behind."""

import asyncio
import logging
import os
import resource
from pathlib import Path

import pytest

from rebootmgr.adapters.hooks import Hooks
from rebootmgr.core.events import HooksAnswer, HooksFailed, HooksPassed
from rebootmgr.core.model import Deployment, DeploymentId, Phase, Ticket, UpdateKey

T = Ticket(7)
BOOTED = Deployment(id=DeploymentId("fcos-aa.0"), key=UpdateKey("a"), version="41.1")
TARGET = Deployment(id=DeploymentId("fcos-bb.0"), key=UpdateKey("b"), version="42.1")


def hook(root: Path, place: str, text: str, *, mode: int = 0o755) -> Path:
    """Write a shell script as `place`, like "etc/checks.d/name"."""
    top, _, rest = place.rpartition("/")[0].rpartition("/")
    path = root / top / "rebootmgr" / rest / place.rpartition("/")[2]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(mode)
    return path


async def run(root: Path, phase: Phase = Phase.CHECK, *, timeout_s: float = 20) -> HooksAnswer:
    async with asyncio.timeout(30):
        return await Hooks(root, timeout_s=timeout_s).run(T, phase, TARGET, BOOTED)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def pid_in(path: Path) -> int:
    return int(path.read_text())


async def gone(pid: int) -> None:
    """Wait until the process is dead."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    dead = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(pidfd, dead.set)
    try:
        async with asyncio.timeout(10):
            await dead.wait()
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


@pytest.mark.parametrize("phase", Phase)
async def test_without_hooks_every_phase_passes(tmp_path: Path, phase: Phase) -> None:
    assert await run(tmp_path, phase) == HooksPassed(T)
    assert Hooks(tmp_path, timeout_s=1).phases() == frozenset()


async def test_hooks_run_in_byte_order_and_the_nearest_directory_wins(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
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
    assert said(caplog) == [
        "20-all: etc",
        "30-low: run",
        "B: upper case",
        "a: lower case",
    ]


async def test_what_is_no_hook_is_skipped_and_named_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hook(tmp_path, "etc/checks.d/.hidden", "exit 1")
    hook(tmp_path, "etc/checks.d/edited~", "exit 1")
    hook(tmp_path, "etc/checks.d/old.rpmsave", "exit 1")
    hook(tmp_path, "etc/checks.d/plain", "exit 1", mode=0o644)
    (tmp_path / "etc/rebootmgr/checks.d/folder").mkdir()
    hooks = Hooks(tmp_path, timeout_s=5)
    for _ in range(2):
        assert await hooks.run(T, Phase.CHECK, None, None) == HooksPassed(T)
    assert len(said(caplog)) == 5
    assert all("is not run" in line for line in said(caplog))


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


async def test_a_hook_that_takes_too_long_is_ended_with_its_group(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    hook(tmp_path, "etc/checks.d/slow", f"echo busy; sleep 99 & echo $! > {pid}; wait")
    answer = await run(tmp_path, timeout_s=0.5)
    line = "took longer than 0.5 s; it last said: busy"
    assert answer == HooksFailed(T, "slow", line)
    await gone(pid_in(pid))


async def test_a_hook_that_ignores_term_is_killed(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    text = f"trap '' TERM; echo $$ > {pid}; while :; do sleep 1; done"
    hook(tmp_path, "etc/checks.d/stubborn", text)
    async with asyncio.timeout(12):
        answer = await run(tmp_path, timeout_s=0.2)
    assert answer == HooksFailed(T, "stubborn", "took longer than 0.2 s")
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
    hook(tmp_path, "etc/checks.d/forks", f"sleep 99 & echo $! > {pid}; exit 0")
    async with asyncio.timeout(5):
        assert await run(tmp_path) == HooksPassed(T)
    await gone(pid_in(pid))


async def test_a_daemon_that_left_the_group_holds_nothing_up(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    text = f"setsid sh -c 'echo $$ > {pid}; sleep 20' & while [ ! -s {pid} ]; do :; done; exit 1"
    hook(tmp_path, "etc/checks.d/leaves", text)
    async with asyncio.timeout(8):
        assert await run(tmp_path) == HooksFailed(T, "leaves", "exit status 1")
    os.kill(pid_in(pid), 9)


@pytest.mark.parametrize("flood", ["head -c 100000000 /dev/zero", "yes | head -c 100000000"])
async def test_a_flood_of_output_is_neither_kept_nor_logged_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, flood: str
) -> None:
    hook(tmp_path, "etc/checks.d/flood", f"{flood}; echo; echo the end; exit 1")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert await run(tmp_path) == HooksFailed(T, "flood", "the end")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000
    assert len(said(caplog)) <= 1001


@pytest.mark.skipif(Path("/etc/rebootmgr").exists(), reason="this host has a configuration")
async def test_a_real_host_without_hooks_needs_no_unit() -> None:
    assert await run(Path("/")) == HooksPassed(T)


async def test_phases_names_what_has_hooks(tmp_path: Path) -> None:
    hook(tmp_path, "etc/post-boot.d/x", "exit 0")
    hooks = Hooks(tmp_path, timeout_s=1)
    assert hooks.phases() == {Phase.POST_BOOT, Phase.ABANDONED}
