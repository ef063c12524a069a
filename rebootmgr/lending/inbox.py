"""Questions that wait for the store, in the order of their coming, cut into pieces as the queue."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from rebootmgr.lending.questions import Question

_PIECE: Final = 128

Numbered: TypeAlias = tuple[int, Question]


@dataclass(frozen=True, slots=True)
class Inbox:
    """Each with its number, which rises. All pieces but the last are full, or were."""

    pieces: tuple[tuple[Numbered, ...], ...] = ()

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.pieces)

    def __iter__(self) -> Iterator[Numbered]:
        """First come first."""
        for piece in self.pieces:
            yield from piece

    def with_one(self, number: int, question: Question) -> "Inbox":
        """Put one more at the end."""
        last = self.pieces[-1] if self.pieces else ()
        if not last or len(last) == _PIECE:
            return Inbox((*self.pieces, ((number, question),)))
        return Inbox((*self.pieces[:-1], (*last, (number, question))))

    def without(self, number: int) -> "Inbox":
        """Drop one, if it is there."""
        pieces = tuple(
            tuple([one for one in piece if one[0] != number])
            if piece[0][0] <= number <= piece[-1][0]
            else piece
            for piece in self.pieces
        )
        return Inbox(tuple([piece for piece in pieces if piece]))


def inbox_of(items: Iterable[Numbered]) -> Inbox:
    """Make one of what is in order."""
    listed = list(items)
    cuts = range(0, len(listed), _PIECE)
    return Inbox(tuple([tuple(listed[cut : cut + _PIECE]) for cut in cuts]))
