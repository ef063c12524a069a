"""Root file systems of the machines: made once with mmdebstrap, kept below build/system."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

from tests.system.keeping import is_kept, keep

CACHE: Final = Path(
    os.environ.get("REBOOTMGR_SYSTEM_CACHE") or Path(__file__).parents[2] / "build/system"
)
SUITES: Final = ("bookworm", "trixie", "sid")
"""systemd 252, 257 and the newest, the oldest first."""
UNSURE: Final = "sid"
"""It changes each day, so that now and then it cannot be installed."""
PACKAGES: Final = (
    "systemd", "systemd-sysv", "dbus", "dbus-broker", "libnss-systemd", "libpam-systemd", "polkitd",
    "pkexec", "util-linux", "procps", "iproute2", "rpm", "python3", "python3-systemd",
    "python3-aiohttp", "python3-dateutil", "python3-dbus-next", "python3-prometheus-client",
    "python3-jinja2", "python3-tomli",
)  # fmt: skip
# Of another Python beside the system's own, and what runs the suite there.
MORE: Final = {
    "sid": (
        "python3.15", "python3-hypothesis", "python3-pytest", "python3-pytest-asyncio", "openssl"
    )
}  # fmt: skip
# Nothing says that its lists are older than they promised to be, where they are kept.
STALE: Final = '--aptopt=Acquire::Check-Valid-Until "false"'
OSTREE: Final = "ostree"
# A host of its own, because ostree's units would finalize what the stand-ins stage, and gi is what
# no host needs to have. Nothing that nobody reads: each file is an object of its repository.
OSTREE_PACKAGES: Final = ("ostree", "ostree-boot", "gir1.2-ostree-1.0", "python3-gi")
_UNREAD: Final = tuple(
    f"--dpkgopt=path-exclude=/usr/share/{unread}/*"
    for unread in ("doc", "info", "locale", "man", "zoneinfo/posix", "zoneinfo/right")
)


class NoRootError(Exception):
    """A root file system could not be made; its text says why."""


def suites_here() -> tuple[str, ...]:
    """The suites whose roots were made: all, or all but the one that is unsure."""
    return tuple(suite for suite in SUITES if suite != UNSURE or _root_of(suite).exists())


def ostree_suite() -> str:
    """What the ostree host is made of: the newest, as its libostree is nearest to Fedora's."""
    return suites_here()[-1]


@cache
def read_root(name: str) -> Path:
    """Where the root of a suite is, or that of OSTREE; it is made first where there is none.

    It is kept from then on. NoRootError if it cannot be made.
    """
    root = _root_of(name)
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            _make(name, root, _how(name))
        keep(root)
    return root


def _root_of(name: str) -> Path:
    made_of = hashlib.sha256(" ".join(_how(name)).encode()).hexdigest()[:12]
    return CACHE / f"{name}-{made_of}"


def _how(name: str) -> tuple[str, ...]:
    suite = ostree_suite() if name == OSTREE else name
    more = OSTREE_PACKAGES if name == OSTREE else MORE.get(name, ())
    options = (*(_UNREAD if name == OSTREE else ()), *((STALE,) if suite == UNSURE else ()))
    return (*options, f"--include={','.join((*PACKAGES, *more))}", suite)


def _make(name: str, root: Path, how: Sequence[str]) -> None:
    for old in CACHE.glob(f"{name}-????????????"):
        if not is_kept(old):
            shutil.rmtree(old)
    draft = root.with_name(f"{root.name}.draft")
    log = CACHE / f"{name}.log"
    command = ("mmdebstrap", "--variant=minbase", *how, str(draft))
    with log.open("wb") as output:
        made = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False)
    if made.returncode:
        tail = "\n".join(log.read_text("utf-8", "replace").splitlines()[-5:])
        why = f"cannot make the root file system {name}:\n{tail}\nall of it: {log}"
        raise NoRootError(why)
    draft.rename(root)
