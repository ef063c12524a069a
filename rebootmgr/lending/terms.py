"""What a group lends on, and when it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from rebootmgr.core.window import Calendar

SLOTS: Final = 1
MAX_WAITING: Final = 20_000
MAX_HOLD_S: Final = 3600.0
HALT_AFTER: Final = 1
SOAK_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Moment:
    """One instant: `wall` (aware) is for people and the store, spans count by `s`.

    `s` is in seconds of a clock that nobody sets, from a begin of its own.
    """

    wall: datetime
    s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the administrator wants of one group.

    `max_waiting` hosts may queue; who holds for longer than `max_hold_s` is overdue. Slots are
    granted while `calendar` is open; None: always. So many failed holders as `halt_after` halt the
    group, and so do overdue ones that hold all slots; 0: nothing does. What is returned is lent
    again after `settle_s`. The groups `after` go first, and must have been quiet for `soak_s`. Of
    the holders `spread_slots` may have the same value of the label `spread`; "": any number.
    """

    slots: int = SLOTS
    max_waiting: int = MAX_WAITING
    max_hold_s: float = MAX_HOLD_S
    calendar: Calendar | None = None
    halt_after: int = HALT_AFTER
    settle_s: float = 0.0
    after: tuple[str, ...] = ()
    soak_s: float = SOAK_S
    spread: str = ""
    spread_slots: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The terms of every group; with `any_group` those that have none lend on the defaults."""

    groups: Mapping[str, Terms] = field(default_factory=lambda: {"default": Terms()})
    any_group: bool = False

    def terms_of(self, group: str) -> Terms | None:
        """Give the terms of a group, None if it grants nothing."""
        return self.groups.get(group, Terms() if self.any_group else None)
