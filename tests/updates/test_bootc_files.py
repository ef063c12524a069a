"""Hosts without rpm-ostree by their files alone: what is in them, and what of it can be wrong."""

import json
from pathlib import Path

import pytest

from rebootmgr.core.facts import Deployments, Finalization, NotOstree, OsUnknown
from rebootmgr.updates.boot_words import (
    decode_boot_entry,
    decode_origin,
    decode_root,
    has_usr_overlay,
)
from rebootmgr.updates.commit_words import decode_commit
from rebootmgr.updates.composefs_files import look_at_composefs
from rebootmgr.updates.composefs_words import decode_staged_image
from rebootmgr.updates.lock_words import decode_holders
from rebootmgr.updates.sight import Sight
from rebootmgr.updates.tree_files import look_at_trees
from rebootmgr.updates.tree_words import decode_backing
from rebootmgr.updates.words import UnreadableFile
from tests.fakes.composefs_host import MOUNT, ComposefsHost
from tests.fakes.gvariant import Pair, Value, encode_commit, encode_dictionary
from tests.fakes.ostree_host import Lock, OstreeHost

ID = "ab" * 64
IMAGE = {
    "ostree.manifest-digest": "sha256:cc",
    "ostree.container.image-config": json.dumps(
        {"config": {"Labels": {"org.opencontainers.image.version": "42.2"}}}
    ),
}


@pytest.fixture
def trees(tmp_path: Path) -> OstreeHost:
    """A host of ostree that booted 41.1."""
    host = OstreeHost(tmp_path)
    host.install("41.1")
    host.write_trees()
    return host


@pytest.fixture
def images(tmp_path: Path) -> ComposefsHost:
    """A host of bootc on composefs that booted 41.1."""
    host = ComposefsHost(tmp_path)
    host.install("41.1")
    return host


def seen(found: Sight | NotOstree | OsUnknown) -> Deployments:
    assert isinstance(found, Sight), found
    return found.deployments


def unknown(found: Sight | NotOstree | OsUnknown) -> str:
    assert isinstance(found, OsUnknown), found
    return found.detail


def test_an_image_is_known_by_its_digest_and_shown_by_its_label() -> None:
    commit = decode_commit(encode_commit(IMAGE, timestamp=1_764_000_000))
    assert (commit.version, commit.digest, commit.timestamp) == ("42.2", "sha256:cc", 1_764_000_000)


def test_a_plain_commit_has_a_version_alone() -> None:
    commit = decode_commit(encode_commit({"version": "42.2"}, timestamp=7))
    assert (commit.version, commit.digest, commit.base) == ("42.2", "", "")


def test_layered_packages_are_known_by_the_commit_below_them() -> None:
    about: dict[str, Value] = {"rpmostree.clientlayer": True, "version": "42.2"}
    commit = decode_commit(encode_commit(about, timestamp=7, parent=bytes(range(32))))
    assert commit.base == bytes(range(32)).hex()


@pytest.mark.parametrize("size", [0, 1, 7, 40, 150])
def test_a_commit_that_was_cut_short_makes_no_sense(size: int) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        decode_commit(encode_commit(IMAGE, timestamp=7)[:size])


def test_the_booted_deployment_is_found_by_device_and_inode() -> None:
    content = encode_dictionary({"backing-root-device-inode": Pair(3, 5), "composefs": True})
    assert decode_backing(content, "little") == (3, 5)
    assert decode_backing(b"", "little") is None  # before ostree 2026.4


def test_a_boot_entry_is_read_as_boot_loaders_read_it() -> None:
    entry = decode_boot_entry(
        "# a comment\ntitle Old\nversion 2\noptions rw quiet\n"
        "options ostree=/ostree/boot.1/os/x/0\njunk\n"
    )
    assert (entry.version, entry.ostree) == ("2", "/ostree/boot.1/os/x/0")
    assert entry.arguments == ("rw", "quiet")
    assert decode_boot_entry(f"options composefs.digest={ID}").composefs == ID


def test_an_origin_has_blanks_around_its_signs_or_none() -> None:
    found = decode_origin("junk\n[origin]\nunlocked=hotfix\n[image]\nmanifest_digest = sha256:a\n")
    assert found == {("origin", "unlocked"): "hotfix", ("image", "manifest_digest"): "sha256:a"}


@pytest.mark.parametrize(
    ("source", "booted"),
    [
        (f"composefs:{ID}", ID),
        (f"transient:composefs={ID}", ID),
        ("composefs", None),
        ("/dev/vda4", None),
        (f"composefs:{ID}x", None),
    ],
)
def test_what_is_mounted_at_the_root_says_which_composefs_is_booted(
    source: str, booted: str | None
) -> None:
    assert decode_root(
        f"22 1 0:20 / / ro - overlay {source} ro\n23 22 0:4 / /proc rw - proc p rw\n"
    ) == (booted)


def test_the_mount_that_covers_the_others_counts() -> None:
    lines = (f"1 1 0:20 / / ro - overlay composefs:{ID} ro\n", "2 1 0:21 / / rw - tmpfs none rw\n")
    assert decode_root("".join(lines)) is None
    assert decode_root("".join(reversed(lines))) == ID
    assert has_usr_overlay("3 1 0:9 / /usr rw shared:1 master:2 - overlay transient rw\n")


@pytest.mark.parametrize(
    ("content", "finalization"),
    [
        (f'{{"depl_id":"{ID}","finalization_locked":false}}', Finalization.OPEN),
        (f'{{"depl_id":"{ID}","finalization_locked":true}}', Finalization.LOCKED),
        (f'{{"depl_id":"{ID}"}}', Finalization.OPEN),
        (f'{{"depl_id":"{ID}","finalization_locked":"no"}}', Finalization.UNKNOWN),
    ],
)
def test_a_lock_of_another_type_is_unknown_and_never_open(
    content: str, finalization: Finalization
) -> None:
    found = decode_staged_image(content.encode())
    assert found is not None
    assert not isinstance(found, UnreadableFile)
    assert found.finalization is finalization


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"depl_id":"../x"}', b"\xff", b"[" * 9999])
def test_a_staged_file_of_junk_cannot_be_read(content: bytes) -> None:
    assert isinstance(decode_staged_image(content), UnreadableFile)


def test_every_cut_of_the_staged_file_is_unreadable(images: ComposefsHost) -> None:
    images.stage("41.2")
    whole = images.staged_file.read_bytes()
    assert len(whole) == 170
    for size in range(len(whole)):
        images.staged_file.write_bytes(whole[:size])
        assert "cannot be read" in unknown(look_at_composefs(images.root))


def test_the_keys_are_those_of_rpm_ostree_so_that_a_quarantine_outlives_it(
    trees: OstreeHost,
) -> None:
    trees.stage("41.2", digest="sha256:cc")
    found = seen(look_at_trees(trees.root))
    assert found.default.key == "fedora-coreos:sha256:cc"
    assert found.booted.key == f"fedora-coreos:{trees.trees[1].checksum}"


def test_another_serial_of_the_booted_commit_is_pending_and_a_change(trees: OstreeHost) -> None:
    trees.stage("41.1", serial=1, kargs=["rw", "quiet"])
    found = seen(look_at_trees(trees.root))
    assert (found.staged, found.change.same_base) == (True, True)
    assert found.change.arguments_added == ("quiet",)
    assert found.default.key != found.booted.key


def test_a_host_with_an_older_ostree_is_found_by_its_root(trees: OstreeHost) -> None:
    (trees.root / "run/ostree-booted").write_bytes(b"")
    assert "none of /ostree/deploy is what was booted" in unknown(look_at_trees(trees.root))


def test_a_boot_menu_that_dangles_is_unknown(trees: OstreeHost) -> None:
    for link in (trees.root / "ostree").glob("boot.*/*/*/*"):
        link.unlink()
    assert "which is nowhere" in unknown(look_at_trees(trees.root))


def test_a_missing_commit_is_unknown_with_its_cure(trees: OstreeHost) -> None:
    for path in (trees.root / "ostree/repo/objects").rglob("*.commit"):
        path.unlink()
    found = look_at_trees(trees.root)
    assert isinstance(found, OsUnknown)
    assert "ostree fsck" in found.cure


@pytest.mark.parametrize(
    ("path", "word"),
    [("unlocked-development", "development"), ("unlocked-transient", "transient")],
)
def test_an_unlocked_deployment_says_how(trees: OstreeHost, path: str, word: str) -> None:
    states = trees.root / "run/ostree/deployment-state" / trees.trees[0].name
    states.mkdir(parents=True)
    (states / path).touch()
    assert seen(look_at_trees(trees.root)).unlocked == word


def test_a_hotfix_stands_in_the_origin(trees: OstreeHost) -> None:
    tree = trees.trees[0]
    origin = trees.directory(tree).with_name(f"{tree.name}.origin")
    origin.write_text("[origin]\nunlocked=hotfix\n\n[libostree-transient]\npinned=true\n")
    assert seen(look_at_trees(trees.root)).unlocked == "hotfix"


def test_a_staged_update_without_its_tree_is_unknown(trees: OstreeHost) -> None:
    tree = trees.stage("41.2")
    trees.directory(tree).rmdir()
    assert "not on the disk" in unknown(look_at_trees(trees.root))


def test_what_is_being_made_has_no_origin_yet_and_is_unknown(images: ComposefsHost) -> None:
    tree = images.stage("41.2")
    (images.root / "sysroot/state/deploy" / tree.name / f"{tree.name}.origin").unlink()
    assert "has no origin" in unknown(look_at_composefs(images.root))


def test_a_boot_partition_of_roots_hides_the_versions_and_no_more(images: ComposefsHost) -> None:
    tree = images.stage("41.2")
    for path in (images.root / "boot/loader/entries").iterdir():
        path.unlink()
    (images.root / "boot/loader/entries").rmdir()
    found = seen(look_at_composefs(images.root))
    assert (found.default.id, found.default.version) == (tree.name, tree.digest[:19])
    assert found.queued == ""


def test_each_source_says_whose_host_it_is_on(trees: OstreeHost) -> None:
    assert "not a composefs of bootc" in unknown(look_at_composefs(trees.root))
    ComposefsHost(trees.root).install("41.1")
    assert "not of ostree" in unknown(look_at_trees(trees.root))
    assert 'write "auto"' in unknown(look_at_trees(trees.root))


@pytest.mark.parametrize("lock", ["file", "gvariant"])
def test_either_sign_of_a_lock_locks(trees: OstreeHost, lock: Lock) -> None:
    trees.stage("41.2", lock=lock)
    assert seen(look_at_trees(trees.root)).finalization is Finalization.LOCKED


def test_who_waits_for_a_lock_holds_nothing() -> None:
    locks = (
        "1: FLOCK  ADVISORY  WRITE 1234 00:1e:77 0 EOF\n"
        "1: -> FLOCK  ADVISORY  WRITE 1235 00:1e:77 0 EOF\n"
        "2: OFDLCK ADVISORY  WRITE -1 fd:01:77 0 EOF\n"
        "3: LEASE  ACTIVE    READ 1236 00:1e:77 0 EOF\n"
    )
    assert decode_holders(locks, (0, 30), 77) == (1234,)
    assert decode_holders(locks, None, 77) == (1234, -1)
    assert decode_holders(locks, None, 7) == ()


def test_what_a_soft_reboot_left_behind_hides_no_rollback(images: ComposefsHost) -> None:
    images.stage("41.2")
    images.soft_reboot()
    images.rollback()
    found = seen(look_at_composefs(images.root))
    assert (found.booted.version, found.default.version, found.staged) == ("41.2", "41.1", False)


def test_in_a_container_composefs_is_said_to_be_unsupported(images: ComposefsHost) -> None:
    (images.root / "proc/cmdline").write_text(f"rw composefs={ID} quiet\n")
    (images.root / "proc/self/mountinfo").write_text(MOUNT.format("overlay"))
    for look in (look_at_composefs, look_at_trees):
        found = look(images.root)
        assert isinstance(found, NotOstree)
        assert "not supported from a container" in found.detail
    (images.root / "proc/cmdline").write_text("rw quiet\n")
    for look in (look_at_composefs, look_at_trees):
        found = look(images.root)
        assert isinstance(found, NotOstree)
        assert "container" not in found.detail
