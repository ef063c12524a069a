"""A verb that has something to put back before a signal ends it."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from rebootmgr.signalled import end_by

Value = TypeVar("Value")

ENDINGS: Final = (signal.SIGTERM, signal.SIGHUP)


def run_to_its_end(work: Coroutine[Any, Any, Value]) -> Value:
    """Run `work`, which TERM and HUP cancel as INT does; then we end by that signal.

    More of them change nothing: what is put back takes some seconds. One that is ignored, as
    nohup(1) does with HUP, stays so.
    """
    came: list[int] = []
    try:
        return asyncio.run(_cancelled_by_signals(work, came))
    except asyncio.CancelledError:
        if not came:
            raise
        raise SystemExit(end_by(came[0])) from None


async def _cancelled_by_signals(work: Coroutine[Any, Any, Value], came: list[int]) -> Value:
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)

    def end(number: int) -> None:
        came.append(number)
        if len(came) == 1:
            task.cancel()

    for number in ENDINGS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, end, number)
    return await task
