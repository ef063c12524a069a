"""One hook: a program of the administrator, given its time and heard line by line."""

import asyncio
import logging
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rebootmgr.child import Child
from rebootmgr.hooks.words import NOT_RUN, TOO_LATE, Transcript
from rebootmgr.text import harmless

log = logging.getLogger(__name__)

TERM_S: Final = 3.0  # a daemon that is stopped ends within 5 s (SPEC 6, 12), hooks and all


@dataclass(frozen=True, slots=True)
class Ended:
    """How a hook ended: its exit status as a shell has it, and unless 0 why, in one line."""

    status: int
    why: str = ""


async def run_hook(path: Path, environment: Mapping[str, str], *, timeout_s: float) -> Ended:
    """Run one executable to its end.

    After `timeout_s`, and when cancelled, its group gets TERM, and KILL after 3 s.
    """
    name = harmless(path.name)
    said = Transcript()

    def heard(data: bytes) -> None:
        _log(name, said.feed(data))

    try:
        hook = Child(
            [path],
            environment=environment,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            heard=heard,
        )
    except OSError as error:
        return Ended(NOT_RUN, f"cannot be run: {error.strerror}")
    late = False
    try:
        async with asyncio.timeout(timeout_s):
            await hook.exited.wait()
    except TimeoutError:
        late = True
        await _stop(hook)
    except asyncio.CancelledError:
        await _stop(hook)
        raise
    finally:
        status = await hook.finish()
        _log(name, said.end())
    if late:
        return Ended(TOO_LATE, _because(f"took longer than {timeout_s:g} s", said.last))
    return _verdict(status, said.last)


async def _stop(hook: Child) -> None:
    """End the whole group: TERM, and KILL where that does not help."""
    try:
        hook.signal(signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(TERM_S):
                await hook.exited.wait()
    finally:
        hook.signal(signal.SIGKILL)


def _verdict(status: int | None, last: str) -> Ended:
    match status:
        case 0:
            return Ended(0)
        case int() if status < 0:
            what = f"ended by signal {-status} ({signal.strsignal(-status)})"
            return Ended(128 - status, _because(what, last))
        case None:
            return Ended(TOO_LATE, _because("cannot be ended", last))
        case _:
            return Ended(status, last or f"exit status {status}")


def _because(what: str, last: str) -> str:
    return harmless(f"{what}; it last said: {last}" if last else what)


def _log(name: str, lines: list[str]) -> None:
    for line in lines:
        log.info("%s: %s", name, line)
