"""`make demo`: two hosts, one slot, and an update from the first notice to the boot after it.

The rebootmgrd, rebootmgrctl and rebootmgr-lockd of this checkout run as on three machines, on
loopback, each host with a private dbus-daemon; stand-ins play rpm-ostreed, logind and systemd, so
nothing is updated or rebooted here. Ends with 1, and says so, when a step does not happen.
"""

import asyncio
import os
import re
import shlex
import shutil
import signal
import sys
import textwrap
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from rebootmgr.config.identity import app_specific
from tests.cli.client import ctl
from tests.fakes.bus_log import BusLog
from tests.fakes.host import NAME, Host, Json, fleet_lock
from tests.fakes.logind_sessions import FakeSession
from tests.fakes.short import short_directory
from tests.fakes.terminal import Terminal, terminal
from tests.lockd.program import Server, configure, serving
from tests.lockd.watcher import watching
from tests.waiting import BOUND_S

OLD: Final = "44.20261018.3.0"
NEW: Final = "44.20261101.3.0"
BAD: Final = "44.20261115.3.0"
HOST: Final = "worker-1"
OTHER: Final = "worker-2"
LOCK: Final = "lock"
OTHER_ID: Final = "5d3f0c0a1b2c4d5e8f90a1b2c3d4e5f6"
LENDING: Final = Path("etc/rebootmgr-lockd/config.d/50-fleet.toml")
WIDTH: Final = 79
PAUSE_S: Final = 1.2
MANAGER: Final = (NAME, "/org/rebootmgr1", "org.rebootmgr1.Manager")
SERVICES: Final = {
    "org.projectatomic.rpmostree1": "rpm-ostreed",
    "org.freedesktop.login1": "logind",
    "org.freedesktop.systemd1": "systemd",
}
EVERY_SOURCE: Final = {
    ("org.projectatomic.rpmostree1", "Reload"),
    ("org.projectatomic.rpmostree1", "GetAll"),
    ("org.freedesktop.login1", "ListInhibitors"),
    ("org.freedesktop.login1", "ListSessions"),
}


class MissedError(Exception):
    """A step of the story went another way."""


class Stage:
    """Where the story is told; on a terminal in bold type, and with pauses that Enter ends."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.title = "the host comes up"
        self._is_watched = sys.stdin.isatty() and sys.stdout.isatty()
        self._is_bold = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        self._scenes = 0

    async def scene(self, title: str, text: str) -> None:
        self._scenes += 1
        self.title = f"{self._scenes}. {title}"
        elapsed = f" {time.monotonic() - self.began:.1f} s"
        head = f"-- {self.title} "
        await self.show(f"{head:-<{WIDTH - len(elapsed)}}{elapsed}")
        self.tell(textwrap.fill(" ".join(text.split()), WIDTH))

    async def show(self, caption: str, text: str = "") -> None:
        if self._is_watched:
            await _key_or(PAUSE_S)
        self.tell(f"\n\x1b[1m{caption}\x1b[0m" if self._is_bold else f"\n{caption}")
        self.tell(text)

    def tell(self, text: str) -> None:
        if text:
            print(text.rstrip("\n"), flush=True)


async def _key_or(seconds: float) -> None:
    pressed, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), pressed.set)
    try:
        async with asyncio.timeout(seconds):
            await pressed.wait()
        os.read(sys.stdin.fileno(), 4096)
    except TimeoutError:
        pass
    finally:
        loop.remove_reader(sys.stdin.fileno())


@dataclass
class Demo:
    """The hosts, their lock server, what is around them, and the story."""

    stage: Stage
    host: Host
    other: Host
    fleet: Server
    bus_log: BusLog
    terminal: Terminal

    async def run(self) -> None:
        await self.nothing_pending()
        await self.outside_the_window()
        await self.somebody_is_logged_in()
        await self.a_freeze()
        await self.another_host_has_the_slot()
        await self.the_dead_host_and_the_reboot()
        await self.after_the_boot()
        await self.a_bad_update()

    async def nothing_pending(self) -> None:
        text = f"""
            Two hosts of a fleet run {OLD}, and rebootmgr-lockd lends them one slot: only who holds
            it may reboot. worker-1 may do so in its maintenance window alone."""
        await self.stage.scene("Nothing is pending", text)
        await self.show_file(LOCK, self.fleet.root, LENDING)
        config = f"""
            [updates]
            strategy = ["periodic", "fleet_lock"]
            fleet_lock.base_url = "{self.url}"

            [[updates.periodic.window]]
            days = ["{datetime.now(UTC) + timedelta(days=2):%a}"]
            start_time = "02:00"
            length_minutes = 120
            """
        await self.drop_in("50-fleet.toml", config)
        self.other.configure(fleet_lock(self.url), "50-fleet.toml")
        for host in (self.host, self.other):
            await host.start()
            await host.until(_is_settled)
        await self.ctl("status", "nothing is pending")

    async def outside_the_window(self) -> None:
        text = f"""
            rpm-ostree stages {NEW}. rebootmgr hears it on the bus. The window is closed, so the
            lock server is not even asked; `why` says when the window opens."""
        await self.stage.scene("An update is staged", text)
        await self.stage_update(self.host, NEW)
        await self.until_first("outside_window")
        await self.ctl("why", "outside_window", "at the earliest")

    async def somebody_is_logged_in(self) -> None:
        text = """
            The administrator adds a window that is open now. But alice works on a terminal: she is
            warned there, and has ten minutes."""
        await self.stage.scene("The window is widened, but somebody is logged in", text)
        self.host.logind.add_session(FakeSession("7", name="alice", tty=self.terminal.tty))
        await self.host.until(lambda now: bool(now["users"]))
        now = datetime.now(UTC)
        config = f"""
            [[updates.periodic.window]]
            days = ["{now:%a}"]
            start_time = "{now:%H:%M}"
            length_minutes = 120
            """
        await self.drop_in("60-today.toml", config)
        await self.reload()
        await self.until_first("users_logged_in")
        await self.host.until_screen(self.terminal, "log out.")
        warning = self.terminal.screen().translate({ord("\a"): None, ord("\r"): None})
        quoted = textwrap.indent(warning.strip("\n"), "| ", lambda _: True)
        await self.stage.show("alice's terminal shows:", quoted)
        await self.ctl("why", "users_logged_in", "alice", paragraphs=2)

    async def a_freeze(self) -> None:
        text = """
            Every local gate is clear, so now the lock server is asked. But somebody has frozen the
            fleet. `why` gives the kind and the words of the server, and the metrics tell the
            same."""
        await self.stage.scene("She logs out, and the fleet says no", text)
        freeze = ("freeze", "--reason", "a release is being cut", "--for", "2h")
        await self.fleet_ctl(*freeze, expected=("no slot is lent",))
        self.host.logind.remove_session("7")
        await self.until_first("lock_refused")
        await self.ctl("why", "lock_refused", "HTTP 423 frozen", "being cut", paragraphs=2)
        grep = "(blocked|errors).* 1.0$"
        await self.ctl("metrics", 'blocked{reason="lock_refused"} 1.0', grep=grep)

    async def another_host_has_the_slot(self) -> None:
        text = f"""
            The fleet is thawed. worker-2 has {NEW}, too, and asks: no slot lies idle for those who
            were told to come back in an hour. It goes down. So that nobody has to wait here, a
            reload has worker-1 ask now; its answer is kept back, as it is the next."""
        await self.stage.scene("Thawed, and another host has the slot", text)
        await self.fleet_ctl("thaw", expected=("thawed",))
        await self.stage_update(self.other, NEW)
        await self.other.until_state("rebooting")
        await self.other.reboot()
        await self.reload()
        await self.host.until_state("asking")
        expected = ("1 of 1 slot lent, 1 host waits", "number 1")
        await self.fleet_ctl("status", expected=expected)
        await self.ctl("why", "lock_pending", paragraphs=2)

    async def the_dead_host_and_the_reboot(self) -> None:
        text = """
            worker-2 does not come back: its power supply is dead. No timer takes its slot, an
            administrator who looked does. worker-1 gets its answer then and there, reads every gate
            again, and reboots."""
        await self.stage.scene("A dead host, and the reboot of the next", text)
        freed = time.time()
        await self.fleet_ctl("release", "worker-2", expected=("may still reboot",))
        await self.host.until_state("rebooting")
        calls = await self.bus_log.until("RebootWithFlags")
        told = [call for call in calls if call.at > freed and call.destination in SERVICES]
        await self.stage.show("Since that release was typed, the bus of worker-1 saw:")
        for call in told:
            what = f"{call.member} {call.path.rpartition('/')[2]}"
            self.line(call.at - freed, SERVICES[call.destination], what)
        if missing := EVERY_SOURCE - {(call.destination, call.member) for call in told}:
            raise MissedError(f"not asked between the grant and the reboot: {missing}")
        await self.ctl("why", "reboot: ", paragraphs=1)
        await self.fleet_ctl("holders", expected=("worker-1",))

    async def after_the_boot(self) -> None:
        text = f"""
            logind takes the host down, and {NEW} comes up. Once the boot is complete, its outcome
            is judged, and the slot goes back to the fleet."""
        await self.stage.scene("The host boots the update, and gives the slot back", text)
        await self.host.reboot()
        await self.host.start()
        await self.host.until(_is_settled)
        await self.ctl("status", "succeeded", "nothing is pending")
        if self.host.logind.calls.count(("RebootWithFlags", [1])) != 1:
            raise MissedError(f"logind was asked something else: {self.host.logind.calls}")

    async def a_bad_update(self) -> None:
        text = f"""
            worker-2 is repaired, and runs {NEW}, too. {BAD} follows, which does not boot: worker-2
            falls back, says so, and keeps the slot. The group is halted, and no other host is let
            go into the same ditch, until somebody has looked."""
        await self.stage.scene("A bad update, and a halt", text)
        await self.other.start()
        await self.other.until(_is_settled)
        await self.stage_update(self.other, BAD)
        await self.other.until_state("rebooting")
        await self.other.logind.rebooted.wait()
        await self.other.stop()
        self.other.trees.reboot()
        del self.other.trees.trees[2:]  # no host keeps more
        self.other.trees.rollback()  # as a boot loader does after some tries
        await self.other.reboot()
        await self.other.start()
        await self.until_fleet(lambda group: group["halt"] is not None)
        await self.stage_update(self.host, BAD)
        await self.until_first("lock_refused")
        await self.ctl("why", "lock_refused", "HTTP 423 halted", paragraphs=2)
        await self.fleet_ctl("status", expected=("halted:", "failed: rolled back"))
        text = "The update is withdrawn, and the roll-out goes on with the next:"
        await self.stage.show(text)
        self.host.trees.cleanup()
        await self.host.os.refresh()
        await self.host.until(_is_settled)
        await self.fleet_ctl("resume", "default", "--forgive", "worker-2", expected=("resumed",))
        await self.fleet_ctl("history", expected=("the reboot of worker-2 failed",))

    @property
    def url(self) -> str:
        return f"http://localhost:{self.fleet.port}"

    async def stage_update(self, host: Host, version: str) -> None:
        await host.os.stage(version, checksum=sha256(version.encode()).hexdigest())

    async def until_fleet(self, holds: Callable[[Json], bool]) -> None:
        """Wait until the lock server shows this of its group."""
        async with watching(self.fleet.port) as watcher:
            await watcher.until(
                lambda seen: "default" in seen.groups and holds(seen.groups["default"])
            )

    async def until_first(self, reason: str) -> None:
        """Wait until this is the first thing in the way of the update."""
        await self.host.until(
            lambda now: (
                bool(now["pending"])
                and [blocker["reason"] for blocker in now["blockers"]][:1] == [reason]
            )
        )

    async def drop_in(self, name: str, text: str) -> None:
        path = self.host.configure(textwrap.dedent(text).lstrip(), name)
        await self.show_file(HOST, self.host.root, path.relative_to(self.host.root))

    async def show_file(self, where: str, root: Path, file: Path) -> None:
        await self.stage.show(f"{where}$ cat /{file}", (root / file).read_text())

    async def reload(self) -> None:
        await self.stage.show(f"{HOST}$ rebootmgrctl reload")
        await self.host.bus.call(*MANAGER, "Reload", autostart=False)

    async def fleet_ctl(self, *words: str, expected: tuple[str, ...]) -> None:
        """Run a verb of `fleet` on the lock server's host, and show what it prints."""
        command = shlex.join(("rebootmgrctl", "fleet", *words))
        done = await ctl(self.fleet.root, "fleet", *words)
        lines = [part for line in done[1].splitlines() for part in _broken(line)]
        await self._show(f"{LOCK}$ {command}", done, "\n".join(lines), expected)

    async def ctl(self, verb: str, *expected: str, grep: str = "", paragraphs: int = 0) -> None:
        """Run rebootmgrctl and show what it prints; what is expected must be there."""
        done = await self.host.ctl(verb)
        lines, command = done[1].splitlines(), f"{HOST}$ rebootmgrctl {verb}"
        if grep:
            command += f" | grep -E '{grep}'"
            lines = [line for line in lines if re.search(grep, line)]
        if paragraphs:
            ends = [number for number, line in enumerate([*lines, ""]) if not line]
            lines = lines[: ends[paragraphs - 1]]
            command += f" | head -{len(lines)}"
        await self._show(command, done, "\n".join(lines), expected)

    async def _show(
        self, command: str, done: tuple[int | None, str, str], text: str, expected: tuple[str, ...]
    ) -> None:
        status, out, err = done
        await self.stage.show(command, text)
        if status or any(words not in " ".join(out.split()) for words in expected):
            raise MissedError(f"{command}: status {status}, {err}wanted {expected} in:\n{out}")

    def line(self, at: float, who: str, what: str) -> None:
        first, *rest = textwrap.wrap(what, WIDTH - 24)
        self.stage.tell(f"{at:+9.3f} s  {who:<12}{first}")
        for line in rest:
            self.stage.tell(f"{'':<24}{line}")


def _lending(*hosts: Host) -> str:
    """What the lock server lends, and whom it knows by which name."""
    names = (
        f'[hosts.{app_specific(bytes.fromhex(host.machine_id))}]\nname = "{host.root.name}"\n'
        for host in hosts
    )
    return "\n".join(("[groups.default]\nslots = 1\n", *names))


def _broken(line: str) -> list[str]:
    """Break a line where a narrow terminal would."""
    return textwrap.wrap(line, WIDTH) if len(line) > WIDTH else [line]


def _is_settled(status: Json) -> bool:
    return status["state"] == "idle" and not status["slots"]


async def perform(stage: Stage) -> None:
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)
    loop.set_exception_handler(_tell)
    async with asyncio.timeout(BOUND_S), AsyncExitStack() as stack:
        root = short_directory("rebootmgr-demo-", inside=40)
        stack.callback(shutil.rmtree, root)
        host = await stack.enter_async_context(Host(root / HOST, version=OLD))
        another = Host(root / OTHER, version=OLD, machine_id=OTHER_ID)
        other = await stack.enter_async_context(another)
        configure(root / LOCK, _lending(host, other), LENDING.name)
        lendings = serving(root / LOCK, "", wrapper=("setpriv", "--pdeathsig", "KILL"))
        fleet = await stack.enter_async_context(lendings)
        bus_log = await stack.enter_async_context(BusLog(host.dbus.address))
        alices = stack.enter_context(terminal(root / HOST))
        await Demo(stage, host, other, fleet, bus_log, alices).run()
    stage.tell(f"\nThat was all, in {time.monotonic() - stage.began:.0f} s.")


def _tell(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Stand-ins write on while the same signal ends the bus: that is no news."""
    if not isinstance(context.get("exception"), OSError):
        loop.default_exception_handler(context)


def main() -> int:
    stage = Stage()
    try:
        asyncio.run(perform(stage))
    except (MissedError, AssertionError, TimeoutError, EOFError) as error:
        notes = getattr(error.__cause__, "__notes__", ())  # what a wait that was cut short saw
        print(f"\ndemo: failed at {stage.title}", file=sys.stderr)
        print("demo:", error, *notes, file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader, as in `| head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or exiting fails again
        return 1
    except KeyboardInterrupt:
        return 130
    except asyncio.CancelledError:
        return 143
    return 0


if __name__ == "__main__":
    sys.exit(main())
