"""Both clocks, and an alarm that the kernel keeps: no polling, no wake-ups while disarmed."""

import asyncio
import errno
import logging
import math
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from rebootmgr.bus.connection import Bus
from rebootmgr.core.model import Moment
from rebootmgr.errors import BusError

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FARTHEST_S: Final = 2**33  # the year 2242: nanoseconds since 1970 must fit into 63 bits
_TFD_TIMER_ABSTIME: Final = 1
_TFD_TIMER_CANCEL_ON_SET: Final = 2


class Clock:
    """The time."""

    def read(self) -> Moment:
        """Read the wall clock and CLOCK_BOOTTIME, which also counts suspend."""
        return Moment(wall=datetime.now(UTC), mono=time.clock_gettime(time.CLOCK_BOOTTIME))


class Timer(Protocol):
    """A descriptor that becomes readable at an instant."""

    def fileno(self) -> int:
        """Return the descriptor."""

    def arm(self, instant_ns: int) -> None:
        """Become readable at `instant_ns` of the timer's clock; 0 disarms.

        OSError ECANCELED: armed, but the clock was set since it was last armed or read.
        """

    def read(self) -> None:
        """Consume the expiry; OSError ECANCELED if the clock was set, EAGAIN if neither is so."""

    def close(self) -> None:
        """Close the descriptor."""


class Timerfd:
    """A timerfd_create(2) for absolute instants; with `cancel_on_set` it tells of clock sets."""

    def __init__(self, clock: int, *, cancel_on_set: bool = False) -> None:
        self._fd = _create(clock)
        self._flags = _TFD_TIMER_ABSTIME | (_TFD_TIMER_CANCEL_ON_SET if cancel_on_set else 0)

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._fd

    def arm(self, instant_ns: int) -> None:
        """See `Timer.arm`."""
        # Without the flags the kernel forgets it altogether, clock sets included.
        _settime(self._fd, self._flags if instant_ns else 0, instant_ns)

    def read(self) -> None:
        """See `Timer.read`."""
        os.read(self._fd, 8)

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._fd)


class Alarm:
    """Calls `ticked` at each of two instants, and `jumped` when the wall clock is set.

    Made on the running loop. Clock sets are noticed only while a wall instant is armed, and leave
    it armed; a disarmed alarm wakes nobody.
    """

    def __init__(
        self,
        *,
        ticked: Callable[[], None],
        jumped: Callable[[], None],
        wall: Timer | None = None,
        mono: Timer | None = None,
    ) -> None:
        self._ticked = ticked
        self._jumped = jumped
        self._wall = wall or Timerfd(time.CLOCK_REALTIME, cancel_on_set=True)
        self._mono = mono or Timerfd(time.CLOCK_BOOTTIME)
        self._wall_ns = 0
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._wall.fileno(), self._wall_expired)
        self._loop.add_reader(self._mono.fileno(), self._mono_expired)

    def arm(self, *, wall: datetime | None, mono: float | None) -> None:
        """Set both instants anew; None disarms. An instant in the past ticks at once."""
        self._wall_ns = 0 if wall is None else _wall_ns(wall)
        self._mono.arm(0 if mono is None else _mono_ns(mono))
        self._arm_wall()

    def close(self) -> None:
        """Give back the descriptors."""
        for timer in (self._wall, self._mono):
            self._loop.remove_reader(timer.fileno())
            timer.close()

    def _arm_wall(self) -> None:
        try:
            self._wall.arm(self._wall_ns)
        except OSError as error:
            if error.errno != errno.ECANCELED:
                raise
            # It is armed; but whoever chose the instant may have looked at the clock before.
            self._loop.call_soon(self._jumped)

    def _wall_expired(self) -> None:
        try:
            self._wall.read()
        except BlockingIOError:
            return  # armed anew since the loop saw it
        except OSError as error:
            if error.errno != errno.ECANCELED:
                raise
            self._arm_wall()  # an expiry that coincides with the clock set is lost otherwise
            self._jumped()
        else:
            self._ticked()

    def _mono_expired(self) -> None:
        try:
            self._mono.read()
        except BlockingIOError:
            return
        self._ticked()


def _wall_ns(instant: datetime) -> int:
    since = (instant - _EPOCH) // timedelta(microseconds=1) * 1000
    return max(1, min(since, _FARTHEST_S * 10**9))  # 0 would disarm


def _mono_ns(instant: float) -> int:
    return max(1, math.ceil(min(instant, _FARTHEST_S) * 1e9))


if sys.version_info >= (3, 13):

    def _create(clock: int) -> int:
        return os.timerfd_create(clock, flags=os.TFD_NONBLOCK | os.TFD_CLOEXEC)

    def _settime(fd: int, flags: int, instant_ns: int) -> None:
        os.timerfd_settime_ns(fd, flags=flags, initial=instant_ns)

else:
    import ctypes

    _LIBC: Final = ctypes.CDLL(None, use_errno=True)

    def _create(clock: int) -> int:
        fd: int = _LIBC.timerfd_create(clock, os.O_NONBLOCK | os.O_CLOEXEC)
        if fd < 0:
            raise _last_error()
        return fd

    def _settime(fd: int, flags: int, instant_ns: int) -> None:
        itimerspec = (ctypes.c_long * 4)(0, 0, *divmod(instant_ns, 10**9))
        if _LIBC.timerfd_settime(fd, flags, ctypes.byref(itimerspec), None) < 0:
            raise _last_error()

    def _last_error() -> OSError:
        code = ctypes.get_errno()
        return OSError(code, os.strerror(code))


_NAME: Final = "org.freedesktop.timedate1"
_PATH: Final = "/org/freedesktop/timedate1"

log = logging.getLogger(__name__)


class Timedate:
    """The service that knows of time synchronization; asking starts it, for half a minute."""

    def __init__(self, bus: Bus, *, patience_s: float = 10.0) -> None:
        self._bus = bus
        self._patience_s = patience_s

    async def read_synchronized(self) -> bool | None:
        """Read NTPSynchronized; None if there is nobody to say."""
        try:
            body = await self._bus.call(
                _NAME,
                _PATH,
                "org.freedesktop.DBus.Properties",
                "Get",
                "ss",
                [_NAME, "NTPSynchronized"],
                timeout_s=self._patience_s,
            )
        except BusError as error:
            log.debug("timedated cannot be asked: %s", error)
            return None
        match body:
            case [bool(is_synchronized)]:
                return is_synchronized
            case _:
                return None
