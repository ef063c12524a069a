"""Since when this host is behind (SPEC 5a): with one update, and with all it has not booted.

It survives, or an alert on age would begin anew with every daemon, and never fire. What people read
is by the wall clock; what decides is anchored in CLOCK_BOOTTIME, and over a boot only by clocks
that were synchronized, when it was written and when it is read.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from rebootmgr.core import clock
from rebootmgr.core.memory import Anchor, Backlog
from rebootmgr.core.model import Deployment, Moment, UpdateKey, kernel_of
from rebootmgr.core.states import Known

OVER_AFTER: Final = timedelta(hours=24)
FIRST: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""No rebootmgr has noted anything before."""


def see(
    was: Backlog | None, pending: Deployment | None, known: Known, at: Moment
) -> Backlog | None:
    """What is known of it by both clocks, once it was seen what is pending, or nothing (None)."""
    if was is not None:
        was = _anchored(was, known, at)
        if pending is not None and _was_gone_for_long(was.anchor, at):
            was = None
    noted = note(was, pending, at.wall)
    if noted is None:
        return None
    if was is None or _is_over(was, at.wall) or was.anchor is None:
        anchor = _vouched(Anchor(boot=known.boot, born=at.mono), known)
    else:
        anchor = was.anchor
    since = at.mono if anchor.gone is None else anchor.gone
    return replace(noted, anchor=replace(anchor, gone=since if pending is None else None))


def _anchored(it: Backlog, known: Known, at: Moment) -> Backlog:
    """Say of this boot what was said of another, and by a clock that is vouched for now."""
    old = it.anchor
    if old is None:
        return replace(it, anchor=Anchor(boot=known.boot, born=at.mono))
    if kernel_of(old.boot) != kernel_of(known.boot):
        old = _in_this_boot(old, known)
    anchor = _vouched(old, known)
    if anchor.vouched is None or old.vouched is not None:
        return replace(it, anchor=anchor)
    shown = min(it.behind_since, anchor.vouched) if old.born is None else anchor.vouched
    if abs(shown - it.behind_since) < clock.SET:
        return replace(it, anchor=anchor)
    since = shown if it.since == it.behind_since else it.since
    return replace(it, since=since, behind_since=shown, anchor=anchor)


def _in_this_boot(old: Anchor, known: Known) -> Anchor:
    """It was before this boot. Nobody can tell how long nothing was staged when that one ended."""
    was_staged = old.gone is None
    return Anchor(
        boot=known.boot,
        born=None,
        vouched=old.vouched if was_staged else None,
        gone=None if was_staged else 0.0,
    )


def _vouched(anchor: Anchor, known: Known) -> Anchor:
    """Date it, and reckon back what was dated before this boot, once somebody vouches."""
    if known.booted_at is None:
        return anchor
    if anchor.vouched is None:
        return replace(anchor, vouched=known.booted_at + timedelta(seconds=anchor.born or 0.0))
    if anchor.born is None and anchor.vouched < known.booted_at:
        return replace(anchor, born=(anchor.vouched - known.booted_at).total_seconds())
    return anchor


def _was_gone_for_long(anchor: Anchor | None, at: Moment) -> bool:
    if anchor is None or anchor.gone is None:
        return False
    return at.mono - anchor.gone >= OVER_AFTER.total_seconds()


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
