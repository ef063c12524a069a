"""`fleet-lock`: the FleetLock client for scripts, and for a dead host's slot (SPEC 11)."""

import asyncio
import os
from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime
from typing import Final

from rebootmgr.bus.connection import bus_address
from rebootmgr.cli.daemon_calls import ask, visit
from rebootmgr.cli.ending import run_to_its_end
from rebootmgr.cli.fleet_order import SlotOrder, note, read_order
from rebootmgr.cli.owed_slots import unlock_owed
from rebootmgr.cli.script_lock import ScriptLock, reach_daemon
from rebootmgr.cli.verb import Context, Verb
from rebootmgr.config.base_url import fault_of
from rebootmgr.control.daemon_client import is_caused_by
from rebootmgr.control.described import Record
from rebootmgr.control.members import AMBIGUOUS_DEBT, DROP_DEBT, NO_SUCH_DEBT
from rebootmgr.core.counters import Api
from rebootmgr.core.events import (
    LockGranted,
    LockRefused,
    LockReserved,
    LockUnasked,
    LockUnclear,
    ReleaseUnclear,
    SlotReleased,
)
from rebootmgr.core.model import Ticket
from rebootmgr.errors import RebootmgrError, UsageError
from rebootmgr.fleetlock.client import LONGEST_RELEASE_S, LockClient
from rebootmgr.fleetlock.words import (
    Answer,
    Reply,
    Silence,
    decode_error,
    decode_error_kind,
    decode_lock_answer,
    decode_release_answer,
)
from rebootmgr.text import harmless

DROP: Final = "drop-debt"
HURRY_S: Final = 5.0
RESERVED_S: Final = 600.0
NO_DAEMON: Final = (
    "rebootmgrd is not running, so no hold keeps it from this slot:"
    " once it is started it may use the slot or give it back"
)
MAYBE_OURS: Final = "the slot may be held all the same: `fleet-lock unlock` gives it back"


def _fleet_lock(arguments: Namespace, context: Context) -> int:
    if arguments.operation == DROP:
        return asyncio.run(_drop_debt(arguments, context))
    if arguments.url is not None:
        raise UsageError(f"a server stands behind {DROP} alone; elsewhere it is --base-url URL")
    if arguments.owed:
        return _unlock_owed(arguments, context)
    order = read_order(arguments, context)
    reply = run_to_its_end(_carry_out(order, context))
    is_done, text = _outcome(order, reply)
    context.emit(_encode(order, reply, is_done=is_done), [text] if is_done else ())
    if not is_done:
        raise RebootmgrError(text)
    return 0


def _unlock_owed(arguments: Namespace, context: Context) -> int:
    given = (arguments.id, arguments.group, arguments.base_url)
    if arguments.operation != "unlock" or given != (None, None, None):
        raise UsageError("--owed goes with unlock alone: which slots are owed is in the state")
    return unlock_owed(context)


async def _drop_debt(arguments: Namespace, context: Context) -> int:
    if arguments.url is None or arguments.owed or arguments.base_url is not None:
        raise UsageError(f"{DROP} takes the server of the debt, --group and --id, and nothing else")
    if fault := fault_of(arguments.url):
        raise UsageError(f"{DROP}: the server {fault[0]}; {fault[1]}")
    wanted = (arguments.url, arguments.group or "", arguments.id or "")
    async with visit(context) as daemon:
        try:
            dropped = await ask(daemon, DROP_DEBT, *wanted)
        except RebootmgrError as error:
            if not is_caused_by(error, {AMBIGUOUS_DEBT, NO_SUCH_DEBT}):
                raise
            owed = [slot for slot in (await daemon.status()).parts("slots") if _is_debt(slot)]
            raise RebootmgrError("\n".join((str(error), *map(_say_debt, owed)))) from error
    server, group, id_ = (harmless(str(part), longest=2000) for part in dropped)
    document = {"operation": DROP, "server": server, "group": group, "id": id_, "dropped": True}
    text = f"dropped: group {group} at {server}, id {id_}: it is not given back any more"
    context.emit(document, [text])
    return 0


def _is_debt(slot: Record) -> bool:
    return not slot.is_true("kept")


def _say_debt(slot: Record) -> str:
    command = f"{DROP} {slot.text('server')} --group {slot.text('group')} --id {slot.text('id')}"
    return f"owed: `rebootmgrctl fleet-lock {command}`"


async def _carry_out(order: SlotOrder, context: Context) -> Reply:
    if not order.is_ours:
        return await _ask(order, order.api)
    address = bus_address(context.root, os.environ)
    async with reach_daemon(address, order.slot, lambda text: note(context, text)) as daemon:
        if daemon is None:
            note(context, NO_DAEMON)
            return await _ask(order, order.api)
        if order.api is Api.PRE_REBOOT:
            return await _lock(order, daemon, context)
        return await _unlock(order, daemon)


async def _ask(order: SlotOrder, api: Api, *, longest_s: float = LONGEST_RELEASE_S) -> Reply:
    timeout_s = order.server.timeout_s
    if api is Api.STEADY_STATE:
        timeout_s = min(timeout_s, longest_s)
    client = LockClient(observed=lambda *_: None)
    return await client.ask(api, order.slot, order.server, timeout_s)


async def _lock(order: SlotOrder, daemon: ScriptLock, context: Context) -> Reply:
    """Ask, and keep the daemon off for as long as the answer needs it; ended, leave nothing."""
    async with daemon.hold(order.server.timeout_s) as hold:
        try:
            reply = await _ask(order, Api.PRE_REBOOT)
            await _keep(order, reply, daemon, hold, context)
        except asyncio.CancelledError:
            if not await _give_back(order, daemon, hold, context, longest_s=HURRY_S):
                daemon.leave(hold)
            raise
        return reply


async def _keep(
    order: SlotOrder, reply: Reply, daemon: ScriptLock, hold: str, context: Context
) -> None:
    try:
        match decode_lock_answer(Ticket(0), order.slot, reply, at=datetime.now(UTC)):
            case LockGranted():
                await daemon.keep(None)
            case LockReserved():
                await daemon.keep(RESERVED_S)
            case LockUnclear():
                await _give_back(order, daemon, hold, context)
            case LockRefused() | LockUnasked():
                pass
    except RebootmgrError as error:  # the server's answer stands, whatever the daemon does
        note(context, f"{error}; {NO_DAEMON}")


async def _give_back(
    order: SlotOrder,
    daemon: ScriptLock,
    hold: str,
    context: Context,
    *,
    longest_s: float = LONGEST_RELEASE_S,
) -> bool:
    """Leave nothing of a question, unless a script relies on the slot; whether that is so now."""
    if await daemon.holds() - {hold}:
        return True
    reply = await _ask(order, Api.STEADY_STATE, longest_s=longest_s)
    match decode_release_answer(Ticket(0), order.slot, reply, at=datetime.now(UTC)):
        case ReleaseUnclear(detail=detail):
            note(context, f"could not give back what the server may have lent ({detail})")
            note(context, MAYBE_OURS)
            return False
        case SlotReleased():
            return True


async def _unlock(order: SlotOrder, daemon: ScriptLock) -> Reply:
    await daemon.check_unused()
    async with daemon.hold(LONGEST_RELEASE_S):
        reply = await _ask(order, Api.STEADY_STATE)
        match decode_release_answer(Ticket(0), order.slot, reply, at=datetime.now(UTC)):
            case SlotReleased():
                await daemon.lift()
            case ReleaseUnclear():
                pass
        return reply


def _outcome(order: SlotOrder, reply: Reply) -> tuple[bool, str]:
    """Whether it was done, and one line that says so or says what to do."""
    slot, now = order.slot, datetime.now(UTC)
    where = f"group {slot.group} at {slot.server}, id {slot.id}"
    repeat = "fleet-lock unlock" if order.is_ours else f"fleet-lock unlock --id {slot.id}"
    if order.api is Api.STEADY_STATE:
        match decode_release_answer(Ticket(0), slot, reply, at=now):
            case SlotReleased():
                words = "" if _status(reply) == 200 else f" (HTTP {_status(reply)}: it held none)"
                return True, f"released: {where}{words}"
            case ReleaseUnclear(detail=detail):
                again = "a hold stays until it is" if order.is_ours else "it may be held still"
                return False, f"not released: {where}: {detail}; repeat the command, {again}"
    match decode_lock_answer(Ticket(0), slot, reply, at=now):
        case LockGranted():
            return True, f"granted: {where}"
        case LockReserved(detail=detail):
            cure = f"repeat the command in 10 to 30 s, or give up with `{repeat}`"
            return False, f"reserved, still draining: {where}: {detail}; {cure}"
        case LockRefused(detail=detail) | LockUnclear(detail=detail):
            cure = "try again later; a dead host's slot is freed by `fleet-lock unlock --id ID`"
            return False, f"not granted: {where}: {detail}; {cure}"
        case LockUnasked():
            return False, f"not asked: {where}"


def _encode(order: SlotOrder, reply: Reply, *, is_done: bool) -> dict[str, object]:
    kind, value = decode_error(reply.body) if isinstance(reply, Answer) else ("", reply.detail)
    return {
        "operation": "lock" if order.api is Api.PRE_REBOOT else "unlock",
        "server": order.slot.server,
        "group": order.slot.group,
        "id": order.slot.id,
        "granted" if order.api is Api.PRE_REBOOT else "released": is_done,
        "status": _status(reply),
        "kind": harmless(kind) or decode_error_kind(order.api, reply),
        "value": harmless(value) or None,
    }


def _status(reply: Reply) -> int | None:
    match reply:
        case Answer(status=status):
            return status
        case Silence():
            return None


def _arguments(parser: ArgumentParser) -> None:
    what = f"take a slot, return it, or ({DROP}) forget one that cannot be given back"
    parser.add_argument("operation", choices=("lock", "unlock", DROP), help=what)
    parser.add_argument("url", metavar="URL", nargs="?", help=f"the server of {DROP}")
    parser.add_argument("--id", metavar="ID", help="another host's id, such as a dead one's")
    parser.add_argument("--group", metavar="G", help="the group, if not identity.group")
    parser.add_argument(
        "--base-url", metavar="URL", help="the server, if not updates.fleet_lock.base_url"
    )
    parser.add_argument(
        "--owed",
        action="store_true",
        help="every slot that is presumed ours, as before rebootmgr is removed",
    )


VERBS: Final = (
    Verb(
        name="fleet-lock",
        summary="take or return a slot of the lock server, for scripts and for dead hosts",
        examples=(
            "rebootmgrctl fleet-lock lock && { do-the-work; rebootmgrctl fleet-lock unlock; }",
            "rebootmgrctl fleet-lock unlock --id eee0097b460c4b2dbf94510d0330626c",
            "rebootmgrctl --json fleet-lock lock --group db | jq -r .value",
            "rebootmgrctl fleet-lock drop-debt https://old-lock.example.com",
        ),
        arguments=_arguments,
        run=_fleet_lock,
    ),
)
