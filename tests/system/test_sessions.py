"""People who are logged in for real: warned on their terminals, and waited for a while."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from tests.spans import noting_the_time
from tests.system.guest.terminal import PROMPT
from tests.system.machine import REBOOTED, Machine
from tests.system.people import Program, add_users
from tests.waiting import telling

pytestmark = pytest.mark.systems("every")  # logind names classes of sessions differently

MINUTE = timedelta(minutes=1)
WARNING = "This host is about to reboot into an update of its operating system"


class Seat:
    """A terminal with somebody at it; `screen` is what it showed so far."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self.screen = ""

    async def until_shown(self, text: str) -> None:
        """Wait until it shows that."""
        with telling(lambda: f"it never shows {text!r}, but: {self.screen}"):
            while text not in self.screen:
                shown = await self._program.hear()
                assert shown, f"the session ended: {self.screen}"
                self.screen += shown

    async def read_on(self) -> None:
        """Read what is shown until the session ends."""
        while shown := await self._program.hear():
            self.screen += shown

    async def type(self, text: str) -> None:
        """Give a command."""
        await self._program.tell(f"{text}\n")


@asynccontextmanager
async def logged_in(machine: Machine, user: str, *more: str) -> AsyncIterator[Seat]:
    """Log in on a terminal of its own; at the end the terminal is hung up."""
    async with Program(machine, "terminal", user, *more) as program:
        seat = Seat(program)
        await seat.until_shown(PROMPT)
        yield seat


async def boot_with_people(machine: Machine, *names: str, grace_minutes: int = 60) -> None:
    """Boot, with accounts for them, whose terminals take messages as Fedora's do."""
    machine.configure(f"[updates.sessions]\ngrace_minutes = {grace_minutes}\n")
    definitions = (machine.root / "etc/login.defs").read_text()
    machine.write("etc/login.defs", definitions.replace("TTYPERM\t\t0600", "TTYPERM\t\t0620"))
    await machine.boot()
    await add_users(machine, *names)
    await machine.until_state("idle")


async def test_somebody_who_stays_is_warned_and_the_reboot_follows_after_the_grace(
    machine: Machine,
) -> None:
    await boot_with_people(machine, "alice", grace_minutes=1)
    async with logged_in(machine, "alice") as seat:
        with noting_the_time() as seen:
            await machine.stage("42.2")
            status = await machine.until_blocked("users_logged_in")
        [blocker] = status["blockers"]
        assert "alice on pts/" in blocker["detail"]
        seen.assert_ends(blocker["until"], MINUTE)
        await seat.until_shown(WARNING)
        await seat.until_shown("version 42.2")
        await seat.until_shown("in one minute")
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(seat.read_on())
            assert await machine.wait_down() == REBOOTED
            assert datetime.now(UTC) - seen.began >= MINUTE
            await reading
        await machine.boot()
        assert seat.screen.count(WARNING) == 1
    status = await machine.until(lambda status: bool(status["history"]))
    assert status["booted"]["version"] == "42.2"


async def test_the_reboot_follows_at_once_when_the_last_one_logs_out(machine: Machine) -> None:
    """Long before the grace is over."""
    await boot_with_people(machine, "alice", "bob")
    async with logged_in(machine, "alice") as alice, logged_in(machine, "bob") as bob:
        await machine.stage("42.2")
        await alice.until_shown(WARNING)
        await bob.until_shown(WARNING)
        await alice.type("exit")
        await machine.until(lambda status: "alice" not in status["blockers"][0]["detail"])
        await machine.until_blocked("users_logged_in")
        await bob.type("exit")
        await machine.until_rebooted()


async def test_a_terminal_that_takes_nothing_holds_nobody_up(machine: Machine) -> None:
    await boot_with_people(machine, "alice", "bob")
    pid = await machine.property_of("rebootmgr.service", "MainPID")
    async with logged_in(machine, "bob") as bob:
        async with logged_in(machine, "alice", "stuck"):
            await machine.stage("42.2")
            await machine.until_blocked("users_logged_in")
            await bob.until_shown(WARNING)
            assert "could not be warned on a terminal" in await machine.journal()
        await bob.type("exit")
        assert await machine.property_of("rebootmgr.service", "MainPID") == pid
        await machine.until_rebooted()


DEADLINE = """
[updates]
strategy = "periodic"

[[updates.periodic.window]]
days = ["{day}"]
start_time = "12:00"
length_minutes = 5

[updates.clock]
require_synchronized = "never"

[[updates.deadline]]
after = "2min 30s"
waive = ["sessions", "windows"]
grace = "1s"
warn = ["2min 20s", "80s", "30s"]
"""


@pytest.mark.systems("one")
async def test_whoever_is_there_is_told_at_each_instant_before_a_deadline_and_then_it_comes(
    machine: Machine,
) -> None:
    """In no window: the next is days away. Each word is said once."""
    day = datetime.now(UTC) + timedelta(days=3)
    machine.configure(DEADLINE.format(day=f"{day:%a}"), "60-deadline.toml")
    await boot_with_people(machine, "alice")
    async with logged_in(machine, "alice") as seat:
        with noting_the_time() as seen:
            await machine.stage("42.2")
            status = await machine.until_blocked("outside_window", "users_logged_in")
        [step] = status["deadlines"]
        seen.assert_ends(step["at"], timedelta(seconds=150))
        for ahead in ("2 minutes", "one minute", "less than a minute"):
            await seat.until_shown(f"UTC on, that is in {ahead},")
        assert "it no longer waits for: sessions, windows." in seat.screen
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(seat.read_on())
            assert await machine.wait_down() == REBOOTED
            assert datetime.now(UTC) - seen.began >= timedelta(seconds=150)
            await reading
    assert seat.screen.count("it no longer waits for") == 3
