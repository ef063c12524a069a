"""Who waits, in the order of their coming: a value that is changed by making another.

Ten thousand hosts may wait, and each question changes one of them. So the queue is cut into
pieces, of which a change copies one; the rest is shared with the queue that was.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from operator import attrgetter
from typing import Final, NamedTuple, TypeAlias

from rebootmgr.lending.questions import NOTHING_TOLD, About

_PIECE: Final = 128  # entries
_SHARDS: Final = 256


@dataclass(frozen=True, slots=True)
class Held:
    """A question whose answer is held back: its number, and until when."""

    number: int
    until_s: float


class Waiting(NamedTuple):
    """One host that waits since `joined`.

    It is a tuple, because each question makes a new one, four times as fast as another class. It
    was answered last at `answered_s`, and told to come back after `told_s` (None: we do not
    know, we were restarted). `interval_s` is its own, where it does not do as it is told. It is
    expected at `due_s`, and has left the queue at `gone_s`. What it tells `about` itself is known
    from its questions since the start.
    """

    ticket: int
    id: str
    name: str
    joined: datetime
    joined_s: float
    answered_s: float
    told_s: float | None
    interval_s: float | None
    due_s: float
    gone_s: float
    held: Held | None = None
    about: About = NOTHING_TOLD

    @property
    def deaf(self) -> bool:
        """Whether it comes as it pleases."""
        return self.interval_s is not None


Piece: TypeAlias = tuple[Waiting, ...]
_ticket: Final = attrgetter("ticket")


@dataclass(frozen=True, slots=True)
class Queue:
    """Those that wait, by ticket. `held` are the tickets of the questions that are held back.

    `firsts` are the tickets that the pieces begin with, `before` how many wait before each, and
    in all.
    """

    pieces: tuple[Piece, ...] = ()
    firsts: tuple[int, ...] = ()
    before: tuple[int, ...] = (0,)
    shards: tuple[Mapping[str, int], ...] = ({},) * _SHARDS
    held: tuple[int, ...] = ()
    deaf: int = 0

    def __len__(self) -> int:
        """How many wait."""
        return self.before[-1]

    def __bool__(self) -> bool:
        """Whether anybody waits."""
        return bool(self.pieces)

    def __iter__(self) -> Iterator[Waiting]:
        """All that wait, first come first."""
        for piece in self.pieces:
            yield from piece

    def find(self, host: str) -> Waiting | None:
        """Look a host up by its id."""
        ticket = self.shards[hash(host) % _SHARDS].get(host)
        return None if ticket is None else self.at(ticket)

    def at(self, ticket: int) -> Waiting:
        """Give the entry with a ticket that there is."""
        _, piece, place = self._place(ticket)
        return piece[place]

    def ahead_of(self, ticket: int) -> int:
        """Count those with a lower ticket, whether or not this one is there."""
        index = bisect_left(self.firsts, ticket)
        if index == 0:
            return 0
        return self.before[index - 1] + bisect_left(self.pieces[index - 1], ticket, key=_ticket)

    def put(self, entry: Waiting) -> "Queue":
        """Replace the entry with this ticket, or append it: a new ticket is the highest."""
        if not self.pieces or self.pieces[-1][-1].ticket < entry.ticket:
            return self._appended(entry)
        index, piece, place = self._place(entry.ticket)
        old = piece[place]
        changed = (*piece[:place], entry, *piece[place + 1 :])
        pieces = (*self.pieces[:index], changed, *self.pieces[index + 1 :])
        deaf = self.deaf + (entry.interval_s is not None) - (old.interval_s is not None)
        held = _without_held(self.held, old, entry)
        return Queue(pieces, self.firsts, self.before, self.shards, held, deaf)

    def without(self, entry: Waiting) -> "Queue":
        """Take an entry out."""
        index, piece, place = self._place(entry.ticket)
        rest = (*piece[:place], *piece[place + 1 :])
        pieces = (*self.pieces[:index], *((rest,) if rest else ()), *self.pieces[index + 1 :])
        number = hash(entry.id) % _SHARDS
        shard = {host: one for host, one in self.shards[number].items() if host != entry.id}
        held = _without_held(self.held, entry, None)
        return _queue(pieces, self._resharded(number, shard), held, self.deaf - entry.deaf)

    def _appended(self, entry: Waiting) -> "Queue":
        last = self.pieces[-1] if self.pieces else ()
        if 0 < len(last) < _PIECE:
            pieces = (*self.pieces[:-1], (*last, entry))
        else:
            pieces = (*self.pieces, (entry,))
        number = hash(entry.id) % _SHARDS
        shard = {**self.shards[number], entry.id: entry.ticket}
        held = _without_held(self.held, None, entry)
        return _queue(pieces, self._resharded(number, shard), held, self.deaf + entry.deaf)

    def _resharded(self, number: int, shard: Mapping[str, int]) -> tuple[Mapping[str, int], ...]:
        return (*self.shards[:number], shard, *self.shards[number + 1 :])

    def _place(self, ticket: int) -> tuple[int, Piece, int]:
        index = bisect_right(self.firsts, ticket) - 1
        piece = self.pieces[index]
        return index, piece, bisect_left(piece, ticket, key=_ticket)


def _queue(
    pieces: tuple[Piece, ...],
    shards: tuple[Mapping[str, int], ...],
    held: tuple[int, ...],
    deaf: int,
) -> Queue:
    firsts = tuple([piece[0].ticket for piece in pieces])
    before = tuple(accumulate(map(len, pieces), initial=0))
    return Queue(pieces, firsts, before, shards, held, deaf)


def _without_held(
    held: tuple[int, ...], old: Waiting | None, new: Waiting | None
) -> tuple[int, ...]:
    """Keep the list of held questions in step with the entry that changes."""
    if (old is None or old.held is None) and (new is None or new.held is None):
        return held
    was = old is not None and old.held is not None
    entry = new if new is not None and new.held is not None else None
    if was == (entry is not None):
        return held
    tickets = [ticket for ticket in held if old is None or ticket != old.ticket]
    if entry is not None:
        insort(tickets, entry.ticket)
    return tuple(tickets)
