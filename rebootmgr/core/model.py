"""The nouns: what there is on a host and in a fleet, as plain frozen values."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NewType

DeploymentId = NewType("DeploymentId", str)
UpdateKey = NewType("UpdateKey", str)
BootId = NewType("BootId", str)
Ticket = NewType("Ticket", int)


def kernel_of(boot: BootId) -> str:
    """What CLOCK_BOOTTIME belongs to: a soft reboot does not begin it anew."""
    return boot.partition(":")[0]


def has_soft_rebooted(boot: BootId) -> bool:
    """Whether userspace of this boot began later than its kernel (`Facts.boot`)."""
    _, _, soft_reboots = boot.partition(":")
    return soft_reboots not in {"", "0"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When a step happens: both clocks, read together by the daemon.

    `wall` is aware and in UTC; `mono` is CLOCK_BOOTTIME in seconds, which also counts suspend.
    """

    wall: datetime
    mono: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A bootable OS tree; `key` is as SPEC 9 says.

    `id` is rpm-ostree's `osname-checksum.serial`, or the digest of bootc's composefs.
    `timestamp` is the commit's, in seconds since the epoch; 0 where it has none.
    """

    id: DeploymentId
    key: UpdateKey
    version: str
    timestamp: int = 0


class Source(StrEnum):
    """Where updates come from (SPEC 4)."""

    AUTO = "auto"
    RPM_OSTREE = "rpm-ostree"
    OSTREE = "ostree"
    COMPOSEFS = "composefs"


@dataclass(frozen=True, slots=True)
class Choice:
    """Which source of updates was chosen, and why."""

    source: Source
    why: str


class Reason(StrEnum):
    """Why we are not rebooting. A closed set in reading order (SPEC 7): it becomes a label."""

    STARTING = "starting"
    CONFIG_INVALID = "config_invalid"
    STATE_UNREADABLE = "state_unreadable"
    DISABLED = "disabled"
    NOT_OSTREE = "not_ostree"
    BOOT_NOT_COMPLETE = "boot_not_complete"
    DRIVER_CONFLICT = "driver_conflict"
    STATE_UNKNOWN = "state_unknown"
    TRANSACTION_ACTIVE = "transaction_active"
    UNLOCKED = "unlocked"
    FINALIZATION_LOCKED = "finalization_locked"
    QUARANTINED = "quarantined"
    REBOOT_BUDGET = "reboot_budget"
    HELD = "held"
    BLACKOUT = "blackout"
    OUTSIDE_WINDOW = "outside_window"
    WINDOW_TOO_SHORT = "window_too_short"
    CLOCK_UNSYNCHRONIZED = "clock_unsynchronized"
    LOGIND_UNREACHABLE = "logind_unreachable"
    SHUTDOWN_SCHEDULED = "shutdown_scheduled"
    INHIBITED = "inhibited"
    USERS_LOGGED_IN = "users_logged_in"
    CHECK_FAILED = "check_failed"
    HOOK_RUNNING = "hook_running"
    HOOK_FAILED = "hook_failed"
    LOCK_PENDING = "lock_pending"
    LOCK_DRAINING = "lock_draining"
    LOCK_REFUSED = "lock_refused"
    LOCK_FAILING = "lock_failing"
    LOCK_UNREACHABLE = "lock_unreachable"
    DRY_RUN = "dry_run"
    REBOOTING = "rebooting"


class NoticeKind(StrEnum):
    """Things people should know that never block (SPEC 7)."""

    SLOT_NOT_RELEASED = "slot_not_released"
    SLOT_KEPT = "slot_kept"
    CLOCK_ASSUMED = "clock_assumed"
    FIT_WAIVED = "fit_waived"
    NOT_STAGED = "not_staged"
    ROLLBACK_OVERTAKEN = "rollback_overtaken"
    POST_BOOT_FAILED = "post_boot_failed"


@dataclass(frozen=True, slots=True)
class Blocker:
    """One closed gate: a detail that a person can act on, and until when, where that is known."""

    reason: Reason
    detail: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that people should know."""

    kind: NoticeKind
    detail: str


class Phase(StrEnum):
    """The phases of the hooks (SPEC 8)."""

    CHECK = "check"
    PRE_REBOOT = "pre-reboot"
    POST_BOOT = "post-boot"
    ABANDONED = "abandoned"


LONGEST_SERVER: Final = 8192
"""Characters of a slot's server: what is longer is neither taken nor remembered."""
LONGEST_NAME: Final = 1024
"""Characters of a slot's group, and of its id."""


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    """What the fleet may lend us. `server` is the base URL without any credentials (SPEC 6)."""

    server: str
    group: str
    id: str


class Outcome(StrEnum):
    """What became of a boot that we asked for (SPEC 9)."""

    SUCCEEDED = "succeeded"
    ROLLED_BACK = "rolled_back"
    NOT_APPLIED = "not_applied"
    SUPERSEDED = "superseded"
    INTERRUPTED = "interrupted"
