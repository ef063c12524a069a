"""One visit of a verb to the daemon: calls, and what their refusals mean to whoever typed it."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from rebootmgr.bus.connection import Bus, bus_address
from rebootmgr.cli.bus_verbs import CURE, NOT_THERE, PATIENCE_S
from rebootmgr.cli.tty_agent import may_ask_user, tty_agent
from rebootmgr.cli.verb import Context
from rebootmgr.control.described import Record, decode_status
from rebootmgr.control.introspection import MANAGER
from rebootmgr.errors import BusError, RebootmgrError, UsageError

NAME: Final = "org.rebootmgr1"
PATH: Final = "/org/rebootmgr1"
OWN: Final = f"{NAME}.Error."
ERROR: Final = "org.freedesktop.DBus.Error."
FAILED: Final = {f"{ERROR}Failed", f"{ERROR}LimitsExceeded"}
DENIED: Final = {f"{ERROR}AccessDenied", f"{ERROR}InteractiveAuthorizationRequired"}
INVALID: Final = f"{ERROR}InvalidArgs"
CHANGES: Final = (
    f"type='signal',sender='{NAME}',interface='org.freedesktop.DBus.Properties',"
    "member='PropertiesChanged'"
)
LEAVE_S: Final = 35.0  # the daemon waits 25 s for polkit
PASSWORD_S: Final = 135.0  # and two minutes for somebody who types
SETTLE_S: Final = 5.0
QUIET_S: Final = 1.0


class DaemonCalls:
    """The daemon over one connection; every method raises UsageError or RebootmgrError."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._news = asyncio.Event()

    async def watch(self) -> None:
        """Note from now on that something changed, for `settled`."""
        try:
            await self._bus.subscribe(CHANGES, lambda _: self._news.set())
        except BusError as error:
            raise _explained(error, "AddMatch") from error

    async def call(self, member: str, signature: str = "", *body: object) -> list[Any]:
        """Call a method that changes something; the user may have to give a password first."""
        if not may_ask_user():
            return await self._call(member, signature, body, timeout_s=LEAVE_S)
        with tty_agent(os.geteuid()):
            return await self._call(member, signature, body, timeout_s=PASSWORD_S, interactive=True)

    async def status(self) -> Record:
        """Read everything that the daemon says."""
        [text] = await self._call("Describe", "", (), timeout_s=PATIENCE_S)
        return decode_status(str(text))

    async def _call(
        self,
        member: str,
        signature: str,
        body: Sequence[object],
        *,
        timeout_s: float,
        interactive: bool = False,
    ) -> list[Any]:
        try:
            answer = await self._bus.call(
                *(NAME, PATH, MANAGER, member, signature, body),
                timeout_s=timeout_s,
                autostart=False,
                interactive=interactive,
            )
        except BusError as error:
            raise _explained(error, member) from error
        return list(answer)

    async def settled(self, is_final: Callable[[Record], bool]) -> Record:
        """Wait until it is final, or nothing changes for a second; five seconds at most."""
        status = await self.status()
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_S):
                while not is_final(status):
                    with suppress(TimeoutError):
                        async with asyncio.timeout(QUIET_S):
                            await self._news.wait()
                    is_quiet = not self._news.is_set()
                    self._news.clear()
                    status = await self.status()
                    if is_quiet:
                        break
        return status


@asynccontextmanager
async def visit(context: Context) -> AsyncIterator[DaemonCalls]:
    """Connect to the bus, and leave it afterwards."""
    bus = await Bus.connect(bus_address(context.root, os.environ), timeout_s=PATIENCE_S)
    try:
        yield DaemonCalls(bus)
    finally:
        await bus.close()


def _explained(error: BusError, member: str) -> RebootmgrError:
    if error.name in NOT_THERE:
        return RebootmgrError(f"rebootmgrd is not running: {CURE}")
    if error.name == INVALID:
        return UsageError(error.text)
    if error.name in DENIED:
        return RebootmgrError(f"{error.text}; try again with sudo")
    if error.name in FAILED or error.name.startswith(OWN):
        return RebootmgrError(error.text)
    return RebootmgrError(f"rebootmgrd does not answer {member} ({error.text}): {CURE}")
