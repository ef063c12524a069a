"""How long tests wait: for the event, under one generous bound for the whole test.

No wait has a budget of its own, because how fast a busy machine is says nothing about the code.
`tests/conftest.py` puts BOUND_S around every async test; one that is stuck elsewhere is ended by
pytest's faulthandler_timeout (pyproject.toml), which shows every thread's stack.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

BOUND_S: Final = 480.0
PATIENT_S: Final = 3600.0
"""What the program is told to wait for what surely comes: only the event itself ends the wait."""


def bounded(test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """The same test, which fails with the stack of its wait when that is never over."""

    @functools.wraps(test)
    async def run(*args: object, **kwargs: object) -> None:
        async with asyncio.timeout(BOUND_S):
            await test(*args, **kwargs)

    return run


@contextmanager
def telling(what: Callable[[], str]) -> Iterator[None]:
    """Say with the error what was there instead, if the wait inside is never over."""
    try:
        yield
    except asyncio.CancelledError as cut:
        cut.add_note(what())
        raise
