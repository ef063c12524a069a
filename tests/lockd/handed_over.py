"""The lock server with its socket as from systemd, for a nursery (tests/fakes/nursery.py).

What is forked is the program from its command line on.
"""

import os

from rebootmgr.lockd.main import main as lend


def main() -> int:
    """Serve at descriptor 3."""
    os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
    return lend()
