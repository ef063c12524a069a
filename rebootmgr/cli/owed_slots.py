"""`fleet-lock unlock --owed`: gives back every slot of the ledger, with the daemon or in its place.

So a slot goes back when rebootmgr is removed (SPEC 12): nobody will be here to do it later.
"""

import asyncio
import json
import os
import pwd
import shlex
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rebootmgr.cli.fleet_order import note, read_servers
from rebootmgr.cli.owed_daemon import have_given_back, is_daemon_running
from rebootmgr.cli.verb import Context
from rebootmgr.core.counters import Api
from rebootmgr.core.events import ReleaseUnclear, SlotReleased
from rebootmgr.core.memory import Memory, Unreadable
from rebootmgr.core.model import Slot, Ticket
from rebootmgr.errors import RebootmgrError
from rebootmgr.fleetlock.client import FleetLock
from rebootmgr.fleetlock.words import Server, decode_release_answer
from rebootmgr.state.store import DIRECTORY, StateStore
from rebootmgr.text import harmless

LONGEST_S: Final = 10.0  # for each slot; whoever removes the package waits for it
LOST: Final = "state-lost"  # the hold that stands for a state that could not be read


def unlock_owed(context: Context) -> int:
    """Give back every slot that is presumed ours; without a daemon kept ones, too.

    RebootmgrError when one is still owed, or what is owed cannot be known.
    """
    if asyncio.run(is_daemon_running(context)):
        owed = asyncio.run(have_given_back(context))
        note(context, "rebootmgrd is held off for ten minutes: stop it, or it may ask again")
    else:
        _become_owner(context.root / DIRECTORY)
        owed = asyncio.run(_give_back_all(context))
    if context.json:
        document = {"owed": [{**asdict(slot), "error": error} for slot, error in owed.items()]}
        print(json.dumps(document, indent=2), file=context.out)
    if owed:
        cure = "repeat the command, or on any host"
        lines = [f"{_say(slot)}: {why}; {cure} {_by_hand(slot)}" for slot, why in owed.items()]
        raise RebootmgrError("\n".join(f"not released: {line}" for line in lines))
    if not context.json:
        print("no slot is owed", file=context.out)
    return 0


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


async def _give_back_all(context: Context) -> dict[Slot, str]:
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
    client = FleetLock(observed=lambda *_: None)
    reply = await client.ask(Api.STEADY_STATE, slot, server, LONGEST_S)
    match decode_release_answer(Ticket(0), slot, reply, at=datetime.now(UTC)):
        case SlotReleased():
            return ""
        case ReleaseUnclear(detail=detail):
            return detail or "no clear answer"
