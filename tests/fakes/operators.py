"""A stand-in for the daemon behind the bus: it keeps what is asked of it."""

from datetime import UTC, datetime, timedelta

from rebootmgr.control.members import (
    CANCEL,
    CONFIG_INVALID,
    DROP_DEBT,
    FORGIVE,
    HOLD,
    HOLD_FOR,
    NO_SUCH_DEBT,
    NO_SUCH_HOLD,
    NOTHING_PENDING,
    NOTHING_TO_FORGIVE,
    REBOOT,
    RELEASE,
    RELOAD,
    WITHDRAW,
)
from rebootmgr.control.object import Handlers
from rebootmgr.errors import BusError, RebootmgrError, UsageError


class Wishes:
    """Takes holds and lifts them: reason, owner and end are in `holds`; `trouble` refuses all.

    `asked` is what else was asked of it, by whom; nothing is pending here, nor to be forgiven
    but "bad". It counts `reloads`, and answers each with `errors`.
    """

    def __init__(self, *errors: str) -> None:
        self.errors = errors
        self.reloads = 0
        self.holds: dict[str, tuple[str, str, datetime | None]] = {}
        self.asked: list[tuple[object, ...]] = []
        self.trouble = ""
        self.handlers: Handlers = {
            RELOAD: self.reload,
            HOLD: self.hold,
            HOLD_FOR: self.hold_for,
            RELEASE: self.release,
            REBOOT: self.reboot,
            CANCEL: self.cancel,
            WITHDRAW: self.withdraw,
            FORGIVE: self.forgive,
            DROP_DEBT: self.drop_debt,
        }

    async def reload(self, _: str) -> None:
        self.reloads += 1
        if self.errors:
            raise BusError(CONFIG_INVALID, "\n".join(self.errors))

    async def hold(self, by: str, reason: str, until: datetime | None) -> str:
        if not reason:
            raise UsageError("no reason")
        if self.trouble:
            raise RebootmgrError(self.trouble)
        id_ = f"h{len(self.holds)}"
        self.holds[id_] = (reason, by, until)
        return id_

    async def hold_for(self, by: str, reason: str, length: timedelta) -> str:
        return await self.hold(by, reason, datetime.now(UTC) + min(length, timedelta(days=400)))

    async def withdraw(self, by: str) -> bool:
        self.asked.append(("withdraw", by))
        return True

    async def release(self, by: str, id_: str) -> None:
        if self.trouble:
            raise RebootmgrError(self.trouble)
        if self.holds.pop(id_, None) is None:
            raise BusError(NO_SUCH_HOLD, f"there is no hold {id_}")
        self.asked.append(("release", by, id_))

    async def reboot(
        self,
        by: str,
        now: bool,  # noqa: FBT001 - an argument of D-Bus
        valid: timedelta,
    ) -> None:
        self.asked.append(("reboot", by, valid, now))

    async def cancel(self, by: str, length: timedelta) -> str:
        self.asked.append(("cancel", by, length))
        raise BusError(NOTHING_PENDING, "nothing is pending")

    async def forgive(self, by: str, key: str) -> tuple[str, ...]:
        self.asked.append(("forgive", by, key))
        if key != "bad":
            raise BusError(NOTHING_TO_FORGIVE, "nothing to forgive")
        return (key,)

    async def drop_debt(self, by: str, server: str, group: str, id_: str) -> tuple[str, str, str]:
        self.asked.append(("drop_debt", by, server, group, id_))
        if server != "https://gone.example":
            raise BusError(NO_SUCH_DEBT, "nothing is owed there")
        return (server, group or "default", id_ or "me")
