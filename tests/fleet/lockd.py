"""Our own lock server in virtual time: its real desk and its real words, on a disk that fails.

A write takes its time, and is carried out or not when the server is stopped in the middle of it or
told of an error. What is asked meanwhile goes into the next one, as in the program; sockets and
SQLite are all that is missing.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

from rebootmgr.core.counters import Api
from rebootmgr.fleetlock.words import Answer
from rebootmgr.lending.desk import (
    Asked,
    Desk,
    Event,
    HungUp,
    Read,
    Reply,
    StoreRead,
    Ticked,
    Write,
    WriteFailed,
    Written,
    step,
    wake_s,
)
from rebootmgr.lending.questions import Answer as Told
from rebootmgr.lending.questions import Came, Change, Joined, Left, Lent, TakenBack
from rebootmgr.lending.saved import Saved
from rebootmgr.lending.terms import Moment, Rules, Terms
from rebootmgr.lockd.http.wire_words import (
    Client,
    Said,
    decode_client,
    decode_question,
    encode_answer,
)
from tests.core.script import EPOCH
from tests.fleet.world import World

SLOWEST_WRITE_S: Final = 5.0
HEADERS: Final = ("host", "prefer", "labels", "booted", "target")


class Lockd:
    """One instance; `taken` and `freed` are told of every change on its disk."""

    def __init__(
        self,
        world: World,
        groups: tuple[str, ...],
        *,
        slots: int,
        taken: Callable[[str, str], None],
        freed: Callable[[str, str], None],
    ) -> None:
        self.name = "lockd"
        self._world = world
        self._rules = Rules(groups={group: Terms(slots=slots) for group in groups})
        self._taken, self._freed = taken, freed
        self._disk = Saved()
        self._desk = Desk()
        self._run = self._numbers = 0
        self._open: dict[int, tuple[Client, Callable[[Answer], None]]] = {}
        self._writing: tuple[Change, ...] = ()
        self.start()

    @property
    def holders(self) -> dict[str, set[str]]:
        """Who holds what, as it is on disk."""
        held: dict[str, set[str]] = {group: set() for group in self._rules.groups}
        for row in self._disk.holders:
            held[row.group].add(row.id)
        return held

    def is_granted(self, group: str, host: str, now: float) -> bool:
        """Whether this host holds a slot."""
        del now
        return host in self.holders[group]

    def start(self) -> None:
        """Begin with what is on disk."""
        self._run += 1
        self._desk = Desk()
        self._on(self._run, StoreRead(self._disk))

    def stop(self) -> None:
        """Be gone at once: of a write under way, all is on disk or nothing."""
        self._run += 1
        waiting, self._open = self._open, {}
        for _, answered in waiting.values():
            answered(Answer(503))  # which the network makes a reset of
        writing, self._writing = self._writing, ()
        if writing and self._world.dice.random() < 0.5:
            self._put(writing)

    def handle(
        self, api: Api, body: bytes, now: float, answered: Callable[[Answer], None]
    ) -> Callable[[], None]:
        """Be asked; what comes back is to be called when the client hangs up."""
        del now
        client = decode_client(body)
        assert isinstance(client, Client)
        question = decode_question(api, client, dict.fromkeys(HEADERS, ""), {})
        self._numbers += 1
        run, number = self._run, self._numbers
        self._open[number] = (client, answered)

        def hang_up() -> None:
            if self._open.pop(number, None) is not None:
                self._on(run, HungUp(number, question))

        self._on(run, Asked(number, question))
        return hang_up

    def _on(self, run: int, event: Event) -> None:
        if run != self._run:
            return
        turn = step(self._desk, event, self._rules, self._at)
        self._desk = turn.desk
        for effect in turn.effects:
            match effect:
                case Reply(number, answer):
                    self._reply(number, answer)
                case Write(changes):
                    self._begin(changes)
                case Read():
                    self._after(self._world.dice.uniform(0.0, 20.0), self._read)
        due_s = wake_s(self._desk, self._at)
        if due_s is not None:
            self._after(max(due_s - self._at.s, 0.0), self._tick, due_s)

    @property
    def _at(self) -> Moment:
        now = self._world.agenda.now
        return Moment(EPOCH + timedelta(seconds=now), now)

    def _after(self, delay_s: float, call: Callable[..., None], *args: object) -> None:
        self._world.agenda.after(delay_s, call, self._run, *args)

    def _tick(self, run: int, due_s: float) -> None:
        if wake_s(self._desk, self._at) == due_s:
            self._on(run, Ticked())

    def _reply(self, number: int, answer: Told) -> None:
        asked = self._open.pop(number, None)
        if asked is not None:
            client, answered = asked
            answered(_on_the_wire(encode_answer(answer, client)))

    def _begin(self, changes: tuple[Change, ...]) -> None:
        self._writing = changes
        fine = self._world.weather.is_fine or self._world.dice.random() < 0.5
        self._after(0.005 if fine else self._world.dice.uniform(0.0, SLOWEST_WRITE_S), self._end)

    def _end(self, run: int) -> None:
        if run != self._run:
            return
        writing, self._writing = self._writing, ()
        fails = self._world.happens(self._world.weather.trouble / 10)
        if not fails or self._world.dice.random() < 0.5:
            self._put(writing)
        self._on(run, WriteFailed() if fails else Written())

    def _read(self, run: int) -> None:
        self._on(run, StoreRead(self._disk))

    def _put(self, changes: tuple[Change, ...]) -> None:
        for change in changes:
            held, waiting = self._disk.holders, self._disk.waiting
            match change:
                case Lent(group=group, id=host):
                    self._disk = replace(self._disk, holders=(*held, change))
                    self._taken(group, host)
                case TakenBack(group=group, id=host):
                    rest = tuple(row for row in held if (row.group, row.id) != (group, host))
                    self._disk = replace(self._disk, holders=rest)
                    self._freed(group, host)
                case Joined():
                    self._disk = replace(self._disk, waiting=(*waiting, change))
                case Left(group=group, id=host):
                    left = tuple(row for row in waiting if (row.group, row.id) != (group, host))
                    self._disk = replace(self._disk, waiting=left)
                case Came(group=group, version=version):
                    older = (r for r in self._disk.came if (r.group, r.version) != (group, version))
                    self._disk = replace(self._disk, came=(*older, change))
                case _:
                    raise AssertionError(change)  # nobody administers or reports here


def _on_the_wire(said: Said) -> Answer:
    retry_after = "" if said.retry_after_s is None else str(said.retry_after_s)
    return Answer(said.status, retry_after, said.body.decode(), appoints=True)
