"""The source `ostree`: what is booted, bootable and staged, by ostree's files alone (SPEC 4)."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from rebootmgr.core.facts import Deployments, Finalization, NotOstree, OsUnknown
from rebootmgr.core.model import Deployment
from rebootmgr.text import harmless
from rebootmgr.updates.boot_words import BootEntry, decode_boot_entry, decode_origin
from rebootmgr.updates.commit_words import LONGEST_COMMIT, Commit, decode_commit
from rebootmgr.updates.ostree_files import (
    BOOTED,
    DEPLOY,
    WATCHED,
    OstreeFiles,
    read_content,
    read_ostree_files,
)
from rebootmgr.updates.sight import OddError, Sight
from rebootmgr.updates.tree_words import Tree, decode_backing, decode_staged_tree, order_entries
from rebootmgr.updates.words import UNLOCK_BOOTC, StagedFile, UnreadableFile, decode_staged_file

STATES: Final = "run/ostree/deployment-state"
WATCHED_TREES: Final = (*WATCHED, STATES)
_ENTRIES: Final = "boot/loader/entries"
_OBJECTS: Final = "ostree/repo/objects"
_FSCK: Final = "`ostree fsck`, as root, says what is missing"


def look_at_trees(root: Path) -> Sight | NotOstree | OsUnknown:
    """Look at the files under `root`; never raises for what it finds there."""
    files = read_ostree_files(root)
    if not isinstance(files, OstreeFiles):
        return files
    try:
        return Sight(
            deployments=_Look(root, files).deployments(),
            driver=files.driver,
            holders=files.holders,
            marks=(files.deploy, files.replaced),
        )
    except OddError as odd:
        return OsUnknown(f"ostree: {odd}", odd.cure)
    except OSError as error:
        return OsUnknown(harmless(f"cannot look at ostree's files: {error}"))


class _Look:
    def __init__(self, root: Path, files: OstreeFiles) -> None:
        self._root = root
        self._files = files

    def deployments(self) -> Deployments:
        """Put together what is booted, what boots next and what is staged; OddError, OSError."""
        here = self._booted()
        entries = [(entry, self._leads_to(entry)) for entry in self._entries()]
        booted = self._deployment(here)
        bootable = tuple(dict.fromkeys(tree.id for _, tree in entries))
        own = [(entry, tree) for entry, tree in entries if tree.osname == here.osname]
        if here.id not in bootable:
            raise OddError("the booted deployment is not in the boot menu")
        following = own[0][1]
        staged = self._staged(here)
        if staged is None:
            default = booted if following == here else self._deployment(following)
            return Deployments(
                booted=booted,
                default=default,
                staged=False,
                unlocked=self._unlocked(here),
                unlock=UNLOCK_BOOTC,
                on_disk=bootable,
            )
        new = self._deployment(Tree(here.osname, staged.id.removeprefix(f"{here.osname}-")))
        arguments = next(entry.arguments for entry, tree in entries if tree == here)
        key, change = decode_staged_tree(new, booted, staged, arguments)
        queued = "" if following == here else self._deployment(following).version or following.id
        return Deployments(
            booted=booted,
            default=replace(new, key=key),
            staged=True,
            finalization=Finalization.LOCKED if self._files.has_lock else staged.finalization,
            unlocked=self._unlocked(here),
            unlock=UNLOCK_BOOTC,
            change=change,
            queued=queued,
            on_disk=(staged.id, *(one for one in bootable if one != staged.id)),
            staged_at=self._files.staged_at,
        )

    def _booted(self) -> Tree:
        """Find the deployment whose directory is the root, by device and inode."""
        content = read_content(self._root / BOOTED)
        if not isinstance(content, bytes):
            raise OddError(f"/{BOOTED} cannot be read: {content}")
        try:
            backing = decode_backing(content, sys.byteorder)
        except ValueError as error:
            raise OddError(f"/{BOOTED} makes no sense: {error}") from error
        if backing is None:
            found = self._root.stat()  # before ostree 2026.4; right where / is the deployment
            backing = (found.st_dev, found.st_ino)
        for path in self._directories():
            found = path.stat()
            if (found.st_dev, found.st_ino) == backing:
                return _tree(path)
        raise OddError(f"none of /{DEPLOY} is what was booted (device {backing[0]}, {backing[1]})")

    def _directories(self) -> Iterator[Path]:
        for osname in sorted((self._root / DEPLOY).iterdir()):
            with suppress(FileNotFoundError, NotADirectoryError):
                for path in sorted((osname / "deploy").iterdir()):
                    if path.is_dir():
                        yield path

    def _entries(self) -> list[BootEntry]:
        """Read the boot menu, what boots first in front."""
        try:
            paths = sorted((self._root / _ENTRIES).iterdir())
        except FileNotFoundError:
            paths = []
        except PermissionError as error:
            raise OddError(f"/{_ENTRIES} cannot be read", f"`chmod a+rx /{_ENTRIES}`") from error
        entries = []
        for path in paths:
            if path.suffix == ".conf":
                content = read_content(path)
                if not isinstance(content, bytes):
                    raise OddError(harmless(f"/{_ENTRIES}/{path.name} cannot be read: {content}"))
                entries.append(decode_boot_entry(content.decode(errors="replace")))
        found = order_entries(entries)
        if not found:
            raise OddError(f"no deployment is in the boot menu, /{_ENTRIES}")
        return found

    def _leads_to(self, entry: BootEntry) -> Tree:
        """Follow an entry; it dangles while the boot menu is swapped."""
        path = (self._root / entry.ostree.lstrip("/")).resolve()
        if not path.is_dir() or path.parent.name != "deploy":
            raise OddError(harmless(f"the boot menu leads to {entry.ostree}, which is nowhere"))
        return _tree(path)

    def _staged(self, booted: Tree) -> StagedFile | None:
        """Read what a shutdown would finalize; what a soft reboot has booted is not pending."""
        match decode_staged_file(self._files.staged):
            case UnreadableFile(detail):
                raise OddError(f"what is staged cannot be read: {detail}")
            case StagedFile(osname=osname, id=id) as staged if (
                osname == booted.osname and id != booted.id
            ):
                name = id.removeprefix(f"{osname}-")
                if "/" in name or not (self._root / DEPLOY / osname / "deploy" / name).is_dir():
                    raise OddError(f"{id} is staged, and not on the disk")
                return staged
            case _:
                return None

    def _deployment(self, tree: Tree) -> Deployment:
        commit = self._commit(tree.checksum)
        digest = commit.digest or (self._commit(commit.base).digest if commit.base else "")
        content = digest or commit.base or tree.checksum
        return tree.deployment(content, commit)

    def _commit(self, checksum: str) -> Commit:
        path = self._root / _OBJECTS / checksum[:2] / f"{checksum[2:]}.commit"
        content = read_content(path, LONGEST_COMMIT)
        if not isinstance(content, bytes):
            raise OddError(f"the commit {checksum} cannot be read", _FSCK)
        try:
            return decode_commit(content)
        except ValueError as error:
            raise OddError(f"the commit {checksum} makes no sense: {error}", _FSCK) from error

    def _unlocked(self, tree: Tree) -> str:
        for state in ("development", "transient"):
            if (self._root / STATES / tree.name / f"unlocked-{state}").exists():
                return state
        origin = self._root / DEPLOY / tree.osname / "deploy" / f"{tree.name}.origin"
        content = read_content(origin)
        text = content.decode(errors="replace") if isinstance(content, bytes) else ""
        return harmless(decode_origin(text).get(("origin", "unlocked"), "none"))


def _tree(path: Path) -> Tree:
    tree = Tree(path.parent.parent.name, path.name)
    if harmless(tree.id) != tree.id:
        raise OddError(f"a deployment has a name that is no name: {harmless(tree.id)}")
    return tree
