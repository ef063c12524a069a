"""Who may change something: root, and whoever polkit says (SPEC 12)."""

import asyncio
import itertools
import logging
import os
import pwd
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from rebootmgr.aside import Aside
from rebootmgr.bus.connection import Bus, Request, Signal, variant
from rebootmgr.bus.peer import Peer
from rebootmgr.bus.words import DRIVER, NO_REPLY, encode_owner_rule
from rebootmgr.control.members import ACTION
from rebootmgr.control.polkit_words import (
    ALLOW_USER_INTERACTION,
    QUESTION,
    Leave,
    decode_answer,
    encode_details,
)
from rebootmgr.errors import BusError
from rebootmgr.rates import Hourly
from rebootmgr.text import harmless

log = logging.getLogger(__name__)

_NAME: Final = "org.freedesktop.PolicyKit1"
_AUTHORITY: Final = ("/org/freedesktop/PolicyKit1/Authority", f"{_NAME}.Authority")
PATIENCE_S: Final = 25.0
PASSWORD_S: Final = 120.0
CANCEL_S: Final = 1.0
NAME_S: Final = 5.0
# The bus lets one connection wait for 128 answers: nobody may use up those that we need ourselves.
AT_ONCE: Final = 32
AT_ONCE_PER_USER: Final = 4

_ERROR: Final = "org.freedesktop.DBus.Error."
DENIED: Final = f"{_ERROR}AccessDenied"
CHALLENGED: Final = f"{_ERROR}InteractiveAuthorizationRequired"
BUSY: Final = f"{_ERROR}LimitsExceeded"


def read_changers(root: Path) -> frozenset[int]:
    """Give the uids that polkit is never asked about: root's, and below another root our own."""
    return frozenset({0} if root.resolve() == Path("/") else {0, os.getuid()})


class Authority:
    """Says yes or no to callers on `bus`; `changers` are the uids that need nobody's leave.

    Of refusals the log has one in an hour for each user and method.
    """

    def __init__(
        self,
        bus: Bus,
        changers: Collection[int],
        *,
        patience_s: float = PATIENCE_S,
        password_s: float = PASSWORD_S,
    ) -> None:
        self._bus = bus
        self._polkit = Peer(bus, _NAME, patience_s=patience_s, at_once=2 * AT_ONCE)
        self._changers = changers
        self._patience_s = patience_s
        self._password_s = password_s
        self._asking: list[int] = []
        self._ids = itertools.count(1)
        self._names = Aside("names of users")
        self._hourly = Hourly()

    async def authorize(self, request: Request) -> str:
        """Name the user who asks, once it is clear that it may; BusError with a reason else."""
        [uid] = await self._bus.call(*DRIVER, "GetConnectionUnixUser", "s", [request.sender])
        if uid in self._changers:
            return await self._user(uid)
        try:
            await self._ask(request, uid)
        except BusError as error:
            if self._hourly.is_due((uid, request.member), time.monotonic()):
                log.warning("%s", error.text)
            raise
        name = await self._user(uid)
        said = harmless(", ".join(str(each) for each in request.body))
        log.info("polkit lets %s (uid %s) call %s(%s)", name, uid, request.member, said)
        return name

    async def _user(self, uid: int) -> str:
        """Name a user, as far as the name service says so in time."""
        try:
            return await self._names.run(uid, lambda: _user(uid), patience_s=NAME_S)
        except TimeoutError:
            return f"uid {uid}"

    async def _ask(self, request: Request, uid: int) -> None:
        who = f"uid {uid} may not call {request.member}"
        if self._asking.count(uid) >= AT_ONCE_PER_USER or len(self._asking) >= AT_ONCE:
            raise BusError(BUSY, f"{who} now: polkit has not answered earlier calls")
        self._asking.append(uid)
        try:
            answer = await self._question(request)
        except BusError as error:
            text = f"{who}: only root may, as polkit did not decide ({harmless(error.text)})"
            raise BusError(DENIED, text) from error
        finally:
            self._asking.remove(uid)
        if answer is not Leave.YES:
            name = CHALLENGED if answer is Leave.CHALLENGE else DENIED
            raise BusError(name, f"{who}: polkit action {ACTION} {answer}")

    async def _question(self, request: Request) -> Leave:
        """Ask, until there is an answer, the time is up, or the caller has left the bus."""
        id_ = f"rebootmgr-{next(self._ids)}"
        async with asyncio.TaskGroup() as tasks:  # of one, which ends when the caller leaves
            checking = tasks.create_task(self._check(request, id_))
        gone = BusError(NO_REPLY, "the caller has left the bus")
        answer = gone if checking.cancelled() else checking.result()
        if isinstance(answer, Leave):
            return answer
        if answer.name == NO_REPLY:  # nobody shall be asked for a password in vain
            with suppress(BusError):
                await self._call("CancelCheckAuthorization", "s", [id_], CANCEL_S)
        raise answer

    async def _check(self, request: Request, id_: str) -> Leave | BusError:
        """Ask in a task of its own, which is cancelled as soon as the caller leaves the bus."""
        rule = encode_owner_rule(request.sender)
        task = asyncio.current_task()

        def note_leaving(_: Signal) -> None:  # the only change that a unique name still sees
            if task is not None:
                task.cancel()

        subject = ["system-bus-name", {"name": variant("s", request.sender)}]
        flags = ALLOW_USER_INTERACTION if request.interactive else 0
        patience_s = self._password_s if request.interactive else self._patience_s
        body = [subject, ACTION, encode_details(request.member), flags, id_]
        try:
            # First, so that one who left before is somebody whom polkit does not find any more.
            await self._bus.subscribe(rule, note_leaving)
            return decode_answer(await self._call("CheckAuthorization", QUESTION, body, patience_s))
        except BusError as error:
            return error
        finally:
            with suppress(BusError):
                await self._bus.unsubscribe(rule, note_leaving)

    async def _call(
        self, member: str, signature: str, body: Sequence[object], patience_s: float
    ) -> Sequence[object]:
        where = (*_AUTHORITY, member, signature, body)
        return await self._polkit.call(*where, patience_s=patience_s, autostart=True)


def _user(uid: int) -> str:
    try:
        return harmless(pwd.getpwuid(uid).pw_name)
    except KeyError:
        return f"uid {uid}"
