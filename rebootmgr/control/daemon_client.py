"""rebootmgrd as its clients reach it: its methods by their row (members.py), its status as Records.

Nothing here starts it, or waits for it without a bound.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Final, TypeAlias

from rebootmgr.bus.connection import Bus
from rebootmgr.bus.words import ABSENT, PROPERTIES
from rebootmgr.control.described import Record, decode_status
from rebootmgr.control.members import DESCRIBE, MANAGER, NAME, PATH, Member
from rebootmgr.errors import BusError, RebootmgrError

PATIENCE_S: Final = 10.0
LEAVE_S: Final = 35.0  # the daemon waits 25 s for polkit
PASSWORD_S: Final = 135.0  # and two minutes for somebody who types
SETTLE_S: Final = 5.0
QUIET_S: Final = 1.0
BURST_S: Final = 0.25
CHANGES: Final = (
    f"type='signal',sender='{NAME}',interface='{PROPERTIES}',member='PropertiesChanged'"
)

Explain: TypeAlias = Callable[[BusError, str], RebootmgrError]
"""What a call's failure, of the member with this name, means to whoever made it."""


class DaemonClient:
    """The daemon over one connection; what fails is raised as `explain` has it."""

    def __init__(self, bus: Bus, explain: Explain) -> None:
        self._bus = bus
        self._explain = explain
        self._news = asyncio.Event()
        self._looks_again_at = 0.0

    async def status(self) -> Record:
        """Read everything that the daemon says."""
        return decode_status(str(await self._call(DESCRIBE, timeout_s=PATIENCE_S)))

    async def call(self, member: Member, *values: object, interactive: bool = False) -> Any:
        """Call what changes something; what it gives. `interactive`: our user may be asked."""
        timeout_s = PASSWORD_S if interactive else LEAVE_S
        return await self._call(member, *values, timeout_s=timeout_s, interactive=interactive)

    async def _call(
        self, member: Member, *values: object, timeout_s: float, interactive: bool = False
    ) -> Any:
        body = [each.encode(value) for each, value in zip(member.takes, values, strict=True)]
        try:
            answer = await self._bus.call(
                *(NAME, PATH, MANAGER, member.name, member.signature, body),
                timeout_s=timeout_s,
                autostart=False,
                interactive=interactive,
            )
        except BusError as error:
            raise self._explain(error, member.name) from error
        given = [each.decode(value) for each, value in zip(member.gives, answer, strict=False)]
        return given[0] if given else None

    async def watch(self) -> None:
        """Note from now on that something changed, for `changed` and `settled`."""
        try:
            await self._bus.subscribe(CHANGES, lambda _: self._news.set())
        except BusError as error:
            raise self._explain(error, "AddMatch") from error

    async def changed(self, within_s: float) -> bool:
        """Wait for so long at most until something has changed since the last time; whether it has.

        Not everything is signalled, so look again in either case. Changes that come close together
        are one: from the first of a burst on we look four times a second, however many there are.
        """
        loop = asyncio.get_running_loop()
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._news.wait()
        has_changed = self._news.is_set()
        if has_changed:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._looks_again_at):
                    await loop.create_future()
        self._looks_again_at = loop.time() + BURST_S
        self._news.clear()
        return has_changed

    async def settled(self, is_final: Callable[[Record], bool]) -> Record:
        """Wait until it is final, or nothing changes for a second; five seconds at most."""
        status, is_moving = await self.status(), True
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_S):
                while is_moving and not is_final(status):
                    is_moving = await self.changed(QUIET_S)
                    status = await self.status()
        return status


@asynccontextmanager
async def connected(address: str, explain: Explain) -> AsyncIterator[DaemonClient]:
    """Connect to the bus, and leave it afterwards; BusError without a bus."""
    bus = await Bus.connect(address, timeout_s=PATIENCE_S)
    try:
        yield DaemonClient(bus, explain)
    finally:
        await bus.close()


@asynccontextmanager
async def reached(address: str, explain: Explain) -> AsyncIterator[DaemonClient | None]:
    """Give the daemon, None when it does not run; RebootmgrError when it runs and is mute."""
    async with AsyncExitStack() as stack:
        yield await _found(stack, address, explain)


async def _found(stack: AsyncExitStack, address: str, explain: Explain) -> DaemonClient | None:
    try:
        daemon = await stack.enter_async_context(connected(address, explain))
    except BusError:  # without a bus there is no daemon either
        return None
    try:
        await daemon.status()
    except RebootmgrError as error:
        if is_caused_by(error, ABSENT):
            return None
        raise
    return daemon


def is_caused_by(error: RebootmgrError, names: Collection[str]) -> bool:
    """Whether an explained error is that of a call which failed with one of these names."""
    match error.__cause__:
        case BusError(name=name):
            return name in names
        case _:
            return False
