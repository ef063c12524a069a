"""All drop-ins as one: the layer between what each says and the settings of a program."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import UTC, tzinfo
from typing import Any, TypeVar

from rebootmgr.config.fragment import Decoded, DropIn, Fragment, Ignored, Unread, decode_fragment
from rebootmgr.config.grammar import ANY, Grammar, dotted
from rebootmgr.config.values import LOCALTIME, decode_zone
from rebootmgr.config.windows import Fault, Found, Item, Place
from rebootmgr.errors import Problem

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Merged:
    """All drop-ins as one: the last value of each key, all items of each array, in order.

    Where a value is a table, what each drop-in says of it is put together.

    `written` also has the keys whose value was bad; `names`, by table, what people chose to name,
    and where they did so first. Values may hold secrets. `overridden` says where each key stood
    that a later drop-in gives another value.
    """

    values: Mapping[str, Found]
    items: Mapping[str, tuple[Item, ...]]
    written: frozenset[str]
    overridden: Mapping[str, Place]
    names: Mapping[str, Mapping[str, Place]]


@dataclass(frozen=True, slots=True)
class Read:
    """What the drop-ins say, and what is wrong with each key of its own."""

    merged: Merged
    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Zones:
    """Which time is kept: this host's (None if unknown), and the zone of items without one."""

    localtime: tzinfo | None
    default: str = "UTC"

    def find(self, name: str) -> tzinfo | None:
        """Give the zone with a name that its rule accepted; None for an unknown local time."""
        return self.localtime if name == LOCALTIME else decode_zone(name)


def read_fragments(fragments: Sequence[Fragment], grammar: Grammar) -> Read:
    """Read and merge what the drop-ins say, in order."""
    decoded = [decode_fragment(each, grammar) for each in fragments if isinstance(each, DropIn)]
    errors = [each.problem for each in fragments if isinstance(each, Unread)]
    errors += [problem for each in decoded for problem in each.errors]
    warnings = [each.problem for each in fragments if isinstance(each, Ignored)]
    warnings += [problem for each in decoded for problem in each.warnings]
    return Read(_merge(decoded, grammar), tuple(errors), tuple(warnings))


def _merge(decoded: Sequence[Decoded], grammar: Grammar) -> Merged:
    values: dict[str, Found] = {}
    overridden: dict[str, Place] = {}
    items: dict[str, list[Item]] = {table: [] for table in grammar.items if ANY not in table}
    names: dict[str, dict[str, Place]] = {}
    for each in decoded:
        for key, found in each.values.items():
            if key in values and _contradicts(found.value, values[key].value):
                overridden[key] = values[key].place
            values[key] = _laid_over(values[key], found) if key in values else found
        for table, its in each.items.items():
            items.setdefault(table, []).extend(its)
        for table, chosen in each.names.items():
            names[table] = chosen | names.get(table, {})
    written = frozenset(key for each in decoded for key in each.written)
    merged = {table: tuple(its) for table, its in items.items()}
    return Merged(values, merged, written, overridden, names)


def _laid_over(below: Found, above: Found) -> Found:
    match below.raw, above.raw:
        case dict() as its, dict() as more:
            return Found(below.value | above.value, its | more, above.place)
        case _:
            return above


def _contradicts(later: object, earlier: object) -> bool:
    match earlier, later:
        case dict(), dict():
            return any(later[name] != earlier[name] for name in earlier.keys() & later.keys())
        case _:
            return later != earlier


def decode_items(
    merged: Merged,
    table: str,
    decode: Callable[[Item, tzinfo], T | tuple[Fault, ...]],
    zones: Zones,
) -> tuple[tuple[T, ...], list[Problem]]:
    """Decode the items of one array of tables, and say what is wrong with each."""
    good: list[T] = []
    problems: list[Problem] = []
    for item in merged.items.get(table, ()):
        own = item.found.get("time_zone")
        zone = zones.find(own.value if own else zones.default)
        if zone is None and own:
            problems.append(no_localtime(f"{table}.time_zone", own.place))
        result = decode(item, zone or UTC)
        if not isinstance(result, tuple):
            good.append(result)
            continue
        for fault in result:
            place = item.found[fault.key].place if fault.key in item.found else item.place
            key = f"{table}.{fault.key}" if fault.key else table
            problems.append(problem_at(place, key, fault.message, fault.hint))
    return tuple(good), problems


def no_localtime(key: str, place: Place) -> Problem:
    """Say that the local time is asked for, and nobody knows it."""
    hint = "repair it with timedatectl, or write the name of a zone"
    return problem_at(place, key, "this host's /etc/localtime is no time zone", hint)


def problem_at(place: Place, key: str, message: str, hint: str) -> Problem:
    """Say what is wrong with what stands there."""
    return Problem(file=place.file, line=place.line, key=key, message=message, hint=hint)


def with_values(default: Any, table: str, values: Mapping[str, Any]) -> Any:
    """Put these values into a (nested) dataclass; each rule has given the field's type."""
    changes = {}
    for each in fields(default):
        key, old = dotted(table, each.name), getattr(default, each.name)
        if is_dataclass(old):
            changes[each.name] = with_values(old, key, values)
        elif key in values:
            changes[each.name] = values[key]
    return replace(default, **changes)


def in_reading_order(
    problems: Sequence[Problem], fragments: Sequence[Fragment]
) -> tuple[Problem, ...]:
    """Sort problems as a reader meets them; what has no file of these comes last."""
    order = {
        each.file if isinstance(each, DropIn) else each.problem.file: number
        for number, each in enumerate(fragments)
    }
    last = len(order)
    return tuple(sorted(problems, key=lambda each: (order.get(each.file, last), each.line or 0)))
