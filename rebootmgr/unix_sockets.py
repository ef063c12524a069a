"""Sockets that have a path: the kernel wants it short, and a dead server leaves its own behind."""

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

LONGEST_ADDRESS: Final = 107  # unix(7): sun_path holds 108 bytes with the final zero


@contextmanager
def unix_address(path: Path) -> Iterator[str]:
    """Give an address for `path` that the kernel takes, however long the path is (unix(7))."""
    if len(os.fsencode(path)) <= LONGEST_ADDRESS:
        yield str(path)
        return
    parent = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{parent}/{path.name}"
    finally:
        os.close(parent)


def listen_at_path(path: Path, *, mode: int, backlog: int) -> socket.socket:
    """Listen at `path`, in place of a socket that nobody serves; who may connect is in `mode`.

    OSError: EADDRINUSE where somebody serves there, ENOTSOCK where something else is in the way.
    """
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        _remove_stale(path)
        with unix_address(path) as address:
            made.bind(address)
        path.chmod(mode)
        made.listen(backlog)
    except OSError:
        made.close()
        raise
    return made


def _remove_stale(path: Path) -> None:
    """Remove the socket of a program that is gone."""
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise OSError(errno.ENOTSOCK, "something that is no socket is in the way")
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe,
        unix_address(path) as address,
    ):
        try:
            probe.connect(address)
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
        except BlockingIOError:
            pass  # its backlog is full: alive
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
