"""rebootmgrd: the daemon's process, from its command line to its exit status."""

import asyncio
import logging
import os
import sys
from pathlib import Path

from rebootmgr.daemon.app import Options, serve
from rebootmgr.errors import RebootmgrError, UsageError
from rebootmgr.prctl import close_memory
from rebootmgr.systemd.journal import open_log

log = logging.getLogger("rebootmgr")


def run(words: list[str]) -> int:
    """Run the daemon; exit status as SPEC 1 says."""
    level, options = _said(words)
    open_log(level, stream=sys.stderr, environ=os.environ)
    if os.path.realpath(options.root) == "/":
        close_memory()
    try:
        asyncio.run(serve(options, os.environ))
    except RebootmgrError as error:
        return _fail([error])
    except BaseExceptionGroup as group:
        expected, bugs = group.split(RebootmgrError)
        if expected is None or bugs is not None:
            raise
        return _fail(_flat(expected))
    return 0


def _fail(errors: list[RebootmgrError]) -> int:
    for error in errors:
        log.error("%s", error)
    return 2 if any(isinstance(error, UsageError) for error in errors) else 1


def _flat(group: BaseExceptionGroup[RebootmgrError]) -> list[RebootmgrError]:
    errors = []
    for error in group.exceptions:
        errors += _flat(error) if isinstance(error, BaseExceptionGroup) else [error]
    return errors


def _said(words: list[str]) -> tuple[str, Options]:
    """Level of the log, and the options."""
    if not words:
        return "info", Options(root=Path("/"), dry_run=False)
    from rebootmgr.daemon.arguments import parser  # noqa: PLC0415 - the unit has no arguments

    said = parser().parse_args(words)
    return said.log_level, Options(root=said.root, dry_run=said.dry_run)
