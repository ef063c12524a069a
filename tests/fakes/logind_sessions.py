"""The sessions of the fake logind, with all properties of the real ones."""

from dataclasses import dataclass
from typing import Any, Final

PATH: Final = "/org/freedesktop/login1"
SESSION: Final = "org.freedesktop.login1.Session"


@dataclass
class FakeSession:
    id: str
    name: str = "core"
    uid: int = 1000
    tty: str = ""
    class_: str = "user"
    type: str = "tty"
    state: str = "active"
    remote: bool = False
    remote_host: str = ""


def session_path(id_: str) -> str:
    """As sd_bus_path_encode(3) does it."""
    escaped = "".join(
        char if char.isalpha() or (char.isdigit() and index) else f"_{ord(char):02x}"
        for index, char in enumerate(id_)
    )
    return f"{PATH}/session/{escaped}"


def session_properties(session: FakeSession) -> dict[str, tuple[str, Any]]:
    return {
        "Id": ("s", session.id),
        "User": ("(uo)", [session.uid, f"{PATH}/user/_{session.uid}"]),
        "Name": ("s", session.name),
        "Seat": ("(so)", ["", "/"]),
        "TTY": ("s", session.tty),
        "Display": ("s", ""),
        "Remote": ("b", session.remote),
        "RemoteHost": ("s", session.remote_host),
        "RemoteUser": ("s", ""),
        "Service": ("s", "sshd" if session.remote else "login"),
        "Leader": ("u", 1234),
        "Type": ("s", session.type),
        "Class": ("s", session.class_),
        "Active": ("b", session.state == "active"),
        "State": ("s", session.state),
        "IdleHint": ("b", False),
        "LockedHint": ("b", False),
        "Timestamp": ("t", 1),
    }
