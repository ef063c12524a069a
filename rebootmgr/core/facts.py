"""What one look at the host found. Read in the rooms of the neighbours, judged by the gates."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, Flag, auto

from rebootmgr.core.model import BootId, Deployment, Phase


class Finalization(Enum):
    """Whether a shutdown would finalize the staged deployment (facts: three signs, any locks)."""

    OPEN = auto()
    LOCKED = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a staged deployment changes, besides the version (SPEC 11).

    `same_base`: it is the booted version with other kernel arguments, packages or initramfs.
    Packages are those that people asked for on top; `overrides` names the replacements and removals
    in the base that come or go. `applied_live`: its files are in use already.
    """

    same_base: bool = False
    arguments_added: tuple[str, ...] = ()
    arguments_removed: tuple[str, ...] = ()
    packages_added: tuple[str, ...] = ()
    packages_removed: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    initramfs: bool = False
    applied_live: bool = False


@dataclass(frozen=True, slots=True)
class Work:
    """Somebody works on the deployments: `what` goes on, and the `cure` should it never end."""

    what: str
    cure: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployments:
    """What the source of updates says of the booted OS (SPEC 4).

    `unlocked` is rpm-ostree's word for the booted deployment (`none`, `development`, `hotfix`,
    `transient`); `transaction` is rpm-ostree's, `sysroot` of whoever has locked the sysroot, None
    when idle; `driver` who else reboots this host by itself, "" for nobody, `registered` whether as
    the update driver, who may ask the lock server under our id; `resting_driver` who would if it
    ran; `on_disk` the ids of all deployments on disk; `queued` the version that would boot next if
    nothing were staged, where that is not the booted one; `unlock` is what opens a locked one.
    `staged_at` is when the staged one was written: another time is not another deployment.
    """

    booted: Deployment
    default: Deployment
    staged: bool
    finalization: Finalization = Finalization.OPEN
    unlocked: str = "none"
    transaction: Work | None = None
    sysroot: Work | None = None
    driver: str = ""
    resting_driver: str = ""
    change: Change = Change()
    unlock: str = "`rpm-ostree cleanup -p` and a new `rpm-ostree upgrade`"
    queued: str = ""
    registered: bool = False
    on_disk: tuple[str, ...] = ()
    staged_at: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class OsUnknown:
    """The source of updates could not be read, or made no sense, or two witnesses disagree.

    `cure` is what to do should it last.
    """

    detail: str
    cure: str = ""


@dataclass(frozen=True, slots=True)
class NotOstree:
    """Not booted from ostree, or a live system: there is nothing for us to do."""

    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inhibitor:
    """A `block` inhibitor for shutdown (org.freedesktop.login1(5), ListInhibitors)."""

    who: str
    why: str
    uid: int
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Somebody who works on this host (SPEC 7). `tty` is "" where there is no terminal."""

    id: str
    user: str
    tty: str
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Logind:
    """What logind says. `scheduled` describes a shutdown that somebody else scheduled, or "".

    `preparing` is PreparingForShutdown: the machine is going down now. `may_override` is whether
    polkit lets us reboot while `inhibitors` are held.
    """

    inhibitors: tuple[Inhibitor, ...] = ()
    may_override: bool = False
    sessions: tuple[Session, ...] = ()
    scheduled: str = ""
    preparing: bool = False


@dataclass(frozen=True, slots=True)
class LogindUnreachable:
    """logind could not be asked."""

    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BootTimes:
    """What systemd measured of this boot, in seconds.

    `firmware_s` is how long firmware and boot loader took before the kernel, 0.0 where they do not
    tell; `userspace_s` and `complete_s` are when userspace began after the initrd, and when
    boot-complete.target was reached, by CLOCK_MONOTONIC.
    """

    firmware_s: float
    userspace_s: float
    complete_s: float


class Look(Flag):
    """Where to look; a change is reported, and a fresh look asked for, by source."""

    NOWHERE = 0
    OS = auto()
    LOGIND = auto()
    BOOT = auto()
    HOOKS = auto()
    CLOCK = auto()
    SYSROOT = auto()
    """Whether the sysroot is locked, and no more: it costs nothing, and wakes nobody."""
    HOST = OS | LOGIND | BOOT | HOOKS


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What one look found; None where it did not look.

    `boot` is boot id + soft-reboot count; `boot_incomplete` names what boot-complete.target waits
    for, or the units that failed, "" once it is reached; `boot_times` is None where nobody measured
    them; `hooks` are the phases that have any.
    `clock_synchronized` is false, too, where nobody can tell. `sysroot_locked` is what a look at
    that alone found; `not_finalized` says which unit failed to finalize the last shutdown's update,
    "" for none.
    """

    boot: BootId
    os: Deployments | OsUnknown | NotOstree | None = None
    logind: Logind | LogindUnreachable | None = None
    boot_incomplete: str | None = None
    boot_times: BootTimes | None = None
    hooks: frozenset[Phase] | None = None
    clock_synchronized: bool | None = None
    sysroot_locked: bool | None = None
    not_finalized: str = ""
