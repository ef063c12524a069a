"""A program that shows what it was given: `python -m tests.fakes.mirror [kill | wait]`."""

import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

MOST_FDS = 64


def descriptors() -> dict[int, bool]:
    """Each that is open, and whether a child would have it, too."""
    found = {}
    for fd in range(MOST_FDS):
        with suppress(OSError):
            found[fd] = os.get_inheritable(fd)
    return found


def main() -> int:
    """Show it, and end with 3, by a signal, or not by itself."""
    shown = {
        "arguments": sys.argv,
        "environment": dict(os.environ),
        "directory": str(Path.cwd()),
        "descriptors": descriptors(),
        "signals": [repr(signal.getsignal(number)) for number in sorted(signal.valid_signals())],
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
    }
    sys.stdout.write(json.dumps(shown, default=str))
    sys.stderr.write("that is all\n")
    if sys.argv[1:] == ["kill"]:
        os.kill(os.getpid(), signal.SIGKILL)
    if sys.argv[1:] == ["wait"]:
        sys.stdout.flush()
        signal.pause()
    return 3


if __name__ == "__main__":
    sys.exit(main())
