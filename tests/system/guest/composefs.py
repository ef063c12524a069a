"""bootc's part on composefs: `python3 -m tests.system.guest.composefs COMMAND [OPTION...]`.

It writes the files of tests/fakes/composefs_host.py, as root, with the sysroot locked as bootc
locks it, and knows nothing but what is in them. With `--die-after N` it is killed at the Nth of the
moments in which a reader would see it halfway; `work` holds the lock until somebody ends it.
"""

import argparse
import ctypes
import os
import shutil
import signal
from pathlib import Path
from typing import Final, Self

from tests.fakes.composefs_host import ENTRIES, ComposefsHost, ImageTree

FATE: Final = "sysroot/fate"
"""Where it exists, nothing can be finalized; or who does so dies after the moment it names."""
_HERE: Final = -100  # AT_FDCWD
_RENAME_EXCHANGE: Final = 2
_VERSIONS: Final = ("42.1", "42.2", "42.3")
_TREES: Final = {tree.name: tree for tree in (ImageTree(version=one) for one in _VERSIONS)}


class Bootc(ComposefsHost):
    """Writes like bootc, one file after the other, and may be killed after any of them."""

    def __init__(self, root: Path, *, die_after: int = 0) -> None:
        super().__init__(root)
        self._left = die_after

    def load(self) -> Self:
        """Find out from the files how things are."""
        places = (name.stem.split("-") for name in (self.root / ENTRIES).glob("*.conf"))
        self.menu = [
            ImageTree(version=version)
            for _, version, _ in sorted(places, key=lambda one: one[2], reverse=True)
        ]
        if self.staged_file.exists():
            text = self.staged_file.read_text()
            [self.staged] = [tree for name, tree in _TREES.items() if name in text]
            self.is_locked = "true" in text
        return self

    def mount(self, tree: ImageTree, *, overlay: bool = False) -> None:
        """Leave that to who boots it."""

    def finalize(self) -> None:
        """Write the boot menu anew, at shutdown; what is staged is left where it is.

        Beside the old one, with which it then changes places.
        """
        if self.staged is None or self.is_locked:
            return
        entries = self.root / ENTRIES
        draft, fate = entries.with_name("entries.staged"), self.root / FATE
        shutil.rmtree(draft, ignore_errors=True)  # of one that came to nothing
        draft.mkdir()
        if fate.exists():
            if not (moment := fate.read_text()):
                return
            self._left = int(moment)
        self.menu = [self.staged, self.menu[0]]
        for name, text in self.menu_entries():
            self._write(draft / name, text)
        _exchange(draft, entries)
        self._was_seen()
        shutil.rmtree(draft)

    def _write(self, path: Path, text: str) -> None:
        super()._write(path, text)
        self._was_seen()

    def _write_staged(self) -> None:
        super()._write_staged()
        self._was_seen()

    def _forget(self, tree: ImageTree) -> None:
        self._was_seen()
        super()._forget(tree)

    def _was_seen(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def _exchange(one: Path, other: Path) -> None:
    """Let two names change places in one step, as renameat2(2) can."""
    libc = ctypes.CDLL(None, use_errno=True)
    names = (os.fsencode(one), os.fsencode(other))
    if libc.renameat2(_HERE, names[0], _HERE, names[1], _RENAME_EXCHANGE) != 0:
        raise OSError(ctypes.get_errno(), "they do not change places", str(one))


def main() -> None:
    """Do as told, with the sysroot locked."""
    parser = argparse.ArgumentParser()
    commands = ("stage", "unlock", "withdraw", "rollback", "leave", "work", "finalize")
    parser.add_argument("command", choices=commands)
    parser.add_argument("version", nargs="?", default="")
    parser.add_argument("--locked", action="store_true")
    parser.add_argument("--umask", type=lambda text: int(text, 8), default=0o022)
    parser.add_argument("--die-after", type=int, default=0)
    asked = parser.parse_args()
    bootc = Bootc(Path("/"), die_after=asked.die_after).load()
    bootc.umask = asked.umask
    lock = bootc.lock_sysroot()
    match asked.command:
        case "stage":
            bootc.stage(asked.version, locked=asked.locked)
        case "unlock":
            bootc.lock(locked=False)
        case "withdraw":
            bootc.withdraw()
        case "rollback":
            bootc.rollback()
        case "leave":  # what a soft reboot does: /run stays, with the id that it has booted
            bootc.stage(bootc.menu[0].version)
        case "work":
            bootc.stage(asked.version)
            signal.pause()
        case _:
            bootc.finalize()
    lock.release()


if __name__ == "__main__":
    main()
