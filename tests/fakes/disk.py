"""A disk under state.json that fails, or loses power, at any call.

The calls reach real files. Beside them it keeps account of what a power cut may leave: a name is
what it was at any time since its directory was last synced, whatever became of the other names; a
file that was not synced since it was written holds nothing, a part, zeros, or all of it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Final, TypeVar

from rebootmgr.state.store import Files

READ: Final = ("state.json", "state.json~")
T = TypeVar("T")
Fault = Callable[[int, str], None]


class PowerCut(BaseException):
    """The machine is gone: no handler may run on."""


@dataclass(slots=True)
class Inode:
    """One file; `synced` once a power cut spares it."""

    data: bytes = b""
    synced: bool = False

    def leftovers(self) -> set[bytes]:
        """What a power cut may leave of it."""
        if self.synced:
            return {self.data}
        half, size = self.data[: len(self.data) // 2], len(self.data)
        return {self.data, half, half + bytes(size - len(half)), bytes(size), b""}


@dataclass(slots=True)
class Disk(Files):
    """`before` and `after` hear of each call by its number, from 1, and its name; they may raise.

    `most` bytes are taken by one write, as a file system may.
    """

    before: Fault = lambda *_: None
    after: Fault = lambda *_: None
    most: int = 2**20
    calls: int = 0
    _open: dict[int, Inode] = field(default_factory=dict)
    _names: dict[str, list[Inode | None]] = field(default_factory=dict)

    def unlink(self, path: Path) -> None:
        """See Files."""
        self._do("unlink", lambda: Files.unlink(self, path))
        self._name(path, None)
        self._done("unlink")

    def open(self, path: Path) -> int:
        """See Files."""
        fd = self._do("open", lambda: Files.open(self, path))
        self._open[fd] = Inode()
        self._name(path, self._open[fd])
        self._done("open")
        return fd

    def write(self, fd: int, data: bytes) -> int:
        """See Files."""
        taken = self._do("write", lambda: Files.write(self, fd, data[: self.most]))
        inode = self._open[fd]
        inode.data, inode.synced = inode.data + data[:taken], False
        self._done("write")
        return taken

    def fsync(self, fd: int) -> None:
        """See Files; the real disk is spared."""
        self._do("fsync", lambda: None)
        self._open[fd].synced = True
        self._done("fsync")

    def rename(self, old: Path, new: Path) -> None:
        """See Files."""
        self._do("rename", lambda: Files.rename(self, old, new))
        self._name(new, self._names[old.name][-1])
        self._name(old, None)
        self._done("rename")

    def fsync_dir(self, path: Path) -> None:
        """See Files; the real disk is spared."""
        self._do("fsync_dir", lambda: None)
        if any(path.glob("state.json*")):
            self._names = {name: found[-1:] for name, found in self._names.items()}
        self._done("fsync_dir")

    def leftovers(self) -> Iterator[dict[str, bytes]]:
        """Every content that a power cut now may leave behind."""
        choices = [
            {(name, content) for inode in found for content in _contents(inode)}
            for name, found in self._names.items()
            if name in READ
        ]
        for choice in product(*choices):
            yield {name: content for name, content in choice if content is not None}

    def _name(self, path: Path, inode: Inode | None) -> None:
        self._names.setdefault(path.name, [None]).append(inode)

    def _do(self, name: str, act: Callable[[], T]) -> T:
        self.calls += 1
        self.before(self.calls, name)
        return act()

    def _done(self, name: str) -> None:
        self.after(self.calls, name)


def _contents(inode: Inode | None) -> set[bytes] | set[None]:
    return {None} if inode is None else inode.leftovers()
