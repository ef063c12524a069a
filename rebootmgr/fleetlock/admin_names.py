"""Where administrators reach a lock server, and what they ask there, by name."""

from typing import Final

SOCKET: Final = "run/rebootmgr-lockd/admin.sock"
GROUP: Final = "rebootmgr-lockd"
"""Who is in this group may change things, as root may."""

STATUS: Final = "/api/v1/status"
HISTORY: Final = "/api/v1/history"
EVENTS: Final = "/api/v1/events"
BACKUP: Final = "/api/v1/backup"
RELEASE: Final = "/api/v1/release"
SLOTS: Final = "/api/v1/slots"
FREEZE: Final = "/api/v1/freeze"
THAW: Final = "/api/v1/thaw"
RESUME: Final = "/api/v1/resume"
RELOAD: Final = "/api/v1/reload"

CHANGES: Final = (BACKUP, RELEASE, SLOTS, FREEZE, THAW, RESUME, RELOAD)
"""What is asked by POST at the socket alone."""
