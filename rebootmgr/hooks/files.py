"""Which hooks there are (SPEC 8), and what in their directories is none by its name."""

import logging
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from rebootmgr.core.model import Phase

log = logging.getLogger(__name__)

LOWEST_FIRST: Final = ("usr/lib", "run", "etc")
DIRECTORIES: Final = {
    Phase.CHECK: "checks.d",
    Phase.PRE_REBOOT: "pre-reboot.d",
    Phase.POST_BOOT: "post-boot.d",
    Phase.ABANDONED: "post-boot.d",
}
NO_PROGRAMS: Final = ("~", ".rpmnew", ".rpmsave", ".rpmorig", ".md")
README: Final = "README"


@dataclass(frozen=True, slots=True)
class Unfit:
    """A hook, or a directory of them, that cannot or must not be run; `why` names the cure."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class NoProgram(Unfit):
    """A file that nobody could run: at `path`, which is `what`."""

    path: Path
    what: str
    cure: str


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
            found[str(directory)] = Unfit(directory.name, why)
            continue
        for name in names:
            found.pop(name, None)
            if (hook := _look(directory / name, danger)) is not None:
                found[name] = hook
    return [found[name] for name in sorted(found, key=os.fsencode)]


def _look(path: Path, danger: Callable[[Path], str]) -> Hook | Skipped | None:
    """Judge one entry; None for one that masks its name.

    Whoever put a file here wants it run: one that cannot be is never passed over in silence.
    """
    if path.name.startswith(".") or path.name.endswith(NO_PROGRAMS) or path.name == README:
        return Skipped(str(path), "its name is that of no program")
    try:
        facts = path.stat()
        is_null = path.is_symlink() and path.samefile(os.devnull)
        if is_null or (stat.S_ISREG(facts.st_mode) and not facts.st_size):
            return None
        if stat.S_ISDIR(facts.st_mode):
            return Skipped(str(path), "it is a directory")
        if not stat.S_ISREG(facts.st_mode):
            return _no_program(path, "is no file", "remove it")
        if not facts.st_mode & 0o111:
            return _no_program(path, "is not executable", "chmod +x")
        why = danger(path)
    except OSError as error:
        cannot = f"cannot be looked at ({error.strerror})"
        return _no_program(path, cannot, "repair it or remove it")
    return Unfit(path.name, why) if why else path


def _no_program(path: Path, what: str, cure: str) -> NoProgram:
    return NoProgram(path.name, f"{path} {what}: {cure}", path, what, cure)
