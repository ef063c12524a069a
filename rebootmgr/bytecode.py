"""Compiled modules on ostree hosts, where every file's time of change is 0.

Python takes a .pyc for stale unless it names its source's time of change, and packages are built
before ostree sets all of them to 0 (https://github.com/ostreedev/ostree/issues/1469). So each
start of each program would compile every module anew and, /usr being read-only, for nothing.
Here a source of time 0 has the time that its .pyc names, if that is of a source of the same size.
"""

import sys
from collections.abc import Mapping
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)
from importlib.util import MAGIC_NUMBER, cache_from_source
from typing import Final

HEADER: Final = 16
"""Bytes before the code: magic, flags, the source's time of change and size (PEP 552)."""


class TimelessLoader(SourceFileLoader):
    """Loads modules as Python does, but for the age of a .pyc beside a source without a time."""

    def path_stats(self, path: str) -> Mapping[str, float]:
        """Time of change (s) and size (bytes) of a source; OSError if it is not there."""
        stats: Mapping[str, float] = super().path_stats(path)
        if stats["mtime"] != 0:
            return stats
        try:
            header = self.get_data(cache_from_source(path))[:HEADER]
        except (OSError, NotImplementedError):  # none, or an interpreter that keeps none
            return stats
        flags, mtime, size = (int.from_bytes(header[at : at + 4], "little") for at in (4, 8, 12))
        if not header.startswith(MAGIC_NUMBER) or flags != 0 or size != stats["size"]:
            return stats
        return {"mtime": mtime, "size": size}


def trust_compiled() -> None:
    """Take a .pyc beside a source without a time for current, in this process, from now on."""
    hook = FileFinder.path_hook(
        (ExtensionFileLoader, EXTENSION_SUFFIXES),
        (TimelessLoader, SOURCE_SUFFIXES),
        (SourcelessFileLoader, BYTECODE_SUFFIXES),
    )
    sys.path_hooks.insert(0, hook)
    sys.path_importer_cache.clear()
