"""D-Bus in plain values: messages, match rules, object paths, and the errors that are no news."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

# Bodies are of any type by nature; whoever asked hands them to a words module at once.

DRIVER: Final = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
PROPERTIES: Final = "org.freedesktop.DBus.Properties"
NO_REPLY: Final = "org.freedesktop.DBus.Error.NoReply"
LIMITS: Final = "org.freedesktop.DBus.Error.LimitsExceeded"
"""More was asked, sent or waiting than anybody has a right to."""
ABSENT: Final = frozenset(
    {
        "org.freedesktop.DBus.Error.NameHasNoOwner",
        "org.freedesktop.DBus.Error.ServiceUnknown",
    }
)
"""Nobody has the name that was called, and nobody was started to have it.

Both buses use both; dbus-broker says NameHasNoOwner of a start that failed, too.
"""
_FAILED_STARTS: Final = frozenset(
    {
        "org.freedesktop.DBus.Error.TimedOut",  # nor does it end: dbus-daemon waited for it
        "org.freedesktop.systemd1.LoadFailed",
        "org.freedesktop.systemd1.NoSuchUnit",
        "org.freedesktop.systemd1.UnitMasked",
    }
)
_PART: Final = re.compile(r"([a-z0-9_]+)='([^',]*)'")
_KEYS: Final = frozenset(
    {"type", "sender", "path", "path_namespace", "interface", "member", "arg0"}
)
_NOT_IN_LABELS: Final = re.compile(rb"^[0-9]|[^A-Za-z0-9]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """A signal that matched. Variants in `body` are unwrapped, recursively."""

    sender: str
    path: str
    interface: str
    member: str
    body: Sequence[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A method call on one of our objects. Variants in `body` are unwrapped.

    `interactive`: the caller allows us to ask its user for a password.
    """

    sender: str
    path: str
    interface: str
    member: str
    signature: str
    body: Sequence[Any]
    interactive: bool


@dataclass(frozen=True, slots=True)
class Reply:
    """What a served method answers; wrap variants with `variant`. Raise BusError to refuse."""

    signature: str = ""
    body: Sequence[Any] = ()


def is_not_started(error_name: str) -> bool:
    """Whether nobody has the name that was called, and whoever could have it does not start.

    dbus-daemon passes on what systemd says of the unit, or says itself how the program failed.
    """
    return (
        error_name in ABSENT
        or error_name in _FAILED_STARTS
        or error_name.startswith("org.freedesktop.DBus.Error.Spawn.")
    )


def listed(value: Any) -> Any:
    """Make lists of the tuples in `value`, recursively: dbus-next takes no other structs."""
    match value:
        case list() | tuple():
            return [listed(item) for item in value]
        case dict():
            return {key: listed(item) for key, item in value.items()}
        case _:
            return value


def encode_object_path(prefix: str, label: str) -> str:
    """Append any text as one label, as sd_bus_path_encode(3) does it."""
    escaped = _NOT_IN_LABELS.sub(lambda found: b"_%02x" % found[0][0], label.encode())
    return f"{prefix}/{escaped.decode() or '_'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchRule:
    """A rule for signals (D-Bus specification, "Match Rules"); "" where it does not care."""

    sender: str = ""
    path: str = ""
    path_namespace: str = ""
    interface: str = ""
    member: str = ""
    arg0: str = ""

    def has_subject(self, path: str, interface: str, member: str) -> bool:
        """Whether all matches that a header says, but for the sender."""
        namespace = self.path_namespace.rstrip("/")
        return (
            self.path in {"", path}
            and (not namespace or path == namespace or path.startswith(namespace + "/"))
            and self.interface in {"", interface}
            and self.member in {"", member}
        )

    def has_argument(self, body: Sequence[Any]) -> bool:
        """Whether the first argument matches."""
        return not self.arg0 or (len(body) > 0 and body[0] == self.arg0)


def encode_match_rule(rule: MatchRule) -> str:
    """Write a rule for the bus; no value may have a quote or a comma."""
    parts = {"type": "signal", **asdict(rule)}
    return ",".join(f"{key}='{value}'" for key, value in parts.items() if value)


def encode_owner_rule(name: str) -> str:
    """Write the rule for changes of the owner of `name`."""
    sender, path, interface = DRIVER
    rule = MatchRule(
        sender=sender, path=path, interface=interface, member="NameOwnerChanged", arg0=name
    )
    return encode_match_rule(rule)


def decode_match_rule(rule: str) -> MatchRule:
    """Read `key='value',…`; ValueError where the rule is not for signals or not understood."""
    parts: dict[str, str] = {}
    for part in rule.split(","):
        found = _PART.fullmatch(part.strip())
        if found is None or found[1] not in _KEYS or found[1] in parts:
            raise ValueError(f"cannot follow match rule {rule!r}: {part!r}")
        parts[found[1]] = found[2]
    if parts.pop("type", "signal") != "signal":
        raise ValueError(f"cannot follow match rule {rule!r}: only signals are matched")
    return MatchRule(**parts)
