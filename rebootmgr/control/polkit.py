"""Who may change something: root, and whoever polkit says (SPEC 12)."""

import asyncio
import itertools
import logging
import os
import pwd
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from rebootmgr.bus.connection import NO_REPLY, Bus, Request, Signal, variant
from rebootmgr.bus.signals import DRIVER, owner_rule
from rebootmgr.control.polkit_words import (
    ACTION,
    ALLOW_USER_INTERACTION,
    QUESTION,
    Answer,
    decode_answer,
    encode_details,
)
from rebootmgr.errors import BusError
from rebootmgr.text import harmless

log = logging.getLogger(__name__)

AUTHORITY: Final = (
    "org.freedesktop.PolicyKit1",
    "/org/freedesktop/PolicyKit1/Authority",
    "org.freedesktop.PolicyKit1.Authority",
)
PATIENCE_S: Final = 25.0
PASSWORD_S: Final = 120.0
CANCEL_S: Final = 1.0
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
    """Says yes or no to callers on `bus`; `changers` are the uids that need nobody's leave."""

    def __init__(
        self,
        bus: Bus,
        changers: Collection[int],
        *,
        patience_s: float = PATIENCE_S,
        password_s: float = PASSWORD_S,
    ) -> None:
        self._bus = bus
        self._changers = changers
        self._patience_s = patience_s
        self._password_s = password_s
        self._asking: list[int] = []
        self._ids = itertools.count(1)

    async def authorize(self, request: Request) -> str:
        """Name the user who asks, once it is clear that it may; BusError with a reason else."""
        [uid] = await self._bus.call(*DRIVER, "GetConnectionUnixUser", "s", [request.sender])
        if uid in self._changers:
            return await asyncio.to_thread(_user, uid)
        try:
            await self._ask(request, uid)
        except BusError as error:
            log.warning("%s", error.text)
            raise
        name = await asyncio.to_thread(_user, uid)
        said = harmless(", ".join(str(each) for each in request.body))
        log.info("polkit lets %s (uid %s) call %s(%s)", name, uid, request.member, said)
        return name

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
        if answer is not Answer.YES:
            name = CHALLENGED if answer is Answer.CHALLENGE else DENIED
            raise BusError(name, f"{who}: polkit action {ACTION} {answer}")

    async def _question(self, request: Request) -> Answer:
        """Ask, until there is an answer, the time is up, or the caller has left the bus."""
        id_ = f"rebootmgr-{next(self._ids)}"
        async with asyncio.TaskGroup() as tasks:  # of one, which ends when the caller leaves
            checking = tasks.create_task(self._check(request, id_))
        gone = BusError(NO_REPLY, "the caller has left the bus")
        answer = gone if checking.cancelled() else checking.result()
        if isinstance(answer, Answer):
            return answer
        if answer.name == NO_REPLY:  # nobody shall be asked for a password in vain
            with suppress(BusError):
                await self._call("CancelCheckAuthorization", "s", [id_], CANCEL_S)
        raise answer

    async def _check(self, request: Request, id_: str) -> Answer | BusError:
        """Ask in a task of its own, which is cancelled as soon as the caller leaves the bus."""
        rule = owner_rule(request.sender)
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
        self, member: str, signature: str, body: Sequence[object], timeout_s: float
    ) -> Sequence[object]:
        return await self._bus.call(*AUTHORITY, member, signature, body, timeout_s=timeout_s)


def _user(uid: int) -> str:
    try:
        return harmless(pwd.getpwuid(uid).pw_name)
    except KeyError:
        return f"uid {uid}"
