"""The verbs that change something, and the two lists that belong to them (SPEC 11)."""

import asyncio
import shlex
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Final, TypeAlias

from rebootmgr.cli.daemon_calls import ask, visit
from rebootmgr.cli.page import DIM, GLUE, Page, span
from rebootmgr.cli.render import render_why
from rebootmgr.cli.times import JoinedWords, zone_of
from rebootmgr.cli.verb import Context, Verb, no_arguments
from rebootmgr.control.daemon_client import DaemonClient, is_caused_by
from rebootmgr.control.described import MOST_SHOWN, UNKNOWN, Record, decode_why
from rebootmgr.control.members import (
    CANCEL,
    CONFIG_INVALID,
    FORGIVE,
    HOLD,
    HOLD_FOR,
    REBOOT,
    RELEASE,
    RELOAD,
    WITHDRAW,
)
from rebootmgr.core.model import Reason
from rebootmgr.core.status import StateName
from rebootmgr.errors import RebootmgrError, UsageError
from rebootmgr.instants import decode_typed_instant, encode_instant
from rebootmgr.spans import decode_span
from rebootmgr.text import harmless

VERSION: Final = 24
OUTCOME: Final = 13
INDENT: Final = 4
BEFORE: Final = {"waiting": "waiting", "lock": "lock"}
PHASES: Final = {
    "hooks": "hooks",
    "shutdown": "shutdown",
    "boot": "boot",
    "boot_complete": "to boot-complete",
}


def render_holds(holds: Sequence[Record], page: Page) -> Iterator[str]:
    """Give each hold: its id, why, whose, since when, until when."""
    if not holds:
        yield "no holds"
    for hold in holds:
        end = hold.instant("until")
        times = f"until {page.instant(end) if end else 'it is released'}"
        begun = f"{hold.text('owner')}, since {page.instant(hold.instant('since'))}"
        yield from page.item(" ", DIM, hold.text("id"), [hold.text("reason"), begun, times])


def render_history(reboots: Sequence[Record], page: Page) -> Iterator[str]:
    """Give a line for each reboot, the newest last, and below it where the time went."""
    if not reboots:
        yield "no reboots by rebootmgr"
    for reboot in reboots:
        at, took = reboot.instant("at"), reboot.number("seconds")
        when = f"{at.astimezone():%a %Y-%m-%d %H:%M %Z}" if at else UNKNOWN
        version = harmless(reboot.text("version"), longest=VERSION)
        known = reboot.members.get("outcome") is not None
        outcome = reboot.text("outcome") if known else "not known yet"
        line = f"{when}  {version:<{VERSION}}  {outcome:<{OUTCOME}}  {span(took) if took else ''}"
        yield line.rstrip()
        if reboot.members.get("cause"):
            cause = page.wrap(reboot.text("cause"), indent=INDENT)
            yield from (" " * INDENT + each for each in cause)
        yield from _phases(reboot.part("phases") or Record({}), page)


def _phases(phases: Record, page: Page) -> Iterator[str]:
    """Say what the time of the line above is made of, and what came before that."""
    own, before = _parts(phases, PHASES), _parts(phases, BEFORE)
    text = "; ".join([own] * bool(own) + [f"before that {before}"] * bool(before))
    lines = page.wrap(text, indent=INDENT) if text else []
    yield from (page.paint(" " * INDENT + line, DIM) for line in lines)


def _parts(phases: Record, names: Mapping[str, str]) -> str:
    known = ((words, phases.number(name)) for name, words in names.items())
    return ", ".join(f"{words} {span(took)}".replace(" ", GLUE) for words, took in known if took)


def render_outcome(status: Record, expires: datetime, skips: str, page: Page) -> Iterator[str]:
    """Say that the reboot was asked for, what that skips, whether in time, and where it got."""
    yield from page.wrap(f"asked for the reboot, until {page.instant(expires)}", indent=0)
    if skips:
        yield from page.wrap(f"--now skips {skips}", indent=0)
    if expires_first(status, expires):
        opens = page.instant(status.instant("predicted"))
        text = f"warning: it expires before anything opens, {opens} at the earliest: use --for"
        yield from page.wrap(text, indent=0)
    yield ""
    yield from render_why(status, page).splitlines()


def expires_first(status: Record, expires: datetime) -> bool:
    """Whether the request ends before the reboot that is to be expected."""
    predicted = status.instant("predicted")
    return predicted is not None and predicted > expires and not _is_called(status)


Action: TypeAlias = Callable[[Namespace, Context], Coroutine[None, None, int]]

SKIPPED: Final = "windows, splay, fit, the clock and the sessions' grace"
SKIPPABLE: Final = {
    Reason.OUTSIDE_WINDOW,
    Reason.WINDOW_TOO_SHORT,
    Reason.CLOCK_UNSYNCHRONIZED,
    Reason.USERS_LOGGED_IN,
}
UNTIL: Final = "22:00, tomorrow 08:00, Mon 08:00, +2h or 2026-12-31, in local time"
FOR: Final = "such as 90s, 2h 30m or 3d"
KEY: Final = "one update, as `status --json` names it under quarantine (all of them)"


async def _hold(arguments: Namespace, context: Context) -> int:
    until = _end(arguments, context)
    if not (reason := harmless(arguments.reason)):
        raise UsageError("--reason is empty; say why, for whoever finds the hold")
    async with visit(context) as daemon:
        is_late = _is_called(await daemon.status())
        if arguments.span is None:
            id_ = harmless(str(await ask(daemon, HOLD, reason, until)))
        else:  # whatever its clock and ours say
            id_ = harmless(str(await ask(daemon, HOLD_FOR, reason, decode_span(arguments.span))))
            holds = (await daemon.status()).parts("holds")
            found = [hold.instant("until") for hold in holds if hold.text("id") == id_]
            until = next((end for end in found if end is not None), until)
    ends = Page.of(context).when(until) if until is not None else "it is released"
    text = [f"hold {id_} until {ends}"]
    if is_late:
        text.append("too late for the reboot that is being called: it is not stopped")
    document = {
        "id": id_,
        "until": encode_instant(until, timespec="seconds"),
        "too_late": is_late,
    }
    context.emit(document, [id_] if arguments.quiet else text)
    return 0


def _end(arguments: Namespace, context: Context) -> datetime | None:
    """Say when the hold is to end, None for never."""
    now = datetime.now(UTC)
    if arguments.until is not None:
        zone = zone_of(context.root)
        until = decode_typed_instant(arguments.until, zone, now=now, coming=True)
        if until <= now:
            raise UsageError(
                f'--until "{harmless(arguments.until)}" is in the past; write a later one'
            )
        return until
    return None if arguments.forever else now + decode_span(arguments.span)


async def _holds(_: Namespace, context: Context) -> int:
    async with visit(context) as daemon:
        holds = (await daemon.status()).parts("holds")
    context.emit({"holds": _members(holds)}, render_holds(holds, Page.of(context)))
    return 0


async def _release(arguments: Namespace, context: Context) -> int:
    id_ = harmless(arguments.id)
    async with visit(context) as daemon:
        await ask(daemon, RELEASE, id_)
    context.emit({"released": id_}, [f"released {id_}"])
    return 0


async def _reboot(arguments: Namespace, context: Context) -> int:
    valid = decode_span(arguments.span)
    async with visit(context) as daemon:
        await daemon.watch()
        before = await daemon.status()
        await ask(daemon, REBOOT, arguments.now, valid)
        expires = datetime.now(UTC) + valid
        status = await daemon.settled(_is_called)
    skipped = [
        blocker.text("reason")
        for blocker in before.parts("blockers")
        if arguments.now and blocker.text("reason") in SKIPPABLE
    ]
    known = {
        "now": arguments.now,
        "skipped": skipped,
        "expires": encode_instant(expires, timespec="seconds"),
        "expires_first": expires_first(status, expires),
    }
    skips = f"{SKIPPED} ({', '.join(skipped) or 'none of them was in the way'})"
    text = render_outcome(status, expires, skips if arguments.now else "", Page.of(context))
    context.emit({**decode_why(status), **known}, text)
    return 0


def _is_called(status: Record) -> bool:
    return status.text("state") == StateName.REBOOTING


async def _cancel(arguments: Namespace, context: Context) -> int:
    if arguments.no_hold:
        return await _withdraw(context)
    length = decode_span(arguments.span)
    async with visit(context) as daemon:
        id_ = harmless(str(await ask(daemon, CANCEL, length)))
    until = datetime.now(UTC) + length
    text = [
        f"cancelled, and held until {Page.of(context).when(until)}",
        f"`rebootmgrctl release {shlex.quote(id_)}` lets it go on",
    ]
    context.emit({"id": id_, "until": encode_instant(until, timespec="seconds")}, text)
    return 0


async def _withdraw(context: Context) -> int:
    async with visit(context) as daemon:
        goes_on = bool(await ask(daemon, WITHDRAW))
    text = ["the request for a reboot is withdrawn"]
    if goes_on:
        text.append("the reboot goes on without it, because the policy allows it anyway")
    context.emit({"withdrawn": True, "goes_on": goes_on}, text)
    return 0


async def _forgive(arguments: Namespace, context: Context) -> int:
    key = harmless(arguments.key or "")
    if arguments.key is not None and not key:
        raise UsageError("KEY is empty; leave it out to forgive every update")
    async with visit(context) as daemon:
        before = await daemon.status()
        keys = [harmless(str(each)) for each in await ask(daemon, FORGIVE, key)][:MOST_SHOWN]
    freed = [slot for slot in before.parts("slots") if slot.is_true("kept")]
    text = [f"forgiven: {each}" for each in keys]
    text += [f"no longer kept: the slot at {slot.text('server')}" for slot in freed]
    found = {"forgiven": keys, "slots": _members(freed)}
    context.emit(found, text or ["failed attempts are forgotten"])
    return 0


async def _history(arguments: Namespace, context: Context) -> int:
    most = arguments.most
    if not (most.isascii() and most.isdecimal() and 0 < int(most[:9]) <= MOST_SHOWN):
        raise UsageError(f'-n "{harmless(most)}": write a whole number from 1 to {MOST_SHOWN}')
    async with visit(context) as daemon:
        reboots = (await daemon.status()).parts("history")[-int(most) :]
    context.emit({"history": _members(reboots)}, render_history(reboots, Page.of(context)))
    return 0


async def _reload(_: Namespace, context: Context) -> int:
    async with visit(context) as daemon:
        errors = await _reload_errors(daemon)
    if errors and not context.json:
        raise RebootmgrError("\n".join((*errors, "the configuration stays what it was")))
    context.emit({"valid": not errors, "errors": list(errors)}, ["configuration reloaded"])
    return 1 if errors else 0


async def _reload_errors(daemon: DaemonClient) -> tuple[str, ...]:
    """Reload; everything that is wrong, of which the bus itself shows the first 200 characters."""
    try:
        await ask(daemon, RELOAD)
    except RebootmgrError as error:
        if is_caused_by(error, {CONFIG_INVALID}):
            return (await daemon.status()).texts("config_problems") or (str(error),)
        raise
    return ()


def _members(records: Iterable[Record]) -> list[dict[str, object]]:
    return [dict(record.members) for record in records]


def _run(action: Action, arguments: Namespace, context: Context) -> int:
    return asyncio.run(action(arguments, context))


def _hold_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--reason", metavar="TEXT", required=True, help="why, for other people")
    end = parser.add_mutually_exclusive_group(required=True)
    end.add_argument("--until", metavar="T", nargs="+", action=JoinedWords, help=UNTIL)
    end.add_argument("--for", dest="span", metavar="SPAN", nargs="+", action=JoinedWords, help=FOR)
    end.add_argument("--forever", action="store_true", help="until it is released")
    parser.add_argument("--quiet", action="store_true", help="print the id of the hold alone")


def _release_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="see rebootmgrctl holds")


def _reboot_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--now", action="store_true", help=f"skip {SKIPPED}")
    parser.add_argument(
        "--for",
        dest="span",
        metavar="SPAN",
        nargs="+",
        action=JoinedWords,
        default="1h",
        help="how long to want it (1h)",
    )


def _cancel_arguments(parser: ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--for",
        dest="span",
        metavar="SPAN",
        nargs="+",
        action=JoinedWords,
        default="1h",
        help="how long to hold (1h)",
    )
    what.add_argument("--no-hold", action="store_true", help="withdraw a request, no more")


def _forgive_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("key", metavar="KEY", nargs="?", help=KEY)


def _history_arguments(parser: ArgumentParser) -> None:
    about = f"the last so many ({MOST_SHOWN})"
    parser.add_argument("-n", dest="most", metavar="N", default=str(MOST_SHOWN), help=about)


def _verb(
    name: str,
    action: Action,
    summary: str,
    *examples: str,
    takes: Callable[[ArgumentParser], None] = no_arguments,
) -> Verb:
    return Verb(
        name=name,
        summary=summary,
        examples=tuple(f"rebootmgrctl {example}" for example in examples),
        arguments=takes,
        run=partial(_run, action),
    )


VERBS: Final = (
    _verb(
        "hold",
        _hold,
        "keep this host from rebooting, with a reason and an end",
        'hold --reason "database migration" --for 2h',
        'hold --reason "change freeze" --until Mon 08:00',
        'hold --reason "on call: alice" --forever',
        "hold --quiet --reason backup --for 1h",
        takes=_hold_arguments,
    ),
    _verb(
        "holds",
        _holds,
        "who holds this host, since when, until when and why",
        "holds",
        "holds --json | jq -r '.holds[].id'",
    ),
    _verb("release", _release, "lift a hold", "release 5f2a91c0", takes=_release_arguments),
    _verb(
        "reboot",
        _reboot,
        "ask for the reboot into the pending update",
        "reboot",
        "reboot --now --for 30min",
        takes=_reboot_arguments,
    ),
    _verb(
        "cancel",
        _cancel,
        "call the attempt off, and hold for an hour",
        "cancel",
        "cancel --for 2h 30m",
        "cancel --no-hold",
        takes=_cancel_arguments,
    ),
    _verb(
        "forgive",
        _forgive,
        "lift the quarantine of updates that failed here, and free a kept slot",
        "forgive",
        "forgive \"$(rebootmgrctl --json status | jq -r '.quarantine[0].key')\"",
        takes=_forgive_arguments,
    ),
    _verb(
        "history",
        _history,
        "the last reboots: when, into what, how it ended, how long it took",
        "history",
        "history -n 3",
        "history --json | jq '.history[-1]'",
        takes=_history_arguments,
    ),
    _verb(
        "reload",
        _reload,
        "take the new configuration, or keep the old one and say what is wrong",
        "reload",
    ),
)
