"""A store that tells when it was opened for the first time, or could not be."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from rebootmgr.lending.history import Happened
from rebootmgr.lending.questions import Change
from rebootmgr.lending.saved import Saved
from rebootmgr.lockd.stores.keeper import Store


class FirstOpen:
    """The store `inner`; `tried` is set once it was asked to open, whatever came of that."""

    def __init__(self, inner: Store) -> None:
        self._inner = inner
        self.tried = asyncio.Event()

    @property
    def is_shared(self) -> bool:
        """Whether others write to it, too."""
        return self._inner.is_shared

    async def follow(self, stirred: Callable[[], None]) -> None:
        """Hear what others write."""
        await self._inner.follow(stirred)

    def news(self) -> tuple[Change, ...]:
        """Take what others wrote."""
        return self._inner.news()

    async def tell(self, tickets: frozenset[int]) -> None:
        """Tell the others who asked here."""
        await self._inner.tell(tickets)

    def heard(self) -> frozenset[int]:
        """Take who asked others."""
        return self._inner.heard()

    async def open(self) -> Saved:
        """Open it."""
        try:
            return await self._inner.open()
        finally:
            asyncio.get_running_loop().call_soon(self.tried.set)  # when its answer was taken

    async def write(self, changes: tuple[Change, ...], happened: tuple[Happened, ...] = ()) -> None:
        """Write to it."""
        await self._inner.write(changes, happened)

    async def history(self, most: int, group: str = "") -> tuple[Happened, ...]:
        """Read what happened."""
        return await self._inner.history(most, group)

    async def backup(self, file: Path) -> None:
        """Copy it."""
        await self._inner.backup(file)

    async def close(self) -> None:
        """Let go of it."""
        await self._inner.close()
