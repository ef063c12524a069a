"""An event loop whose clock jumps to the next timer when nothing else is to be done."""

import asyncio
import selectors
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


class _Jumping(selectors.BaseSelector):
    """Waits for nothing; the time that it was to wait is over at once."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._inner = selectors.DefaultSelector()

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._inner.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._inner.unregister(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = self._inner.select(0)
        if not found:
            assert timeout is not None, "everybody waits for ever"
            self.now_s += max(timeout, 0.0)
        return found

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._inner.get_map() or {}

    def close(self) -> None:
        self._inner.close()


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.jumping = _Jumping()
        super().__init__(self.jumping)

    def time(self) -> float:
        return self.jumping.now_s


def run_in_no_time(work: Coroutine[Any, Any, T]) -> T:
    """Run it to its end, however long that takes by the clock that it sees."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(work)


async def passed(span_s: float) -> None:
    """Let time go by."""
    with suppress(TimeoutError):
        async with asyncio.timeout(span_s):
            await asyncio.Event().wait()
