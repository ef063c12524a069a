"""Since when this host is behind (SPEC 5a): with one update, and with all it has not booted.

It survives, or an alert on age would begin anew with every daemon, and never fire.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from rebootmgr.core.memory import Backlog
from rebootmgr.core.model import Deployment, UpdateKey

OVER_AFTER: Final = timedelta(hours=24)
FIRST: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""No rebootmgr has noted anything before."""


def note(backlog: Backlog | None, pending: Deployment | None, wall: datetime) -> Backlog | None:
    """What is known of it once it was seen what is pending, and that nothing is (None)."""
    if backlog is None or _is_over(backlog, wall):
        return None if pending is None else Backlog(key=pending.key, since=wall, behind_since=wall)
    since, behind_since = (_dated(at, wall) for at in (backlog.since, backlog.behind_since))
    if pending is None:
        none_since = wall if backlog.none_since is None else _dated(backlog.none_since, wall)
        return replace(backlog, since=since, behind_since=behind_since, none_since=none_since)
    if pending.key != backlog.key:
        since = wall
    return Backlog(key=pending.key, since=since, behind_since=behind_since)


def after_boot(backlog: Backlog | None, booted: UpdateKey, *, asked: bool) -> Backlog | None:
    """What is left once an update is up and well: `asked` for by us, or by other means."""
    if backlog is None or asked or backlog.key == booted:
        return None
    return backlog


def pending_since(backlog: Backlog | None, pending: Deployment | None) -> datetime | None:
    """Since when this update is pending; None where none is, or nobody has noted it yet."""
    if backlog is None or pending is None or backlog.key != pending.key:
        return None
    return backlog.since


def behind_since(backlog: Backlog | None, wall: datetime) -> datetime | None:
    """Since when an update waits that this host has not booted; None if none does."""
    return None if backlog is None or _is_over(backlog, wall) else backlog.behind_since


def _is_over(backlog: Backlog, wall: datetime) -> bool:
    return backlog.none_since is not None and wall - backlog.none_since >= OVER_AFTER


def _dated(at: datetime, wall: datetime) -> datetime:
    """Date anew what a clock dated that was surely wrong: ahead of this one, or before `FIRST`."""
    return wall if at > wall or at < FIRST < wall else at
