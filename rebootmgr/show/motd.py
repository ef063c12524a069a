"""Telling people at log-in, in the one file of the directory that is ours (SPEC 2, motd(5))."""

import errno
import logging
import os
import stat
import textwrap
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Final

from rebootmgr.config.identity import read_localtime
from rebootmgr.core.sentence import say_instant, sentence
from rebootmgr.core.status import Status, Verdict

PATH: Final = "run/motd.d/85-rebootmgr.motd"

# Whatever lies there instead of our file is neither followed nor waited for.
_SAFELY: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

log = logging.getLogger(__name__)


class Motd:
    """Rewrites the file under `root` in place. It is never created: no file means not wanted."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._path = root / PATH
        self._written: str | None = None
        self._has_warned = False

    def show(self, status: Status) -> None:
        """Say what is pending, if anything is."""
        self._write(encode_motd(status, read_localtime(self._root) or UTC))

    def clear(self) -> None:
        """Say nothing, as nobody would correct it."""
        self._write("")

    def _write(self, text: str) -> None:
        if text == self._written:
            return
        self._written = None
        try:
            _rewrite(self._path, text.encode())
        except FileNotFoundError:
            return
        except OSError as error:
            if not self._has_warned:
                log.warning("people are not told at log-in: %s: %s", self._path, error.strerror)
            self._has_warned = True
            return
        self._written, self._has_warned = text, False


def _rewrite(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_TRUNC | _SAFELY)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        if os.write(fd, data) < len(data):
            raise OSError(errno.ENOSPC, "took only a part")
    finally:
        os.close(fd)


COLUMNS: Final = 80
HINT: Final = "`rebootmgrctl why` tells more."


def encode_motd(status: Status, zone: tzinfo) -> str:
    """Say what is pending, why it waits and until when, in `zone`; "" when nothing is pending."""
    if status.verdict is Verdict.IDLE:
        return ""
    said = [sentence(status, zone)]
    if status.verdict is Verdict.WAIT and status.predicted and status.predicted > status.at:
        when = say_instant(status.predicted, zone)
        if when not in said[0]:
            said.append(f"The next reboot is {when} at the earliest.")
    lines = (line for each in (*said, HINT) for line in textwrap.wrap(each, COLUMNS))
    return "".join(f"{line}\n" for line in lines)
