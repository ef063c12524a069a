"""Work that may hang in the kernel or a library, beside the loop, where it holds up nothing.

Not asyncio's threads: they are few and shared, so that a name service or a serial line that hangs
would keep state.json from being written, and the end of the program waits for all of them.
"""

import asyncio
import threading
from collections.abc import Callable, Hashable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self, TypeVar

T = TypeVar("T")


class Aside:
    """Threads for one kind of work: one that hangs holds up no other kind, nor the program's end.

    At most `at_once` are waited for, and at most `hanging` are left to themselves, one for each
    subject.
    """

    def __init__(self, name: str, *, at_once: int = 4, hanging: int = 16) -> None:
        self._name: Final = name
        self._turns = asyncio.Semaphore(at_once)
        self._hanging = hanging
        self._busy: set[Hashable] = set()

    async def run(
        self, subject: Hashable, work: Callable[[], T], *, patience_s: float | None = None
    ) -> T:
        """Give what `work` gives or raises; TimeoutError when it does not come to its end.

        Without patience it is waited for as long as it takes. TimeoutError at once where an earlier
        work on the same subject still hangs, or too many do.
        """
        async with asyncio.timeout(patience_s), self._turns:
            if subject in self._busy or len(self._busy) >= self._hanging:
                raise TimeoutError(f"{self._name}: hangs since an earlier time")
            self._busy.add(subject)
            done = self._start(subject, work)
            return await asyncio.shield(done)

    def _start(self, subject: Hashable, work: Callable[[], T]) -> "asyncio.Future[T]":
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def end(tell: Callable[[], None]) -> None:
            self._busy.discard(subject)
            if not done.cancelled():
                tell()

        def fail(error: BaseException) -> None:
            done.set_exception(error)
            done.exception()  # whoever waited may have lost patience

        def go() -> None:
            with _Outcome() as outcome:
                result = work()
                outcome.tell = lambda: done.set_result(result)
            error = outcome.error
            tell = outcome.tell if error is None else lambda: fail(error)
            with suppress(RuntimeError):  # the loop has ended before
                loop.call_soon_threadsafe(end, tell)

        threading.Thread(target=go, name=self._name, daemon=True).start()
        return done


class _Outcome:
    """Keeps what the block raises, for whoever waits elsewhere."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.tell: Callable[[], None] = lambda: None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self.error = error
        return True
