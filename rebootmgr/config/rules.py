"""What a key of the configuration takes, as a value: for the check, for programs and for people.

From it follow the words of an error, the JSON Schema and what `explain` says.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

Check: TypeAlias = Callable[[object], object]
"""Takes what TOML gave and returns the typed value, or raises UnfitError."""


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number within these bounds, both included."""

    low: int
    high: int
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Words:
    """One of a closed set."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """Text of a form that has a name; `pattern` is of the whole, in what Python and ECMA share.

    The check may want more than the pattern says, and never less.
    """

    form: str = "text"
    pattern: str = ""
    longest: int | None = None


@dataclass(frozen=True, slots=True)
class Day:
    """A local date of TOML."""

    form: str


@dataclass(frozen=True, slots=True)
class Moment:
    """A date or date-time of TOML, with an offset or without."""

    form: str


@dataclass(frozen=True, slots=True)
class Named:
    """A table of such values, `most` of them, by names of a form; both patterns are of the whole.

    Drop-ins add to what is there: the last word is that on each name.
    """

    form: str
    pattern: str
    each: Text
    most: int


@dataclass(frozen=True, slots=True)
class Several:
    """An array of such values, `least` of them or more; `once`: none of them twice."""

    each: "Accepts"
    once: bool = False
    least: int = 1


@dataclass(frozen=True, slots=True)
class Either:
    """Any of these."""

    ways: tuple["Accepts", ...]


Accepts: TypeAlias = Flag | Whole | Words | Text | Day | Moment | Named | Several | Either


@dataclass(frozen=True, slots=True)
class Rule:
    """How one key is read, and what it means to people: a sentence or two, without markup."""

    check: Check
    accepts: Accepts
    meaning: str = ""

    def __call__(self, value: object) -> object:
        """Take what TOML gave: the typed value, or UnfitError."""
        return self.check(value)


def wanted(accepts: Accepts) -> str:
    """Say what is taken, as in "must be ..."."""
    match accepts:
        case Flag():
            return "true or false"
        case Whole(low=low, high=high, unit=unit):
            return f"a whole number from {low} to {high}{f' ({unit})' if unit else ''}"
        case Words(words=(word,)):
            return f'"{word}"'
        case Words(words=words):
            return "one of " + ", ".join(f'"{word}"' for word in words)
        case Text(form=form) | Day(form=form) | Moment(form=form):
            return form
        case Named(form=form):
            return form
        case Several(each=each):
            return f"an array of {wanted(each)}"
        case Either(ways=ways):
            return ", or ".join(map(wanted, ways))
