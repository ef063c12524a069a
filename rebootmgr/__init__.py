"""The reboot manager for rpm-ostree hosts."""

import os

__version__ = "0.1.0"

if os.stat(__file__).st_mtime == 0:  # noqa: PTH116 - pathlib would be compiled anew before
    from rebootmgr.bytecode import trust_compiled

    trust_compiled()
