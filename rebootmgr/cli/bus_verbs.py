"""The verbs that show what the daemon says: status, why, metrics."""

import asyncio
import json
import os
import socket
from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rebootmgr.bus.connection import Bus, bus_address
from rebootmgr.cli.page import Page
from rebootmgr.cli.render import render_status, render_why
from rebootmgr.cli.verb import Context, Verb
from rebootmgr.control.described import Record, decode_status, decode_why
from rebootmgr.control.introspection import MANAGER
from rebootmgr.errors import BusError, RebootmgrError
from rebootmgr.show.metrics_socket import unix_address

PATIENCE_S: Final = 10.0
METRICS: Final = "run/rebootmgr/public/metrics.promsock"
CURE: Final = "see `systemctl status rebootmgr`"
NOT_THERE: Final = {
    "org.freedesktop.DBus.Error.ServiceUnknown",
    "org.freedesktop.DBus.Error.NameHasNoOwner",
}


def _status(_: Namespace, context: Context) -> int:
    status = _described(context)
    if context.json:
        _print_json(dict(status.members), context)
    else:
        context.out.write(render_status(status, _page(context)))
    return 0


def _why(_: Namespace, context: Context) -> int:
    status = _described(context)
    if context.json:
        _print_json(decode_why(status), context)
    else:
        context.out.write(render_why(status, _page(context)))
    return 0


def _metrics(_: Namespace, context: Context) -> int:
    text = read_metrics(context.root / METRICS)
    if context.json:
        _print_json({"metrics": text}, context)
    else:
        context.out.write(text)
    return 0


def _described(context: Context) -> Record:
    return decode_status(asyncio.run(_describe(bus_address(context.root, os.environ))))


async def _describe(address: str) -> str:
    bus = await Bus.connect(address, timeout_s=PATIENCE_S)
    try:
        answer = await bus.call(
            "org.rebootmgr1",
            "/org/rebootmgr1",
            MANAGER,
            "Describe",
            timeout_s=PATIENCE_S,
            autostart=False,
        )
    except BusError as error:
        if error.name in NOT_THERE:
            raise RebootmgrError(f"rebootmgrd is not running: {CURE}") from error
        raise RebootmgrError(f"rebootmgrd does not answer ({error.text}): {CURE}") from error
    finally:
        await bus.close()
    return str(answer[0]) if answer else ""


def read_metrics(path: Path) -> str:
    """Read the metrics socket to its end; RebootmgrError with the cure when that fails."""
    chunks = []
    try:
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client,
            unix_address(path) as address,
        ):
            client.settimeout(PATIENCE_S)
            client.connect(address)
            while chunk := client.recv(65536):
                chunks.append(chunk)
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise RebootmgrError(f"nobody serves {path}: {CURE}") from error
    except PermissionError as error:
        raise RebootmgrError(
            f"{path} may not be read by you: be root, or set metrics.socket_mode"
        ) from error
    except OSError as error:
        raise RebootmgrError(f"cannot read {path}: {error}: {CURE}") from error
    return b"".join(chunks).decode(errors="replace")


def _print_json(value: object, context: Context) -> None:
    context.out.write(json.dumps(value, indent=2) + "\n")


def _page(context: Context) -> Page:
    return Page(now=datetime.now(UTC), zone=None, width=context.width, color=context.color)


def _no_arguments(_: ArgumentParser) -> None:
    pass


VERBS: Final = (
    Verb(
        name="status",
        summary="what runs, what waits, what is in the way and when it goes on",
        examples=("rebootmgrctl status", "rebootmgrctl --json status"),
        arguments=_no_arguments,
        run=_status,
    ),
    Verb(
        name="why",
        summary="every gate: clear, blocking or not asked yet, by whom, since and until when",
        examples=("rebootmgrctl why", "rebootmgrctl --json why | jq -r '.blockers[].reason'"),
        arguments=_no_arguments,
        run=_why,
    ),
    Verb(
        name="metrics",
        summary="what Prometheus would scrape",
        examples=("rebootmgrctl metrics | grep rebootmgr_blocked",),
        arguments=_no_arguments,
        run=_metrics,
    ),
)
