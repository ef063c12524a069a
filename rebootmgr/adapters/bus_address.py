"""Which bus is meant (SPEC 1)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from rebootmgr.adapters.bus import SYSTEM_BUS
from rebootmgr.errors import UsageError

VARIABLE: Final = "DBUS_SYSTEM_BUS_ADDRESS"


def bus_address(root: Path, environ: Mapping[str, str]) -> str:
    """Give the system bus, or what the environment names.

    Raises UsageError for another root without that variable: a test must never reboot its machine.
    """
    if address := environ.get(VARIABLE):
        return address
    if root.resolve() != Path("/"):
        raise UsageError(f"--root {root} needs a bus of its own: set {VARIABLE}")
    return SYSTEM_BUS
