"""Where the log goes: to the journal with fields, else to standard error."""

import logging
import os
from collections.abc import Callable, Mapping
from typing import Final, TextIO

from rebootmgr.systemd.journal_words import encode_lines, encode_record, encode_text

FIELDS: Final = "rebootmgr"  # in `extra`, a dict[str, str]


def open_log(level: str, *, stream: TextIO, environ: Mapping[str, str]) -> None:
    """Send all log records of `level` and above to the journal if `stream` leads there anyway.

    Else to `stream`: plain on a terminal, with sd-daemon(3) priorities otherwise. ValueError for
    an unknown level.
    """
    logging.getLogger().setLevel(level.upper())
    handler: logging.Handler
    if is_journal(stream, environ):
        from systemd.journal import sendv  # noqa: PLC0415 - 0.9 MB that a terminal needs not

        handler = JournalHandler(sendv)
    else:
        handler = logging.StreamHandler(stream)
        handler.setFormatter(LineFormatter(prefixed=not stream.isatty()))
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


class JournalHandler(logging.Handler):
    """Sends records with the fields of `extra={"rebootmgr": …}`; `send` is sd_journal_sendv(3)."""

    def __init__(self, send: Callable[..., None]) -> None:
        super().__init__()
        self._send = send
        self.setFormatter(LineFormatter(prefixed=False))

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record; the journal may be gone, we go on."""
        fields: dict[str, str] = getattr(record, FIELDS, {})
        try:
            self._send(*encode_record(record.levelno, record.name, self.format(record), fields))
        except OSError:
            self.handleError(record)


def _text(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    traceback = formatter.formatException(record.exc_info) if record.exc_info else ""
    return encode_text(record.getMessage(), traceback)
