"""What is valid and still not what anybody wants: the advice of `check-config` (SPEC 11)."""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Final

from rebootmgr.config.checked import Config
from rebootmgr.config.resolve import resolve_calendar
from rebootmgr.config.schema import BLACKOUT, DEADLINE, WINDOW
from rebootmgr.config.settings import FleetLock, Periodic
from rebootmgr.config.windows import Item, Place
from rebootmgr.core.policy import DeadlineStep, Strategy, Waivable
from rebootmgr.core.window import HORIZON, Blackout, Calendar, Opening, never_opens, openings
from rebootmgr.errors import Problem
from rebootmgr.spans import encode_span

_LONG_AGO: Final = timedelta(days=30)
_LONGEST_WINDOW: Final = timedelta(days=7)
_MINUTE: Final = timedelta(minutes=1)
_HOUR: Final = timedelta(hours=1)
_AHEAD: Final = f"in the next {HORIZON.days} days"
_LOOK: Final = "look at windows and blackouts with `rebootmgrctl plan --to ...`"


@dataclass(frozen=True, slots=True)
class Review:
    """What there is to say about a configuration without errors."""

    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


def review_config(
    config: Config, *, at: datetime, node_id: str, reboot_takes: timedelta | None = None
) -> Review:
    """Look at a configuration without errors as of `at` (aware).

    `reboot_takes` is what core.fit measured on this host, None where it is not known.
    """
    errors = tuple(_never_open(config, at, node_id))
    calendar = () if errors else _calendar_advice(config, at, node_id, reboot_takes)
    return Review(errors, (*advise(config), *calendar))


def advise(config: Config) -> tuple[Problem, ...]:
    """Say what needs neither the host nor the date; the daemon logs it, too."""
    return (
        *_unused(config),
        *_idle_steps(config),
        *_splay_too_long(config),
        *_sent_in_clear(config),
    )


def _unused(config: Config) -> Iterator[Problem]:
    """Yield what is set for strategies that are not used; a value as by default does no harm."""
    updates, merged = config.settings.updates, config.merged
    idle = []
    if Strategy.PERIODIC not in updates.strategy:
        zoned = bool(updates.blackout)  # blackouts are local in the zone of periodic, too
        idle += [
            (f"updates.periodic.{name}", getattr(updates.periodic, name), getattr(Periodic(), name))
            for name in ("time_zone", "splay_minutes", "fit")
            if name != "time_zone" or not zoned
        ]
        for item in merged.items[WINDOW][:1]:
            yield _problem_at(item.place, WINDOW, *_not_used("periodic"))
    if Strategy.FLEET_LOCK not in updates.strategy:
        idle += [
            (
                f"updates.fleet_lock.{name}",
                getattr(updates.fleet_lock, name),
                getattr(FleetLock(), name),
            )
            for name in FleetLock.__dataclass_fields__
        ]
    for key, value, default in idle:
        if value != default:
            yield _problem(config, key, *_not_used(key.split(".")[1]))


def _not_used(strategy: str) -> tuple[str, str]:
    return f"has no effect without the strategy {strategy}", f'add "{strategy}" to updates.strategy'


def _splay_too_long(config: Config) -> Iterator[Problem]:
    updates = config.settings.updates
    lengths = [window.length for window in updates.periodic.window]
    if Strategy.PERIODIC in updates.strategy and lengths:
        shortest = min(lengths)
        if timedelta(minutes=updates.periodic.splay_minutes) > shortest:
            minutes = shortest // timedelta(minutes=1)
            message = f"is longer than a window of {minutes} minutes"
            hint = "a splay never takes more than half of an opening; make it shorter"
            yield _problem(config, "updates.periodic.splay_minutes", message, hint)


def _sent_in_clear(config: Config) -> Iterator[Problem]:
    updates = config.settings.updates
    fleet = updates.fleet_lock
    if Strategy.FLEET_LOCK not in updates.strategy or not _is_plain(fleet.base_url):
        return
    if fleet.authorization_file or "@" in fleet.base_url:
        message = "sends credentials over plain http: everybody on the way reads them"
        yield _problem(config, "updates.fleet_lock.base_url", message, "use https")


def _is_plain(url: str) -> bool:
    return url.lower().startswith("http:")


def _problem(config: Config, key: str, message: str, hint: str) -> Problem:
    return _problem_at(config.merged.values[key].place, key, message, hint)


# What a calendar that is valid comes to on this host, from today on


def _never_open(config: Config, at: datetime, node_id: str) -> Iterator[Problem]:
    """Yield the error of a host that would never reboot again, unless that is what was asked."""
    if _is_off(config):
        return
    updates = config.settings.updates
    if never_opens(resolve_calendar(updates, node_id=node_id), at):
        table = WINDOW if Strategy.PERIODIC in updates.strategy else BLACKOUT
        place = config.merged.items[table][0].place
        yield _problem_at(place, table, f"no reboot would be allowed {_AHEAD}", _LOOK)


def _calendar_advice(
    config: Config, at: datetime, node_id: str, reboot_takes: timedelta | None
) -> tuple[Problem, ...]:
    """Say which windows and blackouts are of no use, in a policy that does open."""
    calendar = resolve_calendar(config.settings.updates, node_id=node_id)
    found = list(_blackouts_over(config, at))
    if calendar.periodic and not _is_off(config):
        found += _windows(config, calendar, at, reboot_takes if calendar.fit else None)
    found += _before_the_first_window(config, calendar, at)
    return tuple(found)


def _before_the_first_window(config: Config, calendar: Calendar, at: datetime) -> Iterator[Problem]:
    """Yield steps after which windows count no more although an update may not have met any."""
    if not calendar.periodic or _is_off(config):
        return
    longest = _longest_wait(openings(calendar, at, at + HORIZON))
    for step, item in _steps(config):
        if Waivable.WINDOWS in step.waive and longest is not None and step.after < longest:
            message = (
                f"comes before the first window: up to {encode_span(longest)} pass without one"
            )
            hint = "make it longer, or add a window"
            yield _problem_at(item.place, f"{DEADLINE}.after", message, hint)


def _longest_wait(found: Sequence[Opening]) -> timedelta | None:
    """How long it can take from any instant to the next opening, in whole hours."""
    gaps = [after.start - before.end for before, after in pairwise(found)]
    return max(gaps) // _HOUR * _HOUR if gaps else None


def _steps(config: Config) -> Iterator[tuple[DeadlineStep, Item]]:
    return zip(config.settings.updates.deadline, config.merged.items[DEADLINE], strict=True)


def _idle_steps(config: Config) -> Iterator[Problem]:
    """Yield what a step waives that nothing asks for, and steps of which nothing is left."""
    updates = config.settings.updates
    reasons = {}
    if not updates.sessions.wait:
        reasons[Waivable.SESSIONS] = "updates.sessions.wait is false"
    if Strategy.PERIODIC not in updates.strategy:
        reasons |= dict.fromkeys((Waivable.WINDOWS, Waivable.SPLAY), "there are no windows")
    elif not updates.periodic.splay_minutes:
        reasons[Waivable.SPLAY] = "splay_minutes is 0"
    if Strategy.PERIODIC not in updates.strategy and not updates.blackout:
        reasons[Waivable.FIT] = "there are no windows"
    elif not updates.periodic.fit:
        reasons[Waivable.FIT] = "fit is false"
    waived = frozenset[str]()
    for step, item in sorted(_steps(config), key=lambda pair: pair[0].after):
        place = item.found["waive"].place
        if _is_off(config):
            message, hint = "has no effect: nothing reboots this host", "remove it"
            yield _problem_at(place, DEADLINE, message, hint)
        elif step.names <= waived:
            message, hint = "does nothing: an earlier deadline has waived it all", "remove it"
            yield _problem_at(place, f"{DEADLINE}.waive", message, hint)
        else:
            for name in sorted(step.waive & reasons.keys()):
                message = f'"{name}" has no effect: {reasons[name]}'
                yield _problem_at(place, f"{DEADLINE}.waive", message, "leave it out")
        waived |= step.names


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
            yield _problem_at(
                place, WINDOW, f"does not open {_AHEAD}", "correct its rrule, or remove it"
            )
        elif not _overlapping(own, unsplayed):
            message = f"each time it opens {_AHEAD}, a blackout is on"
            yield _problem_at(place, WINDOW, message, _LOOK)
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
    return _problem_at(place, WINDOW, message, hint)


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
            yield _problem_at(item.place, BLACKOUT, message, "remove it, or give it a later end")


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


def _problem_at(place: Place, key: str, message: str, hint: str) -> Problem:
    return Problem(file=place.file, line=place.line, key=key, message=message, hint=hint)
