"""Keeps the daemon and a script from sharing this host's slot (SPEC 11, fleet-lock).

The order is what makes it sound. First a hold, which makes the daemon abandon whatever it is at.
Then we wait until it says, of a moment after the hold, that it holds and owes nothing: what it
still has under way could free the slot under the script's feet. Only then is the server asked. On
the way back the server comes first, and holds are lifted once it has confirmed.

The hold around a question ends by itself, so that a script that is killed holds nobody for ever.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from rebootmgr.bus.connection import Bus
from rebootmgr.control.described import Record, decode_status
from rebootmgr.control.introspection import MANAGER
from rebootmgr.control.words import NO_SUCH_HOLD
from rebootmgr.core.model import Slot
from rebootmgr.core.status import StateName
from rebootmgr.errors import BusError, RebootmgrError
from rebootmgr.text import harmless

REASON: Final = "fleet-lock: held by a script"
NAME: Final = "org.rebootmgr1"
CONNECT_S: Final = 10.0
AWAY_S: Final = 660.0  # the daemon may repeat a release after five minutes, and waits two for each
ASK_AGAIN_S: Final = 0.5  # not everything that we wait for is signalled
AT_REST: Final = {StateName.IDLE, StateName.WAITING}
NOT_THERE: Final = {
    "org.freedesktop.DBus.Error.ServiceUnknown",
    "org.freedesktop.DBus.Error.NameHasNoOwner",
}
CHANGES: Final = (
    f"type='signal',sender='{NAME}',interface='org.freedesktop.DBus.Properties',"
    "member='PropertiesChanged'"
)


class ScriptLock:
    """The daemon, while a script takes or returns `slot`; `note` tells the user what we wait for.

    Every method raises RebootmgrError when the daemon does not play along.
    """

    def __init__(self, bus: Bus, slot: Slot, note: Callable[[str], None]) -> None:
        self._bus = bus
        self._slot = slot
        self._note = note
        self._reason = harmless(f"{REASON} (group {slot.group} at {slot.server})")

    @asynccontextmanager
    async def hold(self, length_s: float) -> AsyncIterator[str]:
        """Hold the daemon off, and wait until it is out of the way; the id of the hold."""
        id_ = await self._place(AWAY_S + length_s)
        try:
            await self._until_away(id_)
            yield id_
        finally:
            with suppress(RebootmgrError):  # it ends by itself
                await self._lift(id_)

    async def holds(self) -> set[str]:
        """Read which holds scripts have for this slot."""
        parts = (await self._status()).parts("holds")
        return {hold.text("id") for hold in parts if hold.text("reason") == self._reason}

    async def keep(self, length_s: float | None) -> None:
        """Hold for so long, or until `lift`; the holds so far are not needed any more."""
        before = await self.holds()
        await self._place(length_s)
        for id_ in before:
            await self._lift(id_)

    async def lift(self) -> None:
        """Lift every hold that scripts have for this slot."""
        for id_ in await self.holds():
            await self._lift(id_)

    async def check_unused(self) -> None:
        """Raise RebootmgrError when the daemon itself is at this slot and no script is."""
        status = await self._status()
        if not await self.holds() and status.is_true("lock_held"):
            _check_kept(status)
            raise RebootmgrError(
                "no script holds this slot, rebootmgrd does, for its own reboot:"
                " `rebootmgrctl hold` makes it give the slot back"
            )

    async def _place(self, length_s: float | None) -> str:
        until_usec = 0
        if length_s is not None:
            until = datetime.now(UTC) + timedelta(seconds=length_s)
            until_usec = int(until.timestamp() * 1_000_000)
        [id_] = await self._call("Hold", "sx", self._reason, until_usec)
        return str(id_)

    async def _lift(self, id_: str) -> None:
        try:
            await self._call("Release", "s", id_)
        except RebootmgrError as error:
            match error.__cause__:
                case BusError(name=name) if name == NO_SUCH_HOLD:
                    pass  # it has ended by itself, or somebody lifted it
                case _:
                    raise

    async def _until_away(self, id_: str) -> None:
        """Wait until the daemon holds and owes nothing, of a moment when our hold was in force."""
        changed = asyncio.Event()
        await self._bus.subscribe(CHANGES, lambda _: changed.set())
        obstacle = told = ""
        try:
            async with asyncio.timeout(AWAY_S):
                while True:
                    changed.clear()
                    status = await self._status()
                    if id_ in {hold.text("id") for hold in status.parts("holds")}:
                        if not (obstacle := self._obstacle(status)):
                            return
                        if obstacle != told:
                            self._note(f"waiting for rebootmgrd: {obstacle}")
                            told = obstacle
                    with suppress(TimeoutError):
                        async with asyncio.timeout(ASK_AGAIN_S):
                            await changed.wait()
        except TimeoutError:
            raise RebootmgrError(
                f"rebootmgrd is not out of the way after {AWAY_S / 60:.0f} minutes: {obstacle};"
                " see `rebootmgrctl status`"
            ) from None

    def _obstacle(self, status: Record) -> str:
        """Say what of the daemon's could still reach the server, "" if nothing can."""
        state = status.text("state")
        if state == StateName.REBOOTING:
            raise RebootmgrError("rebootmgrd has called the reboot: it is too late for a script")
        _check_kept(status)
        if state not in AT_REST:
            return f"it is {state}"
        if status.is_true("lock_held"):
            return "it takes back its own question to the lock server"
        for slot in status.parts("slots"):
            if slot.members.get("server") == self._slot.server:
                return f"it gives back its own slot {slot.members.get('error') or ''}".rstrip()
        return ""

    async def _status(self) -> Record:
        [text] = await self._call("Describe")
        return decode_status(str(text))

    async def _call(self, member: str, signature: str = "", *body: object) -> list[Any]:
        try:
            where = (NAME, f"/{NAME.replace('.', '/')}", MANAGER)
            answer = await self._bus.call(*where, member, signature, body, autostart=False)
        except BusError as error:
            raise RebootmgrError(f"rebootmgrd refuses {member}: {error.text}") from error
        return list(answer)


def _check_kept(status: Record) -> None:
    """A kept slot stops a roll-out: scripts neither use it nor give it back."""
    for slot in status.parts("slots"):
        if slot.is_true("kept"):
            raise RebootmgrError(
                f"this host keeps a slot of {slot.text('server')} because an update failed here:"
                " see to that, then `rebootmgrctl forgive`"
            )


@asynccontextmanager
async def reach_daemon(
    address: str, slot: Slot, note: Callable[[str], None]
) -> AsyncIterator[ScriptLock | None]:
    """Give the daemon, None when it does not run; RebootmgrError when it runs and is mute."""
    try:
        bus = await Bus.connect(address, timeout_s=CONNECT_S)
    except BusError:  # without a bus there is no daemon either
        yield None
        return
    try:
        yield await _found(ScriptLock(bus, slot, note))
    finally:
        await bus.close()


async def _found(daemon: ScriptLock) -> ScriptLock | None:
    try:
        await daemon.holds()
    except RebootmgrError as error:
        match error.__cause__:
            case BusError(name=name) if name in NOT_THERE:
                return None
            case _:
                raise
    return daemon
