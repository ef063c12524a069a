"""One drop-in: TOML text in, checked values and everything that is wrong with it out.

The first of three layers: fragments, merged values with their places, settings.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import tomli

from rebootmgr.config.lines import Path, line_of, locate_keys
from rebootmgr.config.schema import ITEMS, KEYS, TABLES, ZINCATI, cure_for_unknown, dotted
from rebootmgr.config.values import Rule, UnfitError, shown
from rebootmgr.config.windows import Found, Item, Place
from rebootmgr.errors import Problem
from rebootmgr.text import harmless

_TOO_DEEP: Final = "is nested too deeply, or has a number that is too long"


@dataclass(frozen=True, slots=True)
class DropIn:
    """A file that was read. The text may hold secrets."""

    file: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Unread:
    """Something in a drop-in directory that ought to be configuration and could not be read."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class Ignored:
    """Something in a drop-in directory that is no drop-in: a warning."""

    problem: Problem


Fragment: TypeAlias = DropIn | Unread | Ignored


@dataclass(slots=True)
class Decoded:
    """What one drop-in says, while it is being read."""

    file: str
    lines: Mapping[Path, int]
    values: dict[str, Found] = field(default_factory=dict)
    written: set[str] = field(default_factory=set)
    items: dict[str, list[Item]] = field(default_factory=lambda: {key: [] for key in ITEMS})
    errors: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def place(self, path: Path) -> Place:
        """Say where a key stands."""
        return Place(self.file, line_of(self.lines, path))

    def problem(self, path: Path, key: str, message: str, hint: str) -> Problem:
        """Say what is wrong with a key."""
        line = line_of(self.lines, path)
        return Problem(file=self.file, line=line, key=key, message=message, hint=hint)


def decode_fragment(drop_in: DropIn) -> Decoded:
    """Read every value of the drop-in that its rule accepts, and every fault."""
    try:
        document = tomli.loads(drop_in.text)
    except (ValueError, RecursionError) as error:  # ValueError: also a number of 4301 digits
        decoded = Decoded(drop_in.file, {})
        decoded.errors.append(_syntax_problem(drop_in, error))
        return decoded
    decoded = Decoded(drop_in.file, locate_keys(drop_in.text))
    _read_table(decoded, (), "", document)
    return decoded


def _syntax_problem(drop_in: DropIn, error: Exception) -> Problem:
    message, line = _TOO_DEEP, None
    if isinstance(error, tomli.TOMLDecodeError):
        # The text of the error is the only place where every tomli since 2.0.1 tells the line.
        said = re.fullmatch(r"(.*?) \(at (?:line (\d+), column \d+|end of document)\)", str(error))
        message = f"is not TOML: {harmless(said[1] if said else str(error))}"
        line = int(said[2]) if said and said[2] else drop_in.text.rstrip("\n").count("\n") + 1
    hint = "see https://toml.io for the grammar"
    return Problem(file=drop_in.file, line=line, key="", message=message, hint=hint)


def _read_table(decoded: Decoded, path: Path, table: str, content: Mapping[str, object]) -> None:
    for name, value in content.items():
        here, key = (*path, name), dotted(table, name)
        if key in KEYS:
            decoded.written.add(key)
            found = _checked(decoded, here, key, value, KEYS[key])
            if found is not None:
                decoded.values[key] = found
        elif key in ITEMS:
            _read_items(decoded, here, key, value)
        elif key in ZINCATI:
            hint = "Zincati's own; rebootmgr does not fetch updates"
            decoded.warnings.append(decoded.problem(here, key, "has no effect here", hint))
        elif key not in TABLES:
            hint = cure_for_unknown(table, name)
            decoded.errors.append(decoded.problem(here, key, "is no known key", hint))
        elif isinstance(value, dict):
            _read_table(decoded, here, key, value)
        else:
            message = f"must be a table, not {shown(value)}"
            decoded.errors.append(decoded.problem(here, key, message, f"write [{key}]"))


def _read_items(decoded: Decoded, path: Path, key: str, value: object) -> None:
    if not isinstance(value, list):
        message = f"must be an array of tables, not {shown(value)}"
        decoded.errors.append(decoded.problem(path, key, message, f"write [[{key}]]"))
        return
    for index, content in enumerate(value):
        here = (*path, index)
        if isinstance(content, dict):
            decoded.items[key].append(_read_item(decoded, here, key, content))
        else:
            message = f"must be a table, not {shown(content)}"
            decoded.errors.append(decoded.problem(here, key, message, f"write [[{key}]]"))


def _read_item(decoded: Decoded, path: Path, table: str, content: Mapping[str, object]) -> Item:
    rules, found, written = ITEMS[table], {}, set()
    for name, value in content.items():
        here, key = (*path, name), dotted(table, name)
        if name not in rules:
            hint = cure_for_unknown(table, name)
            decoded.errors.append(decoded.problem(here, key, "is no known key", hint))
            continue
        written.add(name)
        checked = _checked(decoded, here, key, value, rules[name])
        if checked is not None:
            found[name] = checked
    return Item(decoded.place(path), found, frozenset(written))


def _checked(decoded: Decoded, path: Path, key: str, value: object, rule: Rule) -> Found | None:
    try:
        return Found(rule(value), value, decoded.place(path))
    except UnfitError as error:
        decoded.errors.append(decoded.problem(path, key, str(error), error.hint))
        return None
