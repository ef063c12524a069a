"""Files that are read again when they changed: what was good stays in force while they are bad."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Generic, TypeVar

from rebootmgr.errors import RebootmgrError
from rebootmgr.fleetlock.secret_files import UnusableFileError, read_file

log = logging.getLogger(__name__)

T = TypeVar("T")
Stamp = tuple[int, int, int, int]

LOOK_S: Final = 1.0


class KeyFileError(RebootmgrError):
    """A file of the configuration cannot be used; the text names key and file, never content."""


class WatchedFiles(Generic[T]):
    """What `make` makes of the content of some files, of now or of when they were last good.

    KeyFileError at once where they are not good from the start.
    """

    def __init__(
        self, files: Sequence[tuple[str, str]], make: Callable[[Sequence[bytes]], T]
    ) -> None:
        self._files = tuple(files)
        self._make = make
        self._stamps = self._look()
        self._made = self._read()
        self._looked_s = 0.0

    def current(self, at_s: float) -> T:
        """Give it; the files are looked at once a second of the clock of `at_s`."""
        if at_s - self._looked_s >= LOOK_S:
            self._looked_s = at_s
            self._refresh()
        return self._made

    def _refresh(self) -> None:
        stamps = self._look()
        if stamps == self._stamps:
            return
        self._stamps = stamps
        try:
            self._made = self._read()
        except KeyFileError as error:
            log.error("%s; what was there before stays in force", error)  # noqa: TRY400 - expected
        else:
            names = ", ".join(path for _, path in self._files)
            log.info("%s changed, and is in force", names)

    def _look(self) -> tuple[Stamp | None, ...]:
        return tuple(_stamp(path) for _, path in self._files)

    def _read(self) -> T:
        contents = []
        for key, path in self._files:
            try:
                contents.append(read_file(key, path))
            except UnusableFileError as error:
                raise KeyFileError(f"{key}: {path} {error}") from error
            except OSError as error:
                raise KeyFileError(f"{key}: {path}: {error.strerror or error}") from error
        try:
            return self._make(contents)
        except KeyFileError as error:
            names = ", ".join(f"{key}: {path}" for key, path in self._files)
            raise KeyFileError(f"{names}: {error}") from error


def _stamp(path: str) -> Stamp | None:
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
