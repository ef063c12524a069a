"""What the files of bootc on composefs say, as `core.facts` (SPEC 4)."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from rebootmgr.core.facts import Deployments, Finalization
from rebootmgr.core.model import Deployment, DeploymentId, UpdateKey
from rebootmgr.text import harmless
from rebootmgr.updates.boot_words import decode_origin
from rebootmgr.updates.words import LONGEST_FILE, UNLOCK_BOOTC, FileContent, UnreadableFile

_ID: Final = re.compile(r"[0-9a-f]{64}(?:[0-9a-f]{64})?")
_SHORT: Final = 19  # sha256: and twelve digits


@dataclass(frozen=True, slots=True)
class StagedImage:
    """What a shutdown finalizes, unless it is locked."""

    id: str
    finalization: Finalization


@dataclass(frozen=True, slots=True)
class Bootable:
    """An entry of the boot menu."""

    id: str
    version: str


@dataclass(frozen=True, slots=True)
class Image:
    """Which container image a deployment is; "" where its origin does not say."""

    digest: str = ""


def decode_staged_image(content: FileContent) -> StagedImage | UnreadableFile | None:
    """Read bootc's staged-deployment; None where there is none."""
    match content:
        case None | UnreadableFile():
            return content
        case bytes() if not 0 < len(content) <= LONGEST_FILE:
            return UnreadableFile("it is empty, or longer than any")
    try:
        match json.loads(content):
            case {"depl_id": str(name), **rest} if _ID.fullmatch(name):
                is_locked = rest.get("finalization_locked", False)
                if not isinstance(is_locked, bool):
                    return StagedImage(name, Finalization.UNKNOWN)
                return StagedImage(name, Finalization.LOCKED if is_locked else Finalization.OPEN)
            case _:
                return UnreadableFile("it names no deployment")
    except (ValueError, RecursionError) as error:
        return UnreadableFile(harmless(f"{type(error).__name__}: {error}"))


def decode_image(origin: str) -> Image:
    """Read a deployment's origin."""
    return Image(harmless(decode_origin(origin).get(("image", "manifest_digest"), "")))


def decode_composefs(
    booted: str,
    staged: StagedImage | None,
    menu: tuple[Bootable, ...],
    *,
    images: Mapping[str, Image],
    has_overlay: bool,
    staged_at: datetime | None,
) -> Deployments:
    """Put together what is booted, what boots next and what is staged.

    Only what is in the boot menu is on disk: the directory of an update that could not be
    finalized stays, and nothing else tells of that. Where the menu cannot be read, what is booted
    is taken for what boots next.
    """
    versions = {one.id: one.version for one in reversed(menu)}

    def deployment(name: str) -> Deployment:
        digest = images[name].digest if name in images else ""
        return Deployment(
            id=DeploymentId(name),
            key=UpdateKey(f"composefs:{digest or name}"),
            version=versions.get(name, "") or digest[:_SHORT] or name[:_SHORT],
        )

    bootable = tuple(dict.fromkeys((*(one.id for one in menu), booted)))
    following = menu[0].id if menu else booted
    if staged is None:
        return Deployments(
            booted=deployment(booted),
            default=deployment(following),
            staged=False,
            unlocked="development" if has_overlay else "none",
            unlock=UNLOCK_BOOTC,
            on_disk=bootable,
        )
    return Deployments(
        booted=deployment(booted),
        default=deployment(staged.id),
        staged=True,
        finalization=staged.finalization,
        unlocked="development" if has_overlay else "none",
        unlock=UNLOCK_BOOTC,
        queued="" if following == booted else deployment(following).version,
        on_disk=(staged.id, *(one for one in bootable if one != staged.id)),
        staged_at=staged_at,
    )
