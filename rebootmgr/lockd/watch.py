"""What those who watch are told: the fleet in pieces, each of them anew when it is another.

Nothing is kept for a single one of them. Who was slow gets the latest of each piece.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from rebootmgr.lending.group import Fleet
from rebootmgr.lending.standing import looked_at
from rebootmgr.lending.terms import Moment, Rules
from rebootmgr.lockd.admin_words import (
    Document,
    Most,
    encode_glance,
    encode_group,
    encode_server,
    names_of,
)
from rebootmgr.lockd.lender import Lender
from rebootmgr.table import Json

LOOK_S: Final = 0.25
"""Between two looks; while nothing changed, only what time brings is looked for, each second."""
ANEW_S: Final = 15.0
"""Whoever hears nothing for longer has lost its connection; turns are told anew as often."""
MOST_GROUPS: Final = 50
MOST: Final = Most(holders=50, waiting=20)
SERVER: Final = "server"
GROUP: Final = "group"

_TIME_S: Final = 1.0

Encode: TypeAlias = "Callable[[Piece], bytes]"


@dataclass(frozen=True, slots=True)
class Piece:
    """What is so for all groups, or (`kind` "group") one of them, as of a look."""

    kind: str
    name: str
    document: Document
    look: int
    at_s: float
    _encoded: dict[Encode, bytes] = field(default_factory=dict, compare=False)

    def encoded(self, encode: Encode) -> bytes:
        """Write it down, once for all who watch."""
        if encode not in self._encoded:
            self._encoded[encode] = encode(self)
        return self._encoded[encode]


class Watch:
    """Looks at a lender for as long as somebody watches, or is asked to."""

    def __init__(self, lender: Lender) -> None:
        self.lender = lender
        self._loop = asyncio.get_running_loop()
        self._pieces: dict[tuple[str, str], Piece] = {}
        self._fleet, self._rules, self._trouble = Fleet(), Rules(), ""
        self._look, self._looked_s, self._timed_s = 0, float("-inf"), float("-inf")
        self._watching = 0
        self._changed = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self.over = False

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Watch until the block ends."""
        self._watching += 1
        if self._timer is None:
            self._keep_looking()
        try:
            yield
        finally:
            self._watching -= 1

    def pieces(self, after: int = 0) -> tuple[int, list[Piece]]:
        """Give what changed after a look, the server first, and the number of the latest look."""
        self._look_now()
        return self._look, [one for one in self._pieces.values() if one.look > after]

    async def until_changed(self, after: int) -> None:
        """Wait until there is more to tell than after this look, or the end."""
        while self._look == after and not self.over:
            await self._changed.wait()

    def stop(self) -> None:
        """Let nobody watch any more."""
        self.over = True
        self._tell()
        if self._timer is not None:
            self._timer.cancel()

    def _keep_looking(self) -> None:
        watched = self._watching and not self.over
        self._timer = self._loop.call_later(LOOK_S, self._keep_looking) if watched else None
        if watched:
            self._look_now()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _look_now(self) -> None:
        """Look, unless that was done a moment ago."""
        lender, now_s = self.lender, self._loop.time()
        if now_s - self._looked_s < LOOK_S / 2:
            return
        self._looked_s = now_s
        seen = (lender.fleet, lender.rules, lender.trouble)
        before = (self._fleet, self._rules, self._trouble)
        is_same = seen[0] is before[0] and seen[1] is before[1] and seen[2] == before[2]
        if is_same and now_s - self._timed_s < _TIME_S:
            return
        self._timed_s = now_s
        self._fleet, self._rules, self._trouble = seen
        self._take(lender.moment())

    def _take(self, at: Moment) -> None:
        found = {(kind, name): document for kind, name, document in self._shown(at)}
        look, pieces = self._look + 1, {}
        for (kind, name), document in found.items():
            known = self._pieces.get((kind, name))
            is_new = known is None or _lasting(known.document) != _lasting(document)
            is_old = known is not None and at.s - known.at_s >= ANEW_S
            if known is None or is_new or (is_old and known.document != document):
                known = Piece(kind, name, document, look, at.s)
            pieces[kind, name] = known
        told = any(one.look == look for one in pieces.values())
        self._pieces = pieces
        if told:
            self._look = look
            self._tell()

    def _shown(self, at: Moment) -> Iterator[tuple[str, str, Document]]:
        fleet, rules = self._fleet, self._rules
        known = names_of(fleet, rules)
        shown = _most_urgent(fleet, known, rules, at)
        groups = {name: encode_group(fleet, name, rules, at, MOST) for name in shown}
        glances: list[Json] = [encode_glance(group) for group in groups.values()]
        yield (
            SERVER,
            "",
            {
                **encode_server(fleet, at, trouble=self._trouble),
                "groups": glances,
                "more_groups": len(known) - len(shown),
            },
        )
        for name, group in groups.items():
            yield GROUP, name, group


def _most_urgent(fleet: Fleet, known: list[str], rules: Rules, at: Moment) -> list[str]:
    """Give the groups that are shown, in order: of too many those that stand still for sure."""
    if len(known) <= MOST_GROUPS:
        return known
    ranks = [
        (looked_at(fleet, name, rules, at)[0].stands is None, place)
        for place, name in enumerate(known)
    ]
    return [known[place] for place in sorted(place for _, place in sorted(ranks)[:MOST_GROUPS])]


def _lasting(document: Document) -> tuple[Document, list[Json]]:
    """Leave out what is another with each second."""
    waiting = document.get("waiting")
    hosts = waiting if isinstance(waiting, list) else []
    rest = {key: value for key, value in document.items() if key not in {"at", "waiting"}}
    turns = [{**one, "turn_seconds": None} if isinstance(one, dict) else one for one in hosts]
    return rest, [*turns]
