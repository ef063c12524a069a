"""How many connections are open at once, and who has to go where there is no room."""

import asyncio
import select
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from math import inf
from typing import Final

HEAD_S: Final = 10.0
"""So long may it take to shake hands, and to send a request whole."""
KEEP_S: Final = 75.0
"""So long may a connection that has been of use wait for the next request."""
GRACE_S: Final = 0.2
"""Where there is no room, who has said nothing for so long goes."""
HANDSHAKE_S: Final = 1.0
"""And so long is given to who has begun to shake hands, which takes a few ways there and back."""
HELD_AFTER_S: Final = 1.0
MOST_HELD: Final = 64
MOST_WATCHING: Final = 32
_SWEEP_S: Final = 1.0


class Doing(Enum):
    """What a connection is about."""

    NEW = auto()
    RECEIVING = auto()
    ASKING = auto()
    HELD = auto()
    WATCHING = auto()
    RESTING = auto()


_PATIENCE_S: Final = {
    Doing.NEW: HEAD_S,
    Doing.RECEIVING: HEAD_S + _SWEEP_S,  # whoever reads its body says so before
    Doing.ASKING: inf,  # whoever answers sees to that
    Doing.HELD: inf,
    Doing.WATCHING: inf,
    Doing.RESTING: KEEP_S,
}

_APART: Final = {Doing.HELD: MOST_HELD, Doing.WATCHING: MOST_WATCHING}


@dataclass(eq=False, slots=True)
class Seat:
    """One connection. `drop` ends it at once, whatever is still to be sent.

    `shakes` tells whether it has begun to shake hands.
    """

    drop: Callable[[], None]
    descriptor: int
    since_s: float
    shakes: Callable[[], bool]
    doing: Doing = field(default=Doing.NEW)

    def turn_to(self, doing: Doing, at_s: float) -> None:
        """Note what it is about from now on."""
        self.doing, self.since_s = doing, at_s

    @property
    def is_silent(self) -> bool:
        """Whether nothing of it waits in the kernel for us to come round to it."""
        unread = select.poll()
        unread.register(self.descriptor, select.POLLIN)
        return not unread.poll(0)


class Seats:
    """The open connections: `most`, and beside them those whose answer is held and who watch."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._taken: dict[Seat, None] = {}
        self._apart = dict.fromkeys(_APART, 0)
        self._freed = asyncio.Event()
        self._sweep: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def taken(self) -> int:
        """How many connections are open."""
        return len(self._taken)

    @property
    def asking(self) -> int:
        """How many wait for an answer that is not held back."""
        return sum(seat.doing is Doing.ASKING for seat in self._taken)

    def take(
        self, drop: Callable[[], None], descriptor: int, shakes: Callable[[], bool] = bool
    ) -> Seat:
        """Give a connection its seat."""
        seat = Seat(drop, descriptor, self._loop.time(), shakes)
        self._taken[seat] = None
        if self._sweep is None:
            self._sweep = self._loop.call_later(_SWEEP_S, self._look_around)
        return seat

    def leave(self, seat: Seat) -> None:
        """Take the seat back; it may be gone already."""
        if seat in self._taken:
            self._count(seat, -1)
            del self._taken[seat]
            self._freed.set()

    def set_apart(self, seat: Seat, doing: Doing) -> bool:
        """Count one whose answer is held back, or who watches, apart; whether there is room."""
        may = seat in self._taken and seat.doing is Doing.ASKING
        if not may or self._apart[doing] >= _APART[doing]:
            return False
        seat.doing = doing
        self._count(seat, 1)
        self._freed.set()
        return True

    def _count(self, seat: Seat, number: int) -> None:
        if seat in self._taken and seat.doing in self._apart:
            self._apart[seat.doing] += number

    def end(self, seat: Seat) -> None:
        """Note that its question is answered."""
        self._count(seat, -1)
        seat.turn_to(Doing.RESTING, self._loop.time())
        self._freed.set()

    async def wait_for_room(self) -> None:
        """Wait for a seat; who is of no use to anybody gives theirs up."""
        while len(self._taken) - sum(self._apart.values()) >= self.most:
            self._freed.clear()
            idle = self._idle(GRACE_S)
            if idle is not None:
                idle.drop()
                self.leave(idle)
                continue
            await self.wait_for_change(GRACE_S)

    async def wait_for_answers(self) -> None:
        """Wait until nobody waits for an answer that is not held back."""
        while self.asking:
            self._freed.clear()
            await self.wait_for_change(GRACE_S)

    async def wait_until_left(self) -> None:
        """Wait until nobody is connected."""
        while self._taken:
            self._freed.clear()
            await self.wait_for_change(GRACE_S)

    async def wait_for_change(self, patience_s: float) -> None:
        """Wait for a seat that is freed, or a question that is answered, so long at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self._freed.wait()

    def make_room(self) -> None:
        """Let one go who is of no use, if there is one."""
        self._freed.clear()
        idle = self._idle(0.0)
        if idle is not None:
            idle.drop()
            self.leave(idle)

    def close(self) -> None:
        """End every connection, and look after none any more."""
        if self._sweep is not None:
            self._sweep.cancel()
        for seat in list(self._taken):
            seat.drop()
            self.leave(seat)

    def _idle(self, longer_than_s: float) -> Seat | None:
        """Find who has not asked anything for longest, and says nothing now."""
        now_s = self._loop.time()
        idle = (
            seat
            for seat in self._taken
            if seat.doing not in {Doing.ASKING, *_APART} and now_s - seat.since_s >= longer_than_s
        )
        oldest_first = sorted(idle, key=lambda seat: seat.since_s)
        return next((seat for seat in oldest_first if _may_go(seat, now_s)), None)

    def _look_around(self) -> None:
        """End those that are silent or slow."""
        now_s = self._loop.time()
        for seat in list(self._taken):
            if now_s - seat.since_s > _PATIENCE_S[seat.doing]:
                seat.drop()
                self.leave(seat)
        again = bool(self._taken)
        self._sweep = self._loop.call_later(_SWEEP_S, self._look_around) if again else None


def _may_go(seat: Seat, now_s: float) -> bool:
    if now_s - seat.since_s < HANDSHAKE_S and seat.shakes():
        return False
    return seat.is_silent
