"""One drop-in: TOML text in, checked values and everything that is wrong with it out.

The first of three layers: fragments, merged values with their places, settings.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import tomli

from rebootmgr.config.cures import cure_for_syntax
from rebootmgr.config.schema import ITEMS, KEYS, TABLES, ZINCATI, cure_for_unknown, dotted
from rebootmgr.config.values import Rule, UnfitError, shown
from rebootmgr.config.windows import Found, Item, Place
from rebootmgr.errors import Problem
from rebootmgr.text import harmless

Path: TypeAlias = tuple[str | int, ...]

_DEEPEST: Final = 16  # no known key is deeper, and prefixes of longer ones would cost the square
_TOKEN: Final = re.compile(
    r"""
      (?P<blank>[ \t\r]+|\#[^\n]*)
    | (?P<newline>\n)
    | (?P<text>\"{3}(?:\\.|[^\\])*?\"{3,5}|'{3}.*?'{3,5}|"(?:\\.|[^"\\\n])*"|'[^'\n]*')
    | (?P<mark>[][{},=])
    | (?P<bare>[^][{},=\#"'\s]+)
    """,
    re.VERBOSE | re.DOTALL,
)


def locate_keys(text: str) -> Mapping[Path, int]:
    """Line (from 1) of each key, table and array element of a text that tomli accepts.

    Elements have their index in the path. Keys written with escapes are not found.
    """
    scan = _Scan()
    for token in _TOKEN.finditer(text):
        scan.take(token.lastgroup or "", token[0])
    return scan.lines


def line_of(lines: Mapping[Path, int], path: Path) -> int | None:
    """Line of the key, else of the table that it is in."""
    for end in range(len(path), 0, -1):
        if path[:end] in lines:
            return lines[path[:end]]
    return None


class _Scan:
    """Follows just as much of the grammar as is needed to know keys from values."""

    def __init__(self) -> None:
        self.lines: dict[Path, int] = {}
        self._line = 1
        self._tables: dict[Path, int] = {}  # how often `[[path]]` was seen
        self._table: Path = ()
        self._brackets = 0  # of the header that we are in
        self._open: list[tuple[Path, int | None]] = []  # arrays, with index, and inline tables
        self._key: list[str] = []
        self._in_key = True
        self._value: Path = ()

    def take(self, kind: str, token: str) -> None:
        match kind, token:
            case "newline", _ if not self._open:
                self._in_key, self._key = True, []
            case "mark", "[" if self._in_key and not self._open:
                self._brackets += 1
            case "mark", "[":
                self._enter(0)
            case "mark", "{":
                self._enter(None)
            case "mark", "]" if self._brackets:
                self._end_header()
            case "mark", "]" | "}":
                self._open.pop()
                self._in_key = False
            case "mark", ",":
                self._next_element()
            case "mark", "=":
                self._value = self._enclosing() + tuple(self._key)
                self._note(self._value)
                self._in_key, self._key = False, []
            case "text", _ if self._in_key:
                self._key.append(token[1:-1])
            case "bare", _ if self._in_key:
                self._key.extend(part for part in token.split(".") if part)
            case "text" | "bare", _:
                self._note(self._value)
            case _:
                pass
        self._line += token.count("\n")

    def _note(self, path: Path) -> None:
        if len(path) <= _DEEPEST:
            for end in range(1, len(path) + 1):
                self.lines.setdefault(path[:end], self._line)

    def _enclosing(self) -> Path:
        return self._open[-1][0] if self._open else self._table

    def _enter(self, index: int | None) -> None:
        self._note(self._value)
        self._open.append((self._value, index))
        self._in_key = index is None
        if index is not None:
            self._value = (*self._value, index)

    def _next_element(self) -> None:
        path, index = self._open[-1]
        self._key, self._in_key = [], index is None
        if index is not None:
            self._open[-1] = (path, index + 1)
            self._value = (*path, index + 1)

    def _end_header(self) -> None:
        if self._key:  # the first closing bracket
            path: Path = ()
            for name in self._key[:-1]:
                path = (*path, name)
                if path in self._tables:
                    path = (*path, self._tables[path] - 1)
            path = (*path, self._key[-1])
            if self._brackets == 2:
                self._tables[path] = self._tables.get(path, 0) + 1
                path = (*path, self._tables[path] - 1)
            self._table, self._key = path, []
            self._note(path)
        self._brackets -= 1


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
    message, line, hint = _TOO_DEEP, None, "see https://toml.io for the grammar"
    if isinstance(error, tomli.TOMLDecodeError):
        # The text of the error is the only place where every tomli since 2.0.1 tells the line.
        said = re.fullmatch(r"(.*?) \(at (?:line (\d+), column \d+|end of document)\)", str(error))
        line = int(said[2]) if said and said[2] else drop_in.text.rstrip("\n").count("\n") + 1
        what = harmless(said[1] if said else str(error))
        message, hint = cure_for_syntax(drop_in.text, line, what)
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
