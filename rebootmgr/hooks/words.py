"""What the daemon asks of the hook runner, and what that answers, as JSON (SPEC 8).

The daemon's user writes the order and root acts on it, so nothing in it is taken on trust.
"""

import json
import re
from dataclasses import asdict, dataclass
from typing import Any, Final

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
STOPPED: Final = 128 + 15  # as ended by TERM
TOO_LATE: Final = 124
NOT_RUN: Final = 126
# Without an order these do not run. The others put back what was drained, whatever it was for.
NEED_ORDER: Final = frozenset({Phase.CHECK, Phase.PRE_REBOOT})
_PLAIN: Final = "A-Za-z0-9._~+:^@="
_REQUEST: Final = re.compile(r"[0-9a-f]{32}")
_WORD: Final = re.compile(rf"([{_PLAIN}][{_PLAIN}-]{{0,{LONGEST - 1}}})?")
_NOT_PLAIN: Final = re.compile(rf"^-|[^{_PLAIN}-]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a phase is about; `request`, 32 hex digits, marks the result that answers it.

    The others are plain ASCII words: a hook may well forget to quote them.
    """

    request: str
    deployment: str = ""
    version: str = ""
    booted: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a phase ended: `status` 0, or that of the first `hook` that failed and its last line.

    The status is the one that a shell would give.
    """

    request: str
    phase: Phase
    hook: str
    status: int
    last_line: str


@dataclass(frozen=True, slots=True)
class Unusable:
    """It cannot be read, or not be meant."""

    why: str


def encode_word(text: str) -> str:
    """Make a word for an order of any text: what is not plain becomes `_`."""
    return _NOT_PLAIN.sub("_", text[:LONGEST])


def encode_order(order: Order) -> bytes:
    """Write an order whose words are plain."""
    return json.dumps(asdict(order)).encode() + b"\n"


def decode_order(data: bytes) -> Order | Unusable:
    """Read an order; keys that a newer daemon may add are ignored."""
    match _decode(data):
        case {
            "request": str(request),
            "deployment": str(deployment),
            "version": str(version),
            "booted": str(booted),
        }:
            words = {"deployment": deployment, "version": version, "booted": booted}
        case Unusable() as unusable:
            return unusable
        case _:
            return Unusable("lacks a key, or one has a value of another type")
    if not _REQUEST.fullmatch(request):
        return Unusable("request is not 32 hex digits")
    for name, word in words.items():
        if not _WORD.fullmatch(word):
            return Unusable(f"{name} is longer than {LONGEST}, or has characters that none has")
    return Order(request=request, **words)


def encode_result(result: Result) -> bytes:
    """Write a result."""
    known = {
        "request": result.request,
        "phase": result.phase.value,
        "hook": result.hook,
        "exit": result.status,
        "last_line": result.last_line,
    }
    return json.dumps(known).encode() + b"\n"


def decode_result(data: bytes, phase: Phase) -> Result | Unusable:
    """Read the result of `phase`; keys that a newer runner may add are ignored."""
    match _decode(data):
        case {
            "request": str(request),
            "phase": phase.value,
            "hook": str(hook),
            "exit": int(status),
            "last_line": str(line),
        } if not isinstance(status, bool):
            return Result(
                request=harmless(request),
                phase=phase,
                hook=harmless(hook),
                status=status,
                last_line=harmless(line),
            )
        case Unusable() as unusable:
            return unusable
        case _:
            return Unusable("lacks a key, or one has a value of another type")


def _decode(data: bytes) -> Any:  # JSON is of any type; the patterns above tell
    if len(data) > LARGEST:
        return Unusable(f"is larger than {LARGEST} bytes")
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return Unusable("is no JSON")
