"""The verbs that show what the daemon says: status, why, metrics."""

import asyncio
import os
import socket
import stat
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Final

from rebootmgr.bus.words import ABSENT
from rebootmgr.cli.daemon_calls import CURE, explained, visit
from rebootmgr.cli.page import Page
from rebootmgr.cli.render import render_status, render_why
from rebootmgr.cli.verb import Context, Verb, no_arguments
from rebootmgr.control.daemon_client import PATIENCE_S
from rebootmgr.control.described import Record, decode_why
from rebootmgr.errors import BusError, RebootmgrError
from rebootmgr.text import harmless_lines

MOST_METRICS: Final = 4 * 1024 * 1024
METRICS: Final = "run/rebootmgr/public/metrics.promsock"


def _status(_: Namespace, context: Context) -> int:
    status = asyncio.run(_read_status(context))
    context.emit(status.members, render_status(status, Page.of(context)))
    return 0


def _why(_: Namespace, context: Context) -> int:
    status = asyncio.run(_read_status(context))
    context.emit(decode_why(status), render_why(status, Page.of(context)))
    return 0


def _metrics(_: Namespace, context: Context) -> int:
    text = read_metrics(context.root / METRICS)
    context.emit({"metrics": text}, text)
    return 0


async def _read_status(context: Context) -> Record:
    async with visit(context, _explained) as daemon:
        return await daemon.status()


def _explained(error: BusError, member: str) -> RebootmgrError:
    """Reading takes nobody's leave: whatever fails, the daemon is to be looked at."""
    if error.name in ABSENT:
        return explained(error, member)
    return RebootmgrError(f"rebootmgrd does not answer ({error.text}): {CURE}")


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


VERBS: Final = (
    Verb(
        name="status",
        summary="what runs, what waits, what is in the way and when it goes on",
        examples=("rebootmgrctl status", "rebootmgrctl --json status"),
        arguments=no_arguments,
        run=_status,
    ),
    Verb(
        name="why",
        summary="every gate: clear, blocking or not asked yet, by whom, since and until when",
        examples=("rebootmgrctl why", "rebootmgrctl --json why | jq -r '.blockers[].reason'"),
        arguments=no_arguments,
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
