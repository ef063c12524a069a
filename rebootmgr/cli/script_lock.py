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
from datetime import timedelta
from typing import Final

from rebootmgr.control.daemon_client import DaemonClient, is_caused_by, reached
from rebootmgr.control.described import Record
from rebootmgr.control.members import HOLD, HOLD_FOR, NO_SUCH_HOLD, RELEASE
from rebootmgr.core.model import Slot
from rebootmgr.core.status import StateName
from rebootmgr.errors import BusError, RebootmgrError
from rebootmgr.text import harmless

REASON: Final = "fleet-lock: held by a script, until `rebootmgrctl fleet-lock unlock`"
AWAY_S: Final = 660.0  # the daemon may repeat a release after five minutes, and waits two for each
ASK_AGAIN_S: Final = 0.5  # not everything that we wait for is signalled
AT_REST: Final = {StateName.IDLE, StateName.WAITING}


class ScriptLock:
    """The daemon, while a script takes or returns `slot`; `note` tells the user what we wait for.

    Every method raises RebootmgrError when the daemon does not play along.
    """

    def __init__(self, daemon: DaemonClient, slot: Slot, note: Callable[[str], None]) -> None:
        self._daemon = daemon
        self._slot = slot
        self._note = note
        self._left: set[str] = set()
        self._reason = harmless(f"{REASON} (group {slot.group} at {slot.server})")

    @asynccontextmanager
    async def hold(self, length_s: float) -> AsyncIterator[str]:
        """Hold the daemon off, and wait until it is out of the way; the id of the hold."""
        id_ = await self._place_for_sure(AWAY_S + length_s)
        try:
            await self._until_away(id_)
            yield id_
        finally:
            if id_ not in self._left:
                with suppress(RebootmgrError):  # it ends by itself
                    await self._lift(id_)

    def leave(self, id_: str) -> None:
        """Let this hold end by itself: the slot may still be held, and people see why."""
        self._left.add(id_)

    async def holds(self) -> set[str]:
        """Read which holds scripts have for this slot."""
        parts = (await self._daemon.status()).parts("holds")
        return {hold.text("id") for hold in parts if hold.text("reason") == self._reason}

    async def keep(self, length_s: float | None) -> None:
        """Hold for so long, or until `lift`; the holds so far are not needed any more."""
        before = await self.holds()
        kept = await self._place_for_sure(length_s)
        try:
            for id_ in before:
                await self._lift(id_)
        except asyncio.CancelledError:
            await self._lift(kept)
            raise

    async def lift(self) -> None:
        """Lift every hold that scripts have for this slot."""
        for id_ in await self.holds():
            await self._lift(id_)

    async def check_unused(self) -> None:
        """Raise RebootmgrError when the daemon itself is at this slot and no script is."""
        status = await self._daemon.status()
        if not await self.holds() and status.is_true("slot_claimed"):
            _check_kept(status)
            raise RebootmgrError(
                "no script holds this slot, rebootmgrd does, for its own reboot:"
                " `rebootmgrctl hold` makes it give the slot back"
            )

    async def _place(self, length_s: float | None) -> str:
        if length_s is None:
            return str(await self._daemon.call(HOLD, self._reason, None))
        length = timedelta(seconds=length_s)
        return str(await self._daemon.call(HOLD_FOR, self._reason, length))

    async def _place_for_sure(self, length_s: float | None) -> str:
        """Place a hold; cancelled, none is left of it, whatever was on its way."""
        placing = asyncio.get_running_loop().create_task(self._place(length_s))
        try:
            return await asyncio.shield(placing)
        except asyncio.CancelledError:
            with suppress(RebootmgrError):
                await self._lift(await placing)
            raise

    async def _lift(self, id_: str) -> None:
        try:
            await self._daemon.call(RELEASE, id_)
        except RebootmgrError as error:
            if not is_caused_by(error, {NO_SUCH_HOLD}):  # it ended by itself, or somebody lifted it
                raise

    async def _until_away(self, id_: str) -> None:
        """Wait until the daemon holds and owes nothing, of a moment when our hold was in force."""
        await self._daemon.watch()
        obstacle = told = ""
        try:
            async with asyncio.timeout(AWAY_S):
                while True:
                    status = await self._daemon.status()
                    if id_ in {hold.text("id") for hold in status.parts("holds")}:
                        if not (obstacle := self._obstacle(status)):
                            return
                        if obstacle != told:
                            bound = f"{AWAY_S / 60:.0f} minutes at most"
                            self._note(f"waiting for rebootmgrd, {bound}: {obstacle}")
                            told = obstacle
                    await self._daemon.changed(ASK_AGAIN_S)
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
        if status.is_true("slot_claimed"):
            return "it takes back its own question to the lock server"
        for slot in status.parts("slots"):
            if _slot(slot) == self._slot:  # no other release could free ours
                answer = slot.members.get("error")
                cure = f"; `fleet-lock drop-debt {self._slot.server}` forgets it" if answer else ""
                return f"it gives back its own slot {answer or ''}".rstrip() + cure
        return ""


def _slot(part: Record) -> Slot:
    return Slot(part.text("server"), part.text("group"), part.text("id"))


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
    async with reached(address, _refused) as daemon:
        yield ScriptLock(daemon, slot, note) if daemon else None


def _refused(error: BusError, member: str) -> RebootmgrError:
    return RebootmgrError(f"rebootmgrd refuses {member}: {error.text}")
