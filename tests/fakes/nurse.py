"""The process behind tests/fakes/nursery.py: it has imported a program, and forks it when told.

It imports nothing by itself that the program would rather be without.
"""

import gc
import json
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Final

from rebootmgr.prctl import die_with_parent

LONGEST: Final = 1024 * 1024
MOST_FDS: Final = 64


@dataclass(frozen=True, slots=True)
class Order:
    """How the program is to be run."""

    arguments: list[str]
    env: dict[str, str]
    cwd: str


class Nurse:
    """Forks, and says of each child who it is, and later how it ended."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._selector = selectors.DefaultSelector()
        self._selector.register(line, selectors.EVENT_READ)
        self._lives: dict[int, tuple[int, socket.socket]] = {}

    def serve(self) -> bool:
        """Go on until nobody wants more, which is False; True is in a child that is to run."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is not self._line:
                    self._bury(key.fd)
                    continue
                text, fds, _, _ = socket.recv_fds(self._line, LONGEST, MOST_FDS)
                if not text:
                    return False
                pid = os.fork()
                if pid == 0:
                    self._forget()
                    become(Order(**json.loads(text)), fds[1:])
                    return True
                self._bear(pid, *fds)

    def _bear(self, pid: int, life: int, *theirs: int) -> None:
        for fd in theirs:
            os.close(fd)
        told = socket.socket(fileno=life)
        told.send(str(pid).encode())
        pidfd = os.pidfd_open(pid)
        self._lives[pidfd] = (pid, told)
        self._selector.register(pidfd, selectors.EVENT_READ)

    def _bury(self, pidfd: int) -> None:
        pid, told = self._lives.pop(pidfd)
        self._selector.unregister(pidfd)
        os.close(pidfd)
        _, status = os.waitpid(pid, 0)
        with told, suppress(OSError):  # nobody may care any more
            told.send(str(os.waitstatus_to_exitcode(status)).encode())

    def _forget(self) -> None:
        """Have nothing that would be closed later, when its number is another's."""
        self._selector.close()
        self._line.close()
        for _, told in self._lives.values():
            told.close()


def become(order: Order, fds: Sequence[int]) -> None:
    """Be as if started so, but killed with the parent; `fds` become 0, 1, 2 and so on."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, fd in enumerate(fds):  # each is greater than its number, and they ascend
        os.dup2(fd, number)
    os.closerange(len(fds), os.sysconf("SC_OPEN_MAX"))
    os.chdir(order.cwd)
    os.environ.clear()
    os.environ.update(order.env)
    time.tzset()
    sys.argv[1:] = order.arguments


def main(fd: int, *modules: str) -> int | None:
    """Run the first of `modules`, all of which are imported, in each child that is wanted."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as of Ctrl-C, which is for pytest
    program, *_ = map(import_module, modules)
    if hasattr(program, "load"):
        program.load()
    gc.freeze()  # or every child looks among all this for garbage, and copies it meanwhile
    sys.argv = [str(program.__file__)]
    with socket.socket(fileno=fd) as line:
        runs = Nurse(line).serve()
    status: int | None = program.main() if runs else 0
    return status


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), *sys.argv[2:]))
