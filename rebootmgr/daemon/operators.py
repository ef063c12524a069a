"""What people ask of the daemon over the bus: an event each, answered once it is on record."""

import secrets
from collections.abc import Awaitable, Callable
from datetime import datetime

from rebootmgr.core.events import HoldAdded, HoldReleased
from rebootmgr.core.memory import Hold
from rebootmgr.core.text import harmless
from rebootmgr.daemon.runner import Clock, Runner
from rebootmgr.errors import RebootmgrError, UsageError


class Operators:
    """Passes wishes on to the core; `obeyed` waits until what the core ordered is done."""

    def __init__(
        self, runner: Runner, clock: Clock, *, obeyed: Callable[[], Awaitable[None]]
    ) -> None:
        self._runner = runner
        self._clock = clock
        self._obeyed = obeyed

    async def hold(self, reason: str, owner: str, until: datetime | None) -> str:
        """Place a hold; its id. RebootmgrError, and no hold, when it would not survive."""
        now = self._clock.read().wall
        if not (shown := harmless(reason)):
            raise UsageError("a hold needs a reason that people can read")
        if until is not None and until <= now:
            raise UsageError("the end of the hold is in the past")
        id_ = secrets.token_hex(4)
        self._runner.tell(
            HoldAdded(Hold(id=id_, owner=harmless(owner), reason=shown, since=now, until=until))
        )
        try:
            await self._until_on_record()
        except RebootmgrError:
            self._runner.tell(HoldReleased(id_))
            raise
        return id_

    async def release(self, id_: str) -> None:
        """Lift a hold. RebootmgrError when a restart would bring it back."""
        if id_ not in {hold.id for hold in self._runner.state.memory.holds}:
            raise UsageError(f"there is no hold {harmless(id_)}")
        self._runner.tell(HoldReleased(id_))
        await self._until_on_record()

    async def _until_on_record(self) -> None:
        await self._runner.caught_up()
        await self._obeyed()
        await self._runner.caught_up()  # with whether it could be saved
        if unsaved := self._runner.state.unsaved:
            raise RebootmgrError(unsaved)
