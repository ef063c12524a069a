"""Stand-ins for the neighbours."""

from rebootmgr.lean import restore_typing

restore_typing()  # they import dbus-next by themselves
