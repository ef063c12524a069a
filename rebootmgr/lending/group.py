"""The fleet as a value: groups, those that hold their slots, and those that wait."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from types import MappingProxyType
from typing import Final, NamedTuple

from rebootmgr.lending.barrier import Barrier, down_by
from rebootmgr.lending.questions import NOTHING_TOLD, About
from rebootmgr.lending.queue import Queue
from rebootmgr.lending.standstill import Freeze, Halt, Standstill
from rebootmgr.lending.terms import Moment, Rules

FIRST_GUESS_S: Final = 300.0  # how long a slot is held, before anybody returned one
_GUESS_WEIGHS: Final = 5  # returns
_NAMED: Final = 3
MOST_VERSIONS: Final = 16
_REMEMBERED: Final = 300  # returns; then half of what they say is forgotten


@dataclass(frozen=True, slots=True)
class Holder:
    """A host with a slot, by both clocks since when; why its reboot `failed`, "" if not."""

    id: str
    name: str
    since: datetime
    since_s: float
    about: About = NOTHING_TOLD
    failed: str = ""


@dataclass(frozen=True, slots=True)
class Override:
    """So many slots instead of the configured ones, until an instant or until further notice."""

    slots: int
    until: datetime | None = None


class Group(NamedTuple):
    """One group of hosts; a tuple, as an entry of its queue is.

    What the store keeps are `holders`, `override`, `freeze`, `halt`, who waits, and `came`: into
    which versions hosts came back, and when last, the latest last. `stands` is why it granted
    nothing when it was looked at last, and `barrier` what is asked of each host alone.
    `settling` are, in order, until when returned slots are not lent again. Nobody has held or
    waited since `quiet_s`; None: somebody does.
    `returned` hosts held for `held_s` in all. `front` is the highest ticket that had its turn.
    `credit_s` is how long a slot may still lie idle for somebody's sake, counted at `counted_s`;
    `idle_since_s`: since when a slot has been free though somebody waits.
    `begins` are, in order, since when its slots are held, and `named` the first few who do.
    `look_s`: when a reservation is looked at again; `swept_s`: when those who left were looked for.
    """

    holders: Mapping[str, Holder] = MappingProxyType({})
    queue: Queue = Queue()
    override: Override | None = None
    held_s: float = FIRST_GUESS_S * _GUESS_WEIGHS
    returned: int = _GUESS_WEIGHS
    front: int = -1
    credit_s: float = 0.0
    counted_s: float = 0.0
    idle_since_s: float | None = None
    begins: tuple[float, ...] = ()
    named: tuple[str, ...] = ()
    look_s: float | None = None
    swept_s: float = 0.0
    freeze: Freeze | None = None
    stands: Standstill | None = None
    halt: Halt | None = None
    barrier: Barrier | None = None
    came: Mapping[str, datetime] = MappingProxyType({})
    settling: tuple[float, ...] = ()
    quiet_s: float | None = 0.0

    @property
    def hold_s(self) -> float:
        """How long a slot is held, on average, of late."""
        return max(self.held_s / self.returned, 1.0)

    def with_queue(self, queue: Queue) -> "Group":
        """Let others wait."""
        return self._replace(queue=queue)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to remember of it."""
        return not (self.holders or self.queue or self.override or self.freeze or self.halt)

    def lent_to(self, holder: Holder) -> "Group":
        """Add a holder."""
        return _with_holders(self, {**self.holders, holder.id: holder})

    def with_came(self, version: str, at: datetime) -> "Group":
        """Remember that a host came back into a version; of versions the latest are known."""
        rest = [(one, when) for one, when in self.came.items() if one != version]
        return self._replace(came=dict([*rest, (version, at)][-MOST_VERSIONS:]))

    def given_back(self, host: str, at: Moment, *, counts: bool) -> "Group":
        """Take the slot of a holder back; `counts`: it tells how long a reboot takes."""
        holder = self.holders[host]
        rest = {one: held for one, held in self.holders.items() if one != host}
        if not counts:
            return _with_holders(self, rest)
        held_s, returned = self.held_s + max(at.s - holder.since_s, 0.0), self.returned + 1
        if returned > _REMEMBERED:
            held_s, returned = held_s / 2, returned // 2
        return _with_holders(self._replace(held_s=held_s, returned=returned), rest)


def _with_holders(group: Group, holders: Mapping[str, Holder]) -> Group:
    begins = tuple(sorted([one.since_s for one in holders.values()]))
    named = tuple([one.name or one.id for one in islice(holders.values(), _NAMED)])
    barrier = group.barrier
    if barrier is not None and barrier.label:
        barrier = replace(barrier, down=down_by(barrier.label, holders.values()))
    return group._replace(holders=holders, begins=begins, named=named, barrier=barrier)


@dataclass(frozen=True, slots=True)
class Fleet:
    """All groups that there is something to remember of, and the freeze of them all.

    `tickets` is the next ticket.
    """

    groups: dict[str, Group] = field(default_factory=dict)
    tickets: int = 1
    freeze: Freeze | None = None

    def group(self, name: str) -> Group:
        """Give a group; one of which nothing is remembered is empty."""
        return self.groups.get(name) or Group()

    def put(self, name: str, group: Group, rules: Rules) -> "Fleet":
        """Replace a group; one that is empty and has no terms of its own is forgotten."""
        if group.is_empty and name not in rules.groups:
            rest = {one: kept for one, kept in self.groups.items() if one != name}
            return Fleet(rest, self.tickets, self.freeze)
        return Fleet(self.groups | {name: group}, self.tickets, self.freeze)


def slots_of(name: str, group: Group, rules: Rules, at: Moment) -> int:
    """How many slots a group lends now: 0 where nothing says so."""
    override = group.override
    terms = rules.terms_of(name)
    if terms is None:
        return 0
    if override is not None and (override.until is None or at.wall < override.until):
        return override.slots
    return terms.slots
