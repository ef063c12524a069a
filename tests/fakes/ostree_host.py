"""An ostree host made of files: deployments in boot order, staged or not, locked or not.

It changes the host files as libostree does (the staged file is replaced, or deleted first, and
ostree/deploy touched last), whoever asks: rpm-ostreed's stand-in, or "somebody else" while
rpm-ostreed is asleep. Its own state is a JSON file, so that several processes may share one host.
"""

import fcntl
import json
import os
import shutil
import struct
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from tests.fakes.gvariant import Pair, Value, encode_commit, encode_dictionary

Lock = Literal["", "key", "file", "gvariant"]
KARGS = ("rw", "x=locked")
OSNAME = "fedora-coreos"
REFSPEC = "fedora:fedora/x86_64/coreos/stable"
_OFD_SETLK = 37  # F_OFD_SETLK, which is missing in Python's fcntl
_WHOLE_FILE = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0)


@dataclass(kw_only=True)
class Tree:
    """A deployment. `extra` replaces keys of its dictionary: [signature, value], None drops one.

    `kargs` None: the staged file names none, as that of `ostree admin deploy --stage`.
    """

    version: str
    checksum: str = ""
    serial: int = 0
    osname: str = OSNAME
    timestamp: int = 1_764_000_000
    staged: bool = False
    unlocked: str = "none"
    digest: str = ""
    base_checksum: str = ""
    lock: Lock = ""
    kargs: list[str] | None = field(default_factory=lambda: list(KARGS))
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Give each version a checksum of its own."""
        self.checksum = self.checksum or self.version.encode().hex().ljust(64, "0")[:64]

    @property
    def name(self) -> str:
        return f"{self.checksum}.{self.serial}"

    @property
    def id(self) -> str:
        return f"{self.osname}-{self.name}"


class OstreeHost:
    """The host under `root`; `state` is where it remembers itself."""

    def __init__(self, root: Path, state: Path | None = None) -> None:
        self.root = root
        self.state = state or root / "fake-ostree-host.json"
        self.trees: list[Tree] = []
        self.booted = ""
        self.policy = "none"
        self.ref = ""
        self.overrides: dict[str, Any] = {}
        self._used: list[str] = []
        self.has_files = False
        if self.state.exists():
            self.load()

    def install(self, version: str, **fields: Any) -> Tree:
        """Make a host that booted `version` and has nothing else."""
        (self.root / "ostree/deploy").mkdir(parents=True, exist_ok=True)
        (self.root / "run").mkdir(exist_ok=True)
        (self.root / "run/ostree-booted").touch()
        tree = Tree(version=version, **fields)
        self.trees = [tree]
        self.booted = tree.id
        self._change()
        return tree

    def stage(self, version: str, **fields: Any) -> Tree:
        """Stage a deployment, in the place of one that is staged already."""
        tree = Tree(version=version, staged=True, **fields)
        there = [old.id for old in self.trees]  # the one that it replaces, too
        while tree.id in {*there, *self._used}:  # the directory of one that failed is still there
            tree.serial += 1
        self.trees = [tree, *(old for old in self.trees if not old.staged)]
        self._change()
        return tree

    def change_arguments(self, arguments: list[str]) -> Tree:
        """Stage the booted one again, with other kernel arguments."""
        now = self._booted()
        fields = {"checksum": now.checksum, "digest": now.digest, "timestamp": now.timestamp}
        return self.stage(now.version, **fields, kargs=arguments)

    def boot_config(self) -> dict[str, tuple[str, Any]]:
        """The boot entry of the booted one, as libostree writes them."""
        now = self._booted()
        boot = f"/ostree/{now.osname}-{'b' * 64}"
        options = [*(now.kargs or []), f"ostree=/ostree/boot.1/{now.osname}/{'b' * 64}/0"]
        return {
            "staged": ("b", False),
            "title": ("s", f"Fedora CoreOS {now.version} (ostree:{self.trees.index(now)})"),
            "version": ("s", "1"),
            "options": ("s", " ".join(options)),
            "linux": ("s", f"{boot}/vmlinuz-6.12"),
            "initrd": ("s", f"{boot}/initramfs-6.12.img"),
        }

    def _booted(self) -> Tree:
        [now] = [tree for tree in self.trees if tree.id == self.booted]
        return now

    def cleanup(self) -> None:
        """Drop the staged deployment, as `rpm-ostree cleanup -p` does."""
        self.begin_withdrawal()
        self.end_withdrawal()

    def begin_withdrawal(self) -> None:
        """Delete the staged file, and its lock with it: nobody else is told of it yet."""
        for name in ("staged-deployment", "staged-deployment-locked"):
            (self.root / "run/ostree" / name).unlink(missing_ok=True)

    def end_withdrawal(self) -> None:
        """Delete the tree, and touch ostree/deploy, by which rpm-ostreed learns of it."""
        self.trees = [tree for tree in self.trees if not tree.staged]
        self._change()

    def lock_sysroot(self, kind: Literal["ofd", "flock", "posix"] = "ofd") -> "SysrootLock":
        """Lock the sysroot, as libostree does before it changes anything."""
        return SysrootLock(self.root / "ostree/lock", kind)

    def deploy(self, version: str, **fields: Any) -> Tree:
        """Deploy without staging, as `ostree admin deploy` does."""
        tree = Tree(version=version, **fields)
        self.trees.insert(0, tree)
        self._change()
        return tree

    def lock(self, how: Lock) -> None:
        """Lock ("" to unlock) the staged deployment; ostree/deploy stays untouched."""
        self.trees[0].lock = how
        self._write_staged()
        self.save()

    def rollback(self) -> None:
        """Boot the last deployment next time."""
        self.trees.insert(0, self.trees.pop())
        self._change()

    def reboot(self) -> None:
        """Finalize an unlocked staged deployment, empty /run/ostree, boot the first one."""
        self.trees = [tree for tree in self.trees if not (tree.staged and tree.lock)]
        self._used = []
        for tree in self.trees:
            tree.staged = False
        self.booted = self.trees[0].id
        self._change()

    def fail_to_finalize(self) -> None:
        """Go down and come up without what was staged: it is not bootable, but in its place."""
        self._used = [*self._used, *(tree.id for tree in self.trees if tree.staged)]
        self.end_withdrawal()

    def save(self) -> None:
        """Remember; atomically, because another process may be reading."""
        state = {
            "trees": [asdict(tree) for tree in self.trees],
            "booted": self.booted,
            "policy": self.policy,
            "ref": self.ref,
            "used": self._used,
            "overrides": self.overrides,
        }
        draft = self.state.with_suffix(".new")
        draft.write_text(json.dumps(state))
        draft.replace(self.state)

    def load(self) -> None:
        """Take what another process saved."""
        state = json.loads(self.state.read_text())
        self.trees = [Tree(**tree) for tree in state["trees"]]
        self.booted, self.policy = state["booted"], state["policy"]
        self.overrides = state["overrides"]
        self.ref, self._used = state["ref"], state["used"]

    def register_driver(self, name: str, unit: str) -> None:
        """Register as update driver, as Zincati does."""
        path = self.root / "run/rpm-ostree/update-driver.gv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_dictionary({"driver-name": name, "driver-sd-unit": unit}))

    def _change(self) -> None:
        if self.has_files:
            self.write_trees()
        self._write_staged()
        self.save()
        deploy = self.root / "ostree/deploy"
        now = max(time.time_ns(), deploy.stat().st_mtime_ns + 1)
        os.utime(deploy, ns=(now, now))

    def write_trees(self) -> None:
        """Write what ostree has on disk for each deployment: its directory, commit and entry.

        As ostree 2026.4 does: /run/ostree-booted tells which directory is the root, and the boot
        menu is a directory that is swapped.
        """
        self.has_files = True
        for tree in self.trees:
            directory = self.directory(tree)
            directory.mkdir(parents=True, exist_ok=True)
            origin = directory.with_name(f"{tree.name}.origin")
            origin.write_text("[origin]\ncontainer-image-reference=ostree-unverified-image:x\n")
            objects = self.root / "ostree/repo/objects" / tree.checksum[:2]
            objects.mkdir(parents=True, exist_ok=True)
            (objects / f"{tree.checksum[2:]}.commit").write_bytes(encode_tree(tree))
        self._swap_menu([tree for tree in self.trees if not tree.staged])
        [booted] = [tree for tree in self.trees if tree.id == self.booted]
        found = self.directory(booted).stat()
        pair = Pair(found.st_dev, found.st_ino)
        mark = encode_dictionary({"backing-root-device-inode": pair})
        _replace(self.root / "run/ostree-booted", mark)

    def directory(self, tree: Tree) -> Path:
        """Where this deployment is on disk."""
        return self.root / "ostree/deploy" / tree.osname / "deploy" / tree.name

    def _swap_menu(self, trees: list[Tree]) -> None:
        boot = self.root / "boot"
        old = (boot / "loader").readlink().name if (boot / "loader").is_symlink() else "loader.1"
        new = "loader.0" if old == "loader.1" else "loader.1"
        shutil.rmtree(boot / new, ignore_errors=True)
        (boot / new / "entries").mkdir(parents=True)
        for place, tree in enumerate(trees):
            link = self.root / "ostree" / f"boot.{new[-1]}" / tree.osname / "b" / str(place)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(f"../../../deploy/{tree.osname}/deploy/{tree.name}")
            way = "/".join(("", *link.relative_to(self.root).parts))
            (boot / new / "entries" / f"ostree-{len(trees) - place}.conf").write_text(
                f"title old {tree.osname}\nversion {len(trees) - place}\n"
                f"options {' '.join(KARGS)} ostree={way}\nlinux /vmlinuz\n"
            )
        (boot / "draft").symlink_to(new)
        (boot / "draft").replace(boot / "loader")

    def _write_staged(self) -> None:
        staged = self.root / "run/ostree/staged-deployment"
        lock = staged.with_name("staged-deployment-locked")
        tree = self.trees[0]
        if not tree.staged:
            staged.unlink(missing_ok=True)
            lock.unlink(missing_ok=True)
            return
        staged.parent.mkdir(parents=True, exist_ok=True)
        target = {"name": tree.name, "osname": tree.osname, "bootcsum": "b" * 64}
        content: dict[str, Value] = {"target": target}
        if tree.kargs is not None:
            content |= {"kargs": tree.kargs, "overlay-initrds": []}
        if tree.lock == "gvariant":
            content["locked"] = True
        draft = staged.with_name("draft")
        draft.write_bytes(encode_dictionary(content))
        draft.replace(staged)
        if tree.lock == "file":
            lock.touch()
        else:
            lock.unlink(missing_ok=True)


def encode_tree(tree: Tree) -> bytes:
    """Write the commit object of a tree, as ostree-ext does for an image."""
    about: dict[str, Value] = {"version": tree.version}
    if tree.digest:
        labels = {"org.opencontainers.image.version": tree.version}
        config = json.dumps({"config": {"Labels": labels}})
        about = {"ostree.manifest-digest": tree.digest, "ostree.container.image-config": config}
    return encode_commit(about, timestamp=tree.timestamp)


def _replace(path: Path, content: bytes) -> None:
    draft = path.with_name("draft")
    draft.write_bytes(content)
    draft.replace(path)


class SysrootLock:
    """The lock of the sysroot, held until `release`; its file goes with it, as libostree does."""

    def __init__(self, path: Path, kind: Literal["ofd", "flock", "posix"]) -> None:
        self._path = path
        how = os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT
        self._fd = os.open(path, how | os.O_CLOEXEC, 0o600)
        match kind:
            case "ofd":
                fcntl.fcntl(self._fd, _OFD_SETLK, _WHOLE_FILE)
            case "flock":
                fcntl.flock(self._fd, fcntl.LOCK_EX)
            case "posix":
                fcntl.lockf(self._fd, fcntl.LOCK_EX)

    def release(self) -> None:
        """Unlock; a directory stays."""
        if not self._path.is_dir():
            self._path.unlink()
        self.die()

    def die(self) -> None:
        """Leave the file behind, without a word, as whoever is killed."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
