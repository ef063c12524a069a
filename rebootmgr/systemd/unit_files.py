"""Unit files and links of systemd on disk: what makes a unit start, and what it is assigned."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_DIRECTORIES: Final = ("etc/systemd/system", "run/systemd/system", "usr/lib/systemd/system")
"""The first that has a file of a name hides the same name in the others."""


def find_starting_link(root: Path, unit: str) -> Path | None:
    """Find the link below `root` that has systemd start `unit` with another; None if none does.

    systemctl --root is-enabled answers another question: it looks for links in /etc and /run
    alone, whatever they lead to, and names none; on the host of an image builder it may be missing.
    """
    directories = [root / each for each in _DIRECTORIES]
    units = [each / unit for each in directories if os.path.lexists(each / unit)]
    if not units or _is_mask(units[0]):
        return None
    links: dict[str, Path] = {}
    for directory in directories:
        with suppress(OSError):  # what we may not see, we cannot warn of
            for folder in sorted(directory.iterdir()):
                if folder.suffix in {".wants", ".requires"} and os.path.lexists(folder / unit):
                    links.setdefault(folder.name, folder / unit)
    return next((link for link in links.values() if not _is_mask(link)), None)


def read_assigned(root: Path, unit: str, key: str) -> tuple[str, ...]:
    """Read the values of a list, as ExecStart, below `root`: a unit's file, then its drop-ins.

    An empty assignment drops what stands before it (systemd.service(5)). What cannot be read says
    nothing.
    """
    directories = [root / each for each in _DIRECTORIES]
    files = [each / unit for each in directories if os.path.lexists(each / unit)][:1]
    drop_ins: dict[str, Path] = {}
    for directory in directories:
        for path in (directory / f"{unit}.d").glob("*.conf"):
            drop_ins.setdefault(path.name, path)
    found: list[str] = []
    for path in (*files, *(drop_ins[name] for name in sorted(drop_ins))):
        with suppress(OSError):
            for line in path.read_text(errors="replace").splitlines():
                name, _, value = line.partition("=")
                if name.strip() == key:
                    found = [*found, value.strip()] if value.strip() else []
    return tuple(found)


def _is_mask(path: Path) -> bool:
    """Whether it is a link to the null device, or empty."""
    if path.is_symlink():
        return os.fspath(path.readlink()) == os.devnull
    return path.is_file() and path.stat().st_size == 0
