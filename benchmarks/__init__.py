"""What it costs: `python -m benchmarks`."""

from rebootmgr.lean import restore_typing

restore_typing()  # the skeleton imports dbus-next by itself
