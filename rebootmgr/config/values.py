"""One value of the configuration at a time: TOML in, a checked value out.

A check takes what TOML gave and returns the typed value, or raises `UnfitError`. What programs and
people can be told of it beforehand stands beside it.
"""

import re
from datetime import UTC, date, datetime, time, tzinfo
from enum import StrEnum
from functools import cache
from typing import Final, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from rebootmgr.config.base_url import fault_of, redact
from rebootmgr.config.cures import cure_for_zone
from rebootmgr.config.rules import Either, Flag, Named, Rule, Several, Text, Whole, Words, wanted
from rebootmgr.core.model import LONGEST_NAME, LONGEST_SERVER
from rebootmgr.core.policy import Respect, Strategy
from rebootmgr.fleetlock.labels_words import MOST_LABELS, WORD
from rebootmgr.text import nearest

LOCALTIME: Final = "localtime"

Word = TypeVar("Word", bound=StrEnum)

# Relative, without dots: a name can never lead out of the zoneinfo directory.
_ZONE: Final = re.compile(r"[A-Za-z0-9_+-]{1,32}(?:/[A-Za-z0-9_+-]{1,32}){0,3}")
_UUID: Final = (
    r"(?:[Uu][Rr][Nn]:[Uu][Uu][Ii][Dd]:)?\{?[0-9a-fA-F]{8}(-?)[0-9a-fA-F]{4}\1[0-9a-fA-F]{4}\1"
    r"[0-9a-fA-F]{4}\1[0-9a-fA-F]{12}\}?"
)
_GROUP: Final = "[a-zA-Z0-9.-]+"
_MODE: Final = "0?[0-7]{3}"


class UnfitError(ValueError):
    """A value that makes no sense: what is wrong with it, and the cure."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def quoted(text: str) -> str:
    """Write text as a TOML string that is safe on a terminal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{"".join(char if char.isprintable() else _escape(char) for char in escaped)}"'


def _escape(char: str) -> str:
    return f"\\u{ord(char):04X}" if ord(char) < 0x10000 else f"\\U{ord(char):08X}"


def shown(value: object) -> str:
    """Show a value from a file as an error may quote it."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return quoted(value if len(value) <= 60 else f"{value[:59]}…")
        case int():
            return str(value) if abs(value) < 10**18 else "a huge number"
        case float():
            return str(value)
        case datetime() | date() | time():
            return f"the date or time {value.isoformat()}"
        case list():
            return "an array"
        case _:
            return "a table"


FLAG: Final = Flag()


def boolean(value: object) -> bool:
    """Take a flag."""
    if isinstance(value, bool):
        return value
    raise UnfitError(f"must be {wanted(FLAG)}, not {shown(value)}", "write it without quotes")


def whole(low: int, high: int, meaning: str = "", *, unit: str = "", hint: str = "") -> Rule:
    """Make a rule that takes a whole number within these bounds, both included."""
    accepts = Whole(low, high, unit)

    def check(value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        message = f"must be {wanted(accepts)}, not {shown(value)}"
        raise UnfitError(message, hint or "write digits, without quotes")

    return Rule(check, accepts, meaning)


DEFAULT_GROUP: Final = "default"
TEXT: Final = Text()
GROUP: Final = Text("letters, digits, dots and dashes", f"(?:{_GROUP})?", LONGEST_NAME)
UUID: Final = Text("a UUID", f"(?:{_UUID})?")
_STRATEGIES: Final = Words(tuple(Strategy))
STRATEGY: Final = Either((_STRATEGIES, Several(_STRATEGIES, once=True), Words(("",))))
RESPECT: Final = Either((Flag(), Words((Respect.ROOT,))))
URL: Final = Text("an http or https URL", longest=LONGEST_SERVER)
LABELS: Final = Named(
    "a table of labels, each with its value in quotes",
    WORD,
    Text("a label's value", WORD),
    MOST_LABELS,
)
FILE: Final = Text("the absolute path of a file", "(?:/.*)?")
MODE: Final = Text("three or four octal digits", _MODE)
ZONE: Final = Text('the name of a time zone, or "localtime"')


def text(value: object) -> str:
    """Take any text."""
    if isinstance(value, str):
        return value
    raise UnfitError(f"must be text, not {shown(value)}", 'write it in quotes, like "..."')


def too_long(value: str, most: int) -> tuple[str, str]:
    """Say that a value is longer than a slot's may be, and the cure; nothing of it is quoted."""
    return f"has {len(value)} characters, more than {most}", f"write {most} or fewer"


def group(value: object) -> str:
    """Take the name of a FleetLock group; "" is the default one, as for Zincati."""
    name = text(value) or DEFAULT_GROUP
    if not re.fullmatch(_GROUP, name):
        raise UnfitError(f"{shown(name)} is no group name", "use letters, digits, dots and dashes")
    if len(name) > LONGEST_NAME:
        raise UnfitError(*too_long(name, LONGEST_NAME))
    return name


def labels(value: object) -> dict[str, str]:
    """Take labels and their values."""
    if not isinstance(value, dict):
        message = f"must be {wanted(LABELS)}, not {shown(value)}"
        raise UnfitError(message, 'write it like { rack = "a2" }')
    cure = "use letters, digits, dots and dashes, 253 at most"
    for name, each in value.items():
        if not re.fullmatch(WORD, name):
            raise UnfitError(f"has the label {shown(name)}, which is no name", cure)
        if not isinstance(each, str):
            raise UnfitError(f"has {shown(each)} for {name}", "write the value in quotes")
        if not re.fullmatch(WORD, each):
            raise UnfitError(f"has {shown(each)} for {name}, which is no value", cure)
    return dict(value)


def node_uuid(value: object) -> str:
    """Take a UUID in any of its usual spellings, as 32 lower-case hex digits; "" stays."""
    spelled = text(value)
    if not spelled or re.fullmatch(_UUID, spelled):
        return re.sub(r"[^0-9a-f]", "", spelled.lower().removeprefix("urn:uuid:"))
    raise UnfitError(f"{shown(spelled)} is no UUID", "write 32 hex digits, with or without dashes")


def strategy(value: object) -> frozenset[Strategy]:
    """Take one strategy, or an array of those that must all agree; "" is `immediate`."""
    if value == "":
        return frozenset({Strategy.IMMEDIATE})
    names = value if isinstance(value, list) else [value]
    if not names:
        raise UnfitError("is an empty array", 'name a strategy, or write "off"')
    found = [choice(name, Strategy) for name in names]
    if len(set(found)) < len(found):
        raise UnfitError("names a strategy twice", "remove one of them")
    if Strategy.OFF in found and len(found) > 1:
        raise UnfitError('combines "off" with another strategy', 'write only "off", or remove it')
    return frozenset(found)


def respect(value: object) -> Respect:
    """Take whose inhibitors count."""
    match value:
        case True:
            return Respect.ALL
        case "root":
            return Respect.ROOT
        case False:
            return Respect.NOBODY
        case _:
            message = f'must be true, "root" or false, not {shown(value)}'
            raise UnfitError(message, 'only "root" is written in quotes')


def base_url(value: object) -> str:
    """Take where the lock server is; never quoted with its credentials."""
    url = text(value)
    if len(url) > LONGEST_SERVER:
        raise UnfitError(*too_long(url, LONGEST_SERVER))
    fault = fault_of(url) if url else None
    if fault is None:
        return url
    what, cure = fault
    raise UnfitError(f"{shown(redact(url))} {what}", cure)


def secret_file(value: object) -> str:
    """Take the absolute path of a file, or "". Not quoted: people write the secret itself here."""
    path = text(value)
    if not path or (path.startswith("/") and path.isprintable()):
        return path
    raise UnfitError(f"must be {FILE.form}", 'write a path that starts with "/"')


def socket_mode(value: object) -> int:
    """Take permission bits, written as in chmod."""
    if isinstance(value, str) and re.fullmatch(_MODE, value):
        return int(value, 8)
    message = f"must be {MODE.form}, not {shown(value)}"
    raise UnfitError(message, 'write them in quotes, like "0666"')


def zone_name(value: object) -> str:
    """Take the name of a time zone that this host knows, or "localtime"."""
    name = text(value)
    try:
        if name != LOCALTIME:
            decode_zone(name)
    except LookupError as error:
        hint = cure_for_zone(name, str(error))
        raise UnfitError(f"{shown(name)} is no time zone on this host", hint) from error
    return name


def decode_zone(name: str) -> tzinfo:
    """Find the zone with this IANA name; LookupError's text is a likely name, or ""."""
    if name == "UTC":
        return UTC  # needs no tzdata on the host
    if _ZONE.fullmatch(name):
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass  # OSError: `Europe` is a directory
    raise LookupError(nearest(name, _zones()))


@cache
def _zones() -> list[str]:
    return sorted(available_timezones())  # opens every file there


def one_of(kind: type[StrEnum], meaning: str = "") -> Rule:
    """Make a rule that takes one of a closed set of words."""
    return Rule(lambda value: choice(value, kind), Words(tuple(kind)), meaning)


def choice(value: object, kind: type[Word]) -> Word:
    """Take one of a closed set of words."""
    if isinstance(value, str) and value in [word.value for word in kind]:
        return kind(value)
    close = nearest(value, kind) if isinstance(value, str) else ""
    hint = f'did you mean "{close}"?' if close else "write one of these, in quotes"
    raise UnfitError(f"must be {wanted(Words(tuple(kind)))}, not {shown(value)}", hint)
