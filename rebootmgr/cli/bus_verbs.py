"""The verbs that show what the daemon says: status, why, metrics."""

import asyncio
import json
import os
import socket
import stat
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Final

from rebootmgr.cli.daemon_calls import CURE, explained_reading, visit
from rebootmgr.cli.page import Page
from rebootmgr.cli.render import render_status, render_why
from rebootmgr.cli.verb import Context, Verb, no_arguments
from rebootmgr.control.daemon_client import PATIENCE_S
from rebootmgr.control.described import Record, decode_why
from rebootmgr.core.status import Verdict
from rebootmgr.errors import RebootmgrError
from rebootmgr.text import harmless_lines

MOST_METRICS: Final = 4 * 1024 * 1024
METRICS: Final = "run/rebootmgr/public/metrics.promsock"


IDLE: Final = 0
PENDING: Final = 3
CALLED: Final = 4
REDRAW_S: Final = 10.0
ANEW: Final = "\x1b[H\x1b[2J"


def _status(arguments: Namespace, context: Context) -> int:
    if arguments.watch:
        return asyncio.run(_watch(context, lambda each: dict(each.members), render_status))
    status = asyncio.run(_read_status(context))
    if arguments.quiet:
        return _pending_status(status)
    context.emit(status.members, render_status(status, Page.of(context)))
    return 0


def _pending_status(status: Record) -> int:
    """Say by an exit status what is pending; what nobody can tell counts as pending."""
    known = {Verdict.IDLE.value: IDLE, Verdict.REBOOT.value: CALLED}
    return known.get(status.text("verdict"), PENDING)


def _why(arguments: Namespace, context: Context) -> int:
    render = partial(render_why, everything=arguments.all)
    if arguments.watch:
        return asyncio.run(_watch(context, decode_why, render))
    status = asyncio.run(_read_status(context))
    context.emit(decode_why(status), render(status, Page.of(context)))
    return 0


async def _watch(
    context: Context,
    encode: Callable[[Record], Mapping[str, object]],
    render: Callable[[Record, Page], str],
) -> int:
    """Show it now, and again whenever it changes, until somebody ends it or the daemon is gone.

    A terminal is drawn anew; elsewhere each text or document follows the one before.
    """
    is_screen = context.out.isatty() and os.environ.get("TERM") != "dumb" and not context.json
    shown = ""
    async with visit(context, explained_reading) as daemon:
        await daemon.watch()
        while True:
            status = await daemon.status()
            text = render(status, Page.of(context))
            is_news = (told := json.dumps(encode(_timeless(status)))) != shown
            shown = told
            if is_screen:
                context.out.write(f"{ANEW}{text}")
            elif is_news:
                context.emit(encode(status), f"{text}\n")
            context.out.flush()
            await daemon.changed(REDRAW_S)


def _timeless(status: Record) -> Record:
    """Leave out when it was asked."""
    return Record({name: value for name, value in status.members.items() if name != "at"})


def _metrics(_: Namespace, context: Context) -> int:
    text = read_metrics(context.root / METRICS)
    context.emit({"metrics": text}, text)
    return 0


async def _read_status(context: Context) -> Record:
    async with visit(context, explained_reading) as daemon:
        return await daemon.status()


def read_metrics(path: Path, *, patience_s: float = PATIENCE_S) -> str:
    """Read the metrics socket to its end, as text fit for a terminal.

    RebootmgrError with the cure when that fails, takes too long or never ends: whoever serves it
    may be anybody.
    """
    try:
        data = _received(path, monotonic() + patience_s)
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise RebootmgrError(f"rebootmgrd offers no metrics at {path}: {CURE}") from error
    except PermissionError as error:
        raise RebootmgrError(
            f"{path} may not be read by you: be root, or set metrics.socket_mode"
        ) from error
    except OSError as error:  # TimeoutError is one
        raise RebootmgrError(f"cannot read {path}: {error}: {CURE}") from error
    return harmless_lines(data.decode(errors="replace"))


def _received(path: Path, end: float) -> bytes:
    """Take what comes until somebody hangs up; OSError where `path` is no socket, too."""
    data = bytearray()
    with _pinned(path) as address, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(_left(end))
        client.connect(address)
        while chunk := client.recv(65536):
            data += chunk
            if len(data) > MOST_METRICS:
                raise OSError(f"there are more than {MOST_METRICS} bytes")
            client.settimeout(_left(end))
    return bytes(data)


def _left(end: float) -> float:
    """Say how much of the time is left (s); TimeoutError if nothing is."""
    if (left := end - monotonic()) <= 0:
        raise TimeoutError("it does not end")
    return left


@contextmanager
def _pinned(path: Path) -> Iterator[str]:
    """Give an address for the socket at `path` itself: what lies there is the daemon's to say."""
    found = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not stat.S_ISSOCK(os.fstat(found).st_mode):
            raise OSError("it is no socket")
        yield f"/proc/self/fd/{found}"
    finally:
        os.close(found)


def _watch_argument(parser: ArgumentParser) -> None:
    parser.add_argument("--watch", action="store_true", help="show it again whenever it changes")


def _why_arguments(parser: ArgumentParser) -> None:
    _watch_argument(parser)
    about = "name the gates that are clear or not asked yet, too"
    parser.add_argument("--all", action="store_true", help=about)


def _status_arguments(parser: ArgumentParser) -> None:
    _watch_argument(parser)
    about = "print nothing; exit status 0: nothing is pending, 3: pending, 4: the reboot is called"
    parser.add_argument("--quiet", action="store_true", help=about)


VERBS: Final = (
    Verb(
        name="status",
        summary="what runs, what waits, what is in the way and when it goes on",
        examples=("rebootmgrctl status", "rebootmgrctl --json status"),
        arguments=_status_arguments,
        run=_status,
    ),
    Verb(
        name="why",
        summary="each closed gate: by whom, since and until when, and what to do",
        examples=(
            "rebootmgrctl why",
            "rebootmgrctl why --all",
            "rebootmgrctl --json why | jq -r '.blockers[].reason'",
        ),
        arguments=_why_arguments,
        run=_why,
    ),
    Verb(
        name="metrics",
        summary="what Prometheus would scrape",
        examples=("rebootmgrctl metrics | grep rebootmgr_blocked",),
        arguments=no_arguments,
        run=_metrics,
    ),
)
