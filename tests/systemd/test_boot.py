"""Boot and clock state against the fake systemd, on a real bus."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rebootmgr.bus.connection import Bus
from rebootmgr.core.facts import BootTimes
from rebootmgr.errors import RebootmgrError
from rebootmgr.systemd.boot import BootWatch, read_boot_id
from rebootmgr.systemd.time import Timedate
from tests.fakes.systemd1 import STAMPS, FakeSystemd, FakeTimedate
from tests.waiting import PATIENT_S

ROOT = Path(__file__).parent.parent.parent
UUID = "d2f9a1b0-0000-4000-8000-0123456789ab"
HEX = "d2f9a1b0000040008000" + "0123456789ab"


@pytest.fixture
async def bus(address: str) -> AsyncIterator[Bus]:
    connection = await Bus.connect(address)
    yield connection
    await connection.close()


def patient(bus: Bus) -> BootWatch:
    return BootWatch(bus, patience_s=PATIENT_S)


def with_boot_id(root: Path, text: str) -> Path:
    path = root / "proc/sys/kernel/random/boot_id"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return root


def test_the_boot_id_of_the_unit_wins_over_proc(tmp_path: Path) -> None:
    root = with_boot_id(tmp_path, f"{UUID}\n")
    assert read_boot_id(root, {}) == HEX
    assert read_boot_id(root, {"REBOOTMGR_BOOT_ID": ""}) == HEX
    assert read_boot_id(root, {"REBOOTMGR_BOOT_ID": "f" * 32}) == "f" * 32


def test_both_ways_of_writing_a_boot_id_are_the_same_boot(tmp_path: Path) -> None:
    root = with_boot_id(tmp_path, f"{UUID}\n")
    assert read_boot_id(root, {}) == read_boot_id(root, {"REBOOTMGR_BOOT_ID": HEX})


def test_a_root_without_boot_id_has_the_real_one(tmp_path: Path) -> None:
    real = Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")
    assert read_boot_id(tmp_path, {}) == real


@pytest.mark.parametrize(("soft_reboots", "count"), [(0, 0), (3, 3), (None, 0)])
async def test_a_boot_is_its_id_and_the_number_of_soft_reboots(
    address: str, bus: Bus, soft_reboots: int | None, count: int
) -> None:
    async with FakeSystemd(address, soft_reboots=soft_reboots):
        boot = await patient(bus).read_boot(root=Path("/"), environ={"REBOOTMGR_BOOT_ID": HEX})
        assert boot == f"{HEX}:{count}"


async def test_a_systemd_that_is_away_for_a_moment_is_asked_when_it_is_back(
    address: str, bus: Bus
) -> None:
    """As for the 8 ms of a daemon-reexec: a boot of which nobody tells is not the first one."""
    async with FakeSystemd(address, soft_reboots=3, boot_complete=False) as fake:
        await fake.service.leave()
        systemd = patient(bus)
        environ = {"REBOOTMGR_BOOT_ID": HEX}
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(systemd.read_boot(root=Path("/"), environ=environ))
            await bus.call("org.freedesktop.DBus", "/", "org.freedesktop.DBus", "GetId")
            assert not reading.done()
            await fake.service.enter()
        assert reading.result() == f"{HEX}:3"
        told: asyncio.Queue[str] = asyncio.Queue()
        await systemd.watch(told.put_nowait)
        assert await systemd.read_boot_incomplete() == "waiting for boot-complete.target"
        await fake.service.leave()
        assert await told.get() == "systemd"
        assert "systemd is not on the bus" in await systemd.read_boot_incomplete()
        await fake.service.enter()
        assert await told.get() == "systemd"
        fake.set_boot_complete(reached=True)
        assert await systemd.read_boot_incomplete() == ""


async def test_a_systemd_that_does_not_come_back_is_an_error(bus: Bus) -> None:
    systemd = BootWatch(bus, patience_s=0.1)
    with pytest.raises(RebootmgrError, match="systemd is not on the bus"):
        await systemd.read_boot(root=Path("/"), environ={"REBOOTMGR_BOOT_ID": HEX})


async def test_without_systemd_the_boot_counts_as_complete_below_a_root(bus: Bus) -> None:
    systemd = BootWatch(bus, patience_s=PATIENT_S, may_be_absent=True)
    assert await systemd.read_boot(root=Path("/"), environ={"REBOOTMGR_BOOT_ID": HEX}) == f"{HEX}:0"
    await systemd.watch(lambda _: None)
    assert await systemd.read_boot_incomplete() == ""


async def test_an_incomplete_boot_says_what_failed(address: str, bus: Bus) -> None:
    async with FakeSystemd(address, boot_complete=False) as fake:
        systemd = patient(bus)
        assert await systemd.read_boot_incomplete() == "waiting for boot-complete.target"
        fake.set_failed(["greenboot-healthcheck.service", "nfs.mount"])
        assert await systemd.read_boot_incomplete() == (
            "boot-complete.target is not reached; failed: greenboot-healthcheck.service, nfs.mount"
        )


async def test_an_incomplete_boot_names_what_is_still_starting(address: str, bus: Bus) -> None:
    async with FakeSystemd(address, boot_complete=False) as fake:
        fake.jobs = {"pull.service": "running", "boot-complete.target": "waiting"}
        systemd = patient(bus)
        waiting = "waiting for boot-complete.target; still starting: pull.service"
        assert await systemd.read_boot_incomplete() == waiting
        fake.set_failed(["nfs.mount"])
        assert await systemd.read_boot_incomplete() == (
            "boot-complete.target is not reached; still starting: pull.service; failed: nfs.mount"
        )


async def test_a_boot_that_cannot_be_read_is_read_again_and_when_systemd_has_reloaded(
    address: str, bus: Bus
) -> None:
    async with FakeSystemd(address, boot_complete=False) as fake:
        told: asyncio.Queue[str] = asyncio.Queue()
        systemd = BootWatch(bus, patience_s=PATIENT_S, first_wait_s=0.01)
        await systemd.watch(told.put_nowait)
        fake.is_busy = True
        assert "and is asked again" in await systemd.read_boot_incomplete()
        assert await told.get() == "systemd is asked again"
        fake.is_busy = False
        assert await systemd.read_boot_incomplete() == "waiting for boot-complete.target"
        fake.reload()
        assert await told.get() == "systemd has reloaded its units"


async def test_a_systemd_that_does_not_answer_is_asked_more_and_more_rarely(
    address: str, bus: Bus
) -> None:
    async with FakeSystemd(address, boot_complete=False) as fake:
        told: asyncio.Queue[str] = asyncio.Queue()
        systemd = BootWatch(bus, patience_s=0.05, first_wait_s=0.05)
        await systemd.watch(told.put_nowait)
        fake.is_mute = True
        waits = []
        for _ in range(4):
            assert "did not answer" in await systemd.read_boot_incomplete()
            began = asyncio.get_running_loop().time()
            assert await told.get() == "systemd is asked again"
            waits.append(asyncio.get_running_loop().time() - began)
        assert all(wait >= 0.05 * 2**level for level, wait in enumerate(waits)), waits


async def test_a_boot_that_completes_is_told_once_and_then_costs_nothing(
    address: str, bus: Bus
) -> None:
    async with FakeSystemd(address, boot_complete=False) as fake:
        told: asyncio.Queue[str] = asyncio.Queue()
        systemd = patient(bus)
        await systemd.watch(told.put_nowait)
        assert await systemd.read_boot_incomplete() != ""
        fake.set_boot_complete(reached=True)
        assert await told.get() == "boot-complete.target"
        assert await systemd.read_boot_incomplete() == ""
        assert fake.calls == ["Subscribe", "ListJobs", "ListUnitsFiltered"]
        fake.service.emit_changed(*TARGET_STATE)
        assert await systemd.read_boot_incomplete() == ""
        await bus.call("org.freedesktop.DBus", "/", "org.freedesktop.DBus", "GetId")
        assert told.empty()


TARGET_STATE = (
    "/org/freedesktop/systemd1/unit/boot_2dcomplete_2etarget",
    "org.freedesktop.systemd1.Unit",
    "ActiveState",
)


async def test_a_complete_boot_is_not_watched(address: str, bus: Bus) -> None:
    async with FakeSystemd(address) as fake:
        systemd = patient(bus)
        assert await systemd.read_boot_incomplete() == ""
        await systemd.watch(lambda _: None)
        assert fake.calls == []


@pytest.mark.parametrize("is_synchronized", [True, False, None])
async def test_timedated_says_whether_the_clock_is_synchronized(
    address: str, bus: Bus, *, is_synchronized: bool | None
) -> None:
    async with FakeTimedate(address, synchronized=is_synchronized):
        assert await Timedate(bus, patience_s=PATIENT_S).read_synchronized() is is_synchronized


async def test_without_timedated_nobody_knows(bus: Bus) -> None:
    assert await Timedate(bus, patience_s=PATIENT_S).read_synchronized() is None


async def control(bus: Bus, member: str, signature: str, *body: Any) -> None:
    path, interface = "/org/rebootmgr/test", "org.rebootmgr.test.Systemd1"
    await bus.call("org.freedesktop.systemd1", path, interface, member, signature, body)


async def test_the_fake_alone_is_scripted_over_the_bus(address: str, bus: Bus) -> None:
    fake = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.fakes.systemd1", "--boot-incomplete"),
        cwd=ROOT,
        env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": address},
        stdout=asyncio.subprocess.PIPE,
    )
    assert fake.stdout is not None
    assert await fake.stdout.readline() == b"ready\n"
    try:
        systemd = patient(bus)
        await control(bus, "SetFailed", "as", ["a.service"])
        assert "failed: a.service" in await systemd.read_boot_incomplete()
        await control(bus, "SetBootComplete", "b", True)  # noqa: FBT003 - an argument on the bus
        assert await systemd.read_boot_incomplete() == ""
        assert await Timedate(bus, patience_s=PATIENT_S).read_synchronized() is True
        await control(bus, "SetSynchronized", "b", False)  # noqa: FBT003
        assert await Timedate(bus, patience_s=PATIENT_S).read_synchronized() is False
    finally:
        fake.terminate()
        await fake.wait()


async def test_what_systemd_measured_is_read_once_the_boot_is_complete(
    address: str, bus: Bus
) -> None:
    async with FakeSystemd(address, boot_complete=False) as fake:
        fake.stamps = dict(zip(STAMPS, (15_000_000, 4_000_000, 8_500_000, 28_000_000), strict=True))
        systemd = patient(bus)
        await systemd.read_boot_incomplete()
        assert await systemd.read_boot_times() is None
        fake.set_boot_complete(reached=True)
        await systemd.read_boot_incomplete()
        times = BootTimes(firmware_s=15.0, userspace_s=8.5, complete_s=28.0)
        assert await systemd.read_boot_times() == times
        fake.stamps = dict.fromkeys(STAMPS, 0)
        assert await systemd.read_boot_times() == times


@pytest.mark.parametrize("stamp", [2**64 - 1, 10**15])
async def test_a_stamp_that_no_clock_can_show_is_not_believed(
    address: str, bus: Bus, stamp: int
) -> None:
    async with FakeSystemd(address) as fake:
        fake.stamps["UserspaceTimestampMonotonic"] = stamp
        systemd = patient(bus)
        assert await systemd.read_boot_incomplete() == ""
        assert await systemd.read_boot_times() is None


async def test_without_systemd_nobody_measured_the_boot(bus: Bus) -> None:
    systemd = BootWatch(bus, patience_s=PATIENT_S, may_be_absent=True)
    assert await systemd.read_boot_incomplete() == ""
    assert await systemd.read_boot_times() is None
