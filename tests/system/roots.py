"""Root file systems of the machines: made once with mmdebstrap, kept below build/system."""

import fcntl
import hashlib
import os
import shutil
import subprocess
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


def read_root(suite: str) -> Path:
    """Where the root of `suite` is; it is made first where there is none."""
    made_of = hashlib.sha256(" ".join((suite, *PACKAGES)).encode()).hexdigest()[:12]
    root = CACHE / f"{suite}-{made_of}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{suite}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            _make(suite, root)
    return root


def _make(suite: str, root: Path) -> None:
    for old in CACHE.glob(f"{suite}-*"):
        shutil.rmtree(old)
    draft = root.with_name(f"{root.name}.draft")
    log = CACHE / f"{suite}.log"
    command = ("mmdebstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", suite, draft)
    with log.open("wb") as output:
        made = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False)
    if made.returncode:
        tail = "\n".join(log.read_text("utf-8", "replace").splitlines()[-5:])
        raise SystemExit(f"cannot make a root file system of {suite}:\n{tail}\nall of it: {log}")
    draft.rename(root)
