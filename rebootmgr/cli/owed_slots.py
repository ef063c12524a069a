"""`fleet-lock unlock --owed`: gives back every slot of the ledger, with the daemon or in its place.

So a slot goes back when rebootmgr is removed (SPEC 12): nobody will be here to do it later.
"""

import asyncio
import os
import pwd
import shlex
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from rebootmgr.bus.connection import bus_address
from rebootmgr.cli.daemon_calls import ask, explained
from rebootmgr.cli.fleet_order import note, read_servers
from rebootmgr.cli.script_lock import AT_REST
from rebootmgr.cli.verb import Context
from rebootmgr.control.daemon_client import DaemonClient, reached
from rebootmgr.control.described import Record
from rebootmgr.control.members import HOLD_FOR
from rebootmgr.core.counters import Api
from rebootmgr.core.events import ReleaseUnclear, SlotReleased
from rebootmgr.core.memory import Memory, Unreadable
from rebootmgr.core.model import Slot, Ticket
from rebootmgr.core.status import StateName
from rebootmgr.errors import RebootmgrError
from rebootmgr.fleetlock.client import LockClient
from rebootmgr.fleetlock.words import Server, decode_release_answer
from rebootmgr.state.store import DIRECTORY, StateStore
from rebootmgr.text import harmless

LONGEST_S: Final = 10.0  # for each slot; whoever removes the package waits for it
UNDOING_S: Final = 30.0  # a drain may have to be undone before that
HELD_OFF: Final = timedelta(minutes=10)
REASON: Final = "fleet-lock unlock --owed: every slot is given back"
UNCONFIRMED: Final = (
    "not confirmed, or a question about it was not answered and may yet be granted:"
    " rebootmgrd gives it back again in some minutes"
)
LOST: Final = "state-lost"  # the hold that stands for a state that could not be read


def unlock_owed(context: Context) -> int:
    """Give back every slot that is presumed ours; without a daemon kept ones, too.

    RebootmgrError when one is still owed, or what is owed cannot be known.
    """
    owed = asyncio.run(_give_back_all(context))
    document = {"owed": [{**asdict(slot), "error": error} for slot, error in owed.items()]}
    context.emit(document, () if owed else ["no slot is owed"])
    if owed:
        cure = "repeat the command, or on any host"
        lines = [f"{_say(slot)}: {why}; {cure} {_by_hand(slot)}" for slot, why in owed.items()]
        raise RebootmgrError("\n".join(f"not released: {line}" for line in lines))
    return 0


async def _give_back_all(context: Context) -> dict[Slot, str]:
    """Give back, or have it done by whoever may; which slots stay, and why."""
    async with reached(bus_address(context.root, os.environ), explained) as daemon:
        if daemon is not None:
            owed = await _have_given_back(daemon, context)
            note(context, "rebootmgrd is held off for ten minutes: stop it, or it may ask again")
            return owed
    _become_owner(context.root / DIRECTORY)
    return await _give_back_remembered(context)


def _say(slot: Slot) -> str:
    return harmless(f"group {slot.group} at {slot.server}, id {slot.id}", longest=2000)


def _by_hand(slot: Slot) -> str:
    options = ("--id", slot.id, "--group", slot.group, "--base-url", slot.server)
    command = shlex.join(("rebootmgrctl", "fleet-lock", "unlock", *options))
    return harmless(f"`{command}`", longest=2000)


def _become_owner(directory: Path) -> None:
    """As root become the daemon's user, who reads servers' answers and whose the state is."""
    try:
        owner = directory.stat()
    except FileNotFoundError:
        return
    if os.geteuid() != 0 or owner.st_uid == 0:
        return
    try:
        os.initgroups(pwd.getpwuid(owner.st_uid).pw_name, owner.st_gid)
    except KeyError:
        os.setgroups([])
    os.setgid(owner.st_gid)
    os.setuid(owner.st_uid)


async def _give_back_remembered(context: Context) -> dict[Slot, str]:
    """Give back what the state says is ours, and strike it off; which slots stay, and why."""
    store = StateStore(context.root)
    memory = _remembered(store)
    servers = read_servers([debt.slot for debt in memory.debts], context)
    owed = {}
    for debt in memory.debts:
        if why := await _give_back(debt.slot, servers[debt.slot]):
            owed[debt.slot] = why
            continue
        note(context, f"released: {_say(debt.slot)}")
        if debt.unanswered:
            note(context, f"if an unanswered question is granted late: {_by_hand(debt.slot)}")
    left = tuple(debt for debt in memory.debts if debt.slot in owed)
    if left != memory.debts:
        store.write(replace(memory, debts=left))
    return owed


def _remembered(store: StateStore) -> Memory:
    match store.read(at=datetime.now(UTC)):
        case Unreadable(detail):
            raise RebootmgrError(f"which slots are owed cannot be read: {detail}")
        case Memory(debts=(), holds=holds) if any(hold.id == LOST for hold in holds):
            raise RebootmgrError(
                "the state was lost, and with it which slots are owed:"
                " `rebootmgrctl fleet-lock unlock` gives back the one of this host"
            )
        case Memory() as memory:
            return memory


async def _give_back(slot: Slot, server: Server) -> str:
    """Why the server did not confirm, "" if it did."""
    client = LockClient(observed=lambda *_: None)
    reply = await client.ask(Api.STEADY_STATE, slot, server, LONGEST_S)
    match decode_release_answer(Ticket(0), slot, reply, at=datetime.now(UTC)):
        case SlotReleased():
            return ""
        case ReleaseUnclear(detail=detail):
            return detail or "no clear answer"


# With the daemon, which undoes and gives back by itself


async def _have_given_back(daemon: DaemonClient, context: Context) -> dict[Slot, str]:
    """Hold the daemon off, so that it undoes what is under way; which slots stay, and why."""
    await daemon.watch()
    id_ = str(await ask(daemon, HOLD_FOR, REASON, HELD_OFF))

    def is_over(status: Record) -> bool:
        return id_ in {hold.text("id") for hold in status.parts("holds")} and _is_settled(status)

    status, is_waiting = await daemon.status(), False
    with suppress(TimeoutError):
        async with asyncio.timeout(UNDOING_S):
            while not is_over(status):
                status = await daemon.settled(is_over)
                if not is_waiting and not is_over(status):
                    is_waiting = True
                    note(context, f"waiting, {UNDOING_S:.0f} s at most: {_awaited(status)}")
    left = {_slot(part): _why_it_stays(part) for part in status.parts("slots")}
    if status.is_true("slot_claimed") and not left:
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
    is_asking = status.is_true("slot_claimed") and not slots
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
