"""Everything that people, files and the system can cause, as exceptions. Imports nothing."""

from collections.abc import Sequence
from dataclasses import dataclass


class RebootmgrError(Exception):
    """Something went wrong that is not a bug: its text says what and what to do about it."""


class UsageError(RebootmgrError):
    """The command line asks for something that makes no sense; exit status 2."""


class BusError(RebootmgrError):
    """A D-Bus call failed; `name` is the D-Bus error name ("" when the connection is gone)."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(name, text)
        self.name = name
        self.text = text

    def __str__(self) -> str:
        return f"{self.name}: {self.text}" if self.name else self.text


class WatchError(RebootmgrError):
    """The kernel watches no more files for us."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One fault in the configuration: where it is, what is wrong, and the cure (SPEC 11)."""

    file: str
    line: int | None
    key: str
    message: str
    hint: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        subject = f"{self.key}: " if self.key else ""
        cure = f" ({self.hint})" if self.hint else ""
        return f"{place}: {subject}{self.message}{cure}"


class ConfigError(RebootmgrError):
    """The configuration is invalid; carries every problem, not only the first; exit status 78."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)
