"""Our connection to D-Bus, for neighbours that may not run.

Knows no interface of any of them.
"""

from rebootmgr.lean import import_bare, restore_typing

restore_typing()
import_bare("dbus_next", "errors", "message", "_private.unmarshaller")
