"""The sysroot of the ostree host: a repository with some versions of it, and the first deployed.

Made anew from the working tree, once for all machines: each has a copy of its own, whose objects
are hard links, as those of deployments are. What Debian calls a root becomes a tree of ostree as
distributions make one: /etc below /usr, nothing in /var, the kernel below its modules. One link is
there that ostree's generator makes elsewhere: it reads the kernel's command line, which is not that
of the machine.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from tests.fakes.ostree_host import KARGS, OSNAME, REFSPEC
from tests.system.roots import OSTREE, read_root
from tests.system.runs import RUNS, own

VERSIONS: Final = ("42.1", "42.2", "42.3")
# What machines write into, of which each needs its own.
_OWN: Final = ("boot", "ostree/repo/config", "ostree/repo/refs", "ostree/repo/.lock")
_TREE: Final = """
    cd "$1"
    rm -rf var/* dev/* run/* tmp/* usr/lib/modules
    mkdir -p sysroot boot opt/stand-ins/tests usr/lib/modules/6.12
    ln -s sysroot/ostree ostree
    echo kernel >usr/lib/modules/6.12/vmlinuz
    echo initramfs >usr/lib/modules/6.12/initramfs.img
    mkdir -p usr/lib/systemd/system/multi-user.target.wants
    ln -s ../ostree-boot-complete.service usr/lib/systemd/system/multi-user.target.wants
    mv etc usr/etc
    """
_SYSROOT: Final = """
    repo=/mnt/sysroot/ostree/repo
    ostree admin init-fs --modern /mnt/sysroot
    ostree config --repo=$repo set sysroot.bootloader none
    ostree config --repo=$repo set core.fsync false
    ostree admin os-init --sysroot=/mnt/sysroot $os
    tree=dir=/mnt/tree
    for version in $versions; do
        ostree commit --repo=$repo --branch=os/$version --tree=$tree --link-checkout-speedup \\
            --add-metadata-string=version=$version >/dev/null
        tree=ref=os/$version
    done
    ostree refs --repo=$repo --create=$refspec os/${versions%% *}
    ostree admin deploy --sysroot=/mnt/sysroot --os=$os $kargs $refspec
    """


def place_of_sysroot() -> Path:
    """Where it is, for the machines of this run."""
    return own(RUNS) / "sysroot"


def place_of_hosts(run: Path | None = None) -> Path:
    """Where the machines of a run have theirs; of this one if none is named."""
    return (run or own(RUNS)) / "hosts"


def script_of_sysroot(tree: Path) -> str:
    """What makes the sysroot of `tree`, a root that is mounted there and spent by it.

    The programs are those of the root itself; its /mnt is mounted over, in a namespace of its own.
    """
    names = {"os": OSNAME, "refspec": REFSPEC, "versions": " ".join(VERSIONS)}
    names |= {"kargs": " ".join(f"--karg={karg}" for karg in KARGS)}
    environ = " ".join(f"{name}='{value}'" for name, value in names.items())
    tools = read_root(OSTREE)
    return f"""
        set -- {tree}
        {_TREE}
        cd /
        mount -t tmpfs tmpfs {tools}/mnt
        mkdir {tools}/mnt/tree {tools}/mnt/sysroot
        mount --bind {tree} {tools}/mnt/tree
        mount --bind {place_of_sysroot()} {tools}/mnt/sysroot
        mount -t proc proc {tools}/proc
        chroot {tools} env OSTREE_SYSROOT_DEBUG=mutable-deployments {environ} sh -ec '{_SYSROOT}'
        """


def copy_sysroot(to: Path) -> None:
    """Give a machine a sysroot of its own, on the file system of the others."""
    sysroot = place_of_sysroot()
    to.parent.mkdir(exist_ok=True)
    subprocess.run(("cp", "-al", sysroot, to), check=True)
    stateroot = f"ostree/deploy/{OSNAME}"
    etcs = [str(etc.relative_to(to)) for etc in to.glob(f"{stateroot}/deploy/*/etc")]
    for one in (*_OWN, *etcs, f"{stateroot}/var"):
        shutil.rmtree(to / one) if (to / one).is_dir() else (to / one).unlink(missing_ok=True)
        subprocess.run(("cp", "-a", sysroot / one, to / one), check=True)


def why_not_ostree() -> str:
    """Say why no ostree host can be here, "" if one can: files have to become immutable."""
    hosts = place_of_hosts()
    hosts.mkdir(exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=hosts.parent) as probe:
        for how in ("+i", "-i"):
            tried = subprocess.run(
                ("chattr", how, probe.name), capture_output=True, text=True, check=False
            )
            if tried.returncode:
                return f"no real ostree host in {hosts}: {tried.stderr.strip()}"
    return ""


def remove_sysroot(which: Path) -> None:
    """Remove what a machine had, whose deployments are immutable."""
    for immutable in (which / "boot", *which.glob("ostree/deploy/*/deploy/*.[0-9]")):
        if immutable.exists():  # not where whoever copied it was killed
            subprocess.run(("chattr", "-i", immutable), check=True)
    shutil.rmtree(which)


def remove_run(run: Path) -> None:
    """Remove what a run made that is over, hosts that outlived it included."""
    for sysroot in place_of_hosts(run).glob("*"):
        remove_sysroot(sysroot)
    shutil.rmtree(run)
