"""Where the log goes: to the journal with fields, else to standard error."""

import logging
import os
import select
import socket
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final, TextIO

from rebootmgr.systemd.journal_words import (
    encode_datagram,
    encode_lines,
    encode_record,
    encode_text,
)

JOURNAL: Final = Path("/run/systemd/journal/socket")
FIELDS: Final = "rebootmgr"  # in `extra`, a dict[str, str]


def open_log(level: str, *, stream: TextIO, environ: Mapping[str, str]) -> None:
    """Send all log records of `level` and above to the journal if `stream` leads there anyway.

    Else to `stream`: plain on a terminal, with sd-daemon(3) priorities otherwise. ValueError for
    an unknown level.
    """
    logging.getLogger().setLevel(level.upper())
    handler: logging.Handler
    if is_journal(stream, environ):
        handler = JournalHandler()
    else:
        handler = LineHandler(stream.fileno(), prefixed=not stream.isatty())
    logging.basicConfig(handlers=[handler], force=True)


def is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether `stream` is connected to the journal (JOURNAL_STREAM, systemd.exec(5))."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False  # closed, or no file at all
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


class LineFormatter(logging.Formatter):
    """One line per message, whatever it holds, and one per line of a traceback."""

    def __init__(self, *, prefixed: bool) -> None:
        super().__init__()
        self._prefixed = prefixed

    def format(self, record: logging.LogRecord) -> str:
        """Format `record` with priorities in front if this was asked for."""
        text = _text(self, record)
        return encode_lines(record.levelno, text) if self._prefixed else text


class LineHandler(logging.Handler):
    """Writes lines to a descriptor that may be a pipe or a terminal, which nobody may read.

    What does not fit is dropped, and how much that was is told with the next line.
    """

    def __init__(self, descriptor: int, *, prefixed: bool) -> None:
        super().__init__()
        self._write_now = _choose_writer(descriptor)
        self._dropped = Dropped()
        self.setFormatter(LineFormatter(prefixed=prefixed))

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record, or count it."""
        with self._dropped.counting():
            for lost in self._dropped.tell():
                self._write(self.format(lost))
            self._write(self.format(record))

    def _write(self, text: str) -> None:
        payload = f"{text}\n".encode("utf-8", "backslashreplace")
        while payload:
            payload = payload[self._write_now(payload[: select.PIPE_BUF]) :]


def _choose_writer(descriptor: int) -> Callable[[bytes], int]:
    """Find a way to write up to PIPE_BUF bytes now or not at all, which is BlockingIOError.

    The descriptor is shared with others, who do not expect that it never waits.
    """
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISSOCK(mode):
        connected = socket.socket(fileno=os.dup(descriptor))
        return lambda data: connected.send(data, socket.MSG_DONTWAIT)
    if stat.S_ISCHR(mode):
        with suppress(OSError):  # of another user, say
            again = f"/proc/self/fd/{descriptor}"
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            return partial(os.write, os.open(again, flags))
    room = select.poll()
    room.register(descriptor, select.POLLOUT)

    def write_where_room_is(data: bytes) -> int:
        if not room.poll(0):
            raise BlockingIOError
        return os.write(descriptor, data)

    return write_where_room_is


class JournalHandler(logging.Handler):
    """Sends records with the fields of `extra={"rebootmgr": …}` to the socket at `path`.

    As sd_journal_sendv(3) does, but that it never waits for a journal that is busy: what does not
    fit into its queue is dropped, and how much that was is told with the next record.
    """

    def __init__(self, path: Path = JOURNAL) -> None:
        super().__init__()
        self._path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._dropped = Dropped()
        self.setFormatter(LineFormatter(prefixed=False))

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record; the journal may be gone, we go on."""
        with self._dropped.counting():
            for lost in self._dropped.tell():
                self._send(lost)
            self._send(record)

    def close(self) -> None:
        """Send no more."""
        self._socket.close()
        super().close()

    def _send(self, record: logging.LogRecord) -> None:
        fields: dict[str, str] = getattr(record, FIELDS, {})
        encoded = encode_record(record.levelno, record.name, self.format(record), fields)
        self._socket.sendto(encode_datagram(encoded), self._path)


class Dropped:
    """How many records found no room."""

    def __init__(self) -> None:
        self._number = 0

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count what is raised as a record for which there is no room, or which nobody takes."""
        try:
            yield
        except OSError:
            self._number += 1

    def tell(self) -> Iterator[logging.LogRecord]:
        """Give the record that tells of others; it counts as told when the next is asked for."""
        if self._number:
            text = "%s messages were dropped: nobody took them"
            told = (__name__, logging.WARNING, __file__, 0, text, (self._number,), None)
            yield logging.LogRecord(*told)
            self._number = 0


def _text(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    traceback = formatter.formatException(record.exc_info) if record.exc_info else ""
    return encode_text(record.getMessage(), traceback)
