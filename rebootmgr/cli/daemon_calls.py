"""One visit of a verb to the daemon: what refusals mean to whoever typed it, and the password.

Somebody asks for that on this terminal, if polkit wants one (pkttyagent(1)).
"""

import os
import select
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any, Final

from rebootmgr.bus.connection import bus_address
from rebootmgr.bus.words import ABSENT
from rebootmgr.cli.verb import Context
from rebootmgr.control.daemon_client import DaemonClient, Explain, connected
from rebootmgr.control.members import NAME, Member
from rebootmgr.errors import BusError, RebootmgrError, UsageError

CURE: Final = "see `systemctl status rebootmgr`"
OWN: Final = f"{NAME}.Error."
ERROR: Final = "org.freedesktop.DBus.Error."
FAILED: Final = {f"{ERROR}Failed", f"{ERROR}LimitsExceeded"}
DENIED: Final = {f"{ERROR}AccessDenied", f"{ERROR}InteractiveAuthorizationRequired"}
INVALID: Final = f"{ERROR}InvalidArgs"
PROGRAM: Final = "pkttyagent"
AGENT_S: Final = 5.0


def explained(error: BusError, member: str) -> RebootmgrError:
    """Say what the failure of a call means, and the cure."""
    if error.name in ABSENT:
        return RebootmgrError(f"rebootmgrd is not running: {CURE}")
    if not error.name:
        return RebootmgrError(f"{error.text}: see `systemctl status dbus`")
    if error.name == INVALID:
        return UsageError(error.text)
    if error.name in DENIED:
        return RebootmgrError(f"{error.text}; try again with sudo")
    if error.name in FAILED or error.name.startswith(OWN):
        return RebootmgrError(error.text)
    return RebootmgrError(f"rebootmgrd does not answer {member} ({error.text}): {CURE}")


def explained_reading(error: BusError, member: str) -> RebootmgrError:
    """Say what a failed look means: it takes nobody's leave, so the daemon is to be looked at."""
    if error.name in ABSENT:
        return explained(error, member)
    return RebootmgrError(f"rebootmgrd does not answer ({error.text}): {CURE}")


@asynccontextmanager
async def visit(context: Context, explain: Explain = explained) -> AsyncIterator[DaemonClient]:
    """Connect to the daemon, and leave it afterwards."""
    async with AsyncExitStack() as stack:
        try:
            there = connected(bus_address(context.root, os.environ), explain)
            daemon = await stack.enter_async_context(there)
        except BusError as error:
            raise explained(error, "") from error
        yield daemon


async def ask(daemon: DaemonClient, member: Member, *values: object) -> Any:
    """Call what changes something; the user may have to give a password first."""
    if not may_ask_user():
        return await daemon.call(member, *values)
    with tty_agent(os.geteuid()):
        return await daemon.call(member, *values, interactive=True)


def may_ask_user() -> bool:
    """Whether somebody sits there who can be asked for a password."""
    return sys.stdin is not None and sys.stdin.isatty()


@contextmanager
def tty_agent(euid: int, *, patience_s: float = AGENT_S) -> Iterator[None]:
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
