"""Warning people on the terminals of their sessions, as wall(1) does, without ever hanging."""

import asyncio
import logging
import os
import stat
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from rebootmgr.aside import Aside
from rebootmgr.core.facts import Session

PATIENCE_S: Final = 5.0

log = logging.getLogger(__name__)


async def write_warning(
    sessions: Sequence[Session],
    text: str,
    *,
    dev: Path,
    aside: Aside,
    patience_s: float = PATIENCE_S,
) -> tuple[str, ...]:
    """Write `text` to each session's terminal below `dev`; the ids of those not surely warned."""

    async def warn(session: Session) -> bool:
        return await _warn(session, text, dev, aside, patience_s)

    warned = await asyncio.gather(*map(warn, sessions))
    return tuple(each.id for each, done in zip(sessions, warned, strict=True) if not done)


async def _warn(session: Session, text: str, dev: Path, aside: Aside, patience_s: float) -> bool:
    name = PurePosixPath(session.tty)
    if not session.tty or name.is_absolute() or ".." in name.parts:
        return False
    payload = text.encode("ascii", "replace")
    try:
        # In a thread, because the kernel may keep open and close of a serial line waiting.
        await aside.run(
            session.id, lambda: _write_terminal(dev / name, payload), patience_s=patience_s
        )
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        log.debug("session %s could not be warned on %s: %s", session.id, name, error)
        return False
    return True


def _write_terminal(path: Path, payload: bytes) -> None:
    """Write everything at once, or raise OSError: a stopped or full terminal takes only a part."""
    fd = os.open(path, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not (stat.S_ISCHR(os.fstat(fd).st_mode) and os.isatty(fd)):
            raise OSError("not a terminal")
        if os.write(fd, payload) < len(payload):
            raise OSError("took only a part of the warning")
    finally:
        os.close(fd)
