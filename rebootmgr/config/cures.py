"""What people write where TOML or a time zone is wanted, and what they should write instead."""

import re
from collections.abc import Sequence
from typing import Final

from rebootmgr.text import harmless

# What clocks on walls say: each is a half of the year in some zone, or stands for several zones.
_ABBREVIATIONS: Final = {
    "CET": "Europe/Berlin", "CEST": "Europe/Berlin", "MEZ": "Europe/Berlin",
    "MESZ": "Europe/Berlin", "WET": "Europe/Lisbon", "WEST": "Europe/Lisbon",
    "EET": "Europe/Helsinki", "EEST": "Europe/Helsinki", "BST": "Europe/London",
    "MSK": "Europe/Moscow", "EST": "America/New_York", "EDT": "America/New_York",
    "ET": "America/New_York", "CST": "America/Chicago", "CDT": "America/Chicago",
    "CT": "America/Chicago", "MST": "America/Denver", "MDT": "America/Denver",
    "PST": "America/Los_Angeles", "PDT": "America/Los_Angeles", "PT": "America/Los_Angeles",
    "BRT": "America/Sao_Paulo", "IST": "Asia/Kolkata", "SGT": "Asia/Singapore",
    "HKT": "Asia/Hong_Kong", "JST": "Asia/Tokyo", "KST": "Asia/Seoul",
    "AEST": "Australia/Sydney", "AEDT": "Australia/Sydney", "NZST": "Pacific/Auckland",
    "NZDT": "Pacific/Auckland", "SAST": "Africa/Johannesburg",
}  # fmt: skip
_OFFSET: Final = re.compile(r"(?:UTC|GMT|Z)?\s*([+-])\s*(\d{1,2})(?::?(00|30|45))?", re.IGNORECASE)
_WEST, _EAST = 12, 14  # as far as Etc/GMT goes
_ITS_OWN: Final = '"localtime" is this host\'s'


def cure_for_zone(name: str, close: str) -> str:
    """Say what to write instead of a time zone that there is not; `close` is a name like it."""
    if name.upper() in _ABBREVIATIONS:
        return f'write the zone of a city, such as "{_ABBREVIATIONS[name.upper()]}"; {_ITS_OWN}'
    offset = _OFFSET.fullmatch(name)
    if offset and offset[3] in {None, "00"} and int(offset[2]) <= (_WEST, _EAST)[offset[1] == "+"]:
        turned = "-" if offset[1] == "+" else "+"
        etc = f'"Etc/GMT{turned}{int(offset[2])}"' if int(offset[2]) else '"UTC"'
        return f"write {etc}, where the sign is the other way round, or the zone of a city"
    if offset:
        return 'write the zone of a city, such as "Asia/Kolkata"'
    meant = f'did you mean "{close}"? ' if close else ""
    return f"{meant}`timedatectl list-timezones` lists them; {_ITS_OWN}"


_HEADER: Final = re.compile(r"\s*\[\s*([\w.-]+)\s*\]\s*(?:#.*)?")
_ANY_HEADER: Final = re.compile(r"\s*\[")
_PAIR: Final = re.compile(r"\s*([\w.-]+)\s*=\s*(.*?)\s*")
_COLON: Final = re.compile(r"\s*([\w-]+)\s*:\s*(\S.*?)\s*")
_LONGEST: Final = 60
_SECRET: Final = re.compile(r"url|file|auth|pass|token|secret|key", re.IGNORECASE)
_SECRET_VALUE: Final = re.compile(r"@|://|basic|bearer", re.IGNORECASE)
_YES: Final = frozenset({"true", "yes", "on"})
_NO: Final = frozenset({"false", "no", "off"})


def cure_for_syntax(text: str, line: int, said: str) -> tuple[str, str]:
    """Say what is wrong with the line (from 1) at which a TOML reader stopped, and the cure."""
    lines = text.split("\n")
    here = lines[line - 1] if line <= len(lines) else ""
    twice = _twice(lines, line - 1, said)
    if twice is not None:
        return twice
    return f"is not TOML: {said}", _cure_for_line(here) or "see https://toml.io for the grammar"


def _twice(lines: Sequence[str], at: int, said: str) -> tuple[str, str] | None:
    """Say where the table or key that stands in line `at` (from 0) stood before."""
    header, pair = _HEADER.fullmatch(lines[at]), _PAIR.fullmatch(lines[at])
    if header and "twice" in said:
        for number, earlier in enumerate(lines[:at]):
            found = _HEADER.fullmatch(earlier)
            if found and found[1] == header[1]:
                name = harmless(header[1])
                cure = f"put these keys below the first one, in line {number + 1}"
                return f"the table [{name}] stands here for the second time", cure
    if pair and "overwrite" in said:
        for number in range(at - 1, -1, -1):
            if _ANY_HEADER.match(lines[number]):
                break
            found = _PAIR.fullmatch(lines[number])
            if found and found[1] == pair[1]:
                cure = f"keep one of them, this one or that in line {number + 1}"
                return f"the key {harmless(pair[1])} stands here for the second time", cure
    return None


def _cure_for_line(line: str) -> str:
    """Say what the whole line should have been; "" where nobody can guess."""
    header = re.fullmatch(r"\s*(\[\[?)\s*([\w.-]+)\s*\]?\s*", line)
    if header:
        return f"write {header[1]}{header[2]}{']' * len(header[1])}"
    pair = _PAIR.fullmatch(line) or _COLON.fullmatch(line)
    if pair is None:
        return ""
    if _SECRET.search(pair[1]) or _SECRET_VALUE.search(pair[2]) or len(pair[2]) > _LONGEST:
        return f'write {pair[1]} = "...", with the quotes'
    return f"write {pair[1]} = {_value(pair[2])}"


def _value(written: str) -> str:
    """Guess the value that was meant, as TOML has it."""
    bare = written.partition("#")[0].strip() if written[:1] not in {'"', "'"} else written
    if bare.lower() in _YES | _NO:
        return "true" if bare.lower() in _YES else "false"
    if re.fullmatch(r"\d+|true|false", bare):
        return bare
    inner = (
        harmless(bare.strip("\"'[]"), longest=_LONGEST).replace("\\", "\\\\").replace('"', '\\"')
    )
    if bare.startswith("["):
        words = [word.strip(" \"'") for word in inner.split(",")]
        return f"[{', '.join(f'{chr(34)}{word}{chr(34)}' for word in words if word)}]"
    return f'"{inner}"' if inner else "VALUE, text in quotes"
