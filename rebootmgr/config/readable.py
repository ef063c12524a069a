"""Which files of the configuration the daemon's user cannot read: root may, and sees no fault."""

import errno
import os
import stat
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from rebootmgr.text import harmless

READ = 0o4
ENTER = 0o1


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user without capabilities, and every group of theirs."""

    name: str
    uid: int
    gids: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """What stat(2) says of a file: its owner, group and permission bits."""

    uid: int
    gid: int
    mode: int


def may(user: User, rights: Rights, wanted: int) -> bool:
    """Whether `user` has all of `wanted` (`READ`, `ENTER`): the first class that fits decides."""
    if user.uid == 0:
        return True
    shift = 0
    if user.uid == rights.uid:
        shift = 6
    elif rights.gid in user.gids:
        shift = 3
    return (rights.mode >> shift) & wanted == wanted


def decode_user(name: str, passwd: str, group: str) -> User | None:
    """Find a user in the text of passwd(5) and group(5); None where there is none."""
    for fields in _rows(passwd, 7):
        if fields[0] == name and fields[2].isdecimal() and fields[3].isdecimal():
            more = {int(row[2]) for row in _rows(group, 4) if name in row[3].split(",")}
            return User(name=name, uid=int(fields[2]), gids=frozenset({int(fields[3])} | more))
    return None


def _rows(text: str, count: int) -> Iterator[list[str]]:
    """Yield the rows with `count` fields and a number as their third."""
    for line in text.splitlines():
        fields = line.strip().split(":")
        if len(fields) == count and fields[2].isascii() and fields[2].isdecimal():
            yield fields


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
    except OSError as error:
        if error.errno == errno.ELOOP:
            return "its links go round in circles", "repair the link"
        return None


def place_of(root: Path, path: PurePosixPath) -> Path | None:
    """Where `path` (absolute, below `root`) leads; None if nowhere, or not for us to see."""
    try:
        *_, (there, _, is_last) = _steps(root, path)
    except (OSError, ValueError):
        return None
    return there if is_last else None


def is_open_to_all(root: Path, path: PurePosixPath) -> bool:
    """Whether everybody on this host may read the file there."""
    try:
        steps = list(_steps(root, path))
    except OSError:
        return False
    wanted = [READ if is_last else ENTER for _, _, is_last in steps]
    return bool(steps) and all(
        found.st_mode & each == each for (_, found, _), each in zip(steps, wanted, strict=True)
    )


def _steps(root: Path, path: PurePosixPath) -> Iterator[tuple[Path, os.stat_result, bool]]:
    """Go there as the kernel does, where absolute links begin at `root`; OSError.

    Yields each folder that is entered, and the end of the way, which is marked.
    """
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
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            here = root if target.is_absolute() else here
            left.extendleft(reversed(target.parts[target.is_absolute() :]))
            continue
        yield there, found, not left
        here = there


def _walk(root: Path, path: PurePosixPath, user: User) -> tuple[str, str] | None:
    for there, found, is_last in _steps(root, path):
        if is_last:
            return _judge(root, there, found, user)
        if not _may(there, found, user, ENTER):
            folder = _say(root, there)
            what = f"the user {user.name} may not enter {folder} ({_rights(found)})"
            return what, f"chgrp {user.name} {folder} && chmod g+x {folder}"
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
