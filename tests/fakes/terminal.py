"""A real pseudo-terminal that somebody seems to work on."""

import os
import pty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class Terminal:
    """`tty` is its name as logind gives it; `screen` what was written there so far."""

    def __init__(self, master: int, tty: str) -> None:
        os.set_blocking(master, False)
        self._master = master
        self._shown = b""
        self.tty = tty

    def screen(self) -> str:
        with suppress(BlockingIOError):
            self._shown += os.read(self._master, 65536)
        return self._shown.decode()


@contextmanager
def terminal(root: Path) -> Iterator[Terminal]:
    """Open one that is found under `root`/dev."""
    master, slave = pty.openpty()
    device = Path(os.ttyname(slave))
    try:
        link = root / device.relative_to("/")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(device)
        yield Terminal(master, str(device.relative_to("/dev")))
    finally:
        os.close(slave)
        os.close(master)
