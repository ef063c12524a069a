"""What is valid and still not what anybody wants: the advice of `check-config` (SPEC 11)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from rebootmgr.config.calendars import advise_on_calendar, find_never_open
from rebootmgr.config.checked import Config
from rebootmgr.config.schema import WINDOW
from rebootmgr.config.settings import FleetLock, Periodic
from rebootmgr.core.policy import Strategy
from rebootmgr.errors import Problem


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
    errors = tuple(find_never_open(config, at, node_id))
    calendar = () if errors else advise_on_calendar(config, at, node_id, reboot_takes)
    return Review(errors, (*advise(config), *calendar))


def advise(config: Config) -> tuple[Problem, ...]:
    """Say what needs neither the host nor the date; the daemon logs it, too."""
    return (*_unused(config), *_splay_too_long(config))


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
            place, (message, hint) = item.place, _not_used("periodic")
            yield Problem(file=place.file, line=place.line, key=WINDOW, message=message, hint=hint)
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


def _problem(config: Config, key: str, message: str, hint: str) -> Problem:
    place = config.merged.values[key].place
    return Problem(file=place.file, line=place.line, key=key, message=message, hint=hint)
