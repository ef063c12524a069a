"""What logind says, and the text for people's terminals (org.freedesktop.login1(5))."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

from rebootmgr.bus.words import ABSENT, NO_REPLY
from rebootmgr.core.events import RebootAccepted, RebootRefused, RebootUnclear
from rebootmgr.core.facts import Inhibitor, Logind, Session
from rebootmgr.text import harmless

# Any: values from the bus are of any type until this module has looked at them.

ROOT_CHECK_INHIBITORS: Final = 0x1
SKIP_INHIBITORS: Final = 0x10  # since systemd 257; before, polkit's leave alone decides
NO_SESSION: Final = frozenset(
    {"org.freedesktop.DBus.Error.UnknownObject", "org.freedesktop.login1.NoSuchSession"}
)
_MACHINERY: Final = ("background", "manager")  # and what begins so; a class of tomorrow is people
_NOBODY: Final = frozenset({"greeter", "lock-screen", "none"})
_GRAPHICAL: Final = frozenset({"x11", "wayland", "mir"})
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# No reply is no "no": logind may have taken the call, or be dying because the machine goes down.
_NO_ANSWER: Final = frozenset(
    {
        "",
        "org.freedesktop.DBus.Error.Disconnected",
        NO_REPLY,
        "org.freedesktop.DBus.Error.TimedOut",
        "org.freedesktop.DBus.Error.Timeout",
    }
)


@dataclass(frozen=True, slots=True)
class NotKnown:
    """logind is older than the method or the flag."""


RebootAnswer: TypeAlias = RebootAccepted | RebootRefused | RebootUnclear


def decode_inhibitors(rows: object) -> tuple[Inhibitor, ...]:
    """Block inhibitors for shutdown, from ListInhibitors' `a(ssssuu)`.

    `block-weak` counts like `block`: our call asks logind to respect both (flag 0x1).
    ValueError for any other shape: an inhibitor that we cannot read may be one.
    """
    inhibitors = []
    for row in _rows(rows):
        match row:
            case [str(what), str(who), str(why), str(mode), int(uid), int(pid)]:
                if mode in {"block", "block-weak"} and "shutdown" in what.split(":"):
                    who, why = harmless(who), harmless(why)
                    inhibitors.append(Inhibitor(who=who, why=why, uid=uid, pid=pid))
            case _:
                raise ValueError(f"an inhibitor that makes no sense: {harmless(repr(row))}")
    return tuple(inhibitors)


def decode_session_paths(rows: object) -> tuple[str, ...]:
    """Object paths, from ListSessions' `a(susso)`; ValueError for any other shape."""
    paths = []
    for row in _rows(rows):
        match row:
            case [str(), int(), str(), str(), str(path)]:
                paths.append(path)
            case _:
                raise ValueError(f"a session that makes no sense: {harmless(repr(row))}")
    return tuple(paths)


def decode_session(properties: Mapping[str, Any]) -> Session | None:
    """Decode a session if somebody works in it (SPEC 7), else None; ValueError if unclear.

    Remote is asked besides the terminal, because logind learns an ssh session's only from utmp.
    """
    match properties:
        case {
            "Id": str(id_),
            "Name": str(user),
            "Class": str(class_),
            "State": str(state),
            "Type": str(type_),
            "TTY": str(tty),
            "Remote": bool(remote),
        }:
            works_here = bool(tty) or remote or type_ in _GRAPHICAL
            is_somebody = class_ not in _NOBODY and not class_.startswith(_MACHINERY)
            if not is_somebody or state == "closing" or not works_here:
                return None
            origin = properties.get("RemoteHost", "")
            return Session(
                id=harmless(id_),
                user=harmless(user),
                tty=harmless(tty),
                origin=harmless(origin) if isinstance(origin, str) else "",
            )
        case _:
            raise ValueError(f"a session that makes no sense: {harmless(repr(properties))}")


def decode_scheduled(scheduled: object) -> str:
    """Put ScheduledShutdown `(st)` into words; "" if nothing is; ValueError if it is no such thing.

    Only the type tells: logind leaves any number beside an empty one.
    """
    match scheduled:
        case [str(""), int()]:
            return ""
        case [str(type_), int(usec)]:
            if usec == 0:  # typed just now: logind leaves the time empty
                return f"{harmless(type_)} asked for by somebody else, to begin at once"
            try:
                when = f"{_EPOCH + timedelta(microseconds=usec):%Y-%m-%d %H:%M:%S} UTC"
            except OverflowError:
                when = "an unknown time"
            return f"{harmless(type_)} scheduled for {when}"
        case _:
            raise ValueError(f"a schedule that makes no sense: {harmless(repr(scheduled))}")


def decode_logind(
    inhibitors: tuple[Inhibitor, ...],
    can_reboot: object,
    properties: Mapping[str, Any],
    sessions: Sequence[Mapping[str, Any]],
) -> Logind:
    """One look at logind: inhibitors, CanReboot, the Manager's and all sessions' properties."""
    preparing = properties.get("PreparingForShutdown")
    if not isinstance(preparing, bool):
        raise ValueError(  # noqa: TRY004 - what is wrong is the reply's value, not our argument
            f"a PreparingForShutdown that makes no sense: {harmless(repr(preparing))}"
        )
    found = (decode_session(each) for each in sessions)
    return Logind(
        inhibitors=inhibitors,
        may_override=bool(inhibitors) and can_reboot == "yes",
        sessions=tuple(session for session in found if session is not None),
        scheduled=decode_scheduled(properties.get("ScheduledShutdown")),
        preparing=preparing,
    )


def decode_reboot_error(name: str, text: str) -> RebootAnswer | NotKnown:
    """Meaning of an error in answer to a call for reboot.

    Silence says nothing: calling again could reboot twice, and giving back the slot could let the
    next host go down with us. logind has to say whether it prepares a shutdown.
    """
    match name:
        case "org.freedesktop.DBus.Error.UnknownMethod" | "org.freedesktop.DBus.Error.InvalidArgs":
            return NotKnown()
        case "org.freedesktop.login1.OperationInProgress":
            return RebootAccepted()
        case _ if name in _NO_ANSWER:
            detail = f"no answer to the call for a reboot, and no shutdown came ({text})"
            return RebootUnclear(harmless(detail))
        case "org.freedesktop.login1.BlockedByInhibitorLock":
            cause = "an inhibitor was taken in the last moment, see systemd-inhibit --list"
        case "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired":
            # systemd 252 says nothing else when an inhibitor stops somebody who is not root
            cause = "an inhibitor, see systemd-inhibit --list, or no polkit rule for rebootmgr"
        case "org.freedesktop.DBus.Error.AccessDenied":
            cause = "an inhibitor, a masked reboot.target, or no polkit rule for rebootmgr"
        case _ if name in ABSENT:
            cause = "systemd-logind is not on the bus (systemctl restart systemd-logind)"
        case _:
            cause = name
    return RebootRefused(harmless(f"logind refused to reboot: {cause} ({text})"))


def encode_warning(version: str, *, in_s: float, at: datetime) -> str:
    """Write the message for terminals as wall(1) does: bell, CRLF, less than 80 columns."""
    lines = (
        "",
        f"\aBroadcast message from rebootmgr ({at:%a %Y-%m-%d %H:%M:%S} UTC):",
        "",
        "This host is about to reboot into an update of its operating system,",
        f"version {harmless(version, longest=60) or 'unknown'}.",
        f"It reboots in {_span(in_s)}, or as soon as everybody has logged out.",
        "Please save your work and log out.",
        "To call this reboot off:  rebootmgrctl cancel",
        "To put off reboots:       rebootmgrctl hold --for 2h --reason TEXT",
        "",
    )
    return "".join(f"{line}\r\n" for line in lines)


def encode_announcement(version: str, *, in_s: float, waives: tuple[str, ...], at: datetime) -> str:
    """Write to terminals from when on a reboot no longer waits for what it waited for."""
    due = at + timedelta(seconds=in_s)
    lines = (
        "",
        f"\aBroadcast message from rebootmgr ({at:%a %Y-%m-%d %H:%M:%S} UTC):",
        "",
        "This host is to reboot into an update of its operating system,",
        f"version {harmless(version, longest=60) or 'unknown'}.",
        f"From {due:%a %Y-%m-%d %H:%M} UTC on, that is in {_long_span(in_s)},",
        f"it no longer waits for: {', '.join(waives)}.",
        "To reboot earlier:        rebootmgrctl reboot",
        "To put off reboots:       rebootmgrctl hold --for 2h --reason TEXT",
        "",
    )
    return "".join(f"{line}\r\n" for line in lines)


def _long_span(seconds: float) -> str:
    if seconds < 5400:
        return _span(seconds)
    return (
        f"{round(seconds / 3600)} hours" if seconds < 172800 else f"{round(seconds / 86400)} days"
    )


def _span(seconds: float) -> str:
    if seconds < 90:
        return "one minute" if seconds > 45 else "less than a minute"
    return f"{round(seconds / 60)} minutes"


def _rows(rows: object) -> Sequence[object]:
    match rows:
        case [*found]:
            return found
        case _:
            raise ValueError(f"a list that makes no sense: {harmless(repr(rows))}")
