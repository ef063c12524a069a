"""What the lender asks of a store."""

from pathlib import Path
from typing import Protocol

from rebootmgr.errors import RebootmgrError
from rebootmgr.lending.history import Happened
from rebootmgr.lending.questions import Change
from rebootmgr.lending.saved import Saved


class StoreError(RebootmgrError):
    """The store cannot be asked; what was being written is on disk, or it is not."""


class Store(Protocol):
    """One place where a fleet is kept; one call at a time, each of which may raise `StoreError`.

    After an error nothing is known of what it holds, until it was opened anew.
    """

    async def open(self) -> Saved:
        """Open it, anew if it is open, look whether it is sound, and read all of it."""

    async def write(self, changes: tuple[Change, ...], happened: tuple[Happened, ...] = ()) -> None:
        """Carry out all of these changes, in this order, or none; they outlive a power cut.

        What `happened` is added to the history with them, of which the latest are kept.
        """

    async def history(self, most: int, group: str = "") -> tuple[Happened, ...]:
        """Give the latest that happened, oldest first; of a group, and what concerned them all."""

    async def backup(self, file: Path) -> None:
        """Make a consistent copy of all that was written."""

    async def close(self) -> None:
        """Let go of it."""
