"""What the lender asks of a store."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from rebootmgr.errors import RebootmgrError
from rebootmgr.lending.history import Happened
from rebootmgr.lending.questions import Change
from rebootmgr.lending.saved import Saved


class StoreError(RebootmgrError):
    """The store cannot be asked; what was being written is on disk, or it is not."""


class OvertakenError(RebootmgrError):
    """Others wrote first, and nothing was written; `news` say what."""


class Store(Protocol):
    """One place where a fleet is kept; one call at a time, each of which may raise `StoreError`.

    After an error nothing is known of what it holds, until it was opened anew.
    """

    @property
    def is_shared(self) -> bool:
        """Whether others write to it, too."""

    async def open(self) -> Saved:
        """Open it, anew if it is open, look whether it is sound, and read all of it."""

    async def write(self, changes: tuple[Change, ...], happened: tuple[Happened, ...] = ()) -> None:
        """Carry out all of these changes, in this order, or none; they outlive a power cut.

        What `happened` is added to the history with them, of which the latest are kept. The changes
        were decided on what was read, and on the `news` that were taken since: where there are
        others, it raises `OvertakenError`. With no changes it only looks whether there are.
        """

    async def history(self, most: int, group: str = "") -> tuple[Happened, ...]:
        """Give the latest that happened, oldest first; of a group, and what concerned them all."""

    async def follow(self, stirred: Callable[[], None]) -> None:
        """Hear what others write, for as long as there are any; calls when there are `news`."""

    def news(self) -> tuple[Change, ...]:
        """Take what others wrote since the last time; StoreError: nothing is heard any more."""

    async def tell(self, tickets: frozenset[int]) -> None:
        """Tell the others which hosts asked here of late, by their tickets."""

    def heard(self) -> frozenset[int]:
        """Take which hosts asked others since the last time."""

    async def backup(self, file: Path) -> None:
        """Make a consistent copy of all that was written."""

    async def close(self) -> None:
        """Let go of it."""
