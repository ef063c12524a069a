"""`fleet-lock unlock --owed` while rebootmgrd runs: it undoes and gives back by itself."""

import asyncio
import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

from rebootmgr.bus.connection import Bus, bus_address
from rebootmgr.cli.daemon_calls import NAME, visit
from rebootmgr.cli.fleet_order import note
from rebootmgr.cli.script_lock import AT_REST
from rebootmgr.cli.verb import Context
from rebootmgr.control.described import Record
from rebootmgr.core.model import Slot
from rebootmgr.core.status import StateName
from rebootmgr.errors import BusError, RebootmgrError
from rebootmgr.text import harmless

BUS: Final = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
CONNECT_S: Final = 10.0
REASON: Final = "fleet-lock unlock --owed: every slot is given back"
HELD_OFF: Final = timedelta(minutes=10)
UNCONFIRMED: Final = (
    "not confirmed, or a question about it was not answered and may yet be granted:"
    " rebootmgrd gives it back again in some minutes"
)
LONGEST_S: Final = 30.0
"""A drain may have to be undone first; whoever removes the package waits for it."""


async def is_daemon_running(context: Context) -> bool:
    """Whether rebootmgrd is on the bus; RebootmgrError when that cannot be known."""
    try:
        bus = await Bus.connect(bus_address(context.root, os.environ), timeout_s=CONNECT_S)
    except BusError:  # without a bus there is no daemon either
        return False
    try:
        [is_running] = await bus.call(*BUS, "NameHasOwner", "s", (NAME,))
        return bool(is_running)
    except BusError as error:
        unsure = "the bus does not say whether rebootmgrd runs"
        raise RebootmgrError(f"{unsure}: {error.text}") from error
    finally:
        await bus.close()


async def have_given_back(context: Context) -> dict[Slot, str]:
    """Hold the daemon off, so that it undoes what is under way; which slots stay, and why."""
    until = datetime.now(UTC) + HELD_OFF
    async with visit(context) as daemon:
        await daemon.watch()
        [id_] = await daemon.call("Hold", "sx", REASON, int(until.timestamp() * 1_000_000))

        def is_over(status: Record) -> bool:
            is_held = str(id_) in {hold.text("id") for hold in status.parts("holds")}
            return is_held and _is_settled(status)

        status, is_waiting = await daemon.status(), False
        with suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_S):
                while not is_over(status):
                    status = await daemon.settled(is_over)
                    if not is_waiting and not is_over(status):
                        is_waiting = True
                        note(context, f"waiting, {LONGEST_S:.0f} s at most: {_awaited(status)}")
    left = {_slot(part): _why_it_stays(part) for part in status.parts("slots")}
    if status.is_true("lock_held") and not left:
        raise RebootmgrError(
            f"rebootmgrd is {status.text('state')} and has not given back its slot:"
            " repeat the command, or stop the daemon first"
        )
    return left


def _is_settled(status: Record) -> bool:
    """Whether the daemon will not give back more than it has."""
    if status.text("state") == StateName.REBOOTING:
        return True
    slots = status.parts("slots")
    is_tried = all(slot.is_true("kept") or slot.members.get("error") for slot in slots)
    is_asking = status.is_true("lock_held") and not slots
    return status.text("state") in AT_REST and is_tried and not is_asking


def _awaited(status: Record) -> str:
    """Say what is still to happen, in a few words."""
    if status.text("state") not in AT_REST:
        return f"rebootmgrd is {status.text('state')}"
    servers = {slot.text("server") for slot in status.parts("slots")}
    return f"{', '.join(sorted(servers)) or 'the lock server'} is to confirm the release"


def _slot(part: Record) -> Slot:
    return Slot(part.text("server"), part.text("group"), part.text("id"))


def _why_it_stays(part: Record) -> str:
    if part.is_true("kept"):
        return "it is kept because an update failed here, `rebootmgrctl forgive` frees it"
    error = part.members.get("error")
    return (harmless(error) if isinstance(error, str) else "") or UNCONFIRMED
