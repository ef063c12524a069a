"""The screens on a real terminal, as people see them: its width, its colours (SPEC 11).

Golden texts of plan and history are what a pseudo terminal showed; a missing one is written, to be
looked at. status and why say how far away everything is, so they are compared with what the golden
texts of test_bus_verbs are made by.
"""

import asyncio
import json
import os
import pty
import re
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fcntl import ioctl
from pathlib import Path
from struct import pack
from termios import TIOCSWINSZ
from zoneinfo import ZoneInfo

import pytest

from rebootmgr.bus.connection import Bus
from rebootmgr.cli.page import Page
from rebootmgr.cli.render import render_status, render_why
from rebootmgr.control.described import decode_status
from rebootmgr.control.object import Control
from rebootmgr.control.words import encode_status
from rebootmgr.core.memory import Durations, PastReboot
from rebootmgr.core.model import Outcome
from rebootmgr.core.status import Status
from tests.fakes.dbus_daemon import DbusDaemon
from tests.fakes.operators import Wishes
from tests.fakes.statuses import BOOTED, UPDATE, WAITING, ago

GOLDEN = Path(__file__).parent / "golden"
ROME = ZoneInfo("Europe/Rome")
COLOR = re.compile(r"\x1b\[[0-9;]*m")
SCREENS = {"status": render_status, "why": render_why}
WIDTHS = [80, 200]

PAST = (
    PastReboot(at=ago(days=40), target=UPDATE.id, version="41.20291101.3.0"),
    PastReboot(
        at=ago(days=21),
        target=UPDATE.id,
        version="42.20291120.3.0",
        outcome=Outcome.ROLLED_BACK,
        seconds=311.0,
        phases=Durations(
            waiting_s=93784.0, lock_s=1204.0, hooks_s=61.0, shutdown_s=95.0, boot_s=43.0,
            boot_complete_s=112.0,
        ),
    ),
    PastReboot(
        at=ago(days=7),
        target=BOOTED.id,
        version=BOOTED.version,
        outcome=Outcome.SUCCEEDED,
        seconds=72.0,
        phases=Durations(waiting_s=7200.0, hooks_s=10.0, shutdown_s=12.0, boot_s=20.0,
                         boot_complete_s=30.0),
    ),
)  # fmt: skip
WINDOWS = """
[updates]
strategy = "periodic"
[updates.periodic]
time_zone = "Europe/Rome"
[[updates.periodic.window]]
days = ["Sat", "Sun"]
start_time = "23:30"
length_minutes = 90
[[updates.blackout]]
name = "year end"
start = 2029-12-18T00:00:00
end = 2030-01-12T23:45:00
"""


@asynccontextmanager
async def served(status: Status) -> AsyncIterator[str]:
    """A daemon that says this; the address of its bus."""

    async def reload() -> tuple[str, ...]:
        return ()

    with DbusDaemon() as daemon:
        bus = await Bus.connect(daemon.address)
        control = Control(
            bus, status, reload=reload, operators=Wishes(), changers=(), machine_id=Path("/none")
        )
        await control.serve()
        try:
            yield daemon.address
        finally:
            await bus.close()


async def on_terminal(root: Path, width: int, *words: str, **environ: str) -> str:
    """What rebootmgrctl writes to a terminal of this width."""
    master, slave = pty.openpty()
    ioctl(slave, TIOCSWINSZ, pack("HHHH", 50, width, 0, 0))
    loop, chunks, over = asyncio.get_running_loop(), bytearray(), asyncio.Event()

    def read() -> None:
        try:
            chunks.extend(os.read(master, 65536))
        except OSError:  # EIO: nobody has the other end any more
            loop.remove_reader(master)
            over.set()

    client = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "rebootmgr.cli.main", "--root", str(root), *words),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={"PATH": os.environ["PATH"], "TZ": "Europe/Rome", "TERM": "xterm", **environ},
    )
    os.close(slave)
    loop.add_reader(master, read)
    await over.wait()
    assert await client.wait() == 0
    os.close(master)
    return chunks.decode().replace("\r\n", "\n")


def fits(shown: str, width: int) -> str:
    """Without its colours; no line is longer than the terminal is wide."""
    plain = COLOR.sub("", shown)
    assert plain.isascii()
    assert max(map(len, plain.splitlines())) <= width
    return plain


def same_as_golden(name: str, width: int, shown: str) -> None:
    golden = GOLDEN / f"{name}.{width}.txt"
    if not golden.exists():
        golden.write_text(shown)
        pytest.fail(f"{golden.name} was missing: look at what is there now")
    assert shown == golden.read_text()


@pytest.mark.parametrize("width", WIDTHS)
async def test_history_looks_as_agreed(tmp_path: Path, width: int) -> None:
    async with served(replace(WAITING, history=PAST)) as bus:
        shown = await on_terminal(tmp_path, width, "history", DBUS_SYSTEM_BUS_ADDRESS=bus)
    assert "\x1b[2m" in shown
    same_as_golden("history", width, fits(shown, width))


@pytest.mark.parametrize("width", WIDTHS)
async def test_plan_looks_as_agreed(tmp_path: Path, width: int) -> None:
    drop_in = tmp_path / "etc/rebootmgr/config.d/50-windows.toml"
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text(WINDOWS)
    (tmp_path / "etc/localtime").symlink_to("../usr/share/zoneinfo/Europe/Rome")
    between = ("--from", "2030-01-05", "--to", "2030-01-20")
    shown = await on_terminal(tmp_path, width, "plan", *between)
    same_as_golden("plan", width, fits(shown, width))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", SCREENS)
async def test_status_and_why_are_on_a_terminal_what_their_golden_texts_say(
    tmp_path: Path, name: str, width: int
) -> None:
    begun = datetime.now(UTC)
    async with served(WAITING) as bus:
        shown = await on_terminal(tmp_path, width, name, DBUS_SYSTEM_BUS_ADDRESS=bus)
    fits(shown, width)
    seconds = range(int((datetime.now(UTC) - begun).total_seconds()) + 2)
    moments = [begun + timedelta(seconds=second) for second in seconds]
    assert shown in [drawn(SCREENS[name], width, moment) for moment in moments]


def drawn(screen: Callable[..., str], width: int, now: datetime) -> str:
    record = decode_status(json.dumps(encode_status(WAITING)))
    return screen(record, Page(now=now, zone=ROME, width=width, color=True))


async def test_a_terminal_of_somebody_who_wants_no_colour_gets_none(tmp_path: Path) -> None:
    async with served(WAITING) as bus:
        shown = await on_terminal(tmp_path, 80, "status", DBUS_SYSTEM_BUS_ADDRESS=bus, NO_COLOR="1")
    assert "\x1b" not in shown
    assert "wait: 3 gates are closed" in shown
