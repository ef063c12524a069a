"""Idle costs nothing: the only wake-ups are the watchdog's (SPEC 13.6)."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.fakes.host import Host
from tests.fakes.service_manager import ServiceManager

WATCHDOG_S = 6  # of systemd; fed twice as often
BEATS = 5  # it takes time to see that nothing happens: about 20 s for this test


def wake_ups(pid: int) -> int:
    """How often any thread of `pid` gave up the processor to wait."""
    found = (
        re.search(r"^voluntary_ctxt_switches:\t(\d+)$", path.read_text(), re.MULTILINE)
        for path in Path(f"/proc/{pid}/task").glob("*/status")
    )
    return sum(int(each[1]) for each in found if each is not None)


async def wake_ups_between_beats(root: Path, config: str, reason: str | None) -> int:
    """Let a daemon come to rest, then count its wake-ups in a time of `BEATS` beats."""
    async with Host(root) as host, ServiceManager(host.dbus.dir) as manager:
        usec = str(WATCHDOG_S * 1_000_000)
        host.more_environ |= {"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": usec}
        if reason is not None:
            host.configure(config)
            await host.os.stage("42.2")
        await host.start()
        await manager.until(lambda one: one == "READY=1")
        if reason is not None:
            await host.until_blocked(reason)
        else:
            await host.until_state("idle")
        assert host.daemon is not None
        await manager.until_beat(manager.beats + 1)
        before, heard = wake_ups(host.daemon.pid), len(manager.heard)
        await manager.until_beat(manager.beats + BEATS)
        assert manager.heard[heard:] == ["WATCHDOG=1"] * BEATS
        assert host.reboots() == 0
        return wake_ups(host.daemon.pid) - before


async def test_only_the_watchdog_wakes_it(tmp_path: Path) -> None:
    """With nothing pending, and with an update that waits for its window."""
    day = datetime.now(UTC) + timedelta(days=3)
    window = (
        '[updates]\nstrategy = "periodic"\n[[updates.periodic.window]]\n'
        f'days = ["{day:%a}"]\nstart_time = "12:00"\nlength_minutes = 60\n'
    )
    for name in ("idle", "waiting"):
        (tmp_path / name).mkdir()
    for woken in await asyncio.gather(
        wake_ups_between_beats(tmp_path / "idle", "", None),
        wake_ups_between_beats(tmp_path / "waiting", window, "outside_window"),
    ):
        assert woken <= BEATS + 1  # it may not have gone to rest again when we heard a beat
