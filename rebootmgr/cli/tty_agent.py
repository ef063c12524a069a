"""Somebody who asks for a password on this terminal, if polkit wants one (pkttyagent(1))."""

import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

PROGRAM: Final = "pkttyagent"
PATIENCE_S: Final = 5.0


def may_ask_user() -> bool:
    """Whether somebody sits there who can be asked for a password."""
    return sys.stdin is not None and sys.stdin.isatty()


@contextmanager
def tty_agent(euid: int, *, patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Have `euid`'s password asked for here, unless its session has an agent of its own.

    As systemctl does it: root needs nobody's leave, and without the program nobody is asked.
    """
    program = shutil.which(PROGRAM)
    if program is None or euid == 0:
        yield
        return
    agent = _started(program, patience_s)
    try:
        yield
    finally:
        agent.terminate()
        try:
            agent.wait(patience_s)
        except subprocess.TimeoutExpired:
            agent.kill()
            agent.wait()


def _started(program: str, patience_s: float) -> subprocess.Popen[bytes]:
    """Start it, and wait until it closes what it was given: then polkit knows it."""
    ours, its = os.pipe()
    with open(ours, "rb"):  # noqa: PTH123 - a descriptor
        with open(its, "wb"):  # noqa: PTH123
            agent = subprocess.Popen(  # noqa: S603 - no shell, and from the user's own PATH
                [program, "--notify-fd", str(its), "--fallback"],
                pass_fds=(its,),
                stdout=subprocess.DEVNULL,  # it speaks to /dev/tty
                stderr=subprocess.DEVNULL,
            )
        select.select([ours], [], [], patience_s)
    return agent
