"""What is valid and still not what anybody wants: the advice of `check-config` (SPEC 11)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from rebootmgr.codec.config import Config
from rebootmgr.codec.config_schema import BLACKOUT, WINDOW
from rebootmgr.codec.config_windows import Place
from rebootmgr.codec.policy import encode_calendar
from rebootmgr.codec.settings import FleetLock, Periodic
from rebootmgr.core.policy import Strategy
from rebootmgr.core.window import never_opens
from rebootmgr.errors import Problem

_LONG_AGO: Final = timedelta(days=30)
_STRATEGY: Final = "updates.strategy"


@dataclass(frozen=True, slots=True)
class Review:
    """What there is to say about a configuration without errors."""

    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


def review_config(config: Config, *, at: datetime, node_id: str) -> Review:
    """Look at a configuration without errors as of `at` (aware)."""
    warnings = [*_unused(config), *_splay_too_long(config), *_blackouts_over(config, at)]
    return Review(tuple(_never_open(config, at, node_id)), tuple(warnings))


def _never_open(config: Config, at: datetime, node_id: str) -> Iterator[Problem]:
    updates = config.settings.updates
    if Strategy.OFF in updates.strategy or not updates.enabled:
        return
    if never_opens(encode_calendar(updates, node_id=node_id), at):
        table = WINDOW if Strategy.PERIODIC in updates.strategy else BLACKOUT
        place = config.merged.items[table][0].place
        message = "no reboot would be allowed in the next 400 days"
        hint = "look at windows and blackouts with `rebootmgrctl plan --to ...`"
        yield _problem(place, table, message, hint)


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
            yield _problem(item.place, WINDOW, *_not_used("periodic"))
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
            yield _problem(merged.values[key].place, key, *_not_used(key.split(".")[1]))


def _not_used(strategy: str) -> tuple[str, str]:
    return f"has no effect without the strategy {strategy}", f'add "{strategy}" to {_STRATEGY}'


def _splay_too_long(config: Config) -> Iterator[Problem]:
    updates = config.settings.updates
    lengths = [window.length for window in updates.periodic.window]
    key = "updates.periodic.splay_minutes"
    if Strategy.PERIODIC in updates.strategy and lengths:
        shortest = min(lengths)
        if timedelta(minutes=updates.periodic.splay_minutes) > shortest:
            minutes = shortest // timedelta(minutes=1)
            message = f"is longer than a window of {minutes} minutes"
            hint = "a splay never takes more than half of an opening; make it shorter"
            yield _problem(config.merged.values[key].place, key, message, hint)


def _blackouts_over(config: Config, at: datetime) -> Iterator[Problem]:
    pairs = zip(config.settings.updates.blackout, config.merged.items[BLACKOUT], strict=True)
    for blackout, item in pairs:
        end = blackout.end if blackout.end.tzinfo else blackout.end.replace(tzinfo=blackout.zone)
        if not blackout.rule and end.astimezone(UTC) < at - _LONG_AGO:
            message = f"ended on {blackout.end.date()}, and does not repeat"
            yield _problem(item.place, BLACKOUT, message, "remove it, or give it an rrule")


def _problem(place: Place, key: str, message: str, hint: str) -> Problem:
    return Problem(file=place.file, line=place.line, key=key, message=message, hint=hint)
