"""What a hook says, line by line and in bounded memory."""

from typing import Final

from rebootmgr.core.text import harmless

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
        shown = [text for text in map(_decode, now) if text]
        if last := [text for text in map(_decode, beyond[-1:]) if text] or shown[-1:]:
            self.last = last[0]
        if now and not self._left:
            shown.append(f"(no more than {MOST_LINES} lines are logged)")
        return shown


def _decode(line: bytes) -> str:
    return harmless(line[:LONGEST_LINE].decode(errors="replace"))
