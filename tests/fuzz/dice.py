"""Decisions drawn from bytes, so that whoever varies the bytes varies what is decided."""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

T = TypeVar("T")

WORDS: Final = (
    "", "\n", "\x1b[2J", "\u202e", "\ud800", "ä", "0", "-1", "true", "null", "staged", "locked",
    "shutdown", "id", "a" * 300, "/", "%s", "{0}", "\0",
)  # fmt: skip
NUMBERS: Final = (0, 1, -1, 255, 2**31, 2**32, 2**53, 2**63 - 1, -(2**63), 2**64 - 1)
TOKENS: Final = (
    b"\0", b"\xff", b"\n", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"=", b"-", b"1e999",
    b"NaN", b"null", b"true", b"9" * 30, b"\\ud800", b"[[", b"locked\0\0", b"2026-01-01", b"'''",
)  # fmt: skip
MOST_EDITS: Final = 6
DEEPEST: Final = 4


class Dice:
    """`data` decides; at its end every decision is the first of its kind."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def below(self, count: int) -> int:
        """Give a number in [0, count)."""
        width = max(1, (count - 1).bit_length() + 7 >> 3)
        found = int.from_bytes(self._data[self._at : self._at + width], "little")
        self._at += width
        return found % count

    def pick(self, options: Sequence[T]) -> T:
        """Give one of these."""
        return options[self.below(len(options))]

    def rest(self) -> bytes:
        """Give everything that is left."""
        found, self._at = self._data[self._at :], len(self._data)
        return found

    def text(self) -> str:
        """Give a word that means something to somebody, or letters of any kind."""
        if self.below(2) == 0:
            return self.pick(WORDS)
        return "".join(chr(self.below(0x110000)) for _ in range(self.below(12)))

    def said(self) -> str:
        """Give a text that D-Bus can carry."""
        return self.text().encode(errors="replace").decode().replace("\0", " ")

    def value(self, deep: int = 0) -> Any:  # Any: whatever JSON or the bus could carry
        """Give a value of any type."""
        kinds: list[Callable[[], Any]] = [
            lambda: None,
            lambda: self.below(2) == 1,
            lambda: self.pick(NUMBERS),
            lambda: self.below(2**16) / 7,
            self.text,
        ]
        if deep < DEEPEST:
            kinds += [
                lambda: [self.value(deep + 1) for _ in range(self.below(4))],
                lambda: {self.text(): self.value(deep + 1) for _ in range(self.below(4))},
            ]
        return self.pick(kinds)()

    def swapped(self, value: Any) -> Any:
        """Give `value`, a few of its parts replaced by their like or by anything, or left out."""
        chance = self.below(32)
        if chance == 1:
            return self.value()
        match value:
            case str() if chance in {2, 3, 4}:
                return self.text()
            case dict():
                return {
                    key: self.swapped(inner) for key, inner in value.items() if self.below(32) != 1
                }
            case list():
                return [self.swapped(inner) for inner in value]
            case _:
                return value

    def altered(self, sample: bytes) -> bytes:
        """Give `sample` with a few edits, or something that has nothing to do with it."""
        if self.below(8) == 7:
            return self.rest()
        data = sample
        for _ in range(self.below(MOST_EDITS + 1)):
            data = self._edited(data)
        return data

    def _edited(self, data: bytes) -> bytes:
        begin = self.below(len(data) + 1)
        end = min(len(data), begin + self.below(24))
        match self.below(5):
            case 0:
                return data[:begin] + self.pick(TOKENS) + data[end:]
            case 1:
                return data[:begin] + data[end:]
            case 2:
                return data[:begin] + data[begin:end] * self.below(40) + data[end:]
            case 3:
                return data[:begin] + bytes([self.below(256)]) + data[begin + 1 :]
            case _:
                return data[:begin]
