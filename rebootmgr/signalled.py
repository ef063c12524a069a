"""Ending as other programs do: by the signal that was meant for us, so that whoever waits knows."""

import os
import signal
from typing import TextIO


def end_by(number: int) -> int:
    """End by a signal, whatever we had set for it; the status of a shell where it is blocked."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    return 128 + number


def end_without_reader(out: TextIO) -> int:
    """End as the reader of `out` has, `head` for one; what is left to be written is lost.

    Python ignores SIGPIPE, by which every other program of a pipeline ends (pipe(7)).
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())  # or exiting fails again
    return end_by(signal.SIGPIPE)
