"""One drop-in: TOML text in, checked values and everything that is wrong with it out.

The first of three layers: fragments, merged values with their places, settings.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import tomli

from rebootmgr.config.cures import cure_for_syntax
from rebootmgr.config.grammar import Grammar, dotted
from rebootmgr.config.rules import Check
from rebootmgr.config.values import UnfitError, shown
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
    items: dict[str, list[Item]] = field(default_factory=dict)
    names: dict[str, dict[str, Place]] = field(default_factory=dict)
    errors: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def place(self, path: Path) -> Place:
        """Say where a key stands."""
        return Place(self.file, line_of(self.lines, path))

    def problem(self, path: Path, key: str, message: str, hint: str) -> Problem:
        """Say what is wrong with a key."""
        line = line_of(self.lines, path)
        return Problem(file=self.file, line=line, key=key, message=message, hint=hint)


def decode_fragment(drop_in: DropIn, grammar: Grammar) -> Decoded:
    """Read every value of the drop-in that its rule accepts, and every fault."""
    try:
        document = tomli.loads(drop_in.text)
    except (ValueError, RecursionError) as error:  # ValueError: also a number of 4301 digits
        decoded = Decoded(drop_in.file, {})
        decoded.errors.append(_syntax_problem(drop_in, error))
        return decoded
    decoded = Decoded(drop_in.file, locate_keys(drop_in.text))
    _Reader(grammar, decoded).read(Spot((), "", ""), document)
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


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in the document: its path, its name for people, and the form that it has."""

    path: Path
    key: str
    form: str


class _Reader:
    """Goes through a document, and notes in `decoded` what it finds."""

    def __init__(self, grammar: Grammar, decoded: Decoded) -> None:
        self._grammar = grammar
        self._decoded = decoded

    def read(self, table: Spot, content: Mapping[str, object]) -> None:
        """Read a table, and those within."""
        for name, value in content.items():
            key, form = dotted(table.key, name), self._grammar.form(table.form, name)
            self._read_key(table, name, Spot((*table.path, name), key, form), value)

    def _read_key(self, table: Spot, name: str, spot: Spot, value: object) -> None:
        grammar, decoded = self._grammar, self._decoded
        if table.form in grammar.names and not self._is_name(table, name, spot):
            return
        if spot.form in grammar.keys:
            decoded.written.add(spot.key)
            found = self._checked(spot, value, grammar.keys[spot.form])
            if found is not None:
                decoded.values[spot.key] = found
        elif spot.form in grammar.items:
            self._read_items(spot, value)
        elif spot.form in grammar.foreign:
            hint = grammar.foreign[spot.form]
            decoded.warnings.append(
                decoded.problem(spot.path, spot.key, "has no effect here", hint)
            )
        elif spot.form not in grammar.tables:
            self._fail(
                spot, "is no known key", grammar.cure_for_unknown(table.form, table.key, name)
            )
        elif isinstance(value, dict):
            self.read(spot, value)
        else:
            self._fail(spot, f"must be a table, not {shown(value)}", f"write [{spot.key}]")

    def _is_name(self, table: Spot, name: str, spot: Spot) -> bool:
        """Whether the name is one that people may choose here; note where they did."""
        try:
            self._grammar.names[table.form](name)
        except UnfitError as error:
            self._fail(spot, str(error), error.hint)
            return False
        place = self._decoded.place(spot.path)
        self._decoded.names.setdefault(table.key, {}).setdefault(name, place)
        return True

    def _read_items(self, spot: Spot, value: object) -> None:
        if not isinstance(value, list):
            message = f"must be an array of tables, not {shown(value)}"
            self._fail(spot, message, f"write [[{spot.key}]]")
            return
        for index, content in enumerate(value):
            here = Spot((*spot.path, index), spot.key, spot.form)
            if isinstance(content, dict):
                items = self._decoded.items.setdefault(spot.key, [])
                items.append(self._read_item(here, content))
            else:
                self._fail(here, f"must be a table, not {shown(content)}", f"write [[{spot.key}]]")

    def _read_item(self, item: Spot, content: Mapping[str, object]) -> Item:
        rules, found, written = self._grammar.items[item.form], {}, set()
        for name, value in content.items():
            spot = Spot((*item.path, name), dotted(item.key, name), "")
            if name not in rules:
                self._fail(
                    spot,
                    "is no known key",
                    self._grammar.cure_for_unknown(item.form, item.key, name),
                )
                continue
            written.add(name)
            checked = self._checked(spot, value, rules[name])
            if checked is not None:
                found[name] = checked
        return Item(self._decoded.place(item.path), found, frozenset(written))

    def _checked(self, spot: Spot, value: object, rule: Check) -> Found | None:
        try:
            return Found(rule(value), value, self._decoded.place(spot.path))
        except UnfitError as error:
            self._fail(spot, str(error), error.hint)
            return None

    def _fail(self, spot: Spot, message: str, hint: str) -> None:
        self._decoded.errors.append(self._decoded.problem(spot.path, spot.key, message, hint))
