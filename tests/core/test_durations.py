"""Where the time of a reboot went: measured on both sides of it, told by phase."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from rebootmgr.core.effects import Acquire, Reboot, RunHooks
from rebootmgr.core.events import HooksPassed, HostChanged, LockGranted, LockRefused, ShutdownBegan
from rebootmgr.core.facts import BootTimes, Logind, Look
from rebootmgr.core.memory import Durations, Intent, Memory, PastReboot
from rebootmgr.core.model import BootId, Moment, Outcome, Phase
from rebootmgr.core.outcome import by_phase, waited, whole
from tests.core.script import EPOCH, FLEET, NEW, OLD, SLOT, Script, running, settled

INTENT = Intent(
    target=NEW.id,
    key=NEW.key,
    version="2",
    booted=OLD.id,
    boot=BootId("b1"),
    at=EPOCH,
    mono=500.0,
    waiting_s=3600.0,
    lock_s=30.0,
    hooks_s=60.0,
    down_at=EPOCH + timedelta(seconds=2),
)
TIMES = BootTimes(firmware_s=15.0, userspace_s=8.0, complete_s=28.0)


def judged(seconds: float, *, up: float) -> Moment:
    """So long after the intent, in a kernel that is `up` for so long."""
    return Moment(wall=EPOCH + timedelta(seconds=seconds), mono=up)


def after(**changed: float) -> Durations:
    before = Durations(waiting_s=3600.0, lock_s=30.0, hooks_s=60.0)
    return replace(before, **changed)


def test_a_reboot_is_told_by_phase() -> None:
    at = judged(92.0, up=40.0)  # the kernel began 52 s after the intent, firmware 37 s after it
    assert by_phase(INTENT, TIMES, at) == after(
        shutdown_s=35.0, boot_s=15.0 + 8.0, boot_complete_s=20.0
    )
    assert whole(INTENT, TIMES, at) == 60.0 + 52.0 + 28.0


def test_what_was_needed_is_the_sum_of_its_phases_and_of_the_last_look() -> None:
    at = judged(92.0, up=40.0)
    told = by_phase(INTENT, TIMES, at).by_name()
    parts = sum(told[name] for name in ("hooks", "shutdown", "boot", "boot_complete"))
    assert whole(INTENT, TIMES, at) == parts + 2.0


def test_waiting_and_the_lock_are_no_part_of_what_was_needed() -> None:
    at = judged(92.0, up=40.0)
    longer = replace(INTENT, waiting_s=86400.0, lock_s=7200.0)
    assert whole(longer, TIMES, at) == whole(INTENT, TIMES, at)


def test_firmware_that_tells_nothing_counts_as_shutdown() -> None:
    silent = replace(TIMES, firmware_s=0.0)
    assert by_phase(INTENT, silent, judged(92.0, up=40.0)) == after(
        shutdown_s=50.0, boot_s=8.0, boot_complete_s=20.0
    )


def test_firmware_that_claims_more_than_there_was_ends_the_shutdown_at_once() -> None:
    slow = replace(TIMES, firmware_s=500.0)
    found = by_phase(INTENT, slow, judged(92.0, up=40.0))
    assert (found.shutdown_s, found.boot_s) == (0.0, 58.0)


def test_without_a_new_kernel_there_is_no_boot_and_shutdown_lasts_until_userspace() -> None:
    """A soft reboot, or a container: the uptime is older than the intent."""
    soft = BootTimes(firmware_s=15.0, userspace_s=5010.0, complete_s=5020.0)
    at = judged(25.0, up=5023.0)  # up since long before; userspace began 12 s after the intent
    assert by_phase(INTENT, soft, at) == after(shutdown_s=10.0, boot_s=0.0, boot_complete_s=10.0)
    assert whole(INTENT, soft, at) == 60.0 + 22.0


def test_where_nobody_measured_only_the_whole_is_known() -> None:
    at = judged(92.0, up=40.0)
    assert by_phase(INTENT, None, at) == after()
    assert whole(INTENT, None, at) == 60.0 + 92.0


@pytest.mark.parametrize("seconds", [-3600.0, -1.0, 86_500.0, 1e9])
def test_a_clock_that_was_set_meanwhile_measures_nothing(seconds: float) -> None:
    at = judged(seconds, up=40.0)
    assert whole(INTENT, TIMES, at) == 0.0
    assert by_phase(INTENT, TIMES, at) == after()


def test_marks_that_run_backwards_are_not_told() -> None:
    odd = replace(TIMES, userspace_s=300.0)  # after boot-complete
    assert by_phase(INTENT, odd, judged(92.0, up=40.0)) == after()


@pytest.mark.parametrize(
    ("staged_at", "seconds"),
    [
        (EPOCH - timedelta(hours=2), 7200.0 - 90.0),
        (EPOCH - timedelta(seconds=50), 0.0),
        (EPOCH + timedelta(hours=2), 0.0),
        (EPOCH - timedelta(days=20_000), 0.0),  # staged while the clock said 1970
        (None, 0.0),
    ],
)
def test_the_time_waited_is_what_has_no_other_name(
    staged_at: datetime | None, seconds: float
) -> None:
    assert waited(staged_at, judged(0.0, up=1.0), but_for=90.0) == seconds


def test_waiting_lock_and_hooks_are_on_record_before_the_reboot() -> None:
    hooks = frozenset({Phase.PRE_REBOOT})
    script = running(FLEET, staged=NEW, hooks=hooks, staged_at=EPOCH - timedelta(hours=2))
    script.on(LockRefused(script.get(Acquire).ticket, SLOT, "taken"))
    asked = script.seconds
    script.sleep()
    script.seconds = asked + 40.0
    script.on(LockGranted(script.get(Acquire).ticket, SLOT))
    script.seconds += 25.0
    script.on(HooksPassed(script.get(RunHooks).ticket))
    intent = script.state.memory.intent
    assert intent is not None
    assert (intent.lock_s, intent.hooks_s) == (40.0, 25.0)
    assert intent.waiting_s == 7200.0
    script.settle().get(Reboot)
    script.seconds += 3.0
    script.on(ShutdownBegan())
    assert script.state.memory.intent == replace(intent, shutdown_seen=True, down_at=script.at.wall)


def test_a_queue_that_was_left_is_joined_anew() -> None:
    script = running(FLEET, staged=NEW)
    script.on(LockRefused(script.get(Acquire).ticket, SLOT, "taken"))
    script.logind = replace(script.logind, scheduled="halt at noon")
    script.on(HostChanged(Look.LOGIND)).settle().seconds += 3600.0
    script.logind = Logind()
    script.on(HostChanged(Look.LOGIND)).settle()
    script.seconds += 7.0
    script.on(LockGranted(script.get(Acquire).ticket, SLOT))
    assert script.state.memory.intent is not None
    assert script.state.memory.intent.lock_s == 7.0


def measured(**host: object) -> Memory:
    """What the next boot remembers, once it is judged 92 seconds after the call."""
    memory = settled(intent=replace(INTENT, shutdown_seen=True))
    began = EPOCH + timedelta(seconds=92)
    after = {"memory": memory, "boot": BootId("b2"), "boot_times": TIMES, **host}
    return Script(seconds=40.0, began=began, **after).settle().state.memory  # type: ignore[arg-type]


def test_the_next_boot_remembers_where_the_time_went() -> None:
    assert measured(booted=NEW).reboots == (
        PastReboot(
            at=EPOCH,
            target=NEW.id,
            version="2",
            outcome=Outcome.SUCCEEDED,
            seconds=140.0,
            phases=after(shutdown_s=35.0, boot_s=23.0, boot_complete_s=20.0),
        ),
    )


def test_a_reboot_that_failed_is_not_told_by_phase() -> None:
    """Boots that nobody saw may lie between."""
    (past,) = measured(booted=OLD, on_disk=(NEW.id,)).reboots
    assert (past.outcome, past.seconds, past.phases) == (Outcome.ROLLED_BACK, 140.0, after())
