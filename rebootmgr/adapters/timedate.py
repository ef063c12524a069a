"""systemd-timedated: whether the clock is synchronized (org.freedesktop.timedate1(5))."""

import logging
from typing import Final

from rebootmgr.adapters.bus import Bus
from rebootmgr.errors import BusError

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
