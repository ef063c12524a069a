"""What will wake a daemon that sleeps, as the kernel knows it (proc(5)).

The last argument of epoll_wait is the timeout of the loop, and each timerfd says how long it has
to go. Asleep without either, it sleeps until somebody speaks to it; that takes no time to see.
"""

import platform
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from tests.fakes.host import Host
from tests.waiting import telling

# The numbers of epoll_wait or epoll_pwait, and of futex; of both the fourth argument is a timeout.
CALLS: Final = {"x86_64": ("232", "202"), "aarch64": ("22", "98")}
FOR_EVER: Final = ("0xffffffff", "0xffffffffffffffff")  # -1, in the 32 bits of an int or more
NO_TIMEOUT: Final = "0x0"  # a null pointer


def timers(pid: int) -> dict[str, float] | None:
    """What will wake it, and in how many seconds; None while it is awake."""
    try:
        return _timers(pid)
    except (FileNotFoundError, ProcessLookupError):  # a thread, or a descriptor, is no more
        return None


def _timers(pid: int) -> dict[str, float] | None:
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
    with telling(lambda: f"never at rest with {number} timers; the last: {found}"):
        while (found := timers(host.daemon.pid)) is None or len(found) != number:
            await host.status()
    return found


async def assert_woken_at(host: Host, when: datetime) -> None:
    """See that nothing but the wall clock wakes it, and that in this second."""
    before = datetime.now(UTC)
    armed = await timers_at_rest(host, 1)
    after = datetime.now(UTC)
    assert list(armed) == ["clock 0"]  # CLOCK_REALTIME
    left = timedelta(seconds=armed["clock 0"])  # rounded down
    assert when - after - timedelta(seconds=1) <= left <= when - before
