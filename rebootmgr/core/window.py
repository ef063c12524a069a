"""Maintenance windows and blackouts (SPEC 5): contract, to be filled in."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, order=True)
class Opening:
    """A half-open interval [start, end), both aware and in UTC."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """When policy allows a reboot."""

    periodic: bool = False
    splay: timedelta = timedelta(0)
    phase: float = 0.0
    fit: bool = True
