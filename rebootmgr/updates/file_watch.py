"""Watching files that may not exist yet, by inotify(7) through libc: idle costs nothing."""

import asyncio
import ctypes
import errno
import logging
import os
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from rebootmgr.errors import WatchError

_IN_ATTRIB: Final = 0x4
_IN_CLOSE_WRITE: Final = 0x8
_IN_MOVED: Final = 0xC0  # from and to
_IN_CREATE: Final = 0x100
_IN_DELETE: Final = 0x200
_IN_DELETE_SELF: Final = 0x400
_IN_MOVE_SELF: Final = 0x800
_IN_Q_OVERFLOW: Final = 0x4000
_IN_ONLYDIR: Final = 0x0100_0000
_MASK: Final = (
    _IN_ATTRIB
    | _IN_CLOSE_WRITE
    | _IN_MOVED
    | _IN_CREATE
    | _IN_DELETE
    | _IN_DELETE_SELF
    | _IN_MOVE_SELF
    | _IN_ONLYDIR
)
_EVENT: Final = struct.Struct("iIII")
_BUFFER: Final = 64 * 1024
_NOT_THERE: Final = frozenset({errno.ENOENT, errno.ENOTDIR})

_libc: Final = ctypes.CDLL(None, use_errno=True)

log = logging.getLogger(__name__)


class FileWatch:
    """Calls `changed` with a path of `paths`, relative to `root`, that may have changed.

    Each directory on the way from `root` to a path is watched for the next step, so what comes,
    goes, is replaced or comes again is seen; the paths need not exist, `root` must. A change of
    a directory on the way, or an overflow of the kernel's queue, counts as a change of every
    path below it. WatchError where the kernel has no inotify to spare.
    """

    def __init__(self, root: Path, paths: Iterable[str], changed: Callable[[str], None]) -> None:
        self._root = root
        self._changed = changed
        self._steps = {Path(path): path for path in paths}
        self._watched: dict[int, Path] = {}
        try:
            self._fd = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError as error:
            cure = "raise sysctl fs.inotify.max_user_instances"
            raise WatchError(f"files cannot be watched: {error.strerror} ({cure})") from error
        self._arm()
        asyncio.get_running_loop().add_reader(self._fd, self._read)

    def close(self) -> None:
        """Stop watching; it can be called again."""
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _arm(self) -> None:
        """Watch what there is to watch now, and nothing else."""
        ways = {Path()} | {step for path in self._steps for step in path.parents}
        before = set(self._watched)
        self._watched = {}
        for way in sorted(ways):  # parents first: what is made meanwhile is seen in its parent
            watch = _libc.inotify_add_watch(self._fd, os.fsencode(self._root / way), _MASK)
            if watch >= 0:
                self._watched[watch] = way
            elif (code := ctypes.get_errno()) not in _NOT_THERE:
                log.warning("cannot watch %s: %s", self._root / way, os.strerror(code))
        for stale in before - set(self._watched):
            _libc.inotify_rm_watch(self._fd, stale)  # fails where the directory is gone

    def _read(self) -> None:
        try:
            data = os.read(self._fd, _BUFFER)
        except BlockingIOError:
            return
        touched = [path for place in self._places(data) for path in self._below(place)]
        self._arm()
        for path in dict.fromkeys(touched):
            self._changed(path)

    def _places(self, data: bytes) -> Iterator[Path]:
        offset = 0
        while offset < len(data):
            watch, mask, _, size = _EVENT.unpack_from(data, offset)
            offset += _EVENT.size + size
            name = data[offset - size : offset].rstrip(b"\0")
            if mask & _IN_Q_OVERFLOW:
                yield Path()
            elif watch in self._watched:
                yield self._watched[watch] / os.fsdecode(name)

    def _below(self, place: Path) -> Iterator[str]:
        for path, name in self._steps.items():
            if path == place or place in path.parents:
                yield name


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
