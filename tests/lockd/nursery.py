"""Servers to be killed: `python -m tests.lockd.nursery` forks one for each line it reads.

A line is the root folder of a server; the answer is its process id and its port on loopback. What
is forked is the program from its command line on, with a socket as from systemd; all that it does
not do is to load its modules anew.
"""

import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

from rebootmgr.lockd.main import main as lend
from tests.lockd.program import free_socket

HANDED_OVER = 3


def main() -> None:
    """Fork until nobody wants more; the last one ends with us."""
    pid = 0
    for line in sys.stdin:
        root = line.strip()
        if pid:
            os.waitpid(pid, 0)
        listener = free_socket()
        port = listener.getsockname()[1]
        pid = os.fork()
        if pid == 0:
            become_a_server(Path(root), listener)
        listener.close()
        sys.stdout.write(f"{pid} {port}\n")
        sys.stdout.flush()
    if pid:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def become_a_server(root: Path, listener: socket.socket) -> None:
    """Serve until killed."""
    if listener.fileno() != HANDED_OVER:
        os.dup2(listener.detach(), HANDED_OVER)
    log = os.open(root / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 2)
    os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
    sys.argv = ["rebootmgr-lockd", "--root", str(root)]
    os._exit(lend())


if __name__ == "__main__":
    main()
