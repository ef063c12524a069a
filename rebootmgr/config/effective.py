"""The effective configuration, for people and scripts: what `cat-config` shows (SPEC 11)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import reduce
from itertools import groupby
from typing import Final

from rebootmgr.config.base_url import redact
from rebootmgr.config.checked import Config
from rebootmgr.config.grammar import is_bare
from rebootmgr.config.schema import ITEMS, KEYS
from rebootmgr.config.values import quoted
from rebootmgr.config.windows import Place
from rebootmgr.core.policy import Respect, Strategy

_RESPECT: Final = {Respect.ALL: True, Respect.ROOT: "root", Respect.NOBODY: False}


@dataclass(frozen=True, slots=True)
class Effective:
    """A value in force, without secrets; `place` is None for a default.

    `table` has an index where it is one of several: `updates.blackout[0]`; `instead_of` is where
    an earlier drop-in said something else.
    """

    table: str
    name: str
    value: object
    place: Place | None
    instead_of: Place | None = None


def effective_values(config: Config) -> tuple[Effective, ...]:
    """List every value in force, in the order of SPEC 3."""
    result: list[Effective] = []
    tables = groupby(KEYS, key=lambda key: key.rpartition(".")[0])
    for table, keys in tables:
        result.extend(_scalars(config, table, keys))
        if table == "updates.periodic":
            result.extend(_items(config))
    return tuple(result)


def encode_config(values: Sequence[Effective]) -> str:
    """Write values as TOML, with the place of each as a comment."""
    parts: list[str] = []
    for table, group in groupby(values, key=lambda each: each.table):
        name = table.partition("[")[0]
        parts.append(f"\n[[{name}]]" if name in ITEMS else f"\n[{name}]")
        parts.extend(f"{each.name} = {encode_value(each.value)}  # {_from(each)}" for each in group)
    return "\n".join(parts).lstrip("\n") + "\n"


def encode_value(value: object) -> str:
    """Write one value as TOML."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return quoted(value)
        case date():
            return value.isoformat()
        case dict():
            pairs = ", ".join(
                f"{_key(name)} = {encode_value(each)}" for name, each in value.items()
            )
            return f"{{ {pairs} }}" if pairs else "{}"
        case list():
            return f"[{', '.join(encode_value(each) for each in value)}]"
        case _:
            return str(value)


def _key(name: str) -> str:
    return name if is_bare(name) else quoted(name)


def _from(value: Effective) -> str:
    match value.place:
        case None:
            return "default"
        case Place() as place if value.instead_of is not None:
            return f"from {_at(place)}, overrides {_at(value.instead_of)}"
        case Place() as place:
            return f"from {_at(place)}"


def _at(place: Place) -> str:
    return place.file if place.line is None else f"{place.file}:{place.line}"


def _scalars(config: Config, table: str, keys: Iterator[str]) -> Iterator[Effective]:
    for key in keys:
        value: object = reduce(getattr, key.split("."), config.settings)
        found = config.merged.values.get(key)
        name = key.rpartition(".")[2]
        place, earlier = found.place if found else None, config.merged.overridden.get(key)
        yield Effective(table, name, _plain(key, value), place, earlier)


def _items(config: Config) -> Iterator[Effective]:
    for table, items in config.merged.items.items():
        for index, item in enumerate(items):
            for name, found in item.found.items():
                yield Effective(f"{table}[{index}]", name, found.raw, found.place)


def _plain(key: str, value: object) -> object:
    match key, value:
        case "updates.fleet_lock.base_url", str():
            return redact(value)
        case "metrics.socket_mode", int():
            return f"{value:04o}"
        case "identity.labels", Mapping():
            return dict(sorted(value.items()))
        case _, Respect():
            return _RESPECT[value]
        case _, frozenset():
            names = [str(each) for each in Strategy if each in value]
            return names[0] if len(names) == 1 else names
        case _:
            return value
