"""What is asked, what is answered, and what changes in the store meanwhile."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, TypeAlias


@dataclass(frozen=True, slots=True)
class About:
    """What a host tells of itself: its labels, sorted, and versions, "" where it tells none."""

    labels: tuple[tuple[str, str], ...] = ()
    booted: str = ""
    target: str = ""


NOTHING_TOLD: Final = About()


@dataclass(frozen=True, slots=True)
class PreReboot:
    """A host wants a slot; `name` is for people. It lets its answer be held for `wait_s`."""

    group: str
    id: str
    name: str = ""
    wait_s: float = 0.0
    about: About = NOTHING_TOLD


@dataclass(frozen=True, slots=True)
class SteadyState:
    """A host needs no slot."""

    group: str
    id: str
    about: About = NOTHING_TOLD


@dataclass(frozen=True, slots=True)
class Report:
    """A host tells what became of its reboot: why it `failed`, "" if it did not."""

    group: str
    id: str
    failed: str


@dataclass(frozen=True, slots=True)
class Release:
    """An administrator takes a slot back from a host, by id or by name."""

    group: str
    host: str
    by: str = ""


@dataclass(frozen=True, slots=True)
class SetSlots:
    """An administrator lends more or fewer from now on; None: what is configured."""

    group: str
    slots: int | None
    until: datetime | None = None
    by: str = ""


@dataclass(frozen=True, slots=True)
class FreezeGroup:
    """An administrator wants nothing granted; `group` "" is all of them. None: until thawed."""

    group: str
    reason: str
    until: datetime | None = None
    by: str = ""


@dataclass(frozen=True, slots=True)
class Thaw:
    """An administrator ends a freeze; "" ends that of all, and leaves those of single groups."""

    group: str
    by: str = ""


@dataclass(frozen=True, slots=True)
class Resume:
    """An administrator ends a halt, and takes the slot of `forgive` back: an id, a name, or ""."""

    group: str
    forgive: str = ""
    by: str = ""


Question: TypeAlias = (
    PreReboot | SteadyState | Report | Release | SetSlots | FreezeGroup | Thaw | Resume
)


class Kind(StrEnum):
    """Why a question was refused."""

    ALL_SLOTS_FULL = "all_slots_full"
    QUEUED = "queued"
    OUTSIDE_WINDOW = "outside_window"
    BLACKOUT = "blackout"
    FROZEN = "frozen"
    HALTED = "halted"
    SETTLING = "settling"
    WAITING_FOR_GROUP = "waiting_for_group"
    SPREAD = "spread"


@dataclass(frozen=True, slots=True)
class Granted:
    """A slot is this host's; `again`: it was already."""

    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Nothing is held for it. It is number `place` of `waiting`, its turn is in `turn_s`.

    None where nothing is lent. `holders` are the names of the first few. Where it is not about
    slots, `detail` says why, and `until` when that ends by itself.
    """

    kind: Kind
    retry_after_s: int
    lent: int
    slots: int
    holders: tuple[str, ...]
    place: int
    waiting: int
    turn_s: float | None
    detail: str = ""
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Returned:
    """No slot of this group is this host's; `had`: it was until now."""

    had: bool


@dataclass(frozen=True, slots=True)
class UnknownGroup:
    """The configuration has no such group."""


@dataclass(frozen=True, slots=True)
class Crowded:
    """So many wait that nothing was written down: come back later."""

    retry_after_s: int


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The store could not be asked; what became of the question is not known."""


@dataclass(frozen=True, slots=True)
class Done:
    """An administrator's wish is on disk."""


@dataclass(frozen=True, slots=True)
class NoSuchHolder:
    """Nobody of that id or name holds a slot of the group."""


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """The name is that of several holders: the id is needed."""

    ids: tuple[str, ...]


Answer: TypeAlias = (
    Granted
    | Refused
    | Returned
    | UnknownGroup
    | Crowded
    | Unavailable
    | Done
    | NoSuchHolder
    | Ambiguous
)


@dataclass(frozen=True, slots=True)
class Joined:
    """A host has a place in the queue."""

    group: str
    id: str
    name: str
    ticket: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Left:
    """A host has no place in the queue any more."""

    group: str
    id: str


@dataclass(frozen=True, slots=True)
class Lent:
    """A host has a slot; why its reboot `failed`, "" if it did not."""

    group: str
    id: str
    name: str
    at: datetime
    about: About = NOTHING_TOLD
    failed: str = ""


@dataclass(frozen=True, slots=True)
class TakenBack:
    """A host has no slot any more; `by` is the administrator who took it back, "" the host."""

    group: str
    id: str
    by: str = ""


@dataclass(frozen=True, slots=True)
class SlotsSet:
    """A group lends this many; None: what is configured. `by` "": its time was over."""

    group: str
    slots: int | None
    until: datetime | None
    by: str = ""


@dataclass(frozen=True, slots=True)
class Frozen:
    """A group, or with "" each of them, grants nothing."""

    group: str
    reason: str
    until: datetime | None
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Thawed:
    """A freeze is over; `by` "": its time was."""

    group: str
    by: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """The reboot of a holder failed; "": it did not after all."""

    group: str
    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Came:
    """A host of this group gave its slot back, booted into this version ("": it told none)."""

    group: str
    version: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Halted:
    """A group grants nothing until people resume it."""

    group: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Resumed:
    """A halt is over."""

    group: str
    by: str = ""


Change: TypeAlias = (
    Joined | Left | Lent | TakenBack | SlotsSet | Frozen | Thawed | Failed | Came | Halted | Resumed
)
