"""The verbs for scripts: wait, which returns when something is so, and is-active (SPEC 11)."""

import asyncio
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from typing import Final

from rebootmgr.cli.daemon_calls import explained_reading, visit
from rebootmgr.cli.render import verdict_of
from rebootmgr.cli.times import JoinedWords
from rebootmgr.cli.verb import Context, Verb
from rebootmgr.control.described import Record
from rebootmgr.core.model import Reason
from rebootmgr.core.policy import Strategy
from rebootmgr.core.status import StateName, Verdict
from rebootmgr.errors import BusError, RebootmgrError
from rebootmgr.spans import decode_span

TIMED_OUT: Final = 5
LOOK_AGAIN_S: Final = 30.0  # what is not signalled is seen then


def _is_decided(status: Record) -> bool:
    return status.text("verdict") in {Verdict.IDLE, Verdict.REBOOT}


def _is_rebooting(status: Record) -> bool:
    return status.text("verdict") == Verdict.REBOOT


def _is_released(status: Record) -> bool:
    is_known = status.has("lock_held") and status.has("slots")
    has_one = status.is_true("lock_held") or status.is_true("lock_presumed")
    return is_known and not has_one and not status.parts("slots")


GOALS: Final[Mapping[str, Callable[[Record], bool]]] = {
    "verdict": _is_decided,
    "rebooting": _is_rebooting,
    "released": _is_released,
}


async def _wait(arguments: Namespace, context: Context) -> int:
    limit_s = None if arguments.span is None else decode_span(arguments.span).total_seconds()
    is_reached = GOALS[arguments.goal]
    async with visit(context, explained_reading) as daemon:
        await daemon.watch()
        status = await daemon.status()
        try:
            async with asyncio.timeout(limit_s):
                while not is_reached(status):
                    await daemon.changed(LOOK_AGAIN_S)
                    status = await daemon.status()
        except TimeoutError:
            pass  # what was seen last says whether it came to that
    reached = is_reached(status)
    what = verdict_of(status) if reached else f"still waiting: {verdict_of(status)}"
    context.emit({"reached": reached, "verdict": status.text("verdict")}, [what])
    return 0 if reached else TIMED_OUT


NEVER: Final = {Reason.NOT_OSTREE, Reason.DRY_RUN, Reason.CONFIG_INVALID, Reason.STATE_UNREADABLE}


def why_not_active(status: Record) -> str:
    """Say why a request for a reboot would come to nothing here; "" if it would be taken."""
    if status.is_true("dry_run"):
        return "this is a dry run"
    closed = {blocker.text("reason") for blocker in status.parts("blockers")}
    if status.text("state") == StateName.REBOOTING:
        return "the reboot is being called already"
    if found := [reason.value for reason in Reason if reason in NEVER and reason in closed]:
        return f"the gate {found[0]} is closed"
    if Reason.DISABLED in closed and Strategy.OFF not in status.texts("strategies"):
        return "updates.enabled is false"
    if status.part("pending") is None:
        is_idle = status.text("verdict") == Verdict.IDLE
        return "nothing is pending" if is_idle else "nobody can tell what is pending"
    return ""


async def _is_active(arguments: Namespace, context: Context) -> int:
    try:
        async with visit(context, explained_reading) as daemon:
            reason = why_not_active(await daemon.status())
    except RebootmgrError as error:
        if not isinstance(error.__cause__, BusError):
            raise  # of the command line
        reason = str(error)
    is_active = not reason
    text = [] if arguments.quiet else ["active" if is_active else f"inactive: {reason}"]
    context.emit({"active": is_active, "reason": reason or None}, text)
    return 0 if is_active else 1


def _run_wait(arguments: Namespace, context: Context) -> int:
    return asyncio.run(_wait(arguments, context))


def _run_is_active(arguments: Namespace, context: Context) -> int:
    return asyncio.run(_is_active(arguments, context))


def _wait_arguments(parser: ArgumentParser) -> None:
    what = "verdict: nothing is pending, or the reboot is called (that is the default); rebooting:"
    parser.add_argument(
        "--until",
        dest="goal",
        choices=tuple(GOALS),
        default="verdict",
        help=f"{what} only the latter; released: no slot is ours any more",
    )
    parser.add_argument(
        "--timeout",
        dest="span",
        metavar="SPAN",
        nargs="+",
        action=JoinedWords,
        help="give up after so long, with exit status 5",
    )


def _is_active_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--quiet", action="store_true", help="say it by the exit status alone")


VERBS: Final = (
    Verb(
        name="wait",
        summary="return when nothing is pending or the reboot is called, or a slot is back",
        examples=(
            "rebootmgrctl wait --timeout 30min",
            "rebootmgrctl wait --until released --timeout 5min",
        ),
        arguments=_wait_arguments,
        run=_run_wait,
    ),
    Verb(
        name="is-active",
        summary="whether `reboot` would be taken, as an exit status",
        examples=("rebootmgrctl is-active --quiet && rebootmgrctl reboot",),
        arguments=_is_active_arguments,
        run=_run_is_active,
    ),
)
