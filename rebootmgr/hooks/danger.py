"""Who else could change what a path leads to: nothing that somebody could is run as root."""

import errno
import os
import stat
from pathlib import Path
from typing import Final

MOST_LINKS: Final = 40  # as many as Linux follows


def find_danger(path: Path) -> str:
    """Say who else could change what `path` leads to, with the cure; "" when nobody could.

    Every directory and link on the way counts, from the root of the file system: who can write
    one of them can put something else in its place. OSError if the way ends.
    """
    at = Path("/")
    links, rest = 0, list(reversed(path.absolute().parts))
    while rest:
        name = rest.pop()
        step = at.parent if name == ".." else at / name
        if why := _judge(step, on_the_way=True):
            return why
        if not step.is_symlink():
            at = step
            continue
        links += 1
        if links > MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        rest += reversed(step.readlink().parts)
    return _judge(at, on_the_way=False)


def _judge(path: Path, *, on_the_way: bool) -> str:
    facts = path.lstat()
    mode = stat.S_IMODE(facts.st_mode)
    if facts.st_uid not in {0, os.geteuid()}:
        return f"{path} belongs to user {facts.st_uid}, not {os.geteuid()}: chown it"
    if stat.S_ISLNK(facts.st_mode):  # its mode means nothing
        return ""
    keeps_names = on_the_way and stat.S_ISDIR(facts.st_mode) and mode & stat.S_ISVTX  # like /tmp
    if mode & 0o022 and not keeps_names:
        return f"{path} can be written by others (mode {mode:04o}): chmod go-w"
    return ""
