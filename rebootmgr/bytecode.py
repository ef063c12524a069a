"""Compiled modules on ostree hosts, where every file's time of change is 0.

Python takes a .pyc for stale unless it names its source's time of change, and packages are built
before ostree sets all of them to 0 (https://github.com/ostreedev/ostree/issues/1469). So each
start of each program would compile every module anew and, /usr being read-only, for nothing.
Here a source of time 0 has the time that its .pyc names, if that is of a source of the same size.

What this module imports is compiled anew itself, so it imports next to nothing: no typing, no
collections, and of importlib what is part of the interpreter.
"""

import sys
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)


class TimelessLoader(SourceFileLoader):
    """Loads modules as Python does, but for the age of a .pyc beside a source without a time."""

    def path_stats(self, path: str) -> dict[str, float]:
        """Time of change (s) and size (bytes) of a source; OSError if it is not there."""
        stats = dict(super().path_stats(path))
        if stats["mtime"] != 0 or sys.pycache_prefix:
            return stats
        folder, _, name = path.rpartition("/")
        level = f".opt-{sys.flags.optimize}" if sys.flags.optimize else ""
        tag = sys.implementation.cache_tag
        cache = f"{folder}/__pycache__/{name.removesuffix('.py')}.{tag}{level}.pyc"  # PEP 3147, 488
        try:
            header = self.get_data(cache)[:16]  # PEP 552: magic, flags, time of change, size
        except OSError:
            return stats
        flags, mtime, size = (int.from_bytes(header[at : at + 4], "little") for at in (4, 8, 12))
        if flags != 0 or size != stats["size"]:
            return stats
        return {"mtime": mtime, "size": size}  # whether the magic is ours, Python itself asks


def trust_compiled() -> None:
    """Take a .pyc beside a source without a time for current, in this process, from now on."""
    hook = FileFinder.path_hook(
        (ExtensionFileLoader, EXTENSION_SUFFIXES),
        (TimelessLoader, SOURCE_SUFFIXES),
        (SourcelessFileLoader, BYTECODE_SUFFIXES),
    )
    sys.path_hooks.insert(0, hook)
    sys.path_importer_cache.clear()
