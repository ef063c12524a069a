"""Where in a TOML text each key stands: tomli does not tell."""

import re
from collections.abc import Mapping
from typing import Final, TypeAlias

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
