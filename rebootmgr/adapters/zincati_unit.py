"""Whether systemd would start Zincati on this host, by the files alone (systemd.unit(5))."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

UNIT: Final = "zincati.service"
DIRECTORIES: Final = ("etc/systemd/system", "run/systemd/system", "usr/lib/systemd/system")
"""The first that has a file of a name hides the same name in the others."""


def find_enabled_zincati(root: Path) -> Path | None:
    """Find the link that lets Zincati start; None if there is none, no such unit, or a mask."""
    directories = [root / each for each in DIRECTORIES]
    units = [each / UNIT for each in directories if os.path.lexists(each / UNIT)]
    if not units or _is_mask(units[0]):
        return None
    links: dict[str, Path] = {}
    for directory in directories:
        with suppress(OSError):  # what we may not see, we cannot warn of
            for folder in sorted(directory.iterdir()):
                if folder.suffix in {".wants", ".requires"} and os.path.lexists(folder / UNIT):
                    links.setdefault(folder.name, folder / UNIT)
    return next((link for link in links.values() if not _is_mask(link)), None)


def _is_mask(path: Path) -> bool:
    """Whether it is a link to the null device, or empty."""
    if path.is_symlink():
        return os.fspath(path.readlink()) == os.devnull
    return path.is_file() and path.stat().st_size == 0
