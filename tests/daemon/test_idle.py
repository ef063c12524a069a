"""Idle costs nothing: no timers but the watchdog's (SPEC 13.6), and so no wake-ups but its beats.

The kernel knows what a sleeping process waits for (proc(5)): the last argument of epoll_wait is
the timeout of the loop, and each timerfd says how long it has to go. Asleep without either, it
sleeps until somebody speaks to it; that takes no time to see.
"""

import asyncio
import platform
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from tests.fakes.host import Host
from tests.fakes.service_manager import ServiceManager

# The numbers of epoll_wait or epoll_pwait, and of futex; of both the fourth argument is a timeout.
CALLS: Final = {"x86_64": ("232", "202"), "aarch64": ("22", "98")}
FOR_EVER: Final = ("0xffffffff", "0xffffffffffffffff")  # -1, in the 32 bits of an int or more
NO_TIMEOUT: Final = "0x0"  # a null pointer
WATCHDOG_S: Final = 2  # of systemd; fed twice as often
BEATS: Final = 3  # it takes time to see that nothing happens


def timers(pid: int) -> dict[str, float] | None:
    """What will wake it, and in how many seconds; None while it is awake."""
    tasks = Path(f"/proc/{pid}/task")
    found = {}
    epoll, futex = CALLS[platform.machine()]
    for task in tasks.iterdir():
        number, *arguments = (task / "syscall").read_text().split()
        if task.name == str(pid) and number == epoll:
            if arguments[3] not in FOR_EVER:
                found["loop"] = int(arguments[3], 16) / 1000
        elif number != futex or arguments[3] != NO_TIMEOUT:
            return None
    for info in Path(f"/proc/{pid}/fdinfo").iterdir():
        timer = re.search(r"clockid: (\d+)[^(]*it_value: \((\d+), (\d+)\)", info.read_text())
        if timer is not None and (timer[2], timer[3]) != ("0", "0"):
            found[f"clock {timer[1]}"] = float(timer[2])
    return found


def can_see() -> bool:
    """Whether this kernel says what a process waits for."""
    return platform.machine() in CALLS and Path("/proc/self/syscall").exists()


async def timers_at_rest(host: Host, number: int) -> dict[str, float]:
    """What will wake it when it has come to rest, which leaves so many timers."""
    if not can_see():
        pytest.skip("this kernel does not say what a process waits for")
    assert host.daemon is not None
    found = None
    with suppress(TimeoutError):
        async with asyncio.timeout(10):
            while (found := timers(host.daemon.pid)) is None or len(found) != number:
                await host.status()
    assert found is not None
    return found


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
    armed = await timers_at_rest(host, 1)
    assert list(armed) == ["clock 0"]  # CLOCK_REALTIME
    assert armed["clock 0"] == pytest.approx((opens - datetime.now(UTC)).total_seconds(), abs=5)


async def test_the_watchdog_is_the_only_timer_of_an_idle_daemon(host: Host) -> None:
    async with ServiceManager(host.dbus.dir) as manager:
        host.more_environ |= {"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "180000000"}
        await host.start()
        await host.until_state("idle")
        armed = await timers_at_rest(host, 1)
        assert list(armed) == ["loop"]
        assert 80 < armed["loop"] <= 90


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
        before, heard = wake_ups(host.daemon.pid), len(manager.heard)
        await manager.until_beat(manager.beats + BEATS)
        assert manager.heard[heard:] == ["WATCHDOG=1"] * BEATS
        assert wake_ups(host.daemon.pid) - before <= BEATS + 1  # maybe not at rest when it began
        assert host.reboots() == 0
