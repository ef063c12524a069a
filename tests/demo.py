"""`make demo`: one update on one host of a fleet, from the first notice to the boot after it.

The rebootmgrd and rebootmgrctl of this checkout run as on a host, with a private dbus-daemon, a
pseudo terminal and a FleetLock server on loopback; stand-ins play rpm-ostreed, logind and systemd,
so nothing is updated or rebooted here. Ends with 1, and says so, when a step does not happen.
"""

import asyncio
import os
import re
import shutil
import signal
import sys
import textwrap
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from tests.fakes.bus_log import BusLog
from tests.fakes.fleetlock import FakeFleetLock, Script, Seen, reply
from tests.fakes.host import NAME, Host, Json
from tests.fakes.logind_sessions import FakeSession
from tests.fakes.short import short_directory
from tests.fakes.terminal import Terminal, terminal
from tests.waiting import BOUND_S

OLD: Final = "44.20261018.3.0"
NEW: Final = "44.20261101.3.0"
OTHER_HOST: Final = "5d3f0c0a1b2c4d5e8f90a1b2c3d4e5f6"
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


@dataclass
class Fleet(FakeFleetLock):
    """A lock server that asks those whom it refuses for patience; `told` is its log."""

    told: list[tuple[float, str]] = field(default_factory=list)

    def _answer(self, request: Seen) -> Script:
        head, body = super()._answer(request).parts
        status = int(head.split()[1])
        said = f"{request.method} {request.target} -> {status} {body.decode()}".strip()
        self.told.append((time.time(), said))
        return reply(status, body) if status == 200 else reply(status, body, retry_after="3600")


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
    """The host, what is around it, and the story."""

    stage: Stage
    host: Host
    fleet: Fleet
    bus_log: BusLog
    terminal: Terminal

    async def run(self) -> None:
        await self.nothing_pending()
        await self.outside_the_window()
        await self.somebody_is_logged_in()
        await self.the_fleet_says_no()
        await self.the_reboot()
        await self.after_the_boot()

    async def nothing_pending(self) -> None:
        text = f"""
            A host of a fleet runs {OLD}. It may reboot only in its maintenance window, and only
            while it holds a slot of the fleet's lock server."""
        await self.stage.scene("Nothing is pending", text)
        config = f"""
            [updates]
            strategy = ["periodic", "fleet_lock"]
            fleet_lock.base_url = "{self.fleet.url}"

            [[updates.periodic.window]]
            days = ["{datetime.now(UTC) + timedelta(days=2):%a}"]
            start_time = "02:00"
            length_minutes = 120
            """
        await self.drop_in("50-fleet.toml", config)
        await self.host.start()
        await self.host.until(_is_settled)
        await self.ctl("status", "nothing is pending")

    async def outside_the_window(self) -> None:
        text = f"""
            rpm-ostree stages {NEW}. rebootmgr hears it on the bus. The window is closed, so the
            lock server is not even asked; `why` says when the window opens."""
        await self.stage.scene("An update is staged", text)
        await self.host.os.stage(NEW, checksum=sha256(NEW.encode()).hexdigest())
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

    async def the_fleet_says_no(self) -> None:
        text = """
            Every local gate is clear, so now the lock server is asked. Another host has the only
            slot. `why` gives the server's kind and value, and the metrics tell the same."""
        await self.stage.scene("She logs out, and the fleet says no", text)
        self.fleet.seize("default", OTHER_HOST)
        self.host.logind.remove_session("7")
        await self.until_first("lock_refused")
        await self.ctl("why", "lock_refused", "failed_lock", "semaphore", paragraphs=2)
        grep = "(reboot_|blocked|window_|errors).* 1.0$"
        await self.ctl("metrics", 'blocked{reason="lock_refused"} 1.0', grep=grep)

    async def the_reboot(self) -> None:
        text = """
            The other host gives its slot back. This server had asked for an hour of patience; so
            that nobody has to wait here, a reload starts the attempt over."""
        await self.stage.scene("Granted: every gate is read again, then the reboot", text)
        self.fleet.free("default", OTHER_HOST)
        await self.reload()
        await self.host.until_state("rebooting")
        calls = await self.bus_log.until("RebootWithFlags")
        granted, said = self.fleet.told[-1]
        told = [call for call in calls if call.at > granted and call.destination in SERVICES]
        await self.stage.show("From the grant on, the lock server and the bus saw:")
        self.line(0, "lock server", said)
        for call in told:
            what = f"{call.member} {call.path.rpartition('/')[2]}"
            self.line(call.at - granted, SERVICES[call.destination], what)
        if missing := EVERY_SOURCE - {(call.destination, call.member) for call in told}:
            raise MissedError(f"not asked between the grant and the reboot: {missing}")
        await self.ctl("why", "reboot: ", paragraphs=1)

    async def after_the_boot(self) -> None:
        text = f"""
            logind takes the host down, and {NEW} comes up. Once the boot is complete, its outcome
            is judged, and the slot goes back to the fleet."""
        await self.stage.scene("The host boots the update, and gives the slot back", text)
        await self.host.reboot()
        await self.host.start()
        await self.host.until(_is_settled)
        await self.ctl("status", "succeeded", "nothing is pending")
        await self.stage.show("All that the lock server was asked, and its answers:")
        for at, said in self.fleet.told:
            self.line(at - self.fleet.told[0][0], "lock server", said)
        asked = [seen.target.rpartition("/")[2] for seen in self.fleet.seen]
        if asked != ["steady-state", "pre-reboot", "pre-reboot", "steady-state"]:
            raise MissedError("the lock server was asked something else")
        if self.host.logind.calls.count(("RebootWithFlags", [1])) != 1:
            raise MissedError(f"logind was asked something else: {self.host.logind.calls}")

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
        await self.stage.show(f"$ cat /{path.relative_to(self.host.root)}", path.read_text())

    async def reload(self) -> None:
        await self.stage.show(f"$ busctl call {' '.join(MANAGER)} Reload")
        await self.host.bus.call(*MANAGER, "Reload", autostart=False)

    async def ctl(self, verb: str, *expected: str, grep: str = "", paragraphs: int = 0) -> None:
        """Run rebootmgrctl and show what it prints; what is expected must be there."""
        status, out, err = await self.host.ctl(verb)
        lines, command = out.splitlines(), f"rebootmgrctl {verb}"
        if grep:
            command += f" | grep -E '{grep}'"
            lines = [line for line in lines if re.search(grep, line)]
        if paragraphs:
            ends = [number for number, line in enumerate([*lines, ""]) if not line]
            lines = lines[: ends[paragraphs - 1]]
            command += f" | head -{len(lines)}"
        await self.stage.show(f"$ {command}", "\n".join(lines))
        if status or any(text not in out for text in expected):
            raise MissedError(f"{command}: status {status}, {err}wanted {expected} in:\n{out}")

    def line(self, at: float, who: str, what: str) -> None:
        first, *rest = textwrap.wrap(what, WIDTH - 24)
        self.stage.tell(f"{at:+9.3f} s  {who:<12}{first}")
        for line in rest:
            self.stage.tell(f"{'':<24}{line}")


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
        host = await stack.enter_async_context(Host(root, version=OLD))
        fleet = await stack.enter_async_context(Fleet())
        bus_log = await stack.enter_async_context(BusLog(host.dbus.address))
        alices = stack.enter_context(terminal(root))
        await Demo(stage, host, fleet, bus_log, alices).run()
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
