"""The names of headers that an agent and a lock server tell each other things by."""

from typing import Final

PROTOCOL: Final = "fleet-lock-protocol"
"""Always `true`: whoever sends it can be no web page."""
LOCKD: Final = "Rebootmgr-Lockd"
"""The server is ours: it appoints when to come back."""
REPORTS: Final = "api/v1/reports"
"""Where such a server wants to hear what became of a reboot."""
HOST: Final = "Rebootmgr-Host"
LABELS: Final = "Rebootmgr-Labels"
BOOTED: Final = "Rebootmgr-Booted"
TARGET: Final = "Rebootmgr-Target"
