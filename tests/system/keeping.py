"""What somebody still needs, as long as any of them lives, however they end.

They hold a lock on the directory. Its descriptor is inherited by whatever a process becomes, so
that nobody has to be told of its end.
"""

import fcntl
import os
from pathlib import Path


def keep(directory: Path) -> None:
    """Be one of those who need it, until this process ends and all that it becomes."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    os.set_inheritable(descriptor, True)  # noqa: FBT003 - it has no name


def is_kept(directory: Path) -> bool:
    """Whether somebody who lives needs it."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
