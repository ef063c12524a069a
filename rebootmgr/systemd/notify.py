"""Telling systemd how we are (sd_notify(3))."""

import asyncio
import logging
import socket
import time
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from typing import Final

from rebootmgr.text import harmless

_SOCKET: Final = "NOTIFY_SOCKET"
_WATCHDOG: Final = "WATCHDOG=1"

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

    Takes sd_notify's variables out of `environ`, so that no child can speak in our name. It never
    waits: the queue holds ten datagrams or so, and a manager may be long busy. What does not fit is
    dropped; the last word of each kind is said as soon as there is room, the watchdog's first.
    """

    def __init__(self, environ: MutableMapping[str, str], *, pid: int) -> None:
        self.watchdog_interval_s = watchdog_interval_s(environ, pid)
        self._address = environ.pop(_SOCKET, "")
        for name in ("WATCHDOG_USEC", "WATCHDOG_PID"):
            environ.pop(name, None)
        self._socket: socket.socket | None = None
        self._is_alive = False
        self._phase = ""
        self._status = ""
        self._shown = ""

    def ready(self) -> None:
        """Say that starting, or reloading, is over."""
        self._enter("READY=1")

    def status(self, sentence: str) -> None:
        """Show one sentence in systemctl status; whatever it holds, it stays one sentence."""
        self._status = f"STATUS={harmless(sentence, longest=500)}"
        self._say()

    def reloading(self) -> None:
        """Say that the configuration is being read again."""
        now_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        self._enter(f"RELOADING=1\nMONOTONIC_USEC={now_ns // 1000}")

    def stopping(self) -> None:
        """Say that we are about to end."""
        self._enter("STOPPING=1")

    def watchdog(self) -> None:
        """Say that we are alive."""
        self._is_alive = True
        self._say()

    async def feed_watchdog(self, until: asyncio.Event) -> None:
        """Call `watchdog` as often as it takes: the only wake-ups of an idle daemon."""
        while self.watchdog_interval_s is not None and not until.is_set():
            self.watchdog()
            with suppress(TimeoutError):
                async with asyncio.timeout(self.watchdog_interval_s):
                    await until.wait()

    def close(self) -> None:
        """Say nothing more."""
        if self._socket is not None:
            with suppress(RuntimeError):  # no loop, no writer
                asyncio.get_running_loop().remove_writer(self._socket)
            self._socket.close()
            self._socket = None

    def _enter(self, phase: str) -> None:
        self._phase = phase
        self._say()

    def _say(self) -> None:
        """Say what is not said yet, or wait for the kernel to tell that there is room."""
        if not self._address:
            return
        try:
            self._say_all()
        except BlockingIOError:
            self._wait_for_room()
        except (OSError, ValueError) as error:  # ValueError: a NUL in the address
            log.debug("the service manager does not listen: %s", error)
            self.close()  # the next word looks for it anew

    def _say_all(self) -> None:
        if self._socket is None:
            self._socket = _connect(self._address)
        if self._is_alive:
            self._socket.send(_WATCHDOG.encode())
            self._is_alive = False
        if self._phase:
            self._socket.send(self._phase.encode())
            self._phase = ""
        if self._status != self._shown:
            self._socket.send(self._status.encode())
            self._shown = self._status

    def _wait_for_room(self) -> None:
        if self._socket is not None:
            with suppress(RuntimeError):  # no loop: then with the next word
                asyncio.get_running_loop().add_writer(self._socket, self._say_later, self._socket)

    def _say_later(self, waiting: socket.socket) -> None:
        asyncio.get_running_loop().remove_writer(waiting)
        self._say()


def _connect(address: str) -> socket.socket:
    """Connect, because only a connected socket tells when the other end has room (unix(7))."""
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        connected.connect(f"\0{address[1:]}" if address.startswith("@") else address)
    except (OSError, ValueError):
        connected.close()
        raise
    return connected
