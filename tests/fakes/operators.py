"""A stand-in for the daemon behind the bus: it keeps what is asked of it."""

from datetime import datetime, timedelta

from rebootmgr.control.words import NO_SUCH_HOLD, NOTHING_PENDING, NOTHING_TO_FORGIVE
from rebootmgr.errors import BusError, RebootmgrError, UsageError


class Wishes:
    """Takes holds and lifts them: reason, owner and end are in `holds`; `trouble` refuses all.

    `asked` is what else was asked of it, by whom; nothing is pending here, nor to be forgiven
    but "bad".
    """

    def __init__(self) -> None:
        self.holds: dict[str, tuple[str, str, datetime | None]] = {}
        self.asked: list[tuple[object, ...]] = []
        self.trouble = ""

    async def hold(self, reason: str, by: str, until: datetime | None) -> str:
        if not reason:
            raise UsageError("no reason")
        if self.trouble:
            raise RebootmgrError(self.trouble)
        id_ = f"h{len(self.holds)}"
        self.holds[id_] = (reason, by, until)
        return id_

    async def release(self, id_: str, by: str) -> None:
        if self.trouble:
            raise RebootmgrError(self.trouble)
        if self.holds.pop(id_, None) is None:
            raise BusError(NO_SUCH_HOLD, f"there is no hold {id_}")
        self.asked.append(("release", by, id_))

    async def reboot(self, by: str, valid: timedelta, *, now: bool) -> None:
        self.asked.append(("reboot", by, valid, now))

    async def cancel(self, by: str, length: timedelta) -> str:
        self.asked.append(("cancel", by, length))
        raise BusError(NOTHING_PENDING, "nothing is pending")

    async def forgive(self, by: str, key: str) -> tuple[str, ...]:
        self.asked.append(("forgive", by, key))
        if key != "bad":
            raise BusError(NOTHING_TO_FORGIVE, "nothing to forgive")
        return (key,)
