"""Real timers of the kernel, with waits of a few hundredths of a second.

That the clock is set cannot be tested with a real timer without setting the clock of the machine:
a timer that reports it the way the kernel does (ECANCELED) stands in, on a real descriptor.
"""

import asyncio
import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rebootmgr.systemd.time import Alarm, Clock, Timerfd

SOON = timedelta(milliseconds=30)


class Heard:
    """What the alarm called, in order, and waiting for it."""

    def __init__(self) -> None:
        self.calls: asyncio.Queue[str] = asyncio.Queue()

    def ticked(self) -> None:
        self.calls.put_nowait("ticked")

    def jumped(self) -> None:
        self.calls.put_nowait("jumped")

    async def next(self) -> str:
        return await self.calls.get()


@contextmanager
def alarm(heard: Heard) -> Iterator[Alarm]:
    made = Alarm(ticked=heard.ticked, jumped=heard.jumped)
    yield made
    made.close()


class ClockThatWasSet:
    """A timer whose descriptor is a socket; it reports as often as it is told that it was set."""

    def __init__(self) -> None:
        self.instants: list[int] = []
        self.sets_at_arming = 0
        self._socket, self.kernel = socket.socketpair()

    def fileno(self) -> int:
        return self._socket.fileno()

    def arm(self, instant_ns: int) -> None:
        self.instants.append(instant_ns)
        if self.sets_at_arming:
            self.sets_at_arming -= 1
            raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED))

    def read(self) -> None:
        self._socket.recv(1)
        raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED))

    def close(self) -> None:
        self._socket.close()
        self.kernel.close()


def test_both_clocks_are_read() -> None:
    first, second = Clock().read(), Clock().read()
    assert first.wall.tzinfo is UTC
    assert first.wall <= second.wall
    assert first.mono <= second.mono


async def test_it_ticks_at_the_wall_clock_instant_and_not_before() -> None:
    heard = Heard()
    with alarm(heard) as each:
        instant = Clock().read().wall + SOON
        each.arm(wall=instant, mono=None)
        assert await heard.next() == "ticked"
        assert Clock().read().wall >= instant


async def test_it_ticks_at_the_monotonic_instant_and_not_before() -> None:
    heard = Heard()
    with alarm(heard) as each:
        instant = Clock().read().mono + SOON.total_seconds()
        each.arm(wall=None, mono=instant)
        assert await heard.next() == "ticked"
        assert Clock().read().mono >= instant


@pytest.mark.parametrize(
    ("wall", "mono"),
    [
        (datetime(1969, 1, 1, tzinfo=UTC), None),
        (datetime(1970, 1, 1, tzinfo=UTC), None),
        (datetime.min.replace(tzinfo=UTC), None),
        (None, 0.0),
        (None, -1e9),
    ],
)
async def test_an_instant_in_the_past_ticks_at_once(
    wall: datetime | None, mono: float | None
) -> None:
    heard = Heard()
    with alarm(heard) as each:
        each.arm(wall=wall, mono=mono)
        assert await heard.next() == "ticked"


async def test_the_end_of_time_can_be_armed_and_does_not_come() -> None:
    heard = Heard()
    with alarm(heard) as each:
        each.arm(wall=datetime.max.replace(tzinfo=UTC), mono=float("inf"))
        await the_loop_looked_at_its_descriptors()
        assert heard.calls.empty()
        each.arm(wall=Clock().read().wall + SOON, mono=None)
        assert await heard.next() == "ticked"


async def test_arming_anew_forgets_what_was_armed() -> None:
    heard = Heard()
    with alarm(heard) as each:
        now = Clock().read()
        each.arm(wall=now.wall, mono=now.mono)
        each.arm(wall=None, mono=now.mono + SOON.total_seconds())
        assert await heard.next() == "ticked"
        assert heard.calls.empty()


async def test_a_tick_comes_once() -> None:
    heard = Heard()
    with alarm(heard) as each:
        each.arm(wall=Clock().read().wall, mono=None)
        assert await heard.next() == "ticked"
        await the_loop_looked_at_its_descriptors()
        assert heard.calls.empty()


async def test_a_disarmed_alarm_wakes_nobody() -> None:
    heard = Heard()
    with alarm(heard) as each:
        now = Clock().read()
        each.arm(wall=now.wall + SOON, mono=now.mono + SOON.total_seconds())
        each.arm(wall=None, mono=None)
        for timer in armed_timers():
            assert timer["it_value"] == "(0, 0)"
            assert timer["settime flags"] == "00"  # not even when the clock is set


async def test_an_armed_alarm_watches_for_clock_sets() -> None:
    with alarm(Heard()) as each:
        each.arm(wall=datetime(2200, 1, 1, tzinfo=UTC), mono=None)
        [timer] = [found for found in armed_timers() if found["clockid"] == "0"]
        assert int(timer["settime flags"], 8) == 3  # absolute, and cancelled on set


async def test_a_clock_that_is_set_is_told_and_the_instant_stays_armed() -> None:
    heard, wall = Heard(), ClockThatWasSet()
    each = Alarm(ticked=heard.ticked, jumped=heard.jumped, wall=wall)
    each.arm(wall=datetime(2200, 1, 1, tzinfo=UTC), mono=None)
    wall.kernel.send(b"!")
    assert await heard.next() == "jumped"
    assert len(wall.instants) == 2
    assert wall.instants[0] == wall.instants[1] > 0
    each.close()


async def test_a_clock_that_was_set_before_arming_is_told() -> None:
    heard, wall = Heard(), ClockThatWasSet()
    wall.sets_at_arming = 1
    each = Alarm(ticked=heard.ticked, jumped=heard.jumped, wall=wall)
    each.arm(wall=datetime(2200, 1, 1, tzinfo=UTC), mono=None)
    assert await heard.next() == "jumped"
    each.close()


async def test_closing_gives_back_the_descriptors() -> None:
    before = open_descriptors()
    Alarm(ticked=lambda: None, jumped=lambda: None).close()
    assert open_descriptors() == before


def test_descriptors_are_not_inherited() -> None:
    timer = Timerfd(0)
    assert not os.get_inheritable(timer.fileno())
    assert not os.get_blocking(timer.fileno())
    timer.close()


def test_a_clock_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        Timerfd(4711)


def open_descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def armed_timers() -> list[dict[str, str]]:
    """What the kernel says of our timers (proc_pid_fdinfo(5))."""
    found = []
    for path in Path("/proc/self/fdinfo").iterdir():
        try:
            text = path.read_text()
        except FileNotFoundError:  # the descriptor of this very listing
            continue
        fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        if "clockid" in fields:
            found.append({name: value.strip() for name, value in fields.items()})
    assert len(found) == 2
    return found


async def the_loop_looked_at_its_descriptors() -> None:
    """A byte written now is heard after whatever was readable before."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        heard = asyncio.Event()
        asyncio.get_running_loop().add_reader(ours, heard.set)
        theirs.send(b"!")
        await heard.wait()
        asyncio.get_running_loop().remove_reader(ours)
