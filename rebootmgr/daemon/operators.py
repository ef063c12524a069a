"""What people ask of the daemon over the bus: an event each, answered once it is on record."""

import logging
import os
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

from rebootmgr.config.base_url import without_userinfo
from rebootmgr.control.members import (
    AMBIGUOUS_DEBT,
    CANCEL,
    CONFIG_INVALID,
    DROP_DEBT,
    FORGIVE,
    HOLD,
    HOLD_FOR,
    NO_SUCH_DEBT,
    NO_SUCH_HOLD,
    NOTHING_PENDING,
    NOTHING_REQUESTED,
    NOTHING_TO_FORGIVE,
    REBOOT,
    RELEASE,
    RELOAD,
    TOO_LATE,
    WITHDRAW,
)
from rebootmgr.control.object import Handlers
from rebootmgr.core.events import (
    Cancelled,
    DebtDropped,
    Forgiven,
    HoldAdded,
    HoldReleased,
    RebootAsked,
    Withdrawn,
)
from rebootmgr.core.memory import Hold
from rebootmgr.core.model import Deployment, Slot, UpdateKey
from rebootmgr.core.slots import is_dropped
from rebootmgr.core.states import Asking, Checking, Committing, Owed, Preparing, Rebooting
from rebootmgr.daemon.loop import Runner, Timepiece
from rebootmgr.errors import BusError, RebootmgrError, UsageError
from rebootmgr.instants import encode_instant
from rebootmgr.spans import LONGEST, encode_span
from rebootmgr.text import harmless

log = logging.getLogger(__name__)

MOST_HOLDS: Final = 500  # half of what state.json takes back


class Operators:
    """Passes wishes on to the core; `obeyed` waits until what the core ordered is done.

    Every handler says in the log who (`by`) did what. UsageError for what makes no sense, BusError
    with its own name for what cannot be, RebootmgrError when a restart would forget it. `reload`
    takes the configuration anew, and returns what is wrong with it.
    """

    def __init__(
        self,
        runner: Runner,
        clock: Timepiece,
        *,
        obeyed: Callable[[], Awaitable[None]],
        reload: Callable[[], Awaitable[tuple[str, ...]]],
    ) -> None:
        self._runner = runner
        self._clock = clock
        self._obeyed = obeyed
        self._reload = reload
        self.handlers: Final[Handlers] = {
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

    async def reload(self, by: str) -> None:
        """Take the configuration anew; BusError with everything that is wrong with it."""
        log.info("%s asked to reload the configuration", by)
        if errors := await self._reload():
            raise BusError(CONFIG_INVALID, "\n".join(errors))

    async def hold(self, by: str, reason: str, until: datetime | None) -> str:
        """Place a hold; its id. RebootmgrError, and no hold, when it would not survive."""
        if until is not None and until <= self._now():
            raise UsageError("the end of the hold is in the past")
        return await self._place(by, reason, until, None)

    async def hold_for(self, by: str, reason: str, length: timedelta) -> str:
        """Place a hold that lasts so long, whatever the clock is set to; as `hold`."""
        _check_span(length)
        return await self._place(by, reason, self._now() + length, length.total_seconds())

    async def _place(
        self, by: str, reason: str, until: datetime | None, for_s: float | None
    ) -> str:
        if not (shown := harmless(reason)):
            raise UsageError("a hold needs a reason that people can read")
        hold = self._new_hold(shown, by, until)
        self._runner.tell(HoldAdded(hold, for_s))
        try:
            await self._until_on_record()
        except RebootmgrError:
            self._runner.tell(HoldReleased(hold.id))
            raise
        end = encode_instant(until, timespec="seconds") or "it is released"
        log.info("%s placed hold %s until %s: %s", hold.owner, hold.id, end, shown)
        return hold.id

    async def release(self, by: str, id_: str) -> None:
        """Lift a hold."""
        found = next((one for one in self._runner.state.memory.holds if one.id == id_), None)
        if found is None:
            text = f"there is no hold {harmless(id_)}: see `rebootmgrctl holds`"
            raise BusError(NO_SUCH_HOLD, text)
        log.info("%s released hold %s of %s: %s", by, id_, found.owner, found.reason)
        self._runner.tell(HoldReleased(id_))
        await self._until_on_record()

    async def reboot(
        self,
        by: str,
        now: bool,  # noqa: FBT001 - an argument of D-Bus
        valid: timedelta,
    ) -> None:
        """Ask for the reboot into what is pending; the wish ends after `valid`."""
        _check_span(valid)
        target = self._target()
        skips = "windows, splay, fit, the clock and the sessions' grace" if now else "nothing"
        text = "%s asked for the reboot into %s, valid for %s, skipping %s"
        log.info(text, by, target.version, encode_span(valid), skips)
        self._runner.tell(RebootAsked(by, now, valid.total_seconds()))
        await self._until_on_record()

    async def cancel(self, by: str, length: timedelta) -> str:
        """Call the attempt off and hold for `length`; the id of the hold."""
        _check_span(length)
        self._check_in_time()
        target = self._target()
        hold = self._new_hold("cancelled", by, self._now() + length)
        log.info("%s cancels the reboot into %s: %s", by, target.version, encode_span(length))
        self._runner.tell(Cancelled(hold, length.total_seconds()))
        await self._runner.caught_up()
        try:
            self._check_in_time()  # what was told before may have been the last word of a commit
        except BusError:
            self._runner.tell(HoldReleased(hold.id))
            raise
        await self._until_on_record()
        return hold.id

    async def withdraw(self, by: str) -> bool:
        """Take the request for a reboot back; whether an attempt goes on without it."""
        self._check_in_time()
        if self._runner.state.request(self._clock.read()) is None:
            raise BusError(NOTHING_REQUESTED, "nobody has asked for a reboot")
        log.info("%s withdraws the request for a reboot", by)
        self._runner.tell(Withdrawn())
        await self._runner.caught_up()
        self._check_in_time()  # what was told before may have been the last word of a commit
        await self._until_on_record()
        return isinstance(
            self._runner.state.attempt, Checking | Asking | Preparing | Committing | Rebooting
        )

    async def forgive(self, by: str, key: str) -> tuple[str, ...]:
        """Lift the quarantine of `key`, of every update for "", and free kept slots; the keys."""
        state = self._runner.state
        quarantined = [one.key for one in state.memory.quarantine]
        lifted = tuple(one for one in quarantined if key in {"", one})
        is_kept = any(entry.kept for entry in state.ledger)
        if key and not lifted:
            shown = harmless(key, longest=80)
            text = f"no update {shown} is quarantined: see `rebootmgrctl --json status`"
            raise BusError(NOTHING_TO_FORGIVE, text)
        if not (lifted or is_kept or state.memory.attempts):
            text = "there is nothing to forgive: no update is quarantined and no slot is kept"
            raise BusError(NOTHING_TO_FORGIVE, text)
        what = ", ".join(harmless(one) for one in lifted) or "no quarantined update"
        log.info("%s forgave %s%s", by, what, " and freed a kept slot" if is_kept else "")
        self._runner.tell(Forgiven(UpdateKey(key) if key else None))
        await self._until_on_record()
        return lifted

    async def drop_debt(self, by: str, server: str, group: str, id_: str) -> tuple[str, str, str]:
        """Forget the one slot that is owed there; "" for group or id is any. The slot."""
        wanted = _plain(server)
        owed = [
            entry.slot
            for entry in self._runner.state.ledger
            if isinstance(entry.tenure, Owed) and not entry.kept and not is_dropped(entry)
        ]
        found = [
            slot
            for slot in owed
            if slot.server == wanted and group in {"", slot.group} and id_ in {"", slot.id}
        ]
        if not found:
            text = f"nothing of that kind is owed to {harmless(wanted)}"
            raise BusError(NO_SUCH_DEBT, text)
        if len(found) > 1:
            text = f"{len(found)} slots are owed there: say which by its group or id"
            raise BusError(AMBIGUOUS_DEBT, text)
        [slot] = found
        log.warning("%s dropped what is owed: %s", by, _say(slot))
        self._runner.tell(DebtDropped(slot))
        await self._until_on_record()
        return (slot.server, slot.group, slot.id)

    def _now(self) -> datetime:
        return self._clock.read().wall

    def _new_hold(self, reason: str, by: str, until: datetime | None) -> Hold:
        if len(self._runner.state.memory.holds) >= MOST_HOLDS:
            text = f"there are {MOST_HOLDS} holds already: release some, see `rebootmgrctl holds`"
            raise RebootmgrError(text)
        id_, owner = os.urandom(4).hex(), harmless(by)
        return Hold(id=id_, owner=owner, reason=reason, since=self._now(), until=until)

    def _target(self) -> Deployment:
        target = self._runner.state.target
        if target is None:
            text = "nothing is pending: there is no staged update to reboot into"
            raise BusError(NOTHING_PENDING, text)
        return target

    def _check_in_time(self) -> None:
        if isinstance(self._runner.state.attempt, Rebooting):
            raise BusError(TOO_LATE, "too late: logind was asked to reboot already")

    async def _until_on_record(self) -> None:
        await self._runner.caught_up()
        await self._obeyed()
        await self._runner.caught_up()  # with whether it could be saved
        if unsaved := self._runner.state.unsaved:
            raise RebootmgrError(unsaved)


def _plain(server: str) -> str:
    """Write a server as slots have it; UsageError for what is no URL."""
    try:
        return without_userinfo(server.strip().rstrip("/"))
    except ValueError:
        raise UsageError("the server is no URL") from None


def _say(slot: Slot) -> str:
    return harmless(f"group {slot.group} at {slot.server}, id {slot.id}", longest=500)


def _check_span(span: timedelta) -> None:
    if not timedelta() < span <= LONGEST:
        raise UsageError(f"the span has to be longer than 0 and at most {encode_span(LONGEST)}")
