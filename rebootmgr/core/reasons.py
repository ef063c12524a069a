"""The words for each reason why there is no reboot (SPEC 7): one row says all that is said of it.

docs/why.md shows the same table; a test compares them, and that every reason has a row.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum, auto
from types import MappingProxyType
from typing import Final

from rebootmgr.core.model import Reason


class Asked(Enum):
    """When a gate is asked: the free ones first, the fleet last (SPEC 7)."""

    BEFORE_ANY_LOOK = auto()
    AT_ONCE = auto()
    CLOCK = auto()
    LOGIND = auto()
    HOOKS = auto()
    FLEET = auto()
    AT_THE_END = auto()


class Level(IntEnum):
    """How loud the journal is about it, as `logging` counts: an error needs a human."""

    INFO = 20
    WARNING = 30
    ERROR = 40


@dataclass(frozen=True, slots=True)
class Words:
    """What is said of a reason.

    `headline` in a few words; `meaning` why the gate is closed and `advice` what to do, both in
    Markdown; `until` what the instant beside it is; `matters_while_idle`: it is told even while
    nothing is pending.
    """

    headline: str
    meaning: str
    advice: str
    until: str = "until"
    asked: Asked = Asked.AT_ONCE
    matters_while_idle: bool = False
    level: Level = Level.INFO


WORDS: Final[Mapping[Reason, Words]] = MappingProxyType(
    {
        Reason.STARTING: Words(
            "starting",
            meaning="the daemon has not looked at the host yet",
            advice="wait some seconds",
            matters_while_idle=True,
        ),
        Reason.CONFIG_INVALID: Words(
            "the configuration is invalid",
            meaning="the configuration has errors",
            advice="see `rebootmgrctl check-config`, correct it, then `rebootmgrctl reload`",
            asked=Asked.BEFORE_ANY_LOOK,
            matters_while_idle=True,
            level=Level.ERROR,
        ),
        Reason.STATE_UNREADABLE: Words(
            "state.json cannot be used",
            meaning="`state.json` cannot be read or written, so no promise could be kept",
            advice="see the detail; often `/var` is full or read-only",
            asked=Asked.BEFORE_ANY_LOOK,
            matters_while_idle=True,
            level=Level.ERROR,
        ),
        Reason.DISABLED: Words(
            "rebooting is switched off",
            meaning="`updates.enabled` is false, or the strategy is `off`",
            advice="nothing, if that is intended",
            asked=Asked.BEFORE_ANY_LOOK,
            matters_while_idle=True,
        ),
        Reason.NOT_OSTREE: Words(
            "not booted from ostree",
            meaning="the host was not booted from ostree, or is a live system",
            advice="nothing: rebootmgr has nothing to do on such a host",
            matters_while_idle=True,
        ),
        Reason.BOOT_NOT_COMPLETE: Words(
            "this boot is not complete",
            meaning="this boot has not reached `boot-complete.target`, or is being judged",
            advice="see `systemctl list-units --failed`",
            matters_while_idle=True,
            level=Level.WARNING,
        ),
        Reason.DRIVER_CONFLICT: Words(
            "another agent reboots this host",
            meaning="another agent reboots this host: Zincati, or rpm-ostree with `apply`",
            advice="keep one of them",
            matters_while_idle=True,
            level=Level.ERROR,
        ),
        Reason.STATE_UNKNOWN: Words(
            "what is staged is unknown",
            meaning=(
                "the source of updates cannot be read or contradicts itself, or every gate is "
                "being read once more"
            ),
            advice="see the detail; `rpm-ostree status` or `bootc status`",
            matters_while_idle=True,
            level=Level.WARNING,
        ),
        Reason.TRANSACTION_ACTIVE: Words(
            "somebody works on the deployments",
            meaning="rpm-ostree, bootc or ostree is working on the deployments",
            advice="wait for it; after 10 minutes the detail says who, and what to do",
        ),
        Reason.UNLOCKED: Words(
            "the booted deployment is unlocked",
            meaning="an overlay of /usr or a hotfix is in use; a reboot would lose it",
            advice="reboot by hand when you are done",
        ),
        Reason.FINALIZATION_LOCKED: Words(
            "finalization is locked",
            meaning="another agent has locked the update; a reboot would discard it",
            advice=(
                "let that agent finish; if it no longer runs, start it again, or "
                "unlock the update as the detail says"
            ),
        ),
        Reason.QUARANTINED: Words(
            "this update is quarantined",
            meaning="this update failed here too often, or somebody rolled it back",
            advice="see `rebootmgrctl history`; stage another update, or `rebootmgrctl forgive`",
            level=Level.ERROR,
        ),
        Reason.REBOOT_BUDGET: Words(
            "too many reboots lately",
            meaning="too many reboots in the last 24 hours",
            advice="find out why, or raise `updates.limits.reboots_per_day`",
            level=Level.WARNING,
        ),
        Reason.HELD: Words(
            "held",
            meaning="somebody placed a hold",
            advice="see `rebootmgrctl holds`; ask the owner, or `rebootmgrctl release ID`",
        ),
        Reason.BLACKOUT: Words(
            "change freeze",
            meaning="a change freeze is in force",
            advice="wait for its end",
        ),
        Reason.OUTSIDE_WINDOW: Words(
            "waiting for a maintenance window",
            meaning="no maintenance window is open",
            advice="wait; `rebootmgrctl plan` shows the next window",
            until="next opening",
        ),
        Reason.WINDOW_TOO_SHORT: Words(
            "too little is left of this maintenance window",
            meaning="the rest of the window is shorter than a reboot of this host",
            advice="wait for the next window, or make windows longer",
            until="next opening",
        ),
        Reason.CLOCK_UNSYNCHRONIZED: Words(
            "the clock is not synchronized",
            meaning="a window, a freeze or a hold decides, and the clock is not synchronized",
            advice="see `timedatectl timesync-status`",
            asked=Asked.CLOCK,
        ),
        Reason.LOGIND_UNREACHABLE: Words(
            "logind cannot be asked",
            meaning="logind cannot be asked, or refused to reboot",
            advice="see the detail; `systemctl status systemd-logind`",
            asked=Asked.LOGIND,
            level=Level.WARNING,
        ),
        Reason.SHUTDOWN_SCHEDULED: Words(
            "somebody else scheduled a shutdown",
            meaning="somebody else scheduled a shutdown, or the host is going down already",
            advice="nothing: that shutdown finalizes the update, too",
            asked=Asked.LOGIND,
        ),
        Reason.INHIBITED: Words(
            "inhibited",
            meaning="a program holds a block inhibitor for shutdown",
            advice="see `systemd-inhibit --list`; end that program",
            asked=Asked.LOGIND,
        ),
        Reason.USERS_LOGGED_IN: Words(
            "logged in",
            meaning="somebody is logged in, and has been warned",
            advice="wait: when the grace is over, the host reboots all the same",
            until="grace ends",
            asked=Asked.LOGIND,
        ),
        Reason.CHECK_FAILED: Words(
            "a check says no",
            meaning="a program in `checks.d` said no",
            advice="see the detail, which is its last line of output",
            until="next try",
            asked=Asked.HOOKS,
            level=Level.WARNING,
        ),
        Reason.HOOK_RUNNING: Words(
            "hooks are running",
            meaning="programs in a hook directory are running",
            advice="wait",
            asked=Asked.HOOKS,
        ),
        Reason.HOOK_FAILED: Words(
            "a hook failed",
            meaning="a program in `pre-reboot.d` failed",
            advice="see the detail, which is its last line of output",
            until="next try",
            asked=Asked.HOOKS,
            level=Level.WARNING,
        ),
        Reason.LOCK_PENDING: Words(
            "asking the lock server",
            meaning="the lock server is being asked",
            advice="wait; some servers drain the host before they answer",
            until="next try",
            asked=Asked.FLEET,
        ),
        Reason.LOCK_DRAINING: Words(
            "the lock server drains this host",
            meaning="the server has reserved a slot and drains the host (202)",
            advice="wait",
            until="next try",
            asked=Asked.FLEET,
        ),
        Reason.LOCK_REFUSED: Words(
            "the lock server refused",
            meaning="others have the slots, or the server says that it is not this host's turn",
            advice="wait; the detail says why; find out which hosts have a slot",
            until="next try",
            asked=Asked.FLEET,
        ),
        Reason.LOCK_FAILING: Words(
            "the lock server is in trouble",
            meaning="the server answered with an error: it has a fault, or does not know this host",
            advice="see the detail; the server's store and log, this host's group and credentials",
            until="next try",
            asked=Asked.FLEET,
            level=Level.WARNING,
        ),
        Reason.LOCK_UNREACHABLE: Words(
            "the lock server cannot be reached",
            meaning="the server did not answer",
            advice="see the detail; the network, the server's name, its certificate",
            until="next try",
            asked=Asked.FLEET,
            level=Level.WARNING,
        ),
        Reason.DRY_RUN: Words(
            "dry run",
            meaning="the daemon runs with `--dry-run` and would reboot now",
            advice="nothing",
            asked=Asked.AT_THE_END,
        ),
        Reason.REBOOTING: Words(
            "rebooting",
            meaning=(
                "logind was asked to reboot: the verdict is `reboot`, and no other gate is "
                "shown as closed"
            ),
            advice="wait; if no shutdown comes within 10 minutes, all is undone and starts over",
            until="gives up",
            asked=Asked.AT_THE_END,
        ),
    }
)


def headline(reason: Reason) -> str:
    """Say what a reason means, in a few words."""
    return WORDS[reason].headline


def until(reason: Reason) -> str:
    """Say what `until` means for a reason: most gates open then, some are only tried again."""
    return WORDS[reason].until


def explain(reason: Reason, detail: str) -> str:
    """Say what a reason means here; a detail that says it all stands alone."""
    what = headline(reason)
    if not detail:
        return what
    return detail if detail.startswith(what) else f"{what}: {detail}"
