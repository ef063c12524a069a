"""A bootc host on composefs made of files, with the bytes and modes that bootc writes.

Seen on bootc 1.16.9: the staged file is renamed into place, finalization leaves it where it is
(the next boot has a new /run), and the boot menu is GRUB's, first what boots first.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.fakes.ostree_host import SysrootLock

STATE = "sysroot/state/deploy"
ENTRIES = "boot/loader/entries"
MOUNT = "25 1 0:30 / / ro,relatime shared:1 - overlay {} ro,lowerdir=/run/x,redirect_dir=on\n"
OTHERS = (
    "26 25 0:5 / /proc rw shared:2 - proc proc rw\n"
    "27 25 0:31 / /with\\040blank rw shared:3 - tmpfs tmpfs rw\n"
)


@dataclass(kw_only=True)
class ImageTree:
    """A deployment: `name` is the digest of its composefs."""

    version: str
    digest: str = ""
    name: str = field(init=False)

    def __post_init__(self) -> None:
        """Give each version a name and a digest of its own."""
        self.name = self.version.encode().hex().ljust(128, "0")
        self.digest = self.digest or f"sha256:{self.version.encode().hex().ljust(64, '0')}"


class ComposefsHost:
    """The host under `root`; `umask` is what bootc runs with."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.umask = 0o022
        self.menu: list[ImageTree] = []
        self.staged: ImageTree | None = None
        self.is_locked = False
        self.source = "composefs:{}"

    @property
    def staged_file(self) -> Path:
        return self.root / "run/composefs/staged-deployment"

    def install(self, version: str) -> ImageTree:
        """Make a host that booted `version`, and has nothing else."""
        (self.root / "sysroot/composefs").mkdir(parents=True, exist_ok=True)
        (self.root / "sysroot/composefs").chmod(0o700)
        (self.root / "run").mkdir(exist_ok=True)
        (self.root / "run/ostree-booted").unlink(missing_ok=True)
        tree = self._made(version)
        self.menu = [tree]
        self._write_menu()
        self.mount(tree)
        return tree

    def mount(self, tree: ImageTree, *, overlay: bool = False) -> None:
        """Have this one at /."""
        mounts = MOUNT.format(self.source.format(tree.name)) + OTHERS
        if overlay:
            mounts += "40 25 0:40 / /usr rw shared:9 - overlay transient rw\n"
        path = self.root / "proc/self/mountinfo"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(mounts)

    def stage(self, version: str, *, locked: bool = False) -> ImageTree:
        """Stage an image, in the place of one that is staged already."""
        self.staged, self.is_locked = self._made(version), locked
        self._write_staged()
        return self.staged

    def lock(self, *, locked: bool) -> None:
        """Lock or unlock the staged one, as `bootc upgrade --download-only` and its like do."""
        self.is_locked = locked
        self._write_staged()

    def withdraw(self) -> None:
        """Drop what is staged; its directory under /run stays, empty."""
        assert self.staged is not None
        self.staged_file.unlink()
        self._forget(self.staged)
        self.staged = None

    def rollback(self) -> None:
        """Boot the other one next."""
        self.menu.reverse()
        self._write_menu()

    def soft_reboot(self) -> None:
        """Finalize, and boot into it with the same kernel: /run stays, and the staged file."""
        assert self.staged is not None
        self.menu = [self.staged, self.menu[0]]
        self._write_menu()
        self.mount(self.staged)

    def reboot(self, *, finalize: bool = True) -> None:
        """Go down, finalize what is not locked, come up with an empty /run."""
        if self.staged is not None and finalize and not self.is_locked:
            self.menu = [self.staged, self.menu[0]]
            self._write_menu()
        self.staged, self.is_locked = None, False
        shutil.rmtree(self.root / "run/composefs", ignore_errors=True)
        self.mount(self.menu[0])

    def lock_sysroot(self, kind: Literal["flock"] = "flock") -> SysrootLock:
        """Lock the sysroot, as bootc does."""
        return SysrootLock(self.root / "sysroot/composefs", kind)

    def _made(self, version: str) -> ImageTree:
        tree = ImageTree(version=version)
        directory = self._directory(self.root / STATE / tree.name)
        text = (
            "[origin]\ncontainer-image-reference = ostree-unverified-image:registry:example/os\n"
            f"\n[boot]\nboot_type = bls\n\n[image]\nmanifest_digest = {tree.digest}\n"
        )
        self._write(directory / f"{tree.name}.origin", text)
        return tree

    def _forget(self, tree: ImageTree) -> None:
        shutil.rmtree(self.root / STATE / tree.name)

    def _write_menu(self) -> None:
        entries = self.root / ENTRIES
        shutil.rmtree(entries, ignore_errors=True)
        entries.mkdir(parents=True)
        for name, text in self.menu_entries():
            (entries / name).write_text(text)

    def menu_entries(self) -> Iterator[tuple[str, str]]:
        """Names and texts of the boot menu's files."""
        for place, tree in enumerate(self.menu[:2]):
            text = (
                f"title An OS {tree.version}\nversion {tree.version}\nlinux /boot/x/vmlinuz\n"
                f"initrd /boot/x/initrd\noptions root=UUID=1 rw composefs={tree.name}\n"
            )
            yield f"bootc_{tree.name}-{tree.version}-{1 - place}.conf", text

    def _write_staged(self) -> None:
        assert self.staged is not None
        words = {"depl_id": self.staged.name, "finalization_locked": self.is_locked}
        self._directory(self.staged_file.parent)
        draft = self.staged_file.with_name("draft")
        self._write(draft, json.dumps(words, separators=(",", ":")))
        draft.replace(self.staged_file)

    def _directory(self, path: Path) -> Path:
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o777 & ~self.umask)
        return path

    def _write(self, path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o666 & ~self.umask)
