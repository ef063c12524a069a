"""The hook runner: runs one phase of the administrator's hooks, as root in its unit (SPEC 8).

What to run it finds by itself, what it is about it reads from a file of the daemon's user, which
it does not trust. With --root the daemon starts it directly. Exit status: 0 every hook passed,
1 one failed or it was stopped, 2 usage.
"""

import argparse
import asyncio
import errno
import logging
import os
import signal
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rebootmgr.core.model import Phase
from rebootmgr.hooks.exchange import read_order, write_result
from rebootmgr.hooks.files import Hook, Skipped, Unfit, find_hooks, read_hook_timeout
from rebootmgr.hooks.process import Ended, run_hook
from rebootmgr.hooks.words import NEED_ORDER, NOT_RUN, STOPPED, Order, Result, Unusable
from rebootmgr.systemd.journal import open_log
from rebootmgr.text import harmless

MOST_LINKS: Final = 40  # as many as Linux follows


def find_danger(path: Path) -> str:
    """Say who else could change what `path` leads to, with the cure; "" when nobody could.

    Every directory and link on the way counts, from the root of the file system: who can write
    one of them can put something else in its place. OSError if the way ends.
    """
    at = Path("/")
    links, rest = 0, list(reversed(path.absolute().parts))
    while rest:
        name = rest.pop()
        step = at.parent if name == ".." else at / name
        if why := _judge(step, on_the_way=True):
            return why
        if not step.is_symlink():
            at = step
            continue
        links += 1
        if links > MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        rest += reversed(step.readlink().parts)
    return _judge(at, on_the_way=False)


def _judge(path: Path, *, on_the_way: bool) -> str:
    facts = path.lstat()
    mode = stat.S_IMODE(facts.st_mode)
    if facts.st_uid not in {0, os.geteuid()}:
        return f"{path} belongs to user {facts.st_uid}, not {os.geteuid()}: chown it"
    if stat.S_ISLNK(facts.st_mode):  # its mode means nothing
        return ""
    keeps_names = on_the_way and stat.S_ISDIR(facts.st_mode) and mode & stat.S_ISVTX  # like /tmp
    if mode & 0o022 and not keeps_names:
        return f"{path} can be written by others (mode {mode:04o}): chmod go-w"
    return ""


log = logging.getLogger("rebootmgr.hooks")

PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"


class Run:
    """One phase under `root`. `hook` is the one that runs now, "" before the first."""

    def __init__(self, root: Path, phase: Phase, *, timeout_s: float) -> None:
        self.hook = ""
        self._root = root
        self._phase = phase
        self._timeout_s = timeout_s
        self._request = ""

    async def run(self) -> Result:
        """Run every hook in order. The first failure ends the phase, but never an undoing."""
        order = read_order(self._root)
        if isinstance(order, Unusable):
            log.warning("hooks are not told which deployment this is about: %s", order.why)
            if self._phase in NEED_ORDER:
                return self.result(NOT_RUN, harmless(order.why))
            order = Order(request="")
        self._request = order.request
        environment = _environment(self._phase, order)
        first: Result | None = None
        for hook in self._hooks():
            self.hook = harmless(hook.name)
            ended = await self._run_one(hook, environment)
            if ended.status == 0:
                continue
            log.warning("%s failed: %s", self.hook, ended.why)
            first = first or self.result(ended.status, ended.why)
            if self._phase is not Phase.ABANDONED:
                break
        return first or self.result(0, "")

    def result(self, status: int, line: str) -> Result:
        """Say how the phase ended, with the hook that ran last."""
        return Result(
            request=self._request, phase=self._phase, hook=self.hook, status=status, last_line=line
        )

    def _hooks(self) -> list[Hook]:
        found = find_hooks(self._root, self._phase, danger=find_danger)
        hooks = [hook for hook in found if not isinstance(hook, Skipped)]
        unfit: list[Hook] = [hook for hook in hooks if isinstance(hook, Unfit)]
        # With anything amiss nothing runs, but what can still be undone is.
        return hooks if self._phase is Phase.ABANDONED else unfit or hooks

    async def _run_one(self, hook: Hook, environment: dict[str, str]) -> Ended:
        match hook:
            case Unfit(why=why):
                return Ended(NOT_RUN, harmless(why))
            case path:
                return await run_hook(path, environment, timeout_s=self._timeout_s)


def _environment(phase: Phase, order: Order) -> dict[str, str]:
    """Build everything a hook is told, from scratch."""
    return {
        "PATH": PATH,
        "REBOOTMGR_PHASE": phase.value,
        "REBOOTMGR_DEPLOYMENT": order.deployment,
        "REBOOTMGR_VERSION": order.version,
        "REBOOTMGR_BOOTED_DEPLOYMENT": order.booted,
    }


async def run_until_stopped(run: Run) -> Result:
    """Run the phase; end it when we are told to, or whoever started us is gone."""
    async with asyncio.TaskGroup() as tasks:
        phase = tasks.create_task(run.run())

        def stop() -> None:
            if not phase.cancelling():
                phase.cancel()

        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
        with _watch_parent(stop):
            await asyncio.wait({phase})
    return run.result(STOPPED, "stopped") if phase.cancelled() else phase.result()


@contextmanager
def _watch_parent(gone: Callable[[], None]) -> Iterator[None]:
    """Call `gone` when whoever started us dies: its hooks must not outlive a killed daemon."""
    try:
        parent = os.pidfd_open(os.getppid())
    except OSError:  # it is outside of our PID namespace, or dead already and we are adopted
        yield
        return
    loop = asyncio.get_running_loop()

    def died() -> None:
        loop.remove_reader(parent)
        gone()

    loop.add_reader(parent, died)
    try:
        yield
    finally:
        loop.remove_reader(parent)
        os.close(parent)


def main(argv: list[str] | None = None) -> int:
    """Run one phase and leave its result."""
    arguments = _parser().parse_args(argv)
    os.umask(0o022)
    # The journal takes plain lines as well, and systemd-python would cost a start-up of ours.
    open_log("info", stream=sys.stderr, environ={})
    run = Run(arguments.root, arguments.phase, timeout_s=read_hook_timeout(arguments.root))
    result = asyncio.run(run_until_stopped(run))
    try:
        write_result(arguments.root, result)
    except OSError as error:
        log.error("the result cannot be written: %s", error)  # noqa: TRY400 - one line is enough
        return 1
    return 0 if result.status == 0 else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hook_runner", description="Run one phase of hooks.")
    parser.add_argument("phase", type=Phase, metavar="PHASE")
    parser.add_argument("--root", type=Path, default=Path("/"), metavar="DIR")
    return parser


if __name__ == "__main__":
    sys.exit(main())
