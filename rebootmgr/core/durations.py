"""Where the time of a reboot went, by phase (SPEC 5, 9): seconds, from what clocks tell afterwards.

Only the wall clock spans a reboot. When the kernel began follows from it and from the uptime; what
systemd measured tells the rest of the boot apart.
"""

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from rebootmgr.core.facts import BootTimes
from rebootmgr.core.memory import Durations, Intent
from rebootmgr.core.model import Moment

LONGEST_REBOOT_S: Final = 86400.0
LONGEST_WAIT_S: Final = 400 * 86400.0


def waited(staged_at: datetime | None, at: Moment, *, but_for: float) -> float:
    """Since the update was staged, but for the time that has another name; 0.0 if nobody knows."""
    if staged_at is None:
        return 0.0
    seconds = (at.wall - staged_at).total_seconds()
    return max(seconds - but_for, 0.0) if seconds < LONGEST_WAIT_S else 0.0


def whole(intent: Intent, times: BootTimes | None, at: Moment) -> float:
    """From pre-reboot.d to boot-complete, seen from this boot; 0.0 where no clock can tell."""
    took = (_kernel(at) + _complete(times, at) - intent.at).total_seconds()
    return intent.hooks_s + took if 0.0 < took < LONGEST_REBOOT_S else 0.0


def by_phase(intent: Intent, times: BootTimes | None, at: Moment) -> Durations:
    """Tell the phases of a reboot apart. 0.0: there was none, or it cannot be told.

    Without a new kernel, as in a soft reboot or a container, shutdown lasts until the new
    userspace starts, and nothing is left for firmware and kernel.
    """
    before = Durations(waiting_s=intent.waiting_s, lock_s=intent.lock_s, hooks_s=intent.hooks_s)
    if times is None or whole(intent, times, at) == 0.0:
        return before
    down, kernel = intent.down_at or intent.at, _kernel(at)
    userspace = kernel + timedelta(seconds=times.userspace_s)
    complete = kernel + _complete(times, at)
    off = userspace if kernel <= down else max(kernel - timedelta(seconds=times.firmware_s), down)
    marks = (down, off, userspace, complete)
    if list(marks) != sorted(marks):
        return before
    shutdown, boot, to_complete = ((end - begin).total_seconds() for begin, end in pairwise(marks))
    return Durations(
        waiting_s=before.waiting_s,
        lock_s=before.lock_s,
        hooks_s=before.hooks_s,
        shutdown_s=shutdown,
        boot_s=boot,
        boot_complete_s=to_complete,
    )


def _kernel(at: Moment) -> datetime:
    return at.wall - timedelta(seconds=at.mono)


def _complete(times: BootTimes | None, at: Moment) -> timedelta:
    """When the boot was complete, by the uptime: just now, where systemd does not tell."""
    return timedelta(seconds=(times.complete_s if times else 0.0) or at.mono)
