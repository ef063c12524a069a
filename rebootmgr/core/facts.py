"""What one look at the host found. Read by the adapters, judged by the gates."""

from dataclasses import dataclass
from enum import Enum, auto

from rebootmgr.core.model import BootId, Deployment


class Finalization(Enum):
    """Whether a shutdown would finalize the staged deployment (facts: three signs, any locks)."""

    OPEN = auto()
    LOCKED = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployments:
    """What rpm-ostree says of the booted OS (SPEC 4).

    `unlocked` is rpm-ostree's word for the booted deployment (`none`, `development`, `hotfix`,
    `transient`); `transaction` the running method, "" when idle; `driver` who else reboots this
    host by itself, "" for nobody; `on_disk` the ids of all deployments on disk.
    """

    booted: Deployment
    default: Deployment
    staged: bool
    finalization: Finalization = Finalization.OPEN
    unlocked: str = "none"
    transaction: str = ""
    driver: str = ""
    on_disk: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OsUnknown:
    """rpm-ostree could not be read, or what it said made no sense."""

    detail: str


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

    `preparing` is PreparingForShutdown: the machine is going down now.
    """

    inhibitors: tuple[Inhibitor, ...] = ()
    sessions: tuple[Session, ...] = ()
    scheduled: str = ""
    preparing: bool = False


@dataclass(frozen=True, slots=True)
class LogindUnreachable:
    """logind could not be asked."""

    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One look at everything. `boot` is boot id + soft-reboot count.

    `boot_incomplete` names what boot-complete.target still waits for, or the units that failed;
    "" once it is reached. `clock_synchronized` is what timedate1 said, None where it was not asked.
    """

    boot: BootId
    os: Deployments | OsUnknown | NotOstree
    logind: Logind | LogindUnreachable
    boot_incomplete: str = ""
    clock_synchronized: bool | None = None
