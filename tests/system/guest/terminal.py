"""Somebody at a terminal: logs in with login(1), types what standard input says, shows the screen.

The argument after the user's name may be `stuck`: then the terminal takes nothing more.
"""

import os
import pty
import select
import selectors
import sys
import termios
from contextlib import suppress

PROMPT = "$ "


def main(user: str, *, is_stuck: bool) -> None:
    terminal, slave = pty.openpty()
    name = os.ttyname(slave)
    pid = os.fork()
    if pid == 0:
        os.close(terminal)
        os.login_tty(slave)
        os.execvp("login", ["login", "-f", user])  # noqa: S606 - no shell is wanted
    os.close(slave)
    _show(terminal, pid)
    if is_stuck:
        _stop(name)
        sys.stdin.read()
        os.close(terminal)
    else:
        _work(terminal)
    os.waitpid(pid, 0)


def _show(terminal: int, pid: int) -> None:
    """Show what comes until the shell waits for a command."""
    seen = ""
    while PROMPT not in seen:
        try:
            text = os.read(terminal, 4096).decode(errors="replace")
        except OSError:  # EIO: login(1) hangs up, too, for a moment
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                raise
            select.select([], [], [], 0.01)
            continue
        seen += text
        sys.stdout.write(text)
        sys.stdout.flush()


def _stop(name: str) -> None:
    """Take no more output, as after Ctrl-S."""
    slave = os.open(name, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
    termios.tcflow(slave, termios.TCOOFF)
    os.close(slave)


def _work(terminal: int) -> None:
    with selectors.DefaultSelector() as both, suppress(OSError):  # EIO: the session has ended
        both.register(terminal, selectors.EVENT_READ)
        both.register(0, selectors.EVENT_READ)
        while True:
            for key, _ in both.select():
                data = os.read(key.fd, 4096)
                if key.fd == terminal:
                    os.write(1, data)
                elif data:
                    os.write(terminal, data)
                else:
                    both.unregister(0)
                    os.close(terminal)


if __name__ == "__main__":
    main(sys.argv[1], is_stuck=sys.argv[2:] == ["stuck"])
