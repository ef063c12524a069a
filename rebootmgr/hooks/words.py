"""What the daemon asks of the hook runner, and what that answers: JSON, a line each (SPEC 8).

The daemon's user writes the order and root acts on it, so nothing in it is taken on trust.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from rebootmgr.core.model import Phase
from rebootmgr.text import LONGEST, harmless

LONGEST_LINE: Final = 4096
MOST_LINES: Final = 1000


class Transcript:
    """Output of one hook: the first lines for the log, and the last one as the reason."""

    def __init__(self) -> None:
        self.last = ""
        self._rest = b""
        self._left = MOST_LINES

    def feed(self, data: bytes) -> list[str]:
        """Take some output; return the complete lines in it that belong in the log."""
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[:LONGEST_LINE]
        return self._take(lines)

    def end(self) -> list[str]:
        """Take the last line, if nobody ended it."""
        rest, self._rest = self._rest, b""
        return self._take([rest])

    def _take(self, lines: list[bytes]) -> list[str]:
        now, beyond = lines[: self._left], lines[self._left :]
        self._left -= len(now)
        shown = [text for text in map(_decode_line, now) if text]
        if last := [text for text in map(_decode_line, beyond[-1:]) if text] or shown[-1:]:
            self.last = last[0]
        if now and not self._left:
            shown.append(f"(no more than {MOST_LINES} lines are logged)")
        return shown


def _decode_line(line: bytes) -> str:
    return harmless(line[:LONGEST_LINE].decode(errors="replace"))


LARGEST: Final = 8192
LONGEST_TIMEOUT_S: Final = 86400  # as hooks.timeout_seconds has it
STOPPED: Final = 128 + 15  # as ended by TERM
TOO_LATE: Final = 124
NOT_RUN: Final = 126
_PLAIN: Final = "A-Za-z0-9._~+:^@="
_WORD: Final = re.compile(rf"([{_PLAIN}][{_PLAIN}-]{{0,{LONGEST - 1}}})?")
_NOT_PLAIN: Final = re.compile(rf"^-|[^{_PLAIN}-]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Which phase is to be run, what it is about, and how long each hook may take.

    Those about what it is are plain ASCII words: a hook may well forget to quote them. `waived`
    are the programs of checks.d that are not run, because they count no more.
    """

    phase: Phase
    timeout_s: int
    deployment: str = ""
    version: str = ""
    booted: str = ""
    waived: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ran:
    """One hook ended: the status that a shell would give, and unless it is 0 why, in one line."""

    hook: str
    status: int
    last_line: str = ""


@dataclass(frozen=True, slots=True)
class End:
    """The phase was run to its end."""


Answer: TypeAlias = Ran | End


@dataclass(frozen=True, slots=True)
class Unusable:
    """It cannot be read, or not be meant."""

    why: str


def encode_word(text: str) -> str:
    """Make a word for an order of any text: what is not plain becomes `_`."""
    return _NOT_PLAIN.sub("_", text[:LONGEST])


def encode_order(order: Order) -> bytes:
    """Write an order whose words are plain."""
    return _encode(
        {
            "phase": order.phase.value,
            "deployment": order.deployment,
            "version": order.version,
            "booted": order.booted,
            "timeout_seconds": order.timeout_s,
            **({"waived": list(order.waived)} if order.waived else {}),
        }
    )


def decode_order(line: bytes) -> Order | Unusable:
    """Read an order; keys that a newer daemon may add are ignored."""
    match _decode(line):
        case {
            "phase": str(name),
            "deployment": str(deployment),
            "version": str(version),
            "booted": str(booted),
            "timeout_seconds": int(timeout_s),
            **more,
        } if not isinstance(timeout_s, bool):
            words = {"deployment": deployment, "version": version, "booted": booted}
        case Unusable() as unusable:
            return unusable
        case _:
            return Unusable("lacks a key, or one has a value of another type")
    phase = next((phase for phase in Phase if phase.value == name), None)
    if phase is None:
        return Unusable("phase is none that there is")
    if not 1 <= timeout_s <= LONGEST_TIMEOUT_S:
        return Unusable(f"timeout_seconds is not from 1 to {LONGEST_TIMEOUT_S}")
    for key, word in words.items():
        if not _WORD.fullmatch(word):
            return Unusable(f"{key} is longer than {LONGEST}, or has characters that none has")
    waived = _decode_waived(more.get("waived", []))
    if isinstance(waived, Unusable):
        return waived
    return Order(phase=phase, timeout_s=timeout_s, **words, waived=waived)


def _decode_waived(found: object) -> tuple[str, ...] | Unusable:
    names = found if isinstance(found, list) else [None]
    if not all(isinstance(name, str) and name and _WORD.fullmatch(name) for name in names):
        return Unusable("waived is no list of names as hooks have them")
    return tuple(names)


def encode_answer(answer: Answer) -> bytes:
    """Write one line of the answer."""
    match answer:
        case Ran(hook, status, last_line):
            return _encode({"hook": hook, "exit": status, "last_line": last_line})
        case End():
            return _encode({"end": True})


def decode_answer(line: bytes) -> Answer | Unusable:
    """Read one line of the answer; keys that a newer runner may add are ignored."""
    match _decode(line):
        case {"end": True}:
            return End()
        case {"hook": str(hook), "exit": int(status), "last_line": str(said)} if not isinstance(
            status, bool
        ):
            return Ran(harmless(hook), status, harmless(said))
        case Unusable() as unusable:
            return unusable
        case _:
            return Unusable("lacks a key, or one has a value of another type")


def _encode(known: Mapping[str, object]) -> bytes:
    return json.dumps(known).encode() + b"\n"


def _decode(line: bytes) -> Any:  # JSON is of any type; the patterns above tell
    if len(line) > LARGEST:
        return Unusable(f"is longer than {LARGEST} bytes")
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return Unusable("is no JSON")
