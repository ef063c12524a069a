"""What one program's configuration may say, and what to say about a key that there is not."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from rebootmgr.config.rules import Check
from rebootmgr.text import harmless, nearest

ANY: Final = "*"
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grammar:
    """Every key of a program, with its rule; `items` are the arrays of tables.

    `*` in a key stands for a name that people choose, for which `names` has the rule of its table.
    `foreign` are keys of other programs: what to say of each, as a warning.
    """

    keys: Mapping[str, Check]
    items: Mapping[str, Mapping[str, Check]]
    tables: frozenset[str]
    names: Mapping[str, Check] = field(default_factory=dict)
    foreign: Mapping[str, str] = field(default_factory=dict)

    def form(self, table: str, name: str) -> str:
        """Give the form, with its stars, of a key in a table of this form."""
        return f"{table}.{ANY}" if table in self.names else dotted(table, name)

    def cure_for_unknown(self, form: str, table: str, name: str) -> str:
        """Say what to do about a key that there is not, in a table that there is ("": the top)."""
        depth = form.count(".") + 1 if form else 0
        inside = f"{form}." if form else ""
        known = [*self.keys, *self.items]
        known += [f"{item}.{part}" for item, parts in self.items.items() for part in parts]
        beside = sorted({key.split(".")[depth] for key in known if key.startswith(inside)})
        close = nearest(name, beside)
        if close:
            return f"did you mean {f'{table}.' if table else ''}{close}?"
        elsewhere = [key for key in known if key.rpartition(".")[2] == name]
        if elsewhere:
            return f"did you mean {elsewhere[0].replace(ANY, 'NAME')}?"
        return f"remove it; known here: {', '.join(beside)}"


def tables_of(keys: Iterable[str]) -> frozenset[str]:
    """Name every table that has one of these keys in it, at whatever depth."""
    parts = [key.split(".") for key in keys]
    return frozenset(".".join(each[:end]) for each in parts for end in range(1, len(each)))


def is_bare(name: str) -> bool:
    """Whether TOML takes a key without quotes."""
    return _BARE.fullmatch(name) is not None


def dotted(table: str, name: str) -> str:
    """Name a key in full. What TOML must quote is quoted, and so never a known key."""
    key = name if is_bare(name) else f'"{harmless(name, longest=60)}"'
    return f"{table}.{key}" if table else key
