"""Idle costs nothing: no timers but the watchdog's (SPEC 13.6), so no wake-ups but its beats."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Final

import pytest

from tests.daemon.asleep import assert_woken_at, timers_at_rest
from tests.fakes.host import Host
from tests.fakes.service_manager import ServiceManager

WATCHDOG_S: Final = 2  # of systemd; fed twice as often
BEATS: Final = 3  # it takes time to see that nothing happens


@pytest.fixture
def host(host: Host) -> Host:
    """Started afresh: with nothing that it does not load itself."""
    host.afresh = True
    return host


def window_in_days(days: int) -> tuple[str, datetime]:
    """Configure a window, and when it opens."""
    opens = (datetime.now(UTC) + timedelta(days=days)).replace(
        hour=12, minute=0, second=0, microsecond=0
    )
    config = (
        '[updates]\nstrategy = "periodic"\n[[updates.periodic.window]]\n'
        f'days = ["{opens:%a}"]\nstart_time = "12:00"\nlength_minutes = 60\n'
    )
    return config, opens


async def test_with_nothing_pending_it_sleeps_until_somebody_speaks(host: Host) -> None:
    await host.start()
    await host.until_state("idle")
    assert await timers_at_rest(host, 0) == {}


async def test_an_update_that_waits_for_its_window_is_woken_by_that_alone(host: Host) -> None:
    config, opens = window_in_days(3)
    host.configure(config)
    await host.os.stage("42.2")
    await host.start()
    await host.until_blocked("outside_window")
    await assert_woken_at(host, opens)


async def test_the_watchdog_is_the_only_timer_of_an_idle_daemon(host: Host) -> None:
    async with ServiceManager(host.dbus.dir) as manager:
        host.more_environ |= {"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "7200000000"}
        began = monotonic()
        await host.start()
        await host.until_state("idle")
        armed = await timers_at_rest(host, 1)
        assert list(armed) == ["loop"]
        assert 3600 - (monotonic() - began) <= armed["loop"] <= 3600


def wake_ups(pid: int) -> int:
    """How often any thread of `pid` gave up the processor to wait."""
    found = (
        re.search(r"^voluntary_ctxt_switches:\t(\d+)$", path.read_text(), re.MULTILINE)
        for path in Path(f"/proc/{pid}/task").glob("*/status")
    )
    return sum(int(each[1]) for each in found if each is not None)


async def test_only_the_watchdog_wakes_it(host: Host) -> None:
    async with ServiceManager(host.dbus.dir) as manager:
        usec = str(WATCHDOG_S * 1_000_000)
        host.more_environ |= {"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": usec}
        host.configure(window_in_days(3)[0])
        await host.os.stage("42.2")
        await host.start()
        await manager.until(lambda one: one == "READY=1")
        await host.until_blocked("outside_window")
        assert host.daemon is not None
        await manager.until_beat(manager.beats + 1)
        manager.catch_up()
        heard = len(manager.heard)
        before = wake_ups(host.daemon.pid)
        await manager.until_beat(manager.beats + BEATS)
        woken = wake_ups(host.daemon.pid) - before
        manager.catch_up()
        beats = manager.heard[heard:]
        assert set(beats) == {"WATCHDOG=1"}
        assert woken <= len(beats) + 1  # maybe not at rest when it began
        assert host.reboots() == 0
