"""Who has locked a file, as the kernel tells: /proc/locks and mountinfo (proc(5)).

The sysroot is locked by an open file description (OFDLCK), as libostree and bootc do it, by flock
on composefs hosts, or by fcntl (POSIX); all three stand in /proc/locks. What waits stands there,
too, behind an arrow, and holds nothing.
"""

import re
from typing import Final

_LOCK: Final = re.compile(r"^\d+: (\w+) +\w+ +\w+ (-?\d+) ([0-9a-f]+):([0-9a-f]+):(\d+) ")
_KINDS: Final = frozenset({"OFDLCK", "FLOCK", "POSIX"})

Device = tuple[int, int]
"""Major and minor number of a file system, as the kernel itself counts (not those of stat(2))."""

NOBODY_KNOWN: Final = -1
"""The process of a lock that belongs to an open file, and to no process."""


def decode_holders(locks: str, device: Device | None, inode: int) -> tuple[int, ...]:
    """Read the processes that hold a lock of this file; NOBODY_KNOWN where it belongs to none.

    `device` None: any file with this inode counts.
    """
    found = []
    for line in locks.splitlines():
        lock = _LOCK.match(line)
        if lock is None or lock[1] not in _KINDS or int(lock[5]) != inode:
            continue
        if device in {None, (int(lock[3], 16), int(lock[4], 16))}:
            found.append(int(lock[2]))
    return tuple(found)


def decode_mount_id(fdinfo: str) -> int | None:
    """Read the mount of an open file from its /proc/self/fdinfo; None where it does not say."""
    found = re.search(r"^mnt_id:\s*(\d+)$", fdinfo, re.MULTILINE)
    return int(found[1]) if found else None


def decode_device(mountinfo: str, mount_id: int) -> Device | None:
    """Read which file system is mounted there, as /proc/locks names it; None where it is not told.

    stat(2) tells another device on btrfs and overlayfs.
    """
    for line in mountinfo.splitlines():
        fields = line.split()
        if len(fields) > 2 and fields[0] == str(mount_id):
            major, _, minor = fields[2].partition(":")
            return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else None
    return None
