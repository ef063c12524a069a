"""`fleet`: the lock server of this host, for the people who run it."""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import urlencode

from rebootmgr.cli.lock_server import change, fetch_backup, look
from rebootmgr.cli.lock_server_page import (
    EVERYBODY,
    counted,
    render_fleet,
    render_happened,
    render_holders,
    render_waiting,
)
from rebootmgr.cli.page import Page
from rebootmgr.cli.times import JoinedWords, zone_of
from rebootmgr.cli.verb import Context, Verb
from rebootmgr.control.described import Record
from rebootmgr.errors import UsageError
from rebootmgr.fleetlock.admin_names import (
    FREEZE,
    HISTORY,
    RELEASE,
    RELOAD,
    RESUME,
    SLOTS,
    STATUS,
    THAW,
)
from rebootmgr.instants import decode_typed_instant, encode_instant
from rebootmgr.spans import decode_span
from rebootmgr.text import harmless

MOST_TOLD: Final = 100_000  # of the history, which is no longer
TOLD: Final = "100"
CONFIGURED: Final = "default"
MOST_AFAR: Final = 1000  # of the history, and hosts of a group: what the server tells over TCP
_ON_THE_SERVER: Final = (
    "over TCP nothing can be changed; repeat the command without it on the server's host,"
    " where it goes over the server's socket"
)

Action: TypeAlias = Callable[[Namespace, Context], int]


def _status(arguments: Namespace, context: Context) -> int:
    _take(arguments, "GROUP")
    status = _looked(arguments, context, most=None)
    context.emit(status.members, render_fleet(status, Page.of(context)))
    return 0


def _holders(arguments: Namespace, context: Context) -> int:
    _take(arguments, "GROUP")
    groups = _looked(arguments, context, most=0).parts("groups")
    lines = list(render_holders(groups, Page.of(context))) or ["no holders"]
    context.emit({"holders": _listed(groups, "holders")}, lines)
    _tell_of_others(arguments, context, groups, "holders", "lent")
    return 0


def _waiting(arguments: Namespace, context: Context) -> int:
    _take(arguments, "GROUP")
    groups = _looked(arguments, context, most=EVERYBODY).parts("groups")
    lines = list(render_waiting(groups, Page.of(context))) or ["nobody waits"]
    context.emit({"waiting": _listed(groups, "waiting")}, lines)
    _tell_of_others(arguments, context, groups, "waiting", "hosts_waiting")
    return 0


def _history(arguments: Namespace, context: Context) -> int:
    _take(arguments, "GROUP", "-n")
    most = arguments.most or TOLD
    if not (most.isascii() and most.isdecimal() and 0 < int(most[:9]) <= MOST_TOLD):
        raise UsageError(f'-n "{harmless(most)}": write a whole number from 1 to {MOST_TOLD}')
    if arguments.url is not None and int(most) > MOST_AFAR:
        cure = f"over TCP {MOST_AFAR} are told at most; ask for more on the server's host"
        raise UsageError(f"-n {most} with --url: {cure}")
    query = {"n": most, **({"group": arguments.of} if arguments.of else {})}
    shown = _shown(arguments, context, f"{HISTORY}?{urlencode(query)}")
    told = shown.parts("history", most=MOST_TOLD)
    lines = list(render_happened(told, Page.of(context))) or ["nothing happened yet"]
    context.emit({"history": [one.members for one in told]}, lines)
    return 0


def _looked(arguments: Namespace, context: Context, *, most: int | None) -> Record:
    query = {"group": arguments.of or "", "waiting": "" if most is None else str(most)}
    given = urlencode({k: v for k, v in query.items() if v})
    return _shown(arguments, context, f"{STATUS}?{given}")


def _shown(arguments: Namespace, context: Context, path: str) -> Record:
    """Look at the server of this host, or at the one that --url names."""
    if arguments.url is None:
        if arguments.authorization_file is not None:
            raise UsageError("--authorization-file goes with --url: the socket knows who asks")
        if arguments.plain_http:
            raise UsageError("--plain-http goes with --url: on this host nobody is on the way")
        return look(context, path)
    from rebootmgr.cli.lock_server_afar import Afar, look_afar  # noqa: PLC0415 - asyncio, for few

    file, in_clear = arguments.authorization_file, arguments.plain_http
    afar = Afar(url=arguments.url, authorization_file=file, in_clear=in_clear)
    return look_afar(afar, context, path)


def _tell_of_others(
    arguments: Namespace, context: Context, groups: Iterable[Record], listed: str, counted_as: str
) -> None:
    """Say how many a list over TCP leaves out."""
    if arguments.url is None:
        return
    for group in groups:
        there = len(group.parts(listed, most=EVERYBODY))
        left = (group.number(counted_as) or 0) - there
        if left > 0:
            who = f"group {group.text('name')}: {there} are listed, {counted(left, 'host')} more"
            cure = "over TCP no more are told; all of them are on the server's host"
            print(f"rebootmgrctl: {who}: {cure}", file=context.err)


def _listed(groups: tuple[Record, ...], name: str) -> list[dict[str, object]]:
    return [
        {"group": group.text("name"), **one.members}
        for group in groups
        for one in group.parts(name, most=EVERYBODY)
    ]


def _release(arguments: Namespace, context: Context) -> int:
    _take(arguments, "HOST", "--group")
    host = _needed(arguments.of, "release wants a host, by id or name")
    return _done(context, RELEASE, {"host": host, "group": arguments.group})


def _slots(arguments: Namespace, context: Context) -> int:
    _take(arguments, "GROUP", "N", "--for", "--until")
    group = _needed(arguments.of, "slots wants a group")
    number = _needed(arguments.number, f'slots wants a number, or "{CONFIGURED}"')
    if number != CONFIGURED and not (number.isascii() and number.isdecimal()):
        raise UsageError(f'"{harmless(number)}" is no number of slots; "{CONFIGURED}" undoes it')
    slots = None if number == CONFIGURED else int(number)
    until = _end(arguments, context)
    if slots is None and until is not None:
        raise UsageError(f'"{CONFIGURED}" is for good: leave --for and --until out')
    return _done(context, SLOTS, {"group": group, "slots": slots, "until": _written(until)})


def _freeze(arguments: Namespace, context: Context) -> int:
    _take(arguments, "GROUP", "--reason", "--for", "--until", "--forever")
    reason = _needed(arguments.reason, "freeze wants --reason TEXT: hosts and people are told it")
    until = _end(arguments, context)
    if until is None and not arguments.forever:
        raise UsageError("freeze wants an end: --for SPAN, --until T or --forever")
    wish = {"group": arguments.of, "reason": reason, "until": _written(until)}
    return _done(context, FREEZE, wish)


def _thaw(arguments: Namespace, context: Context) -> int:
    _take(arguments, "GROUP")
    return _done(context, THAW, {"group": arguments.of})


def _resume(arguments: Namespace, context: Context) -> int:
    _take(arguments, "GROUP", "--forgive")
    group = _needed(arguments.of, "resume wants a group")
    return _done(context, RESUME, {"group": group, "forgive": arguments.forgive})


def _backup(arguments: Namespace, context: Context) -> int:
    _take(arguments, "FILE")
    file = Path(os.path.abspath(_needed(arguments.of, "backup wants a file")))  # noqa: PTH100
    size = fetch_backup(context, file)
    text = f"{harmless(str(file), longest=2000)}: {size} bytes, consistent as of now"
    context.emit({"file": str(file), "bytes": size}, [text])
    return 0


def _reload(arguments: Namespace, context: Context) -> int:
    _take(arguments)
    if arguments.of:
        raise UsageError(f'reload takes no "{harmless(arguments.of)}": it takes nothing')
    return _done(context, RELOAD, {})


def _done(context: Context, path: str, wish: dict[str, object]) -> int:
    said = change(context, path, wish)
    context.emit({"operation": path.rpartition("/")[2], **wish, "value": said}, [said])
    return 0


def _needed(given: str | None, otherwise: str) -> str:
    if not given:
        raise UsageError(otherwise)
    return given


def _take(arguments: Namespace, *taken: str) -> None:
    """UsageError for what this operation does not take."""
    given = {
        "N": arguments.number,
        "-n": arguments.most,
        "--group": arguments.group,
        "--reason": arguments.reason,
        "--forgive": arguments.forgive,
        "--for": arguments.span,
        "--until": arguments.until,
        "--forever": arguments.forever or None,
        "--url": None if _looks(arguments) else arguments.url,
        "--authorization-file": None if _looks(arguments) else arguments.authorization_file,
        "--plain-http": None if _looks(arguments) else arguments.plain_http or None,
    }
    for name, value in given.items():
        if value is not None and name not in taken:
            if name in {"--url", "--authorization-file", "--plain-http"}:
                raise UsageError(f"{arguments.operation} takes no {name}: {_ON_THE_SERVER}")
            what = f'"{harmless(value)}"' if name == "N" else name
            it_takes = ", ".join(taken) or "nothing"
            raise UsageError(f"{arguments.operation} takes no {what}: it takes {it_takes}")


def _looks(arguments: Namespace) -> bool:
    return arguments.operation in LOOKING


def _end(arguments: Namespace, context: Context) -> datetime | None:
    """Say when it is to end, None for never."""
    now = datetime.now(UTC)
    if arguments.until is not None:
        zone = zone_of(context.root)
        until = decode_typed_instant(arguments.until, zone, now=now, coming=True)
        if until <= now:
            typed = harmless(arguments.until)
            raise UsageError(f'--until "{typed}" is in the past; write a later one')
        return until
    return None if arguments.span is None else now + decode_span(arguments.span)


def _written(at: datetime | None) -> str | None:
    return encode_instant(at, timespec="seconds")


LOOKING: Final = frozenset({"status", "holders", "waiting", "history"})
OPERATIONS: Final[Mapping[str, Action]] = {
    "status": _status,
    "holders": _holders,
    "waiting": _waiting,
    "history": _history,
    "release": _release,
    "slots": _slots,
    "freeze": _freeze,
    "thaw": _thaw,
    "resume": _resume,
    "backup": _backup,
    "reload": _reload,
}


def _fleet(arguments: Namespace, context: Context) -> int:
    return OPERATIONS[arguments.operation](arguments, context)


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("operation", choices=tuple(OPERATIONS), help="what to show or to do")
    parser.add_argument("of", metavar="WHAT", nargs="?", help="a group, a host or a file")
    parser.add_argument("number", metavar="N", nargs="?", help=f'slots, or "{CONFIGURED}"')
    parser.add_argument(
        "-n", dest="most", metavar="N", help=f"of history: the last so many ({TOLD})"
    )
    parser.add_argument("--group", metavar="G", help="of release: where a host holds several")
    parser.add_argument("--reason", metavar="TEXT", help="of freeze: why, for hosts and people")
    parser.add_argument(
        "--forgive", metavar="HOST", help="of resume: take the slot of this host back, too"
    )
    parser.add_argument(
        "--url", metavar="URL", help="to look: at the server there, instead of this host's"
    )
    parser.add_argument(
        "--authorization-file",
        metavar="FILE",
        help="of --url: one line, the value of the Authorization header",
    )
    parser.add_argument(
        "--plain-http",
        action="store_true",
        help="of --url: show the credentials to everybody on the way, too",
    )
    end = parser.add_mutually_exclusive_group()
    end.add_argument("--until", metavar="T", nargs="+", action=JoinedWords, help="its end")
    end.add_argument(
        "--for", dest="span", metavar="SPAN", nargs="+", action=JoinedWords, help="for so long"
    )
    end.add_argument("--forever", action="store_true", help="until it is undone")


VERBS: Final = (
    Verb(
        name="fleet",
        summary="look at a lock server, and steer that of this host",
        examples=(
            "rebootmgrctl fleet status",
            "rebootmgrctl fleet history -n 20",
            "rebootmgrctl fleet status --url https://lock.example.com --authorization-file token",
            "rebootmgrctl fleet release worker-3",
            "rebootmgrctl fleet slots default 5 --for 2h",
            'rebootmgrctl fleet freeze --reason "release week" --until Mon 08:00',
            "rebootmgrctl fleet thaw",
            "rebootmgrctl fleet resume default --forgive worker-3",
            "rebootmgrctl fleet backup /srv/backup/lockd.sqlite",
            "rebootmgrctl fleet reload",
        ),
        arguments=_arguments,
        run=_fleet,
    ),
)
