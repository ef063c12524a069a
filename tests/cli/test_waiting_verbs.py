"""What scripts wait for and ask: watch, wait, is-active, status --quiet; on a real bus."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from rebootmgr.bus.connection import Bus
from rebootmgr.cli.waiting_verbs import why_not_active
from rebootmgr.control.described import decode_status
from rebootmgr.control.object import Control
from rebootmgr.control.words import encode_status
from rebootmgr.core.model import Reason, Slot
from rebootmgr.core.status import (
    PresumedSlot,
    ShownBlocker,
    Status,
    Verdict,
)
from tests.cli.client import begin, ctl
from tests.fakes.dbus_daemon import DbusDaemon
from tests.fakes.operators import Wishes
from tests.fakes.statuses import IDLE, NOW, REBOOTING, WAITING


@asynccontextmanager
async def served(daemon: DbusDaemon, status: Status) -> AsyncIterator[Control]:
    bus = await Bus.connect(daemon.address)
    control = Control(
        bus, status, handlers=Wishes().handlers, changers=(), machine_id=Path("/nonexistent")
    )
    try:
        await control.serve()
        yield control
    finally:
        await bus.close()


def told(status: Status) -> str:
    return why_not_active(decode_status(json.dumps(encode_status(status))))


def closed(status: Status, reason: Reason) -> Status:
    blocker = ShownBlocker(reason, "", since=NOW, until=None)
    return replace(status, blockers=(*status.blockers, blocker))


def test_a_request_is_taken_while_an_update_waits_for_whatever_it_may_skip_or_not() -> None:
    assert told(WAITING) == ""
    assert told(closed(replace(WAITING, strategies=("off",)), Reason.DISABLED)) == ""
    assert told(closed(WAITING, Reason.QUARANTINED)) == ""


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (IDLE, "nothing is pending"),
        (REBOOTING, "the reboot is being called already"),
        (replace(WAITING, pending=None), "nobody can tell what is pending"),
        (closed(WAITING, Reason.DISABLED), "updates.enabled is false"),
        (closed(WAITING, Reason.CONFIG_INVALID), "the gate config_invalid is closed"),
        (closed(WAITING, Reason.DRY_RUN), "the gate dry_run is closed"),
    ],
)
def test_a_request_that_comes_to_nothing_has_its_reason(status: Status, reason: str) -> None:
    assert told(status) == reason


@pytest.mark.parametrize(("status", "expected"), [(IDLE, 0), (WAITING, 3), (REBOOTING, 4)])
async def test_what_is_pending_is_said_by_the_exit_status_alone(
    bus: DbusDaemon, tmp_path: Path, status: Status, expected: int
) -> None:
    async with served(bus, status):
        done = await ctl(tmp_path, "status", "--quiet", bus=bus.address)
    assert done == (expected, "", "")


async def test_is_active_says_whether_and_why(bus: DbusDaemon, tmp_path: Path) -> None:
    stopped = "inactive: rebootmgrd is not running: see `systemctl status rebootmgr`\n"
    assert await ctl(tmp_path, "is-active", bus=bus.address) == (1, stopped, "")
    assert await ctl(tmp_path, "is-active", "--quiet", bus=bus.address) == (1, "", "")
    async with served(bus, WAITING) as control:
        assert await ctl(tmp_path, "is-active", bus=bus.address) == (0, "active\n", "")
        await control.publish(IDLE)
        done = await ctl(tmp_path, "is-active", bus=bus.address)
        assert done == (1, "inactive: nothing is pending\n", "")
    status, out, err = await ctl(tmp_path, "is-active")
    assert (status, out) == (2, "")
    assert "set DBUS_SYSTEM_BUS_ADDRESS" in err


@pytest.mark.parametrize(
    ("goal", "end"),
    [("verdict", IDLE), ("verdict", REBOOTING), ("rebooting", REBOOTING), ("released", IDLE)],
)
async def test_wait_returns_once_it_is_so(
    bus: DbusDaemon, tmp_path: Path, goal: str, end: Status
) -> None:
    owed = PresumedSlot(Slot("https://h", "default", "a" * 32), kept=False)
    async with served(bus, replace(WAITING, owed=(owed,))) as control:
        short = await ctl(tmp_path, "wait", "--until", goal, "--timeout", "1us", bus=bus.address)
        assert short == (5, "still waiting: wait: 3 gates are closed\n", "")
        process = await begin(tmp_path, "--json", "wait", "--until", goal, bus=bus.address)
        await control.publish(end)
        out, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert json.loads(out) == {"reached": True, "verdict": end.verdict}


async def test_a_daemon_that_ends_ends_the_wait(bus: DbusDaemon, tmp_path: Path) -> None:
    status, out, err = await ctl(tmp_path, "wait", bus=bus.address)
    assert (status, out) == (1, "")
    assert "rebootmgrd is not running" in err


@pytest.mark.parametrize("verb", ["status", "why"])
async def test_watch_shows_each_change_until_nobody_reads_it(
    bus: DbusDaemon, tmp_path: Path, verb: str
) -> None:
    async with served(bus, WAITING) as control:
        process = await begin(tmp_path, verb, "--watch", bus=bus.address)
        assert process.stdout is not None
        first = await process.stdout.readuntil(b"\n\n")
        assert b"Verdict: wait: 3 gates are closed\n" in first
        await control.publish(IDLE)
        text = b""
        while b"Verdict: idle" not in text:
            text += await process.stdout.readuntil(b"\n\n")
        process.terminate()
        await process.communicate()


async def test_watch_in_json_is_a_document_for_each_change(bus: DbusDaemon, tmp_path: Path) -> None:
    async with served(bus, WAITING):
        process = await begin(tmp_path, "--json", "why", "--watch", bus=bus.address)
        assert process.stdout is not None
        text = (await process.stdout.readuntil(b"\n}\n")).decode()
        assert json.loads(text)["verdict"] == Verdict.WAIT
        process.terminate()
        await process.communicate()


async def test_history_shows_as_many_as_are_wanted(bus: DbusDaemon, tmp_path: Path) -> None:
    async with served(bus, WAITING):
        whole = json.loads((await ctl(tmp_path, "--json", "history", bus=bus.address))[1])
        last = json.loads((await ctl(tmp_path, "--json", "history", "-n", "1", bus=bus.address))[1])
    assert last["history"] == whole["history"][-1:]
    status, _, err = await ctl(tmp_path, "history", "-n", "0", bus=bus.address)
    assert (status, "write a whole number from 1" in err) == (2, True)


async def test_help_and_version_are_what_the_options_print(tmp_path: Path) -> None:
    for words, option in (
        (("help",), ("--help",)),
        (("help", "hold"), ("hold", "--help")),
        (("version",), ("--version",)),
    ):
        assert await ctl(tmp_path, *words) == await ctl(tmp_path, *option)
    status, _, err = await ctl(tmp_path, "help", "hodl")
    assert (status, err) == (2, 'rebootmgrctl: unknown verb "hodl"; did you mean hold?\n')


async def test_a_closed_standard_output_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    script = f'exec {sys.executable} -m rebootmgr.cli.main --root "$0" "$@" >&-'
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", script, str(tmp_path), "cat-config"), stdout=PIPE, stderr=PIPE
    )
    _, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
