"""The administrator's hooks: which there are, and what a phase of them says (SPEC 8)."""

import logging
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from rebootmgr.adapters.hook_process import run_hook
from rebootmgr.core.events import HooksAnswer, HooksFailed, HooksPassed
from rebootmgr.core.model import Deployment, Phase, Ticket
from rebootmgr.core.text import harmless

log = logging.getLogger(__name__)

LOWEST_FIRST: Final = ("usr/lib", "run", "etc")
DIRECTORIES: Final = {
    Phase.CHECK: "checks.d",
    Phase.PRE_REBOOT: "pre-reboot.d",
    Phase.POST_BOOT: "post-boot.d",
    Phase.ABANDONED: "post-boot.d",
}
LEFTOVERS: Final = ("~", ".rpmnew", ".rpmsave", ".rpmorig")
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
NO_UNIT: Final = "hooks on a real host need rebootmgr-hook@.service, which is not installed"


@dataclass(frozen=True, slots=True)
class Unsafe:
    """A hook, or a directory of them, that must not be run; `why` names the cure."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something in the directory that is no hook."""

    name: str
    why: str


Hook: TypeAlias = Path | Unsafe


class Hooks:
    """Runs the hooks under `root`, each for `timeout_s` seconds at most."""

    def __init__(self, root: Path, *, timeout_s: float) -> None:
        self._root = root
        self.timeout_s = timeout_s
        self._told: frozenset[Skipped] = frozenset()

    def phases(self) -> frozenset[Phase]:
        """Name the phases that have any hook, or that cannot be looked at."""
        return frozenset(phase for phase in Phase if self._find(phase))

    async def run(
        self, ticket: Ticket, phase: Phase, target: Deployment | None, booted: Deployment | None
    ) -> HooksAnswer:
        """Run one phase in order. The first failure ends it, but never the undoing."""
        hooks = self._find(phase)
        if hooks and self._root.samefile("/"):
            return HooksFailed(ticket, _name(hooks[0]), NO_UNIT)
        environment = _environment(phase, target, booted)
        failures: list[HooksFailed] = []
        for hook in hooks if phase is Phase.ABANDONED else _safe_only(hooks):
            why = await self._run_one(hook, environment)
            if why is not None:
                failures.append(HooksFailed(ticket, _name(hook), harmless(why)))
                if phase is not Phase.ABANDONED:
                    break
        return failures[0] if failures else HooksPassed(ticket)

    def _find(self, phase: Phase) -> list[Hook]:
        found = find_hooks(self._root, phase)
        skipped = frozenset(entry for entry in found if isinstance(entry, Skipped))
        for entry in skipped - self._told:
            log.warning("%s is not run: %s", harmless(entry.name), entry.why)
        self._told |= skipped
        return [entry for entry in found if not isinstance(entry, Skipped)]

    async def _run_one(self, hook: Hook, environment: dict[str, str]) -> str | None:
        match hook:
            case Unsafe(why=why):
                return why
            case path:
                return await run_hook(path, environment, timeout_s=self.timeout_s)


def find_hooks(root: Path, phase: Phase) -> list[Hook | Skipped]:
    """List what a phase runs, in byte order of names; what may not be run is `Unsafe`."""
    found: dict[str, Hook | Skipped] = {}
    for top in LOWEST_FIRST:
        directory = root / top / "rebootmgr" / DIRECTORIES[phase]
        try:
            names = os.listdir(directory)  # noqa: PTH208 - names, not paths
            unsafe = names and (_unsafe(directory.parent) or _unsafe(directory))
        except FileNotFoundError:
            continue
        except OSError as error:
            found[str(directory)] = Unsafe(directory.name, f"{directory}: {error.strerror}")
            continue
        if unsafe:
            found[str(directory)] = Unsafe(directory.name, unsafe)
            continue
        for name in names:
            found.pop(name, None)
            if (hook := _look(directory / name)) is not None:
                found[name] = hook
    return [found[name] for name in sorted(found, key=os.fsencode)]


def _look(path: Path) -> Hook | Skipped | None:
    """Judge one entry; None for one that masks its name."""
    if path.name.startswith(".") or path.name.endswith(LEFTOVERS):
        return Skipped(str(path), "its name is that of a leftover")
    try:
        real = path.resolve(strict=True)
        facts = real.stat()
        if real == Path(os.devnull) or (stat.S_ISREG(facts.st_mode) and not facts.st_size):
            return None
        if not stat.S_ISREG(facts.st_mode) or not facts.st_mode & 0o111:
            return Skipped(str(path), "it is no executable file (chmod +x)")
        unsafe = _unsafe(path) or _unsafe(real) or _unsafe(real.parent)
    except OSError as error:
        return Unsafe(path.name, f"{path}: {error.strerror}")
    except RuntimeError:  # Python before 3.13
        return Unsafe(path.name, f"{path} is a loop of symbolic links")
    return Unsafe(path.name, unsafe) if unsafe else path


def _unsafe(path: Path) -> str:
    """Say who else could change `path`; "" when nobody could."""
    facts = path.lstat()
    mode = stat.S_IMODE(facts.st_mode)
    if facts.st_uid != os.geteuid():
        return f"{path} belongs to user {facts.st_uid}, not {os.geteuid()}: chown it"
    if mode & 0o022 and not stat.S_ISLNK(facts.st_mode):
        return f"{path} can be written by others (mode {mode:04o}): chmod go-w"
    return ""


def _safe_only(hooks: list[Hook]) -> list[Hook]:
    """Run nothing at all when something is wrong."""
    unsafe: list[Hook] = [hook for hook in hooks if isinstance(hook, Unsafe)]
    return unsafe or hooks


def _name(hook: Hook) -> str:
    return harmless(hook.name)


def _environment(
    phase: Phase, target: Deployment | None, booted: Deployment | None
) -> dict[str, str]:
    """Build everything a hook is told, from scratch."""
    return {
        "PATH": PATH,
        "REBOOTMGR_PHASE": phase.value,
        "REBOOTMGR_DEPLOYMENT": harmless(target.id) if target else "",
        "REBOOTMGR_VERSION": harmless(target.version) if target else "",
        "REBOOTMGR_BOOTED_DEPLOYMENT": harmless(booted.id) if booted else "",
    }
