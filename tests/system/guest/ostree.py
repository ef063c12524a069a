"""ostree's part in a boot and a shutdown: `python3 -m tests.system.guest.ostree boot|finalize`.

The staged deployment lives in /run until it is finalized at shutdown, so a power cut loses it.
`/var/lib/stand-in/fate` says what comes of the next one: `apply` (the default), `fail` (nothing is
deployed) or `old` (it is deployed, and the bootloader falls back to the one before).
"""

import sys
from pathlib import Path
from typing import Final

from tests.fakes.ostree_host import OstreeHost

HOME: Final = Path("/var/lib/stand-in")
STATE: Final = HOME / "ostree.json"
FATE: Final = HOME / "fate"
FIRST: Final = "42.1"


def boot() -> None:
    """Become the deployment that boots by default; one that is staged still was never finalized."""
    HOME.mkdir(exist_ok=True)
    host = OstreeHost(Path("/"), STATE)
    if not host.trees:
        host.install(FIRST)
        return
    host.trees = [tree for tree in host.trees if not tree.staged]
    host.booted = host.trees[0].id
    if FATE.exists() and FATE.read_text().strip() == "old-next-boot":
        host.booted = host.trees[1].id
        FATE.unlink()
    host.save()
    Path("/run/ostree-booted").touch()


def finalize() -> None:
    """Deploy what is staged and not locked, as ostree-finalize-staged.service does."""
    host = OstreeHost(Path("/"), STATE)
    fate = FATE.read_text().strip() if FATE.exists() else "apply"
    staged = [tree for tree in host.trees if tree.staged and not tree.lock]
    if not staged or fate == "fail":
        return
    staged[0].staged = False
    host.save()
    if fate == "old":
        FATE.write_text("old-next-boot")


if __name__ == "__main__":
    {"boot": boot, "finalize": finalize}[sys.argv[1]]()
