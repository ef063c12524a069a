"""What lies above a root file system: the RPM's payload as rpm installs it, and the stand-ins."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

from tests.system.roots import OSTREE, ostree_suite, read_root, suites_here
from tests.system.runs import RUNS, own
from tests.system.sysroot import place_of_sysroot, script_of_sysroot

PROJECT: Final = Path(__file__).parents[2]
STAND_INS: Final = Path(__file__).parent / "guest/root"
# Debian's rpm 4.18 asks whether we mean it.
RPM: Final = {
    "bookworm": ("rpm", "--nodeps", "--force-debian"),
    "trixie": ("rpm", "--nodeps"),
    "sid": ("rpm", "--nodeps"),
}


def layers_of(suite: str, *, with_product: bool = True) -> tuple[Path, ...]:
    """The layers of a machine, the lowest last; made before by `make_product_layers`."""
    product = (own(RUNS) / f"product-{suite}",) if with_product else ()
    return (STAND_INS, *product, read_root(suite))


def rpm_of(version: str = "") -> Path:
    """The RPM of this working tree, built once under each version that is asked for."""
    return _built(version, "rebootmgr-[0-9]*")


def lockd_rpm_of(version: str = "") -> Path:
    """That of the lock server, built beside it."""
    return _built(version, "rebootmgr-lockd-*")


def _built(version: str, name: str) -> Path:
    [rpm] = _rpms(version).glob(f"{name}.noarch.rpm")
    return rpm


def _rpms(version: str) -> Path:
    return own(RUNS) / "rpms" / (version or "this")


def build_rpm(version: str = "", *, tree: Path = PROJECT) -> Path:
    """Build the RPM of `tree` under `version`, "" for its own."""
    command = (tree / "packaging/rpm/build", "--without", "check")
    environ = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "OUT": str(_rpms(version)),
        "VERSION": version,
    }
    _do("building the RPM", *command, environ=environ)
    return rpm_of(version)


def make_product_layers() -> None:
    """Install the RPM of this working tree above each root, as rpm does on an image."""
    rpm = build_rpm()
    for suite in suites_here():
        _install(rpm, suite, suite)
    place_of_sysroot().mkdir()
    _install(rpm, OSTREE, ostree_suite(), then=script_of_sysroot(_merged(OSTREE)))
    shutil.rmtree(own(RUNS) / f"product-{OSTREE}")  # all of it is in the repository


def _merged(name: str) -> Path:
    return own(RUNS) / f"merged-{name}"


def _install(rpm: Path, name: str, suite: str, *, then: str = "") -> None:
    """Install it above the root `name`; `then` sees the result before it is unmounted."""
    upper, work = (own(RUNS) / f"{what}-{name}" for what in ("product", "work"))
    root = _merged(name)
    for made in (upper, work, root):
        made.mkdir()
    options = f"lowerdir={read_root(name)},upperdir={upper},workdir={work}"
    script = f"""
        set -e
        mount -t overlay overlay {root} -o {options}
        mount --bind {rpm.parent} {root}/mnt
        export HOME=/root  # where the rpm of bookworm has its database
        chroot {root} {" ".join(RPM[suite])} --install /mnt/{rpm.name}
        chroot {root} systemctl enable rebootmgr.service
        umount {root}/mnt
        {then}
        """
    _do(f"installing it on {name}", "unshare", "--mount", "sh", "-c", script)
    shutil.rmtree(work)
    root.rmdir()


def _do(what: str, *command: str | Path, environ: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{what} failed:\n{done.stdout}{done.stderr}")
