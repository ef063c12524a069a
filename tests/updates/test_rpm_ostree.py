"""What rpm-ostree says, read over a real bus from its stand-in (facts/rpm-ostree.md §2.3, §4)."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import pytest
import pytest_asyncio

from rebootmgr.bus.connection import Bus, Reply, Request, variant
from rebootmgr.core.facts import Deployments, Finalization, NotOstree, OsUnknown
from rebootmgr.errors import BusError
from rebootmgr.updates.rpm_ostree import RpmOstree
from tests.fakes.dbus_daemon import DbusDaemon
from tests.fakes.ostree_host import Lock, OstreeHost
from tests.fakes.rpmostreed import NAME, NOT_THERE, OS, PROPERTIES, TEST, FakeRpmOstree, mangled
from tests.fakes.systemd1 import FakeSystemd
from tests.waiting import PATIENT_S, telling

OS_PATH = mangled("fedora-coreos")


class Told:
    """What `watch` told, and waiting for it."""

    def __init__(self) -> None:
        self.all: list[str] = []
        self._more = asyncio.Event()

    def __call__(self, what: str) -> None:
        self.all.append(what)
        self._more.set()

    async def until(self, part: str) -> None:
        with telling(lambda: f"no {part}, only {self.all}"):
            while not any(part in what for what in self.all):
                self._more.clear()
                await self._more.wait()


@pytest.fixture
def host(tmp_path: Path) -> OstreeHost:
    host = OstreeHost(tmp_path)
    host.install("41.1")
    return host


@pytest_asyncio.fixture
async def rpmostreed(daemon: DbusDaemon, host: OstreeHost) -> AsyncIterator[FakeRpmOstree]:
    fake = FakeRpmOstree(host, daemon.address)
    await fake.start()
    yield fake
    await fake.leave()


@pytest.fixture
def told() -> Told:
    return Told()


@pytest_asyncio.fixture
async def reader(
    bus: Bus, host: OstreeHost, told: Told, rpmostreed: FakeRpmOstree
) -> AsyncIterator[RpmOstree]:
    reader = RpmOstree(bus, host.root, patience_s=PATIENT_S)
    await reader.watch(told, told)
    yield reader
    reader.close()
    # whatever was asked, rpm-ostreed must never have been kept alive
    assert not rpmostreed.calls["RegisterClient"]


async def deployments(reader: RpmOstree) -> Deployments:
    found = await reader.read()
    assert isinstance(found, Deployments), found
    return found


async def unknown(reader: RpmOstree) -> str:
    found = await reader.read()
    assert isinstance(found, OsUnknown), found
    return found.detail


# The decision table, row by row


async def test_row_1_no_ostree_booted_file_is_no_ostree(
    reader: RpmOstree, host: OstreeHost, rpmostreed: FakeRpmOstree
) -> None:
    (host.root / "run/ostree-booted").unlink()
    assert isinstance(await reader.read(), NotOstree)
    assert not rpmostreed.calls


async def test_row_1_booted_slash_is_no_ostree(
    reader: RpmOstree, rpmostreed: FakeRpmOstree
) -> None:
    await rpmostreed.override("Sysroot", "Booted", ["o", "/"])
    assert isinstance(await reader.read(), NotOstree)


async def test_row_2_a_live_system_is_no_ostree(reader: RpmOstree, host: OstreeHost) -> None:
    (host.root / "run/ostree-live").touch()
    assert isinstance(await reader.read(), NotOstree)


@pytest.mark.parametrize("name", ["DefaultDeployment", "BootedDeployment"])
async def test_row_3_an_empty_deployment_is_unknown(
    reader: RpmOstree, rpmostreed: FakeRpmOstree, name: str
) -> None:
    await rpmostreed.override("OS", name, ["a{sv}", {}])
    assert name in await unknown(reader)


async def test_row_4_nothing_is_pending(reader: RpmOstree, host: OstreeHost) -> None:
    found = await deployments(reader)
    assert found.booted == found.default
    assert found.booted.id == host.booted
    assert found.booted.version == "41.1"
    assert not found.staged


async def test_row_5_a_staged_deployment_is_open_for_a_reboot(
    reader: RpmOstree, rpmostreed: FakeRpmOstree
) -> None:
    tree = await rpmostreed.stage("41.2", timestamp=77)
    found = await deployments(reader)
    assert found.default.id == tree.id
    assert found.default.key == f"fedora-coreos:{tree.checksum}"
    assert found.default.timestamp == 77
    assert found.staged
    assert found.staged_at is not None
    assert found.finalization is Finalization.OPEN
    assert (found.transaction, found.sysroot) == (None, None)
    assert found.on_disk == (tree.id, found.booted.id)


@pytest.mark.parametrize("how", ["key", "file", "gvariant"])
async def test_row_6_any_of_three_signs_locks(
    reader: RpmOstree, rpmostreed: FakeRpmOstree, how: Lock
) -> None:
    await rpmostreed.stage("41.2", lock=how)
    assert (await deployments(reader)).finalization is Finalization.LOCKED


async def test_row_7_the_same_checksum_with_another_serial_is_another_deployment(
    reader: RpmOstree, rpmostreed: FakeRpmOstree
) -> None:
    await rpmostreed.stage("41.1", serial=1)
    found = await deployments(reader)
    assert found.default.id != found.booted.id
    assert found.default.key.startswith(f"{found.booted.key}+")
    assert found.change.same_base
    assert found.staged


async def test_row_8_a_deployment_that_is_not_staged_is_reported_as_such(
    reader: RpmOstree, host: OstreeHost
) -> None:
    host.deploy("41.2")
    found = await deployments(reader)
    assert found.default.id != found.booted.id
    assert not found.staged


async def test_row_9_so_is_a_boot_fallback_before_our_start(
    bus: Bus, daemon: DbusDaemon, host: OstreeHost
) -> None:
    host.deploy("41.2")
    fake = FakeRpmOstree(host, daemon.address)
    await fake.start()
    found = await deployments(RpmOstree(bus, host.root, patience_s=PATIENT_S))
    assert found.default.version == "41.2"
    assert not found.staged
    await fake.leave()


async def test_row_10_a_transaction_is_named_until_it_ends(
    reader: RpmOstree, rpmostreed: FakeRpmOstree, told: Told
) -> None:
    await rpmostreed.begin("Upgrade")
    await told.until("ActiveTransaction")
    found = await deployments(reader)
    assert found.transaction is not None
    assert found.transaction.what.endswith("in progress: Upgrade")
    told.all.clear()
    await rpmostreed.end()
    await told.until("ActiveTransaction")
    assert (await deployments(reader)).transaction is None


async def test_row_11_a_newer_update_takes_the_place(
    reader: RpmOstree, rpmostreed: FakeRpmOstree, told: Told
) -> None:
    await rpmostreed.stage("41.2")
    await deployments(reader)
    told.all.clear()
    await rpmostreed.stage("41.3")
    await told.until("DefaultDeployment")
    assert (await deployments(reader)).default.version == "41.3"


async def test_row_12_cleanup_withdraws_it(
    reader: RpmOstree, rpmostreed: FakeRpmOstree, host: OstreeHost
) -> None:
    await rpmostreed.stage("41.2")
    assert (await deployments(reader)).staged
    host.cleanup()
    found = await deployments(reader)
    assert found.default == found.booted
    assert not found.staged


async def test_a_cached_update_that_keeps_the_withdrawn_deployment_is_no_sign_of_staging(
    bus: Bus, reader: RpmOstree, rpmostreed: FakeRpmOstree, host: OstreeHost
) -> None:
    """rpm-ostreed forgets the staged one with `cleanup -p`, but not what it had cached."""
    withdrawn = await rpmostreed.stage("41.2")
    host.cleanup()
    found = await deployments(reader)
    [cached] = await bus.call(NAME, OS_PATH, PROPERTIES, "Get", "ss", [OS, "CachedUpdate"])
    assert cached["deployment"] == withdrawn.id
    assert (found.staged, found.default) == (False, found.booted)


async def test_rows_13_and_14_a_live_applied_update_is_still_staged(
    reader: RpmOstree, rpmostreed: FakeRpmOstree, host: OstreeHost
) -> None:
    host.trees[0].unlocked = "transient"
    host.trees[0].extra = {"live-replaced": ["s", "cc"], "live-inprogress": ["s", "dd"]}
    await rpmostreed.stage("41.2")
    found = await deployments(reader)
    assert found.staged
    assert found.unlocked == "transient"


@pytest.mark.parametrize("how", ["development", "hotfix"])
async def test_row_15_an_unlocked_booted_deployment_is_named(
    reader: RpmOstree, host: OstreeHost, how: str
) -> None:
    host.trees[0].unlocked = how
    host.save()
    assert (await deployments(reader)).unlocked == how


async def test_rows_16_and_17_downloaded_is_not_staged(
    reader: RpmOstree, rpmostreed: FakeRpmOstree, host: OstreeHost
) -> None:
    host.trees[0].extra = {"pending-base-checksum": ["s", "cc"], "pending-base-version": ["s", "2"]}
    host.save()
    await rpmostreed.override("OS", "CachedUpdate", ["a{sv}", {"version": ["s", "41.2"]}])
    await rpmostreed.override("OS", "HasCachedUpdateRpmDiff", ["b", True])
    found = await deployments(reader)
    assert not found.staged
    assert found.default == found.booted


async def test_row_18_the_policy_apply_is_another_driver(
    reader: RpmOstree, host: OstreeHost
) -> None:
    host.policy = "apply"
    host.save()
    assert "AutomaticUpdatePolicy=apply" in (await deployments(reader)).driver


# rpm-ostreed comes, goes, sleeps and misbehaves


async def test_an_absent_rpm_ostreed_is_unknown(bus: Bus, host: OstreeHost) -> None:
    assert "rpm-ostree" in await unknown(RpmOstree(bus, host.root, patience_s=PATIENT_S))


@pytest.mark.parametrize(("name", "text"), NOT_THERE)
async def test_whatever_words_the_bus_has_for_nobody_the_cure_is_named(
    reader: RpmOstree, rpmostreed: FakeRpmOstree, name: str, text: str
) -> None:
    rpmostreed.refusal = BusError(name, text)
    found = await reader.read()
    assert isinstance(found, OsUnknown)
    assert text in found.detail
    assert "systemctl unmask" in found.cure
    rpmostreed.refusal = None
    assert not (await deployments(reader)).staged


async def test_a_sleeping_rpm_ostreed_is_started_by_a_read(
    daemon: DbusDaemon, bus: Bus, host: OstreeHost
) -> None:
    activatable(daemon, host)
    reader = RpmOstree(bus, host.root, patience_s=PATIENT_S)
    host.stage("41.2")
    assert (await deployments(reader)).default.version == "41.2"
    await bus.call(NAME, *TEST, "IdleExit")


async def test_what_somebody_else_stages_while_it_sleeps_is_seen_and_read(
    daemon: DbusDaemon, bus: Bus, host: OstreeHost, told: Told
) -> None:
    activatable(daemon, host)
    reader = RpmOstree(bus, host.root, patience_s=PATIENT_S)
    await reader.watch(told, told)
    host.stage("41.2")
    await told.until("/ostree/deploy")
    assert (await deployments(reader)).default.version == "41.2"
    await bus.call(NAME, *TEST, "IdleExit")
    reader.close()


async def test_its_idle_exit_asks_for_no_read_that_would_wake_it_again(
    bus: Bus, reader: RpmOstree, rpmostreed: FakeRpmOstree, told: Told
) -> None:
    gone = asyncio.Event()
    await bus.subscribe(
        f"sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='{NAME}'",
        lambda _: gone.set(),
    )
    await deployments(reader)
    told.all.clear()
    await rpmostreed.leave()
    await gone.wait()
    assert told.all == []


async def test_a_restart_with_another_state_sends_no_property_and_is_read(
    reader: RpmOstree, rpmostreed: FakeRpmOstree, host: OstreeHost, told: Told
) -> None:
    await rpmostreed.leave()
    host.trees[0].unlocked = "hotfix"  # no file changes by it
    host.save()
    await rpmostreed.start()
    await told.until("started")
    assert told.all == ["rpm-ostreed started"]
    assert (await deployments(reader)).unlocked == "hotfix"


async def test_a_default_that_changes_twice_in_one_transaction_is_read_at_its_last(
    reader: RpmOstree, rpmostreed: FakeRpmOstree, host: OstreeHost
) -> None:
    await rpmostreed.begin("Upgrade")
    host.stage("41.2")
    await rpmostreed.refresh()
    assert (await deployments(reader)).transaction is not None
    host.stage("41.3")
    await rpmostreed.refresh()
    await rpmostreed.end()
    found = await deployments(reader)
    assert (found.default.version, found.transaction) == ("41.3", None)


async def test_a_call_that_meets_its_exit_is_asked_again(
    daemon: DbusDaemon, reader: RpmOstree, rpmostreed: FakeRpmOstree, host: OstreeHost, bus: Bus
) -> None:
    activatable(daemon, host)
    rpmostreed.leaves_at_next_call = True
    assert (await deployments(reader)).booted.version == "41.1"
    await bus.call(NAME, *TEST, "IdleExit")


async def test_a_mute_rpm_ostreed_is_unknown(
    bus: Bus, host: OstreeHost, rpmostreed: FakeRpmOstree
) -> None:
    rpmostreed.is_mute = True
    detail = await unknown(RpmOstree(bus, host.root, patience_s=0.1))
    assert "does not answer" in detail
    assert bus._pending == {}


async def test_a_read_can_be_cancelled_and_leaves_nothing(
    bus: Bus, host: OstreeHost, rpmostreed: FakeRpmOstree
) -> None:
    rpmostreed.is_mute = True
    reading = asyncio.get_running_loop().create_task(
        RpmOstree(bus, host.root, patience_s=PATIENT_S).read()
    )
    await rpmostreed.until_called("Reload")
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert bus._pending == {}


async def test_a_lost_bus_is_an_error_and_no_fact(daemon: DbusDaemon, reader: RpmOstree) -> None:
    daemon.kill()
    with pytest.raises(BusError) as error:
        await reader.read()
    assert error.value.name == ""


async def test_a_second_os_does_not_count(
    reader: RpmOstree, rpmostreed: FakeRpmOstree, host: OstreeHost
) -> None:
    host.deploy("99", osname="other.os")
    await rpmostreed.refresh()
    found = await deployments(reader)
    assert found.default == found.booted
    assert len(found.on_disk) == 2


async def test_large_container_dictionaries_and_a_huge_serial_are_read(
    reader: RpmOstree, rpmostreed: FakeRpmOstree
) -> None:
    digest = "sha256:" + "1" * 64
    await rpmostreed.stage("43.1", digest=digest, serial=2**31 - 1)
    found = await deployments(reader)
    assert found.default.key == f"fedora-coreos:{digest}"
    assert found.default.id.endswith(".2147483647")


async def test_a_missing_staged_key_is_false(reader: RpmOstree, host: OstreeHost) -> None:
    host.deploy("41.2", extra={"staged": None})
    assert not (await deployments(reader)).staged


@pytest.mark.parametrize(
    "extra",
    [
        {"id": None},
        {"id": ["s", ""]},
        {"id": ["i", 7]},
        {"id": ["s", "a\nb"]},
        {"staged": ["s", "true"]},
        {"staged": ["i", 1]},
        {"unlocked": ["b", True]},
        {"checksum": ["i", 1]},
    ],
)
async def test_a_deployment_that_makes_no_sense_is_unknown(
    reader: RpmOstree, rpmostreed: FakeRpmOstree, host: OstreeHost, extra: dict[str, Any]
) -> None:
    host.trees[0].extra = extra
    host.save()
    await unknown(reader)


# Files, drivers, strangers


@pytest.mark.parametrize("how", ["gvariant", "file"])
async def test_locking_is_told_although_rpm_ostreed_says_nothing(
    reader: RpmOstree, rpmostreed: FakeRpmOstree, host: OstreeHost, told: Told, how: Lock
) -> None:
    await rpmostreed.stage("41.2")
    assert (await deployments(reader)).finalization is Finalization.OPEN
    told.all.clear()
    host.lock(how)
    await told.until("/run/ostree/staged-deployment")
    assert (await deployments(reader)).finalization is Finalization.LOCKED


async def test_a_staged_file_that_cannot_be_read_is_unknown_and_never_open(
    reader: RpmOstree, rpmostreed: FakeRpmOstree, host: OstreeHost
) -> None:
    await rpmostreed.stage("41.2")
    staged = host.root / "run/ostree/staged-deployment"
    staged.unlink()
    staged.mkdir()
    assert (await deployments(reader)).finalization is Finalization.UNKNOWN


# Two witnesses that disagree


async def test_an_update_that_is_being_withdrawn_is_unknown_until_rpm_ostree_knows(
    reader: RpmOstree, rpmostreed: FakeRpmOstree, host: OstreeHost, told: Told
) -> None:
    """Its file, which held the lock, goes first; rpm-ostree shows it as staged until the end."""
    await rpmostreed.stage("41.2", lock="gvariant")
    assert (await deployments(reader)).finalization is Finalization.LOCKED
    told.all.clear()
    host.begin_withdrawal()
    await told.until("/run/ostree/staged-deployment")
    assert "41.2 is being withdrawn" in await unknown(reader)
    host.end_withdrawal()
    await told.until("/ostree/deploy")
    assert not (await deployments(reader)).staged


async def test_a_file_that_names_another_deployment_is_no_witness_for_the_one_shown(
    reader: RpmOstree, rpmostreed: FakeRpmOstree, host: OstreeHost
) -> None:
    await rpmostreed.stage("41.2", lock="gvariant")
    other = OstreeHost(host.root, host.root / "other.json")
    other.trees, other.booted = list(host.trees), host.booted
    tree = other.stage("41.3")
    host.save()  # which rpm-ostreed reads: it knows of nothing yet
    assert tree.id in await unknown(reader)


async def test_a_file_of_which_rpm_ostree_knows_nothing_is_not_idle(
    reader: RpmOstree, host: OstreeHost
) -> None:
    trees = list(host.trees)
    host.stage("41.2")
    host.trees = trees
    host.save()
    assert "shows nothing as staged" in await unknown(reader)


async def test_what_is_staged_for_another_os_does_not_count(
    reader: RpmOstree, host: OstreeHost
) -> None:
    host.stage("99", osname="other.os")
    found = await deployments(reader)
    assert not found.staged
    assert found.default == found.booted


# The sysroot's lock


@pytest.mark.parametrize("kind", ["ofd", "flock", "posix"])
async def test_whoever_has_locked_the_sysroot_is_at_work_until_he_unlocks_it(
    reader: RpmOstree, host: OstreeHost, told: Told, kind: Literal["ofd", "flock", "posix"]
) -> None:
    """bootc writes the staged file early, and rpm-ostreed hears nothing of what it does then."""
    lock = host.lock_sysroot(kind)
    host.stage("41.2")
    await told.until("/ostree/lock")
    found = await deployments(reader)
    assert (found.staged, found.transaction) == (True, None)
    assert found.sysroot is not None
    assert ("process" in found.sysroot.what) is (kind != "ofd")
    assert reader.is_sysroot_locked()
    told.all.clear()
    lock.release()
    await told.until("/ostree/lock")
    assert not reader.is_sysroot_locked()
    assert (await deployments(reader)).sysroot is None


async def test_a_lock_that_nobody_holds_any_longer_is_none(
    reader: RpmOstree, host: OstreeHost
) -> None:
    """Whoever is killed leaves its file behind."""
    lock = host.lock_sysroot()
    lock.die()
    assert (host.root / "ostree/lock").exists()
    assert not reader.is_sysroot_locked()
    assert (await deployments(reader)).sysroot is None


async def test_bootc_that_was_refused_its_reboot_is_named_with_its_cure(
    daemon: DbusDaemon, reader: RpmOstree, host: OstreeHost
) -> None:
    async with FakeSystemd(daemon.address) as systemd:
        systemd.set_unit("bootc-fetch-apply-updates.service", "activating")
        lock = host.lock_sysroot()
        found = await deployments(reader)
        assert found.sysroot is not None
        assert "systemctl stop bootc-fetch-apply-updates.service" in found.sysroot.cure
        lock.release()


async def test_the_client_of_a_transaction_is_named_by_its_process(
    bus: Bus, reader: RpmOstree, rpmostreed: FakeRpmOstree
) -> None:
    await rpmostreed.begin("Upgrade", client=bus.unique_name)
    found = await deployments(reader)
    assert found.transaction is not None
    assert f"process {os.getpid()} ({bus.unique_name})" in found.transaction.cure
    await rpmostreed.end()


# What an update changes


async def test_a_change_of_kernel_arguments_is_named_and_has_a_key_of_its_own(
    reader: RpmOstree, rpmostreed: FakeRpmOstree
) -> None:
    await rpmostreed.change_arguments("rw", "x=locked", "quiet")
    first = await deployments(reader)
    assert first.change.same_base
    assert (first.change.arguments_added, first.change.arguments_removed) == (("quiet",), ())
    await rpmostreed.change_arguments("rw", "debug")
    second = await deployments(reader)
    assert (second.change.arguments_added, second.change.arguments_removed) == (
        ("debug",),
        ("x=locked",),
    )
    assert len({first.default.key, second.default.key, second.booted.key}) == 3
    await rpmostreed.change_arguments("rw", "x=locked", "quiet")  # now under another serial
    assert (await deployments(reader)).default.key == first.default.key


async def test_a_staged_file_that_names_no_arguments_changes_none(
    reader: RpmOstree, rpmostreed: FakeRpmOstree, host: OstreeHost
) -> None:
    """`ostree admin deploy --stage` writes none; whoever reads "none at all" sees all removed."""
    staged = host.stage("41.2", kargs=None)
    await rpmostreed.refresh()
    content = (host.root / "run/ostree/staged-deployment").read_bytes()
    found = await deployments(reader)
    assert b"kargs" not in content
    assert (found.staged, found.default.version) == (True, staged.version)
    assert (found.change.arguments_added, found.change.arguments_removed) == ((), ())


async def test_what_boots_instead_of_a_queued_rollback_is_said(
    reader: RpmOstree, rpmostreed: FakeRpmOstree, host: OstreeHost
) -> None:
    await rpmostreed.stage("41.2")
    host.reboot()
    host.rollback()
    await rpmostreed.stage("41.3")
    found = await deployments(reader)
    assert (found.booted.version, found.default.version) == ("41.2", "41.3")
    assert found.queued == "41.1"


async def test_a_driver_whose_unit_is_not_there_is_nobody(
    reader: RpmOstree, host: OstreeHost
) -> None:
    host.register_driver("Zincati", "zincati.service")
    found = await deployments(reader)
    assert found.driver == ""
    assert found.resting_driver == "zincati.service (Zincati) is inactive"


async def test_a_driver_whose_unit_is_active_is_named_until_it_stops(
    daemon: DbusDaemon, reader: RpmOstree, host: OstreeHost, told: Told
) -> None:
    systemd = await fake_systemd(daemon, "active")
    host.register_driver("Zincati", "zincati.service")
    await told.until("/run/rpm-ostree/update-driver.gv")
    expected = "zincati.service (Zincati) is active and reboots by itself"
    assert (await deployments(reader)).driver == expected
    body = ["org.freedesktop.systemd1.Unit", {"ActiveState": variant("s", "inactive")}, []]
    await systemd.emit("/unit/zincati", PROPERTIES, "PropertiesChanged", "sa{sv}as", body)
    await told.until("zincati.service is inactive")
    await systemd.close()


async def test_a_driver_file_of_junk_is_unknown(reader: RpmOstree, host: OstreeHost) -> None:
    host.register_driver("Zincati", "zincati.service")
    (host.root / "run/rpm-ostree/update-driver.gv").write_bytes(b"junk")
    assert "update-driver.gv" in await unknown(reader)


async def test_a_signal_of_somebody_else_is_not_rpm_ostreeds(
    daemon: DbusDaemon, bus: Bus, reader: RpmOstree, rpmostreed: FakeRpmOstree, told: Told
) -> None:
    forged = f"--dest={bus.unique_name}", OS_PATH, f"{PROPERTIES}.PropertiesChanged"
    process = await asyncio.create_subprocess_exec(
        "dbus-send", f"--bus={daemon.address}", "--type=signal", *forged,
        f"string:{OS}", "dict:string:string:a,b", "array:string:",
    )  # fmt: skip
    assert await process.wait() == 0
    await rpmostreed.begin("Upgrade")
    await told.until("ActiveTransaction")
    news = [each for each in told.all if each != "/ostree/lock"]
    assert news == ["rpm-ostree: Sysroot: ActiveTransaction, ActiveTransactionPath"]


async def test_a_change_during_the_read_makes_it_look_again(
    reader: RpmOstree, rpmostreed: FakeRpmOstree, host: OstreeHost
) -> None:
    # Only Reload makes the stand-in look at the disk: what it says is older than the files.
    reading = asyncio.get_running_loop().create_task(reader.read())
    await rpmostreed.until_called("GetAll")
    host.stage("41.2", lock="gvariant")
    found = await reading
    assert isinstance(found, Deployments)
    assert found.default.version == "41.2"
    assert found.finalization is Finalization.LOCKED


POLICY = """
<policy context="default">
  <allow user="*"/><allow own="*"/>
  <deny send_destination="org.projectatomic.rpmostree1"/>
  <allow send_destination="org.freedesktop.DBus"/>
  <allow send_destination="org.projectatomic.rpmostree1" send_interface="{properties}"
         send_member="GetAll"/>
  <allow send_destination="org.projectatomic.rpmostree1"
         send_interface="org.projectatomic.rpmostree1.Sysroot"/>
  <allow send_destination="org.projectatomic.rpmostree1"
         send_interface="org.projectatomic.rpmostree1.OS"/>
  <allow send_type="signal"/><allow send_requested_reply="true" send_type="method_return"/>
  <allow send_requested_reply="true" send_type="error"/><allow receive_sender="*"/>
</policy>
"""

UNPRIVILEGED = """
import asyncio, os, sys
from pathlib import Path
from rebootmgr.bus.connection import Bus
from rebootmgr.updates.rpm_ostree import RpmOstree
async def main():
    if os.geteuid() == 0:
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
    bus = await Bus.connect(sys.argv[1])
    reader = RpmOstree(bus, Path(sys.argv[2]))
    await reader.watch(print, print)
    print((await reader.read()).default.version)
    reader.close()
    await bus.close()
asyncio.run(main())
"""


async def test_an_unprivileged_daemon_reads_everything_it_needs() -> None:
    with DbusDaemon(policy=POLICY.format(properties=PROPERTIES)) as daemon:
        root = daemon.dir / "root"  # everybody may look in there
        root.mkdir()
        host = OstreeHost(root)
        host.install("41.1")
        fake = FakeRpmOstree(host, daemon.address)
        await fake.start()
        await fake.stage("41.2")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", UNPRIVILEGED, daemon.address, str(root),
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, _ = await process.communicate()
        assert process.returncode == 0
        assert said.decode().split() == ["41.2"]
        await fake.leave()


def activatable(daemon: DbusDaemon, host: OstreeHost) -> None:
    """Let the bus start the stand-in."""
    here = Path(__file__).parents[2]
    python = ("/usr/bin/env", f"PYTHONPATH={here}", sys.executable)
    daemon.install_service(
        NAME, [*python, "-m", "tests.fakes.rpmostreed", "--root", os.fspath(host.root)]
    )


async def fake_systemd(daemon: DbusDaemon, state: str) -> Bus:
    """Own systemd's name, with one unit."""

    async def answer(request: Request) -> Reply:
        match request.member:
            case "GetUnit":
                if request.body != ["zincati.service"]:
                    raise BusError("org.freedesktop.systemd1.NoSuchUnit", "Unit not loaded.")
                return Reply("o", ["/unit/zincati"])
            case "Get":
                return Reply("v", [variant("s", state)])
            case _:
                return Reply()

    bus = await Bus.connect(daemon.address)
    bus.serve("/org/freedesktop/systemd1", answer)
    bus.serve("/unit/zincati", answer)
    await bus.own("org.freedesktop.systemd1")
    return bus
