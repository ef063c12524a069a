"""The runner as its unit has it: a connection on standard input, and nothing taken on trust."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from rebootmgr.core.model import Phase
from rebootmgr.hooks.words import LARGEST, Order, encode_order
from tests.hooks.hook_scripts import gone, hook

RUNNER: Final = (sys.executable, "-m", "rebootmgr.hooks.runner")
HANG: Final = "exec sleep 99"


class Runner:
    """A runner, and the other end of its connection."""

    def __init__(self, process: Process, connection: socket.socket) -> None:
        self.process = process
        self.connection = connection

    async def say(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.connection, data)

    async def order(
        self, phase: Phase = Phase.CHECK, timeout_s: int = 300, waived: tuple[str, ...] = ()
    ) -> None:
        await self.say(encode_order(Order(phase=phase, timeout_s=timeout_s, waived=waived)))

    async def hear(self) -> list[dict[str, Any]]:
        """All that it answers, until it hangs up."""
        heard = b""
        while more := await asyncio.get_running_loop().sock_recv(self.connection, 65536):
            heard += more
        return [json.loads(line) for line in heard.splitlines()]

    async def end(self) -> tuple[int, list[str]]:
        """Wait for its end: status and log."""
        _, log = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, log.decode().splitlines()


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Callable[[], Any]]:
    """Start runners below `tmp_path`; none of them outlives the test."""
    async with AsyncExitStack() as stack:

        async def start() -> Runner:
            ours, theirs = socket.socketpair()
            stack.callback(ours.close)
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    *RUNNER, "--root", str(tmp_path), stdin=theirs.fileno(), stderr=PIPE
                )
            stack.push_async_callback(process.wait)
            stack.callback(ours.close)
            ours.settimeout(0)
            return Runner(process, ours)

        yield start


async def test_each_hook_is_a_line_and_then_comes_the_end(tmp_path: Path, start: Any) -> None:
    for name, status in (("10-a", 0), ("20-b", 0), ("30-c", 3), ("40-d", 0)):
        hook(tmp_path, f"etc/checks.d/{name}", f"echo {name} says so; exit {status}")
    runner = await start()
    await runner.order()
    assert await runner.hear() == [
        {"hook": "10-a", "exit": 0, "last_line": ""},
        {"hook": "20-b", "exit": 0, "last_line": ""},
        {"hook": "30-c", "exit": 3, "last_line": "30-c says so"},
        {"end": True},
    ]
    assert (await runner.end())[1][-2:] == [
        "<6>30-c: 30-c says so",
        "<4>30-c failed: 30-c says so",
    ]


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("exit 3", 3),
        ("kill -9 $$", 137),
        ("kill -40 $$", 168),
        ("echo x >/dev/null; exec /nowhere", 127),
    ],
)
async def test_the_status_is_that_of_a_shell(
    tmp_path: Path, start: Any, text: str, status: int
) -> None:
    hook(tmp_path, "etc/checks.d/x", text)
    runner = await start()
    await runner.order()
    ran, end = await runner.hear()
    assert (ran["exit"], end) == (status, {"end": True})


async def test_without_hooks_the_end_comes_at_once(start: Any) -> None:
    runner = await start()
    await runner.order(Phase.ABANDONED)
    assert await runner.hear() == [{"end": True}]
    assert await runner.end() == (0, [])


async def test_a_line_of_600_kib_is_one_line_of_the_answer_and_of_the_log(
    tmp_path: Path, start: Any
) -> None:
    text = "head -c 600000 /dev/zero | tr '\\0' y; exit 1"
    hook(tmp_path, "etc/checks.d/loud", text)
    runner = await start()
    await runner.order()
    ran, end = await runner.hear()
    assert len(ran["last_line"]) == 200
    assert end == {"end": True}
    assert max(map(len, (await runner.end())[1])) < 300


async def test_a_hundred_hooks_are_a_hundred_lines(tmp_path: Path, start: Any) -> None:
    for number in range(100):
        hook(tmp_path, f"etc/post-boot.d/{number:03}", f"exit {number % 2}")
    runner = await start()
    await runner.order(Phase.ABANDONED)
    *ran, end = await runner.hear()
    assert [one["hook"] for one in ran] == [f"{number:03}" for number in range(100)]
    assert [one["exit"] for one in ran] == [0, 1] * 50
    assert end == {"end": True}


ORDER: Final[dict[str, object]] = {
    "phase": "check",
    "deployment": "",
    "version": "",
    "booted": "",
    "timeout_seconds": 300,
}


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"", "nobody asked for one"),
        (json.dumps(ORDER).encode(), "nobody asked for one"),
        (b"\n", "is no JSON"),
        (b"x" * (LARGEST + 1), f"is longer than {LARGEST}"),
        pytest.param(b"x" * 20 * LARGEST, f"is longer than {LARGEST}", id="far too long"),
        (b'{"phase":"check"}\n', "lacks a key"),
        (json.dumps({**ORDER, "phase": "evil"}).encode() + b"\n", "phase is none"),
        (json.dumps({**ORDER, "version": "$(x)"}).encode() + b"\n", "version is longer"),
        (json.dumps({**ORDER, "timeout_seconds": 0}).encode() + b"\n", "timeout_seconds is not"),
        (json.dumps({**ORDER, "timeout_seconds": 1e9}).encode() + b"\n", "another type"),
    ],
)
async def test_for_an_order_that_is_none_no_hook_is_run(
    tmp_path: Path, start: Any, said: bytes, why: str
) -> None:
    hook(tmp_path, "etc/checks.d/x", f"touch {tmp_path}/ran")
    runner = await start()
    try:
        await runner.say(said)
        runner.connection.shutdown(socket.SHUT_WR)
        assert await runner.hear() == []
    except ConnectionError:
        pass  # it did not read to the end
    status, log = await runner.end()
    assert status == 1
    assert why in log[-1]
    assert len(log) == 1
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("how", ["hang up", "half", "more", "stop"])
async def test_the_end_of_the_connection_is_the_end_of_the_hook_and_of_all_that_it_started(
    tmp_path: Path, start: Any, how: str
) -> None:
    """Whatever ends it: a daemon that was killed, one that has enough, systemctl stop."""
    ready = tmp_path / "ready"
    os.mkfifo(ready)
    text = f"trap '' TERM; sleep 99 & echo $$ $! > {ready}; while :; do sleep 1; done"
    hook(tmp_path, "etc/pre-reboot.d/10-drain", text)
    hook(tmp_path, "etc/pre-reboot.d/20-never", f"touch {tmp_path}/ran")
    runner = await start()
    await runner.order(Phase.PRE_REBOOT)
    leader, child = map(int, (await asyncio.to_thread(ready.read_text)).split())
    match how:
        case "hang up":
            runner.connection.close()
        case "half":
            runner.connection.shutdown(socket.SHUT_WR)
        case "more":
            await runner.say(b"x")
        case _:
            runner.process.terminate()
    if how != "hang up":
        assert await runner.hear() == [], "no verdict on hooks that were stopped"
    await gone(leader)
    await gone(child)
    status, log = await runner.end()
    assert (status, log[-1]) == (1, "<6>the hooks were stopped")
    assert not (tmp_path / "ran").exists()


async def test_a_runner_runs_no_hook_beside_those_of_another(tmp_path: Path, start: Any) -> None:
    """A daemon that was killed is back while its drain is still being ended."""
    began, diary = tmp_path / "began", tmp_path / "diary"
    os.mkfifo(began)
    slow = f"trap 'echo ended >> {diary}; exit' TERM; echo > {began}; while :; do sleep 0.1; done"
    hook(tmp_path, "etc/pre-reboot.d/drain", slow)
    hook(tmp_path, "etc/post-boot.d/undo", f"echo undone >> {diary}")
    first, second, third = [await start() for _ in range(3)]
    await first.order(Phase.PRE_REBOOT)
    await asyncio.to_thread(began.read_text)
    await second.order(Phase.ABANDONED)
    await third.order(Phase.ABANDONED)
    third.connection.close()  # one who waits for his turn may hang up, too
    assert (await third.end())[0] == 1
    first.connection.close()
    assert await second.hear() == [{"hook": "undo", "exit": 0, "last_line": ""}, {"end": True}]
    assert diary.read_text().split() == ["ended", "undone"]


async def test_where_no_turn_can_be_had_no_hook_is_run(tmp_path: Path, start: Any) -> None:
    hook(tmp_path, "etc/checks.d/x", f"touch {tmp_path}/ran")
    victim = tmp_path / "victim"
    (tmp_path / "run/rebootmgr").mkdir(parents=True)
    (tmp_path / "run/rebootmgr/hooks.lock").symlink_to(victim)
    runner = await start()
    await runner.order()
    assert await runner.hear() == []
    assert "symbolic links" in (await runner.end())[1][-1]
    assert not victim.exists()
    assert not (tmp_path / "ran").exists()


def by_hand(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*RUNNER, "--root", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_by_hand_it_runs_the_phase_that_is_named(tmp_path: Path) -> None:
    """As the removal of the package does, when no daemon is there to undo."""
    hook(tmp_path, "etc/post-boot.d/10-undo", "echo $REBOOTMGR_PHASE [$REBOOTMGR_VERSION]")
    done = by_hand(tmp_path, "abandoned")
    assert (done.returncode, done.stderr) == (0, "<6>10-undo: abandoned []\n")
    hook(tmp_path, "etc/post-boot.d/20-no", "exec sleep 99")
    done = by_hand(tmp_path, "--timeout-seconds", "1", "abandoned")
    assert done.returncode == 1
    assert "20-no failed: took longer than 1 s" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [["reboot"], ["check", "more"], ["../check"], ["--timeout-seconds", "0"], []],
)
def test_it_knows_no_other_phases_and_no_other_input(tmp_path: Path, arguments: list[str]) -> None:
    command = [*RUNNER, "--root", str(tmp_path), *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr


async def test_a_check_that_is_waived_is_not_run_and_the_log_says_so(
    tmp_path: Path, start: Any
) -> None:
    """Though it could not be run at all; but in no other phase is anything left out."""
    for name in ("10-a", "20-b"):
        hook(tmp_path, f"etc/checks.d/{name}", "exit 0")
        hook(tmp_path, f"etc/pre-reboot.d/{name}", "exit 0")
    hook(tmp_path, "etc/checks.d/30-c", "exit 9", mode=0o644)
    runner = await start()
    await runner.order(waived=("10-a", "30-c", "99-z"))
    assert await runner.hear() == [{"hook": "20-b", "exit": 0, "last_line": ""}, {"end": True}]
    _, log = await runner.end()
    left_out = [line for line in log if "is not run: it counts no more, by deadline" in line]
    assert len(left_out) == 2
    other = await start()
    await other.order(Phase.PRE_REBOOT, waived=("10-a",))
    assert [one.get("hook") for one in await other.hear()] == ["10-a", "20-b", None]
