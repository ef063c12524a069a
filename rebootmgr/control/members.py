"""org.rebootmgr1 as a table: what may be asked of the daemon, and what it shows.

Dispatch (object.py), introspection, polkit's question and our own client follow from `STEERING` and
`PROPERTIES`. So a verb is a row here, its handler in daemon/operators.py, and a verb of the client.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from rebootmgr import __version__
from rebootmgr.core.model import Deployment
from rebootmgr.core.status import Status
from rebootmgr.instants import YEARS

NAME: Final = "org.rebootmgr1"
WATCH: Final = f"{NAME}.Watch"
"""The connection over which we ask others; the D-Bus policy lets nobody speak to it."""
PATH: Final = "/org/rebootmgr1"
MANAGER: Final = "org.rebootmgr1.Manager"
ACTION: Final = "org.rebootmgr1.manage"

CONFIG_INVALID: Final = "org.rebootmgr1.Error.ConfigInvalid"
AMBIGUOUS_DEBT: Final = "org.rebootmgr1.Error.AmbiguousDebt"
NO_SUCH_DEBT: Final = "org.rebootmgr1.Error.NoSuchDebt"
NOTHING_REQUESTED: Final = "org.rebootmgr1.Error.NothingRequested"
NO_SUCH_HOLD: Final = "org.rebootmgr1.Error.NoSuchHold"
NOTHING_PENDING: Final = "org.rebootmgr1.Error.NothingPending"
NOTHING_TO_FORGIVE: Final = "org.rebootmgr1.Error.NothingToForgive"
TOO_LATE: Final = "org.rebootmgr1.Error.TooLate"

_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_US: Final = timedelta(microseconds=1)
_SECOND_US: Final = 1_000_000


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class Argument:
    """One value of a call or its answer: of which D-Bus type, and how it becomes one of ours."""

    name: str
    type: str
    decode: Callable[[Any], Any] = _same
    encode: Callable[[Any], Any] = _same


@dataclass(frozen=True, slots=True)
class Member:
    """A method of Manager; polkit tells whoever is asked for a password its `purpose`."""

    name: str
    takes: tuple[Argument, ...] = ()
    gives: tuple[Argument, ...] = ()
    purpose: str = ""

    @property
    def signature(self) -> str:
        """Say of which D-Bus types its arguments are."""
        return _signature(self.takes)

    @property
    def answer(self) -> str:
        """Say of which D-Bus type its answer is."""
        return _signature(self.gives)


@dataclass(frozen=True, slots=True)
class Property:
    """A property of Manager, and what of a status it shows."""

    type: str
    read: Callable[[Status], Any]
    is_constant: bool = False


def _signature(arguments: Sequence[Argument]) -> str:
    return "".join(argument.type for argument in arguments)


def _instant(name: str) -> Argument:
    """Take an instant in µs since the epoch; 0 for None."""
    return Argument(name, "x", decode_usec, encode_usec)


def _span(name: str) -> Argument:
    return Argument(name, "t", lambda usec: timedelta(microseconds=usec), lambda span: span // _US)


def _text(name: str) -> Argument:
    return Argument(name, "s")


def encode_usec(at: datetime | None) -> int:
    """Write an instant in µs since the epoch, 0 where there is none."""
    return (at - _EPOCH) // _US if at else 0


def _encode_second(at: datetime | None) -> int:
    """Write an instant that is shown, to the second, which is as exact as anybody asks."""
    usec = encode_usec(at)
    return (usec + _SECOND_US // 2) // _SECOND_US * _SECOND_US


def decode_usec(usec: int) -> datetime | None:
    """Read an instant as `encode_usec` writes it; ValueError for one that no clock shows."""
    try:
        at = _EPOCH + timedelta(microseconds=usec) if usec else None
    except OverflowError:
        raise ValueError("no such day") from None
    if at is not None and at.year not in YEARS:  # state.json would not take it back
        raise ValueError("no such day")
    return at


DESCRIBE: Final = Member("Describe", gives=(_text("json"),))
RELOAD: Final = Member("Reload", purpose="reload the configuration of rebootmgr")
HOLD: Final = Member(
    "Hold",
    takes=(_text("reason"), _instant("until_usec")),
    gives=(_text("id"),),
    purpose="keep this host from rebooting",
)
HOLD_FOR: Final = Member(
    "HoldFor",
    takes=(_text("reason"), _span("hold_usec")),
    gives=(_text("id"),),
    purpose="keep this host from rebooting",
)
RELEASE: Final = Member(
    "Release", takes=(_text("id"),), purpose="lift a hold on reboots of this host"
)
REBOOT: Final = Member(
    "Reboot",
    takes=(Argument("now", "b"), _span("valid_usec")),
    purpose="reboot this host into its pending update",
)
CANCEL: Final = Member(
    "Cancel",
    takes=(_span("hold_usec"),),
    gives=(_text("id"),),
    purpose="call off the reboot of this host",
)
WITHDRAW: Final = Member(
    "Withdraw",
    gives=(Argument("goes_on", "b"),),
    purpose="withdraw a request for a reboot of this host",
)
FORGIVE: Final = Member(
    "Forgive",
    takes=(_text("key"),),
    gives=(Argument("keys", "as", tuple, list),),
    purpose="let updates that failed on this host be tried again",
)
DROP_DEBT: Final = Member(
    "DropDebt",
    takes=(_text("server"), _text("group"), _text("id")),
    gives=(Argument("slot", "(sss)", tuple, list),),
    purpose="forget a slot that this host owes to a lock server",
)
STEERING: Final = (
    *(RELOAD, HOLD, HOLD_FOR, RELEASE, REBOOT, CANCEL, WITHDRAW, FORGIVE),
    DROP_DEBT,
)
"""Whatever changes something; polkit is asked whether the caller may."""


def _pair(deployment: Deployment | None) -> list[str]:
    return [deployment.id, deployment.version] if deployment else ["", ""]


def _request(status: Status) -> list[object]:
    request = status.request
    if request is None:
        return ["", False, 0, []]
    return [request.owner, request.now, encode_usec(request.until), list(request.skips)]


def _blockers(status: Status) -> list[list[object]]:
    return [
        [one.reason.value, one.detail, _encode_second(one.since), _encode_second(one.until)]
        for one in status.blockers
    ]


PROPERTIES: Final = {
    "State": Property("s", lambda status: status.state.value),
    "Verdict": Property("s", lambda status: status.verdict.value),
    "Pending": Property("(ss)", lambda status: _pair(status.pending)),
    "Request": Property("(sbxas)", _request),
    "Booted": Property("(ss)", lambda status: _pair(status.booted)),
    "Blockers": Property("a(ssxx)", _blockers),
    "Notices": Property(
        "a(ss)", lambda status: [[one.kind.value, one.detail] for one in status.notices]
    ),
    "Predicted": Property("x", lambda status: _encode_second(status.predicted)),
    "LockHeld": Property("b", lambda status: status.lock_held),
    "LockPresumed": Property("b", lambda status: status.lock_presumed),
    "Version": Property("s", lambda _: __version__, is_constant=True),
    "ConfigValid": Property("b", lambda status: status.config_valid),
}


def encode_properties(status: Status) -> dict[str, object]:
    """Give the value of every property; instants in µs since the epoch, 0 where there is none."""
    return {name: each.read(status) for name, each in PROPERTIES.items()}


def steady(shown: Mapping[str, object], now: Mapping[str, object]) -> dict[str, object]:
    """Give the properties of now, but that an instant which moved by a second at most stays.

    The end of a span comes of two clocks, which are never read at once: it is another by some
    microseconds at each look, and that is no change of which anybody should be told.
    """
    return {
        name: _steady(shown[name], value) if "x" in PROPERTIES[name].type else value
        for name, value in now.items()
    }


def _steady(shown: object, now: object) -> object:
    match shown, now:
        case [*before], [*after] if len(before) == len(after):
            return [_steady(*pair) for pair in zip(before, after, strict=True)]
        case int(before), int(after) if before and after and abs(after - before) <= _SECOND_US:
            return shown
        case _:
            return now
