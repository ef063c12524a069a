"""A bar for what takes long, on a terminal alone."""

from time import monotonic
from types import TracebackType
from typing import Final, Self, TextIO

SHORT_S: Final = 1.0  # what takes less needs no bar
EVERY_S: Final = 0.2
WIDTH: Final = 40


class ProgressBar:
    """Draws on `err` while it is entered, and leaves nothing behind."""

    def __init__(self, err: TextIO) -> None:
        self._err = err
        self._is_wanted = err.isatty()
        self._due = monotonic() + SHORT_S
        self._drawn = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._drawn:
            self._write("\r\x1b[K")

    def show(self, done: int, whole: int) -> None:
        """Say how far it is."""
        if not self._is_wanted or monotonic() < self._due:
            return
        self._due = monotonic() + EVERY_S
        self._drawn = True
        filled = WIDTH * done // whole
        bar = "#" * filled + "." * (WIDTH - filled)
        self._write(f"\r[{bar}] {done} of {whole} hosts are updated")

    def _write(self, text: str) -> None:
        self._err.write(text)
        self._err.flush()
