"""The desk in real time: questions come in, the store is written, answers go out."""

import asyncio
import logging
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Final, TypeVar

from rebootmgr.lending.absorb import asked_since
from rebootmgr.lending.desk import (
    Asked,
    Desk,
    Event,
    HungUp,
    Idle,
    OthersHeard,
    OthersWrote,
    Overtaken,
    Read,
    Reply,
    StoreLost,
    StoreRead,
    Ticked,
    Write,
    WriteFailed,
    Written,
    step,
    wake_s,
)
from rebootmgr.lending.group import Fleet
from rebootmgr.lending.history import Happened, happened
from rebootmgr.lending.questions import (
    Answer,
    Change,
    PreReboot,
    Question,
    Refused,
    Unavailable,
)
from rebootmgr.lending.saved import Saved
from rebootmgr.lending.terms import Moment, Rules
from rebootmgr.lending.turns import LONGEST_HELD_S
from rebootmgr.lockd.stores.keeper import OvertakenError, Store, StoreError
from rebootmgr.lockd.tally import Counts, Ended, Tally, ends, label

log = logging.getLogger(__name__)

T = TypeVar("T")

PATIENCE_S: Final = 30.0  # with the store, beyond what the answer was to be held
_NUDGE_S: Final = 0.1  # between two looks at when to look; a minute of held answers minds no more
_AGAIN_S: Final = (0.0, 1.0, 2.0, 5.0, 10.0)  # between tries to open the store; the last repeats
_AGAIN_TO_OTHERS_S: Final = _AGAIN_S[:3]  # a cluster comes back by itself, and opening costs little
_TELL_S: Final = 60.0  # nobody leaves the queue before a quarter of an hour
_SLOW_S: Final = 10.0  # a write that takes longer is told of
_OPENING: Final = "the store is being opened"


@dataclass(frozen=True, slots=True)
class _Open:
    """A question whose asker waits."""

    question: Question
    answer: "asyncio.Future[Answer]"


@dataclass(frozen=True, slots=True)
class _Stirred:
    """Others wrote, or nothing is heard of them any more."""


class Lender:
    """Lends the slots of a fleet; `run` it, and ask.

    Each event is taken as a whole, without an await in between. At most one write is under way.
    """

    def __init__(self, store: Store, rules: Rules) -> None:
        self._store, self._rules = store, rules
        self._desk = Desk(shared=store.is_shared)
        self._open: dict[int, _Open] = {}
        self._numbers = count(1)
        self._work: asyncio.Queue[Write | Read | _Stirred] = asyncio.Queue()
        self._ends: tuple[Ended, ...] = ()
        self._happened: tuple[Happened, ...] = ()
        self._tally = Tally()
        self._trouble = _OPENING
        self._failed_writes = 0
        self._writes_since_s: float | None = None
        self._moved, self._hurry = asyncio.Event(), asyncio.Event()
        self._nudge: asyncio.TimerHandle | None = None

    @property
    def fleet(self) -> Fleet:
        """What is known of it; a batch that is under way to the disk is in it already."""
        return self._desk.fleet

    @property
    def rules(self) -> Rules:
        """What it lends on."""
        return self._rules

    @property
    def trouble(self) -> str:
        """Why nothing can be lent, and what to do; "": it can."""
        since_s = self._writes_since_s
        if not self._trouble and since_s is not None:
            gone_s = asyncio.get_running_loop().time() - since_s
            if gone_s > _SLOW_S:
                return f"the store has not finished a write for {gone_s:.0f} s: look at its disk"
        return self._trouble

    @property
    def counts(self) -> Counts:
        """What was lent, refused and written since the start."""
        return self._tally.counts()

    def moment(self) -> Moment:
        """Now, as whoever decides sees it."""
        return Moment(datetime.now(UTC), asyncio.get_running_loop().time())

    def take_rules(self, rules: Rules) -> None:
        """Lend on other terms from now on; a store in trouble is tried at once."""
        self._rules = rules
        self._hurry.set()
        self._on(Ticked())

    async def ask(self, question: Question) -> Answer:
        """Ask, and wait for the answer; who is cancelled has hung up."""
        number = next(self._numbers)
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._open[number] = _Open(question, answer)
        try:
            self._on(Asked(number, question))
            if answer.done():
                return answer.result()
            async with asyncio.timeout(_patience_s(question)):
                return await answer
        except TimeoutError:
            return Unavailable()
        finally:
            if self._open.pop(number, None) is not None:
                self._on(HungUp(number, question))

    async def backup(self, file: Path) -> None:
        """Have the store copied into a file that is not there yet; raises `StoreError`."""
        await self._timed("backup", self._store.backup(file))

    async def history(self, most: int, group: str = "") -> tuple[Happened, ...]:
        """Give the latest that happened, oldest first; raises `StoreError`."""
        return await self._timed("history", self._store.history(most, group))

    async def run(self) -> None:
        """Lend until cancelled; then what is under way is finished, and nobody is left waiting."""
        try:
            await self._run()
        finally:
            self._desk, self._trouble = Desk(shared=self._store.is_shared), "the server is stopping"
            for number in list(self._open):
                self._reply(number, Unavailable())
            if self._nudge is not None:
                self._nudge.cancel()
            await self._store.close()

    async def _run(self) -> None:
        end: asyncio.CancelledError | None = None
        async with asyncio.TaskGroup() as writes:
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._keep_time())
                    tasks.create_task(self._store.follow(self._is_stirred))
                    tasks.create_task(self._tell_others())
                    tasks.create_task(self._work_off(writes))
            except asyncio.CancelledError as cancelled:  # once more, when the write has ended
                end = cancelled
        if end is not None:
            raise end

    # What the desk wants

    def _on(self, event: Event) -> None:
        at, before = self.moment(), self._desk.fleet
        turn = step(self._desk, event, self._rules, at)
        self._desk = turn.desk
        for effect in turn.effects:
            match effect:
                case Reply(number, answer):
                    self._reply(number, answer)
                case Write(changes):
                    self._ends = ends(before, changes, self._rules, at)
                    self._happened = happened(before, changes, at)
                    self._work.put_nowait(effect)
                case Read():
                    self._work.put_nowait(effect)
        if self._nudge is None:
            self._nudge = asyncio.get_running_loop().call_later(_NUDGE_S, self._moved.set)

    def _reply(self, number: int, answer: Answer) -> None:
        asked = self._open.pop(number, None)
        if asked is None or asked.answer.done():
            return
        asked.answer.set_result(answer)
        if isinstance(answer, Refused) and isinstance(asked.question, PreReboot):
            self._tally.refusals[label(asked.question.group, self._rules), answer.kind] += 1

    async def _keep_time(self) -> None:
        """Look when there is something to do, which changes with whatever happens."""
        while True:
            due_s = wake_s(self._desk, self.moment())
            try:
                async with asyncio.timeout_at(due_s):
                    await self._moved.wait()
            except TimeoutError:
                self._on(Ticked())
            else:
                self._moved.clear()
                self._nudge = None

    # The store

    async def _work_off(self, writes: asyncio.TaskGroup) -> None:
        await self._read()
        while True:
            match await self._work.get():
                case Write(changes):
                    await asyncio.wait([writes.create_task(self._write(changes))])
                case Read():
                    await self._read()
                case _Stirred():
                    self._take_news()

    async def _tell_others(self) -> None:
        """Tell who asks here, so that nobody who asks one server loses its place at another."""
        loop = asyncio.get_running_loop()
        told_s = loop.time()
        while self._store.is_shared:
            with suppress(TimeoutError):
                async with asyncio.timeout(_TELL_S):
                    await asyncio.Event().wait()
            since_s, told_s = told_s, loop.time()
            try:
                await self._store.tell(asked_since(self._desk.fleet, since_s))
            except StoreError as error:
                log.debug("the others do not know who asks here: %s", error)
                told_s = since_s

    def _is_stirred(self) -> None:
        self._work.put_nowait(_Stirred())

    def _take_news(self) -> None:
        if heard := self._store.heard():
            self._on(OthersHeard(heard))
        if not isinstance(self._desk.store, Idle):
            return  # what is about to be written finds it out
        try:
            news = self._store.news()
        except StoreError as error:
            self._is_in_trouble(error)
            self._on(StoreLost())
        else:
            if news:
                self._on(OthersWrote(news))

    async def _write(self, changes: tuple[Change, ...]) -> None:
        self._writes_since_s = asyncio.get_running_loop().time()
        try:
            after = await self._offered(changes)
        except StoreError as error:
            self._failed_writes += 1
            self._is_in_trouble(error)
            after = WriteFailed()
        else:
            self._failed_writes = 0
            if after == Written():
                self._tally.has_ended(self._ends)
        self._writes_since_s = None
        self._on(after)

    async def _offered(self, changes: tuple[Change, ...]) -> Event:
        if changes and (news := self._store.news()):
            return OthersWrote(news)
        try:
            await self._timed("write", self._store.write(changes, self._happened))
        except OvertakenError:
            return Overtaken(self._store.news())
        return Written()

    async def _read(self) -> None:
        """Open the store and read it, until that succeeds."""
        pauses_s = _AGAIN_TO_OTHERS_S if self._store.is_shared else _AGAIN_S
        tries = max(self._failed_writes - 1, 0)  # what failed once is tried again at once
        while True:
            await self._waited(pauses_s[min(tries, len(pauses_s) - 1)])
            tries += 1
            try:
                saved = await self._timed("open", self._store.open())
            except StoreError as error:
                self._is_in_trouble(error)
            else:
                return self._is_read(saved)

    def _is_read(self, saved: Saved) -> None:
        if self._trouble != _OPENING:
            log.warning("the store can be written again")
        self._trouble = ""
        self._on(StoreRead(saved))

    def _is_in_trouble(self, error: StoreError) -> None:
        if str(error) != self._trouble:
            log.error("nothing is granted: %s", error)
        self._trouble = str(error)

    async def _waited(self, span_s: float) -> None:
        self._hurry.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(span_s):
                await self._hurry.wait()

    async def _timed(self, operation: str, work: Awaitable[T]) -> T:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        try:
            return await work
        except StoreError:
            self._tally.store_errors += 1
            raise
        finally:
            self._tally.took(operation, loop.time() - began_s)


def _patience_s(question: Question) -> float:
    held_s = min(question.wait_s, LONGEST_HELD_S) if isinstance(question, PreReboot) else 0.0
    return held_s + PATIENCE_S
