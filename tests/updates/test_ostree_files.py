"""ostree's files on a real file system, and the watch over them."""

import asyncio
import os
import resource
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rebootmgr.core.facts import NotOstree, OsUnknown
from rebootmgr.errors import WatchError
from rebootmgr.updates.file_watch import FileWatch
from rebootmgr.updates.ostree_files import WATCHED, OstreeFiles, read_ostree_files
from rebootmgr.updates.words import LONGEST_FILE, Unreadable
from tests.fakes.ostree_host import OstreeHost
from tests.waiting import telling

QUEUE = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
DEPLOY, STAGED, LOCK = (
    "ostree/deploy",
    "run/ostree/staged-deployment",
    "run/ostree/staged-deployment-locked",
)


@pytest.fixture
def host(tmp_path: Path) -> OstreeHost:
    host = OstreeHost(tmp_path)
    host.install("41.1")
    return host


def look(host: OstreeHost) -> OstreeFiles:
    found = read_ostree_files(host.root)
    assert isinstance(found, OstreeFiles)
    return found


def test_a_host_that_was_not_booted_from_ostree_says_so(host: OstreeHost) -> None:
    (host.root / "run/ostree-booted").unlink()
    found = read_ostree_files(host.root)
    assert isinstance(found, NotOstree)
    assert "/run/ostree-booted" in found.detail


def test_a_live_system_says_so(host: OstreeHost) -> None:
    (host.root / "run/ostree-live").write_text("")
    assert isinstance(read_ostree_files(host.root), NotOstree)


def test_a_root_that_leads_nowhere_or_in_circles_does_not_crash(tmp_path: Path) -> None:
    assert isinstance(read_ostree_files(tmp_path / "nothing"), NotOstree)
    (tmp_path / "run").symlink_to("run")
    assert isinstance(read_ostree_files(tmp_path), OsUnknown)


def test_nothing_staged_is_no_file(host: OstreeHost) -> None:
    found = look(host)
    assert (found.staged, found.has_lock, found.driver) == (None, False, None)


@pytest.mark.parametrize(
    ("written_ns", "staged_at"),
    [
        (1_762_000_000_500_000_000, datetime(2025, 11, 1, 12, 26, 40, 500_000, tzinfo=UTC)),
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (-1, None),
    ],
)
def test_an_update_was_staged_when_its_file_was_written(
    host: OstreeHost, written_ns: int, staged_at: datetime | None
) -> None:
    assert look(host).staged_at is None
    host.stage("41.2")
    os.utime(host.root / STAGED, ns=(0, written_ns))
    assert look(host).staged_at == staged_at


def test_two_looks_at_the_same_are_equal_and_every_change_makes_them_differ(
    host: OstreeHost,
) -> None:
    looks = [look(host)]
    assert look(host) == looks[0]
    host.stage("41.2")
    looks.append(look(host))
    host.lock("gvariant")
    looks.append(look(host))
    host.lock("file")
    looks.append(look(host))
    host.register_driver("Zincati", "zincati.service")
    looks.append(look(host))
    host.stage("41.2")  # the same once more
    looks.append(look(host))
    assert len(looks) == len({repr(each) for each in looks})


@pytest.mark.parametrize("kind", ["directory", "loop", "pipe", "huge"])
def test_what_is_no_staged_file_is_not_taken_for_one(host: OstreeHost, kind: str) -> None:
    staged = host.root / STAGED
    staged.parent.mkdir()
    match kind:
        case "directory":
            staged.mkdir()
        case "loop":
            staged.symlink_to(staged.name)
        case "pipe":
            os.mkfifo(staged)
        case _:
            staged.write_bytes(bytes(LONGEST_FILE + 10))
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    found = read_ostree_files(host.root)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    match found:
        case OstreeFiles(staged=Unreadable() | b""):
            assert kind in {"directory", "pipe"}
        case OstreeFiles(staged=bytes() as content):
            assert kind == "huge"
            assert len(content) == LONGEST_FILE + 1
        case _:
            assert kind == "loop"
            assert isinstance(found, OsUnknown)


class Told:
    def __init__(self, root: Path) -> None:
        self.all: list[str] = []
        self._root = root
        self._more = asyncio.Event()

    def __call__(self, path: str) -> None:
        self.all.append(path)
        self._more.set()

    async def until(self, *paths: str) -> None:
        with telling(lambda: f"not all of {paths}, only {self.all}"):
            while not set(paths) <= set(self.all):
                self._more.clear()
                await self._more.wait()
        self.all.clear()


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path)


@pytest.fixture
async def watch(host: OstreeHost, told: Told) -> Iterator[None]:  # type: ignore[misc] # async
    with FileWatch(host.root, WATCHED, told):
        yield


@pytest.mark.usefixtures("watch")
async def test_each_change_of_a_deployment_is_told(host: OstreeHost, told: Told) -> None:
    host.stage("41.2")
    await told.until(DEPLOY, STAGED)
    host.lock("gvariant")
    await told.until(STAGED)
    host.lock("file")
    await told.until(LOCK)
    host.cleanup()
    await told.until(DEPLOY, STAGED, LOCK)
    host.register_driver("Zincati", "zincati.service")
    await told.until("run/rpm-ostree/update-driver.gv")
    (host.root / "run/ostree-live").touch()
    await told.until("run/ostree-live")


@pytest.mark.usefixtures("watch")
async def test_a_directory_that_goes_and_comes_again_is_followed(
    host: OstreeHost, told: Told
) -> None:
    for _ in range(3):
        host.stage("41.2")
        await told.until(STAGED)
        shutil.rmtree(host.root / "run/ostree")
        await told.until(STAGED)


@pytest.mark.usefixtures("watch")
async def test_a_directory_that_is_replaced_is_followed_and_the_old_one_is_not(
    host: OstreeHost, told: Told
) -> None:
    host.stage("41.2")
    await told.until(STAGED)
    run = host.root / "run"
    (run / "ostree").rename(host.root / "old")
    await told.until(STAGED)
    (run / "ostree").mkdir()
    await told.until(STAGED)
    (host.root / "old/staged-deployment").write_text("elsewhere")
    host.lock("file")
    await told.until(LOCK)


@pytest.mark.usefixtures("watch")
async def test_a_file_in_a_directory_that_is_made_all_at_once_is_not_missed(
    host: OstreeHost, told: Told
) -> None:
    # no watch could be armed between the directory and the file
    (host.root / "run/rpm-ostree").mkdir()
    (host.root / "run/rpm-ostree/update-driver.gv").touch()
    await told.until("run/rpm-ostree/update-driver.gv")


@pytest.mark.usefixtures("watch")
async def test_other_files_are_nobodys_business(host: OstreeHost, told: Told) -> None:
    (host.root / "run/utmp").write_text("somebody")
    (host.root / "run/ostree-booted-not").touch()
    (host.root / "ostree/repo").mkdir()
    (host.root / "run/ostree-live").touch()
    while not told.all:
        await told._more.wait()
    assert set(told.all) == {"run/ostree-live"}


async def test_an_overflow_of_the_queue_counts_as_a_change_of_everything(
    host: OstreeHost, told: Told
) -> None:
    with FileWatch(host.root, WATCHED, told):
        noise = [host.root / "run/a", host.root / "run/b"]
        for number in range(QUEUE + 10):  # the kernel merges equal neighbours, so take turns
            noise[number % 2].touch()
        await told.until(*WATCHED)


async def test_ostree_is_followed_where_its_link_leads(host: OstreeHost, told: Told) -> None:
    (host.root / "sysroot").mkdir()
    (host.root / "ostree").rename(host.root / "sysroot/ostree")
    (host.root / "ostree").symlink_to("sysroot/ostree")  # as on every real host
    with FileWatch(host.root, WATCHED, told):
        host.stage("41.2")
        await told.until(DEPLOY, STAGED)


async def test_closing_leaves_nothing(host: OstreeHost, told: Told) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    watch = FileWatch(host.root, WATCHED, told)
    watch.close()
    watch.close()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


async def test_a_kernel_without_inotify_to_spare_is_an_error_with_a_cure(host: OstreeHost) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        with pytest.raises(WatchError, match="max_user_instances"):
            FileWatch(host.root, WATCHED, print)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
