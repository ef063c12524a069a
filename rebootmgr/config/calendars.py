"""What a calendar that is valid comes to on this host, from today on: for `check-config`."""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from rebootmgr.config.checked import Config
from rebootmgr.config.resolve import encode_calendar
from rebootmgr.config.schema import BLACKOUT, WINDOW
from rebootmgr.config.windows import Place
from rebootmgr.core.policy import Strategy
from rebootmgr.core.window import HORIZON, Blackout, Calendar, Opening, never_opens, openings
from rebootmgr.errors import Problem

_LONG_AGO: Final = timedelta(days=30)
_LONGEST_WINDOW: Final = timedelta(days=7)
_MINUTE: Final = timedelta(minutes=1)
_AHEAD: Final = f"in the next {HORIZON.days} days"
_LOOK: Final = "look at windows and blackouts with `rebootmgrctl plan --to ...`"


def find_never_open(config: Config, at: datetime, node_id: str) -> Iterator[Problem]:
    """Yield the error of a host that would never reboot again, unless that is what was asked."""
    if _is_off(config):
        return
    updates = config.settings.updates
    if never_opens(encode_calendar(updates, node_id=node_id), at):
        table = WINDOW if Strategy.PERIODIC in updates.strategy else BLACKOUT
        place = config.merged.items[table][0].place
        yield _problem(place, table, f"no reboot would be allowed {_AHEAD}", _LOOK)


def advise_on_calendar(
    config: Config, at: datetime, node_id: str, reboot_takes: timedelta | None
) -> tuple[Problem, ...]:
    """Say which windows and blackouts are of no use, in a policy that does open."""
    calendar = encode_calendar(config.settings.updates, node_id=node_id)
    found = list(_blackouts_over(config, at))
    if calendar.periodic and not _is_off(config):
        found += _windows(config, calendar, at, reboot_takes if calendar.fit else None)
    return tuple(found)


def _is_off(config: Config) -> bool:
    updates = config.settings.updates
    return Strategy.OFF in updates.strategy or not updates.enabled


def _windows(
    config: Config, calendar: Calendar, at: datetime, reboot_takes: timedelta | None
) -> Iterator[Problem]:
    """Yield at most one problem of each window.

    Windows that touch are one opening: each is judged by the longest opening that it is part of.
    """
    until = at + HORIZON
    unsplayed = openings(replace(calendar, splay=timedelta()), at, until)
    whole = openings(calendar, at - _LONGEST_WINDOW, until)
    places = [item.place for item in config.merged.items[WINDOW]]
    for window, place in zip(calendar.windows, places, strict=True):
        alone = Calendar(periodic=True, windows=(window,))
        if not (own := openings(alone, at, until)):
            yield _problem(place, WINDOW, f"does not open {_AHEAD}", "mend its rrule, or remove it")
        elif not _overlapping(own, unsplayed):
            message = f"each time it opens {_AHEAD}, a blackout is on"
            yield _problem(place, WINDOW, message, _LOOK)
        elif reboot_takes is not None:
            longest = max(
                (each.end - each.start for each in _overlapping(own, whole)), default=None
            )
            if longest is not None and longest < reboot_takes:
                yield _too_short(place, longest, reboot_takes)


def _too_short(place: Place, longest: timedelta, reboot_takes: timedelta) -> Problem:
    needed = -(-reboot_takes // _MINUTE)
    message = f"leaves {longest // _MINUTE} minutes, and a reboot of this host takes {needed}"
    hint = "make it longer; `rebootmgrctl history` shows where the time goes"
    return _problem(place, WINDOW, message, hint)


def _overlapping(some: Sequence[Opening], others: Sequence[Opening]) -> list[Opening]:
    """Which of `others` share time with one of `some`; both are in order and do not overlap."""
    starts = [each.start for each in others]
    found = []
    for one in some:
        last = bisect_left(starts, one.end)
        while last > 0 and others[last - 1].end > one.start:
            last -= 1
            found.append(others[last])
    return found


def _blackouts_over(config: Config, at: datetime) -> Iterator[Problem]:
    pairs = zip(config.settings.updates.blackout, config.merged.items[BLACKOUT], strict=True)
    for blackout, item in pairs:
        end = _last_end(blackout)
        if end is not None and end.astimezone(UTC) < at - _LONG_AGO:
            message = f"ended on {end.date()}, and does not come again"
            yield _problem(item.place, BLACKOUT, message, "remove it, or give it a later end")


def _last_end(blackout: Blackout) -> datetime | None:
    """When it ends for the last time, at the latest; None if it comes again for ever."""
    end = blackout.end if blackout.end.tzinfo else blackout.end.replace(tzinfo=blackout.zone)
    if not blackout.rule:
        return end
    found = re.search(r"UNTIL=([0-9]{8})", blackout.rule.upper())
    if found is None:
        return None
    last = datetime.combine(date.fromisoformat(found[1]), time.max, blackout.zone)
    return max(end, last + (blackout.end - blackout.start))


def _problem(place: Place, key: str, message: str, hint: str) -> Problem:
    return Problem(file=place.file, line=place.line, key=key, message=message, hint=hint)
