"""The configuration: drop-ins in, settings out, with every error at once (SPEC 2, 3).

Three layers: fragments (config_fragment), merged values with their places, settings.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import UTC, tzinfo
from typing import Any, Final, TypeVar

from rebootmgr.config.fragment import (
    Decoded,
    DropIn,
    Fragment,
    Ignored,
    Unread,
    decode_fragment,
)
from rebootmgr.config.schema import BLACKOUT, ITEMS, WINDOW, dotted
from rebootmgr.config.settings import Settings
from rebootmgr.config.values import LOCALTIME, decode_zone
from rebootmgr.config.windows import (
    Fault,
    Found,
    Item,
    Place,
    decode_blackout,
    decode_window,
)
from rebootmgr.core.policy import Strategy
from rebootmgr.errors import Problem

__all__ = ["Config", "DropIn", "Fragment", "Ignored", "Merged", "Unread", "decode_config"]

T = TypeVar("T")

_ZONE: Final = "updates.periodic.time_zone"
_STRATEGY: Final = "updates.strategy"
_BASE_URL: Final = "updates.fleet_lock.base_url"


@dataclass(frozen=True, slots=True)
class Merged:
    """All drop-ins as one: the last value of each key, all items of each array, in order.

    `written` also has the keys whose value was bad. Values may hold secrets. `overridden` says
    where each key stood that a later drop-in gives another value.
    """

    values: Mapping[str, Found]
    items: Mapping[str, tuple[Item, ...]]
    written: frozenset[str]
    overridden: Mapping[str, Place]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The configuration in force. With any error `settings` are not fit for use."""

    settings: Settings
    merged: Merged = field(repr=False)
    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()

    @property
    def provenance(self) -> Mapping[str, Place]:
        """Where each key that is set was written; items as `updates.blackout[0].start`."""
        places = {key: found.place for key, found in self.merged.values.items()}
        for table, items in self.merged.items.items():
            for index, item in enumerate(items):
                for name, found in item.found.items():
                    places[f"{table}[{index}].{name}"] = found.place
        return places


def decode_config(fragments: Sequence[Fragment], *, localtime: tzinfo | None) -> Config:
    """Make settings of drop-ins, in order; `localtime` is this host's zone, None if unknown."""
    decoded = [decode_fragment(each) for each in fragments if isinstance(each, DropIn)]
    errors = [each.problem for each in fragments if isinstance(each, Unread)]
    errors += [problem for each in decoded for problem in each.errors]
    warnings = [each.problem for each in fragments if isinstance(each, Ignored)]
    warnings += [problem for each in decoded for problem in each.warnings]
    merged = _merge(decoded)
    typed = {key: found.value for key, found in merged.values.items()}
    windows, window_errors = _decode_items(merged, WINDOW, decode_window, localtime)
    blackouts, blackout_errors = _decode_items(merged, BLACKOUT, decode_blackout, localtime)
    settings = _with(Settings(), "", typed | {WINDOW: windows, BLACKOUT: blackouts})
    errors += [*window_errors, *blackout_errors, *_conflicts(merged, settings, localtime)]
    return Config(
        settings=settings,
        merged=merged,
        errors=_in_reading_order(errors, fragments),
        warnings=_in_reading_order(warnings, fragments),
    )


def _merge(decoded: Sequence[Decoded]) -> Merged:
    values: dict[str, Found] = {}
    overridden: dict[str, Place] = {}
    for each in decoded:
        for key, found in each.values.items():
            if key in values and values[key].value != found.value:
                overridden[key] = values[key].place
        values |= each.values
    return Merged(
        values,
        {table: tuple(item for each in decoded for item in each.items[table]) for table in ITEMS},
        frozenset(key for each in decoded for key in each.written),
        overridden,
    )


def _decode_items(
    merged: Merged,
    table: str,
    decode: Callable[[Item, tzinfo], T | tuple[Fault, ...]],
    localtime: tzinfo | None,
) -> tuple[tuple[T, ...], list[Problem]]:
    good: list[T] = []
    problems: list[Problem] = []
    for item in merged.items[table]:
        own = item.found.get("time_zone")
        chosen = own or merged.values.get(_ZONE)
        zone = _zone(chosen.value if chosen else "UTC", localtime)
        if zone is None and own:
            problems.append(_no_localtime(f"{table}.time_zone", own.place))
        result = decode(item, zone or UTC)
        if not isinstance(result, tuple):
            good.append(result)
            continue
        for fault in result:
            place = item.found[fault.key].place if fault.key in item.found else item.place
            key = f"{table}.{fault.key}" if fault.key else table
            problems.append(_problem(place, key, fault.message, fault.hint))
    return tuple(good), problems


def _zone(name: str, localtime: tzinfo | None) -> tzinfo | None:
    return localtime if name == LOCALTIME else decode_zone(name)


def _no_localtime(key: str, place: Place) -> Problem:
    hint = "repair it with timedatectl, or write the name of a zone"
    return _problem(place, key, "this host's /etc/localtime is no time zone", hint)


def _problem(place: Place, key: str, message: str, hint: str) -> Problem:
    return Problem(file=place.file, line=place.line, key=key, message=message, hint=hint)


def _with(default: Any, table: str, values: Mapping[str, Any]) -> Any:
    """Put these values into a (nested) dataclass; each rule has given the field's type."""
    changes = {}
    for each in fields(default):
        key, old = dotted(table, each.name), getattr(default, each.name)
        if is_dataclass(old):
            changes[each.name] = _with(old, key, values)
        elif key in values:
            changes[each.name] = values[key]
    return replace(default, **changes)


def _conflicts(merged: Merged, settings: Settings, localtime: tzinfo | None) -> Iterator[Problem]:
    """Yield what is wrong between keys."""
    updates, values = settings.updates, merged.values
    if updates.periodic.time_zone == LOCALTIME and localtime is None:
        yield _no_localtime(_ZONE, values[_ZONE].place)
    if Strategy.PERIODIC in updates.strategy and not merged.items[WINDOW]:
        message, hint = "periodic has no window, so it would never reboot", f"add a [[{WINDOW}]]"
        yield _problem(values[_STRATEGY].place, _STRATEGY, message, hint)
    lock, told = updates.fleet_lock, merged.written - values.keys()
    if Strategy.FLEET_LOCK in updates.strategy and not lock.base_url and _BASE_URL not in told:
        message, hint = "fleet_lock has no server to ask", f"set {_BASE_URL}"
        yield _problem(values[_STRATEGY].place, _STRATEGY, message, hint)
    if lock.client_key_file and not lock.client_cert_file:
        key = "updates.fleet_lock.client_key_file"
        message, hint = "is a key without its certificate", "set client_cert_file, too"
        yield _problem(values[key].place, key, message, hint)


def _in_reading_order(
    problems: Sequence[Problem], fragments: Sequence[Fragment]
) -> tuple[Problem, ...]:
    order = {
        each.file if isinstance(each, DropIn) else each.problem.file: number
        for number, each in enumerate(fragments)
    }
    return tuple(sorted(problems, key=lambda each: (order[each.file], each.line or 0)))
