"""Telling systemd how we are (sd_notify(3))."""

import asyncio
import logging
import os
import time
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from typing import Final

from systemd.daemon import notify

from rebootmgr.text import harmless

_SOCKET: Final = "NOTIFY_SOCKET"

log = logging.getLogger(__name__)


def watchdog_interval_s(environ: Mapping[str, str], pid: int) -> float | None:
    """How often to call `Notify.watchdog`: twice per WATCHDOG_USEC; None if nobody watches us."""
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    try:
        usec = int(environ.get("WATCHDOG_USEC", "0"))
    except ValueError:
        return None
    return usec / 2e6 if usec > 0 else None


class Notify:
    """The service manager's ear. Without NOTIFY_SOCKET nothing is said and nothing fails.

    Takes sd_notify's variables out of `environ`, so that no child can speak in our name.
    """

    def __init__(self, environ: MutableMapping[str, str], *, pid: int) -> None:
        self.watchdog_interval_s = watchdog_interval_s(environ, pid)
        self._socket = environ.pop(_SOCKET, "")
        for name in ("WATCHDOG_USEC", "WATCHDOG_PID"):
            environ.pop(name, None)

    def ready(self) -> None:
        """Say that starting, or reloading, is over."""
        self._say("READY=1")

    def status(self, sentence: str) -> None:
        """Show one sentence in systemctl status; whatever it holds, it stays one sentence."""
        self._say(f"STATUS={harmless(sentence, longest=500)}")

    def reloading(self) -> None:
        """Say that the configuration is being read again."""
        now_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        self._say(f"RELOADING=1\nMONOTONIC_USEC={now_ns // 1000}")

    def stopping(self) -> None:
        """Say that we are about to end."""
        self._say("STOPPING=1")

    def watchdog(self) -> None:
        """Say that we are alive."""
        self._say("WATCHDOG=1")

    async def feed_watchdog(self, until: asyncio.Event) -> None:
        """Call `watchdog` as often as it takes: the only wake-ups of an idle daemon."""
        while self.watchdog_interval_s is not None and not until.is_set():
            self.watchdog()
            with suppress(TimeoutError):
                async with asyncio.timeout(self.watchdog_interval_s):
                    await until.wait()

    def _say(self, state: str) -> None:
        if not self._socket:
            return
        os.environ[_SOCKET] = self._socket  # libsystemd looks nowhere else
        try:
            notify(state)
        except OSError as error:
            log.debug("the service manager does not listen: %s", error)
        finally:
            del os.environ[_SOCKET]
