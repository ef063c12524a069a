"""Which files of the configuration the daemon's user cannot read: root may, and sees no fault."""

import os
import stat
from collections import deque
from pathlib import Path, PurePosixPath
from typing import Final

from rebootmgr.codec.file_access import ENTER, READ, Rights, User, decode_user, may
from rebootmgr.core.text import harmless

DAEMON: Final = "rebootmgr"
HIDDEN: Final = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - ProtectHome=, PrivateTmp=
CREDENTIALS: Final = PurePosixPath("/run/credentials")  # systemd puts them there, for us alone
_MOST_LINKS: Final = 40  # as many as Linux follows
_ACL: Final = "system.posix_acl_access"


def read_daemon_user(root: Path) -> User | None:
    """Read who the daemon runs as; None where the user does not exist (yet)."""
    for directory in ("etc", "usr/lib"):  # ostree keeps some in the latter (nss-altfiles)
        passwd, group = (_text(root / directory / name) for name in ("passwd", "group"))
        if user := decode_user(DAEMON, passwd, group):
            return user
    return None


def find_obstacle(root: Path, path: PurePosixPath, user: User) -> tuple[str, str] | None:
    """Say what keeps `user` from reading `path` (absolute, below `root`), and the cure.

    None also where we cannot know: it is not for us to see, or an ACL says more than the mode.
    """
    if CREDENTIALS in path.parents:
        return None
    for hidden in HIDDEN:
        if PurePosixPath(hidden) in path.parents:
            return f"the daemon sees nothing below {hidden}", "put it under /etc/rebootmgr"
    try:
        return _walk(root, path, user)
    except FileNotFoundError:
        return "there is no such file", "create it, or correct its name"
    except OSError:
        return None


def _walk(root: Path, path: PurePosixPath, user: User) -> tuple[str, str] | None:
    """Go there as the kernel does, where absolute links begin at `root`; OSError."""
    left, here, links = deque(path.parts[1:]), root, 0
    while left:
        name = left.popleft()
        if name == "..":
            here = here if here == root else here.parent
            continue
        there = here / name
        found = there.lstat()
        if stat.S_ISLNK(found.st_mode):
            links += 1
            target = PurePosixPath(there.readlink())
            if links > _MOST_LINKS:
                return "its links go round in circles", "repair the link"
            here = root if target.is_absolute() else here
            left.extendleft(reversed(target.parts[target.is_absolute() :]))
            continue
        if not left:
            return _judge(root, there, found, user)
        if not _may(there, found, user, ENTER):
            folder = _say(root, there)
            what = f"the user {user.name} may not enter {folder} ({_rights(found)})"
            return what, f"chgrp {user.name} {folder} && chmod g+x {folder}"
        here = there
    return None


def _judge(root: Path, there: Path, found: os.stat_result, user: User) -> tuple[str, str] | None:
    is_folder = stat.S_ISDIR(found.st_mode)
    if _may(there, found, user, READ | ENTER if is_folder else READ):
        return None
    shown, mode = _say(root, there), "g+rx" if is_folder else "g+r"
    what = f"the user {user.name} may not read {shown} ({_rights(found)})"
    return what, f"chgrp {user.name} {shown} && chmod {mode} {shown}"


def _may(path: Path, found: os.stat_result, user: User, wanted: int) -> bool:
    rights = Rights(uid=found.st_uid, gid=found.st_gid, mode=found.st_mode)
    return may(user, rights, wanted) or _has_acl(path)


def _has_acl(path: Path) -> bool:
    try:
        return _ACL in os.listxattr(path)
    except OSError:  # a file system without them
        return False


def _rights(found: os.stat_result) -> str:
    return f"mode {stat.S_IMODE(found.st_mode):04o}, owner {found.st_uid}:{found.st_gid}"


def _say(root: Path, path: Path) -> str:
    return harmless(f"/{path.relative_to(root)}", longest=4096)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""
