"""Root file systems of the machines: made once with mmdebstrap, kept below build/system."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

CACHE: Final = Path(
    os.environ.get("REBOOTMGR_SYSTEM_CACHE") or Path(__file__).parents[2] / "build/system"
)
SUITES: Final = ("bookworm", "trixie")
PACKAGES: Final = (
    "systemd", "systemd-sysv", "dbus", "dbus-broker", "libnss-systemd", "libpam-systemd", "polkitd",
    "pkexec", "util-linux", "procps", "iproute2", "rpm", "python3", "python3-systemd",
    "python3-aiohttp", "python3-dateutil", "python3-dbus-next", "python3-prometheus-client",
    "python3-tomli",
)  # fmt: skip
OSTREE: Final = "ostree"
# A host of its own, because ostree's units would finalize what the stand-ins stage, and gi is what
# no host needs to have. Nothing that nobody reads: each file is an object of its repository.
OSTREE_SUITE: Final = "trixie"
OSTREE_PACKAGES: Final = ("ostree", "ostree-boot", "gir1.2-ostree-1.0", "python3-gi")
_UNREAD: Final = tuple(
    f"--dpkgopt=path-exclude=/usr/share/{unread}/*"
    for unread in ("doc", "info", "locale", "man", "zoneinfo/posix", "zoneinfo/right")
)


def read_root(name: str) -> Path:
    """Where the root of a suite is, or that of OSTREE; it is made first where there is none."""
    how = _how(name)
    made_of = hashlib.sha256(" ".join(how).encode()).hexdigest()[:12]
    root = CACHE / f"{name}-{made_of}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            _make(name, root, how)
    return root


def _how(name: str) -> tuple[str, ...]:
    if name == OSTREE:
        packages = ",".join((*PACKAGES, *OSTREE_PACKAGES))
        return (*_UNREAD, f"--include={packages}", OSTREE_SUITE)
    return (f"--include={','.join(PACKAGES)}", name)


def _make(name: str, root: Path, how: Sequence[str]) -> None:
    for old in CACHE.glob(f"{name}-????????????"):
        shutil.rmtree(old)
    draft = root.with_name(f"{root.name}.draft")
    log = CACHE / f"{name}.log"
    command = ("mmdebstrap", "--variant=minbase", *how, str(draft))
    with log.open("wb") as output:
        made = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False)
    if made.returncode:
        tail = "\n".join(log.read_text("utf-8", "replace").splitlines()[-5:])
        raise SystemExit(f"cannot make the root file system {name}:\n{tail}\nall of it: {log}")
    draft.rename(root)
