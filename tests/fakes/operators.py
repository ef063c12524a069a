"""A stand-in for the daemon behind the bus: it keeps what is asked of it."""

from datetime import datetime

from rebootmgr.errors import RebootmgrError, UsageError


class Wishes:
    """Takes holds and lifts them: reason, owner and end are in `holds`; `trouble` refuses all."""

    def __init__(self) -> None:
        self.holds: dict[str, tuple[str, str, datetime | None]] = {}
        self.trouble = ""

    async def hold(self, reason: str, owner: str, until: datetime | None) -> str:
        if not reason:
            raise UsageError("no reason")
        if self.trouble:
            raise RebootmgrError(self.trouble)
        id_ = f"h{len(self.holds)}"
        self.holds[id_] = (reason, owner, until)
        return id_

    async def release(self, id_: str) -> None:
        if self.trouble:
            raise RebootmgrError(self.trouble)
        if self.holds.pop(id_, None) is None:
            raise UsageError(f"there is no hold {id_}")
