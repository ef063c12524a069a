"""Which hooks there are (SPEC 8), and how long each may take."""

import logging
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Final, TypeAlias

from rebootmgr.config.checked import decode_config
from rebootmgr.config.drop_ins import read_drop_ins
from rebootmgr.config.settings import Settings
from rebootmgr.core.model import Phase

log = logging.getLogger(__name__)

LOWEST_FIRST: Final = ("usr/lib", "run", "etc")
DIRECTORIES: Final = {
    Phase.CHECK: "checks.d",
    Phase.PRE_REBOOT: "pre-reboot.d",
    Phase.POST_BOOT: "post-boot.d",
    Phase.ABANDONED: "post-boot.d",
}
LEFTOVERS: Final = ("~", ".rpmnew", ".rpmsave", ".rpmorig")


@dataclass(frozen=True, slots=True)
class Unfit:
    """A hook, or a directory of them, that cannot or must not be run; `why` names the cure."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class UnknownHooks(Unfit):
    """A whole directory: nobody knows what is in it."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something in the directory that is no hook."""

    name: str
    why: str


Hook: TypeAlias = Path | Unfit


def find_hooks(
    root: Path, phase: Phase, *, danger: Callable[[Path], str] = lambda _: ""
) -> list[Hook | Skipped]:
    """List what a phase runs, in byte order of names.

    `danger` says why a path must not be trusted, "" if it may be; OSError if it cannot be told.
    """
    found: dict[str, Hook | Skipped] = {}
    for top in LOWEST_FIRST:
        directory = root / top / "rebootmgr" / DIRECTORIES[phase]
        try:
            names = os.listdir(directory)  # noqa: PTH208 - names, not paths
            why = danger(directory) if names else ""
        except FileNotFoundError:
            continue
        except OSError as error:
            why = f"{directory}: {error.strerror}"
            names = []
        if why:
            found[str(directory)] = UnknownHooks(directory.name, why)
            continue
        for name in names:
            found.pop(name, None)
            if (hook := _look(directory / name, danger)) is not None:
                found[name] = hook
    return [found[name] for name in sorted(found, key=os.fsencode)]


def read_hook_timeout(root: Path) -> float:
    """Read how many seconds a hook may take; the default while the configuration is invalid."""
    config = decode_config(read_drop_ins(root), localtime=UTC)  # no window matters here
    settings = Settings() if config.errors else config.settings
    return float(settings.hooks.timeout_seconds)


def _look(path: Path, danger: Callable[[Path], str]) -> Hook | Skipped | None:
    """Judge one entry; None for one that masks its name."""
    if path.name.startswith(".") or path.name.endswith(LEFTOVERS):
        return Skipped(str(path), "its name is that of a leftover")
    try:
        facts = path.stat()
        is_null = path.is_symlink() and path.samefile(os.devnull)
        if is_null or (stat.S_ISREG(facts.st_mode) and not facts.st_size):
            return None
        if not stat.S_ISREG(facts.st_mode) or not facts.st_mode & 0o111:
            return Skipped(str(path), "it is no executable file (chmod +x)")
        why = danger(path)
    except OSError as error:
        why = f"{path}: {error.strerror}"
    return Unfit(path.name, why) if why else path
