"""The source `composefs`: bootc's files on hosts without ostree (SPEC 4)."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from rebootmgr.core.facts import NotOstree, OsUnknown
from rebootmgr.text import harmless
from rebootmgr.updates.boot_words import decode_boot_entry, decode_root, has_usr_overlay
from rebootmgr.updates.composefs_words import (
    Bootable,
    Image,
    StagedImage,
    decode_composefs,
    decode_image,
    decode_staged_image,
)
from rebootmgr.updates.ostree_files import (
    BOOTED,
    DRIVER,
    NO_SOURCE,
    identity,
    read_content,
    read_mounts,
    read_sysroot_holders,
    why_unlike,
    written_at,
)
from rebootmgr.updates.sight import OddError, Sight
from rebootmgr.updates.words import UnreadableFile

STAGED_IMAGE: Final = "run/composefs/staged-deployment"
STATE: Final = "sysroot/state/deploy"
COMPOSEFS_LOCK: Final = "sysroot/composefs"
WATCHED_COMPOSEFS: Final = (STAGED_IMAGE, STATE, DRIVER)
_MENUS: Final = ("boot/loader", "sysroot/boot/loader")
_UMASK: Final = "if bootc was run with umask 077"


def look_at_composefs(root: Path) -> Sight | NotOstree | OsUnknown:
    """Look at the files under `root`; never raises for what it finds there."""
    try:
        mounts = read_mounts(root)
        booted = decode_root(mounts)
        if booted is None and identity(root / BOOTED) is not None:
            return OsUnknown(f"/ is a deployment of ostree, not a composefs of bootc: {NO_SOURCE}")
        if booted is None:
            return NotOstree(why_unlike(root, "/ is not mounted from a composefs of bootc"))
        staged = _staged(root)
        mark = identity(root / STAGED_IMAGE)
        target = staged if staged is not None and staged.id != booted else None
        menu, new = tuple(_menu(root)), "" if target is None else target.id
        ids = {booted, *(one.id for one in menu), new} - {""}
        return Sight(
            deployments=decode_composefs(
                booted,
                target,
                menu,
                images={each: _image(root, each, is_new=each == new) for each in sorted(ids)},
                has_overlay=has_usr_overlay(mounts),
                staged_at=written_at(mark),
            ),
            driver=read_content(root / DRIVER),
            holders=read_sysroot_holders(root, COMPOSEFS_LOCK),
            marks=(identity(root / STATE), mark),
        )
    except OddError as odd:
        return OsUnknown(f"composefs: {odd}", odd.cure)
    except OSError as error:
        return OsUnknown(harmless(f"cannot look at the files of bootc: {error}"))


def _staged(root: Path) -> StagedImage | None:
    staged = decode_staged_image(read_content(root / STAGED_IMAGE))
    if isinstance(staged, UnreadableFile):
        cure = f"`chmod a+r /{STAGED_IMAGE}; chmod a+rx /run/composefs`"  # we are told of the last
        raise OddError(f"what is staged cannot be read: {staged.detail} ({_UMASK}: {cure})")
    return staged


def _image(root: Path, name: str, *, is_new: bool) -> Image:
    """Read which image a deployment is; of one that is being made, nothing is known yet."""
    content = read_content(root / STATE / name / f"{name}.origin")
    match content:
        case UnreadableFile(detail):
            cure = f"`chmod a+r /{STATE}/*/*.origin; chmod a+rx /{STATE}/* /{STATE}`"
            raise OddError(f"an origin cannot be read: {detail} ({_UMASK}: {cure})")
        case None if is_new:
            raise OddError(f"{name[:12]} has no origin: it is being made, or taken away")
        case None:
            return Image()
        case bytes():
            return decode_image(content.decode(errors="replace"))


def _menu(root: Path) -> Iterator[Bootable]:
    """Read GRUB's boot menu, what boots first in front; on a boot partition of root's, nothing."""
    for menu in _MENUS:
        with suppress(OSError):
            entries = root / menu / "entries"
            paths = sorted(entries.iterdir(), key=lambda path: path.name.rpartition("-")[2])
            for path in reversed(paths):
                content = read_content(path)
                if path.suffix == ".conf" and isinstance(content, bytes):
                    entry = decode_boot_entry(content.decode(errors="replace"))
                    if entry.composefs:
                        yield Bootable(entry.composefs, harmless(entry.version))
            return
