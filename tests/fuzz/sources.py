"""The files of ostree, of bootc and of the kernel that the sources of updates read, as targets."""

import json
from contextlib import suppress
from typing import Final

from rebootmgr.core.facts import Finalization
from rebootmgr.updates.boot_words import (
    decode_boot_entry,
    decode_origin,
    decode_root,
    has_usr_overlay,
)
from rebootmgr.updates.commit_words import decode_commit
from rebootmgr.updates.composefs_words import (
    Bootable,
    StagedImage,
    decode_composefs,
    decode_image,
    decode_staged_image,
)
from rebootmgr.updates.lock_words import decode_device, decode_holders, decode_mount_id
from rebootmgr.updates.tree_words import decode_backing, order_entries
from rebootmgr.updates.words import UnreadableFile
from tests.fakes.gvariant import Pair, encode_commit, encode_dictionary
from tests.fuzz.clean import Target, assert_clean, texts_of
from tests.fuzz.dice import Dice

ID: Final = "ab" * 64
OPEN, LOCKED = (
    json.dumps({"depl_id": ID, "finalization_locked": is_it}, separators=(",", ":")).encode()
    for is_it in (False, True)
)
ORIGIN: Final = b"""\
[origin]
container-image-reference = ostree-unverified-image:registry:example/os
unlocked=hotfix

[boot]
boot_type = bls

[image]
manifest_digest = sha256:cc
"""
ENTRY: Final = f"""\
title An OS 42.2
version 2
linux /boot/x/vmlinuz
options root=UUID=1 rw "a b" composefs={ID}
options ostree=/ostree/boot.1/os/x/0
""".encode()
COMMIT: Final = encode_commit(
    {
        "version": "42.2",
        "rpmostree.clientlayer": True,
        "ostree.manifest-digest": "sha256:cc",
        "ostree.container.image-config": json.dumps(
            {"config": {"Labels": {"org.opencontainers.image.version": "42.2"}}}
        ),
    },
    timestamp=1_764_000_000,
    parent=bytes(range(32)),
)
BOOTED: Final = encode_dictionary({"backing-root-device-inode": Pair(3, 5), "composefs": True})
LOCKS: Final = b"""\
1: FLOCK  ADVISORY  WRITE 1234 00:1e:77 0 EOF
1: -> FLOCK  ADVISORY  WRITE 1235 00:1e:77 0 EOF
2: OFDLCK ADVISORY  WRITE -1 fd:01:77 0 EOF
"""
MOUNTS: Final = f"""\
25 1 0:30 / / ro,relatime shared:1 - overlay composefs:{ID} ro,lowerdir=/run/x
27 25 0:31 / /with\\040blank rw shared:3 - tmpfs tmpfs rw
40 25 0:40 / /usr rw shared:9 - overlay transient rw
""".encode()
FDINFO: Final = b"pos:\t0\nflags:\t012\nmnt_id:\t25\nino:\t77\n"


def _text(dice: Dice, sample: bytes) -> str:
    return dice.altered(sample).decode(errors="replace")


def fuzz_composefs_file(data: bytes) -> None:
    """Whatever is in /run/composefs/staged-deployment."""
    dice = Dice(data)
    content = dice.altered(dice.pick((OPEN, LOCKED)))
    staged = decode_staged_image(content)
    assert_clean(texts_of(staged))
    if isinstance(staged, UnreadableFile):
        return
    assert staged is not None, "there is a file"
    assert set(staged.id) <= set("0123456789abcdef")
    if staged.finalization is Finalization.OPEN:
        assert json.loads(content).get("finalization_locked", False) is False


def fuzz_origins(data: bytes) -> None:
    """Whatever is in the origin of a deployment, and in the boot menu beside it."""
    dice = Dice(data)
    text = _text(dice, ORIGIN)
    assert all(
        "\n" not in word for pair in decode_origin(text).items() for word in (*pair[0], pair[1])
    )
    image = decode_image(text)
    assert_clean(texts_of(image))
    found = decode_composefs(
        ID,
        dice.pick((None, StagedImage("cd" * 64, Finalization.LOCKED))),
        (Bootable("ef" * 64, "42.2"), Bootable(ID, "")),
        images={ID: image},
        has_overlay=dice.below(2) == 1,
        staged_at=None,
    )
    assert_clean(texts_of(found))
    assert found.booted.id == ID
    assert found.booted.version, "people are shown something"


def fuzz_boot_entries(data: bytes) -> None:
    """Whatever is in a boot menu."""
    dice = Dice(data)
    entries = [decode_boot_entry(_text(dice, ENTRY)) for _ in range(dice.below(3) + 1)]
    for entry in entries:
        assert set(entry.composefs) <= set("0123456789abcdef")
        assert not any(one.startswith("ostree=") for one in entry.arguments)
    ordered = order_entries(entries)
    assert len(ordered) == sum(bool(entry.ostree) for entry in entries)


def fuzz_commits(data: bytes) -> None:
    """Whatever is in a commit object, and in /run/ostree-booted."""
    dice = Dice(data)
    with suppress(ValueError):
        commit = decode_commit(dice.altered(COMMIT))
        assert_clean(texts_of(commit))
        assert 0 <= commit.timestamp < 2**64
        assert len(commit.base) in {0, 64}
    with suppress(ValueError):
        backing = decode_backing(dice.altered(BOOTED), "little")
        assert backing is None or all(0 <= number < 2**64 for number in backing)


def fuzz_locks(data: bytes) -> None:
    """Whatever the kernel tells of locks."""
    dice = Dice(data)
    text = _text(dice, LOCKS)
    of_any = decode_holders(text, None, 77)
    of_one = decode_holders(text, (0, 30), 77)
    assert len(of_one) <= len(of_any) <= text.count("\n") + text.count("\r") + 1
    waiting = "\n".join(f"1: -> {line}" for line in text.splitlines())
    assert decode_holders(waiting, None, 77) == (), "who waits holds nothing"


def fuzz_mountinfo(data: bytes) -> None:
    """Whatever the kernel tells of mounts, and of an open file."""
    dice = Dice(data)
    text = _text(dice, MOUNTS)
    root = decode_root(text)
    assert root is None or (len(root) in {64, 128} and root in text)
    assert has_usr_overlay(text) in {True, False}
    mount = decode_mount_id(_text(dice, FDINFO))
    if mount is not None:
        device = decode_device(text, mount)
        assert device is None or min(device) >= 0


TARGETS: Final[dict[str, Target]] = {
    "composefs-file": fuzz_composefs_file,
    "origins": fuzz_origins,
    "boot-entries": fuzz_boot_entries,
    "commits": fuzz_commits,
    "locks": fuzz_locks,
    "mountinfo": fuzz_mountinfo,
}
