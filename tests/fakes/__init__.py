"""Stand-ins for the neighbours, on machines that have never heard of us, too."""

from importlib.util import find_spec

if find_spec("rebootmgr") is not None:
    from rebootmgr.lean import restore_typing

    restore_typing()  # they import dbus-next by themselves
