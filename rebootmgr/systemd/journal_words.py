"""Records for the journal: fields, message ids and priorities (systemd.journal-fields(7))."""

import struct
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from rebootmgr.core.reasons import WORDS, Level
from rebootmgr.core.status import StateName, Status
from rebootmgr.text import harmless

IDENTIFIER: Final = "rebootmgrd"

# For ever: the message catalog explains each, and people's filters name them.
MESSAGE_IDS: Final[Mapping[StateName, str]] = MappingProxyType(
    {
        StateName.STARTING: "152665e0fcbc40f4bc208cf495f34478",
        StateName.POST_BOOT: "b856ec3b39d54db3ae0d4c6572f90b75",
        StateName.IDLE: "c312f31ad726409aad45bc2e9c84f913",
        StateName.WAITING: "77b8cadc157e420f84ab0ac9acc1c262",
        StateName.CHECKING: "c1c066886be742a49b371ba96f1c1cbc",
        StateName.ASKING: "fc65b454a286456f8c15ae2afeaf99eb",
        StateName.PREPARING: "c3ad16aa76f1450c97fe70e77be45464",
        StateName.COMMITTING: "22f05315f48b4832b6a8cd5999c3d947",
        StateName.UNDOING: "8206287267354e419c56e30037df47a4",
        StateName.REBOOTING: "334bc171d0fe40ef8ce795b85f03c3bf",
    }
)


def encode_fields(status: Status, previous: Status | None) -> dict[str, str]:
    """Tell a change of state or of the first reason as journal fields; {} if neither changed."""
    fields = _fields(status)
    return {} if previous is not None and fields == _fields(previous) else fields


def encode_level(status: Status) -> int:
    """Choose `logging`'s level for a change to `status`: INFO, WARNING or ERROR."""
    if status.state is StateName.COMMITTING:
        return Level.INFO  # it reads again what was clear a moment ago
    levels = (WORDS[blocker.reason].level for blocker in status.blockers)
    return max(levels, default=Level.INFO)


def encode_priority(level: int) -> int:
    """Turn a level of `logging` into one of syslog(3)."""
    for bound, priority in ((50, 2), (40, 3), (30, 4), (20, 6)):
        if level >= bound:
            return priority
    return 7


def encode_record(level: int, logger: str, text: str, fields: Mapping[str, str]) -> list[str]:
    """Build one record as `FIELD=value` strings."""
    return [
        f"MESSAGE={text}",
        f"PRIORITY={encode_priority(level)}",
        f"SYSLOG_IDENTIFIER={IDENTIFIER}",
        f"LOGGER={logger}",
        *(f"{name}={harmless(value)}" for name, value in fields.items()),
    ]


def encode_datagram(record: Sequence[str]) -> bytes:
    """Write a record as journald's socket takes it (systemd.io/JOURNAL_NATIVE_PROTOCOL)."""
    parts = []
    for field in record:
        name, _, text = field.partition("=")
        value = text.encode("utf-8", "backslashreplace")
        if b"\n" in value:
            parts.append(b"%b\n%b%b\n" % (name.encode(), struct.pack("<Q", len(value)), value))
        else:
            parts.append(b"%b=%b\n" % (name.encode(), value))
    return b"".join(parts)


def encode_lines(level: int, text: str) -> str:
    """Prefix every line with its sd-daemon(3) priority, so that none can bring its own."""
    prefix = f"<{encode_priority(level)}>"
    return "\n".join(prefix + line for line in text.split("\n"))


def encode_text(message: str, traceback: str) -> str:
    """Join a message, made one harmless line, and the lines of a traceback."""
    lines = [harmless(message, longest=2000)]
    for line in traceback.splitlines():
        indent = len(line) - len(line.lstrip(" "))
        lines.append(" " * min(indent, 20) + harmless(line, longest=500))
    return "\n".join(lines)


def _fields(status: Status) -> dict[str, str]:
    return {
        "MESSAGE_ID": MESSAGE_IDS[status.state],
        "REBOOTMGR_STATE": status.state,
        "REBOOTMGR_REASON": status.blockers[0].reason if status.blockers else "",
        "REBOOTMGR_DEPLOYMENT": harmless(status.pending.id) if status.pending else "",
    }
