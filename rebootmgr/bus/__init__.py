"""Our connection to D-Bus, for neighbours that may not run.

Knows no interface of any of them.
"""

import typing

from rebootmgr.lean import import_bare

if not hasattr(typing, "no_type_check_decorator"):  # Python 3.15 dropped what dbus-next imports
    vars(typing)["no_type_check_decorator"] = lambda decorator: decorator

import_bare("dbus_next", "errors", "message", "_private.unmarshaller")
