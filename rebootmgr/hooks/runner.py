"""The hook runner: runs one phase of the administrator's hooks, as root in its unit (SPEC 8).

Standard input is a connection of the daemon's user: a line of it says which phase, each hook that
ended is a line back, and its end is the end of the hooks. What to run it finds by itself. With
the name of a phase it runs that one at once, for somebody at a terminal. Exit status: 0 every hook
passed, 1 one did not or was not run, 2 usage.
"""

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeAlias

from rebootmgr.core.model import Phase
from rebootmgr.hooks.danger import find_danger
from rebootmgr.hooks.files import Hook, Skipped, Unfit, find_hooks
from rebootmgr.hooks.lines import Lines
from rebootmgr.hooks.process import run_hook
from rebootmgr.hooks.turn_taking import wait_for_turn
from rebootmgr.hooks.words import (
    LONGEST_TIMEOUT_S,
    NOT_RUN,
    Answer,
    End,
    Order,
    Ran,
    Unusable,
    decode_order,
    encode_answer,
)
from rebootmgr.systemd.journal import open_log
from rebootmgr.text import harmless

log = logging.getLogger("rebootmgr.hooks")

PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
ORDER_S: Final = 10.0
ANSWER_S: Final = 10.0
DEFAULT_TIMEOUT_S: Final = 300

Tell: TypeAlias = Callable[[Answer], Awaitable[None]]


async def run_phase(root: Path, order: Order, tell: Tell) -> bool:
    """Run every hook in order, and tell of each; whether all passed.

    The first failure ends the phase, but never an undoing.
    """
    environment = _environment(order)
    passed = True
    for hook in _hooks(root, order):
        ran = await _run_one(hook, environment, order)
        await tell(ran)
        if ran.status == 0:
            continue
        log.warning("%s failed: %s", ran.hook, ran.last_line)
        passed = False
        if order.phase is not Phase.ABANDONED:
            break
    await tell(End())
    return passed


def _hooks(root: Path, order: Order) -> list[Hook]:
    phase = order.phase
    found = find_hooks(root, phase, danger=find_danger)
    hooks = [hook for hook in found if not isinstance(hook, Skipped)]
    if phase is Phase.CHECK and order.waived:
        for name in {hook.name for hook in hooks} & set(order.waived):
            log.info("%s is not run: it counts no more, by deadline", harmless(name))
        hooks = [hook for hook in hooks if hook.name not in order.waived]
    unfit: list[Hook] = [hook for hook in hooks if isinstance(hook, Unfit)]
    # With anything amiss nothing runs, but what can still be undone is.
    return hooks if phase is Phase.ABANDONED else unfit or hooks


async def _run_one(hook: Hook, environment: dict[str, str], order: Order) -> Ran:
    match hook:
        case Unfit(name, why):
            return Ran(harmless(name), NOT_RUN, harmless(why))
        case path:
            ended = await run_hook(path, environment, timeout_s=order.timeout_s)
            return Ran(harmless(path.name), ended.status, ended.why)


def _environment(order: Order) -> dict[str, str]:
    """Build everything a hook is told, from scratch."""
    return {
        "PATH": PATH,
        "REBOOTMGR_PHASE": order.phase.value,
        "REBOOTMGR_DEPLOYMENT": order.deployment,
        "REBOOTMGR_VERSION": order.version,
        "REBOOTMGR_BOOTED_DEPLOYMENT": order.booted,
    }


async def answer_connection(root: Path, connection: socket.socket) -> bool:
    """Do what is asked over `connection`, until it ends; whether that was done."""
    connection.settimeout(0)
    lines = Lines(connection)
    match await _read_order(lines):
        case Order() as order:
            work = _in_turn(root, order, lambda answer: _send(connection, answer))
            return await _until(lines.wait_ended(), work)
        case Unusable(why):
            log.warning("no hook is run: the order %s", why)
        case None:
            log.info("no hook is run: nobody asked for one")
    return False


async def _read_order(lines: Lines) -> Order | Unusable | None:
    try:
        async with asyncio.timeout(ORDER_S):
            line = await lines.read()
    except OSError:  # TimeoutError is an OSError
        return None
    return None if line is None else decode_order(line)


async def _send(connection: socket.socket, answer: Answer) -> None:
    """Answer; one who hangs up or does not listen is noticed as the end of the connection."""
    with suppress(OSError):
        async with asyncio.timeout(ANSWER_S):
            await asyncio.get_running_loop().sock_sendall(connection, encode_answer(answer))


async def _in_turn(root: Path, order: Order, tell: Tell) -> bool:
    try:
        async with wait_for_turn(root):
            return await run_phase(root, order, tell)
    except OSError as error:
        log.error("no hook is run: %s", error)  # noqa: TRY400 - one line is enough
        return False


async def _until(end: Coroutine[None, None, object], work: Coroutine[None, None, bool]) -> bool:
    """Do the work unless the end comes first, or SIGTERM; hooks are over when this returns."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with asyncio.TaskGroup() as tasks:
        working = tasks.create_task(work)
        either = {tasks.create_task(end), tasks.create_task(stopped.wait())}
        await asyncio.wait({working, *either}, return_when=asyncio.FIRST_COMPLETED)
        for task in (working, *either):
            task.cancel()
    if working.cancelled():
        log.info("the hooks were stopped")
        return False
    return working.result()


async def run_by_hand(root: Path, order: Order) -> bool:
    """Run a phase for whoever started us, who reads the log; whether all passed."""

    async def tell(_: Answer) -> None:
        pass

    return await _until(asyncio.Event().wait(), _in_turn(root, order, tell))


def main(argv: list[str] | None = None) -> int:
    """Answer the connection on standard input, or run the phase that is named."""
    arguments = _parser().parse_args(argv)
    os.umask(0o022)
    # The journal takes plain lines as well, and systemd-python would cost a start-up of ours.
    open_log("info", stream=sys.stderr, environ={})
    root: Path = arguments.root
    if arguments.phase is not None:
        order = Order(phase=arguments.phase, timeout_s=arguments.timeout_seconds)
        return 0 if asyncio.run(run_by_hand(root, order)) else 1
    try:
        connection = socket.socket(fileno=os.dup(0))
    except OSError as error:
        log.error("standard input is no connection: %s", error)  # noqa: TRY400 - as above
        return 2
    with connection:
        return 0 if asyncio.run(answer_connection(root, connection)) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hook_runner", description="Run one phase of hooks.")
    parser.add_argument("phase", type=Phase, nargs="?", metavar="PHASE")
    parser.add_argument("--root", type=Path, default=Path("/"), metavar="DIR")
    parser.add_argument(
        "--timeout-seconds", type=_timeout, default=DEFAULT_TIMEOUT_S, metavar="SECONDS"
    )
    return parser


def _timeout(text: str) -> int:
    timeout_s = int(text)
    if not 1 <= timeout_s <= LONGEST_TIMEOUT_S:
        raise ValueError(text)
    return timeout_s


if __name__ == "__main__":
    sys.exit(main())
