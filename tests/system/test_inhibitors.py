"""Inhibitors of the real logind: what a reboot waits for, and who wins a race against it."""

import asyncio
import random
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import pytest

from rebootmgr.bus.connection import Bus
from tests.fakes.host import Json
from tests.system.bus_monitor import BusMonitor, Passed
from tests.system.machine import REBOOTED, Machine
from tests.system.people import Program, add_users, allow

pytestmark = pytest.mark.systems("every")  # logind changed its rules at 257

TRIES: Final = 50
PACES_S: Final = (0.0, 0.0, 0.3, 1.0)
CLOSE: Final = 0.3  # so many tries begin when the daemon looks for the last time
EXAMPLES: Final = Path(__file__).parents[2] / "etc/rebootmgr/examples"
OVERRIDE: Final = EXAMPLES / "49-rebootmgr-override.rules"
BLOCK_SHUTDOWN: Final = "org.freedesktop.login1.inhibit-block-shutdown"
MANY_REBOOTS: Final = "[updates.limits]\nreboots_per_day = 1000\n"


class Side(StrEnum):
    """Which of the two came first, as the bus passed them on, and what came of it."""

    NO_CALL = "inhibited first, no call followed"
    REFUSED = "inhibited first, the call was refused"
    LATE = "called first, rebooted"
    LUCKY = "called first, refused all the same"


WON: Final = {Side.NO_CALL, Side.REFUSED}
REFUSED: Final = {Side.REFUSED, Side.LUCKY}
MOST_UNHEARD: Final = 10


def is_inhibited_by(status: Json, why: str) -> bool:
    """Whether the daemon waits because of that inhibitor."""
    held = [one["detail"] for one in status["blockers"] if one["reason"] == "inhibited"]
    return status["state"] == "waiting" and any(why in detail for detail in held)


@dataclass
class Race:
    """A machine that wants to reboot, and somebody who tries to stop it in the last moment."""

    machine: Machine
    user: str
    dice: random.Random
    updates: int = 0
    # How long after the release, and after the daemon began to look for the last time, the call
    # comes: the tries so far tell, so that about every third one is too late.
    commit_s: float = 0.3
    close_s: float = 0.03
    ran: Counter[Side] = field(default_factory=Counter)
    unheard: int = 0
    margins_s: dict[Side, list[float]] = field(default_factory=dict)

    async def run(self, tries: int) -> None:
        """So many tries; the machine boots anew after each that is lost."""
        while self.ran.total() < tries:
            async with AsyncExitStack() as stack:
                monitor = await stack.enter_async_context(BusMonitor(self.machine.address))
                somebody = Program(self.machine, "inhibitor", user=self.user)
                await stack.enter_async_context(somebody)
                await self._prepare(somebody)
                while self.ran.total() < tries and await self._try(somebody, monitor):
                    pass
            if not self.machine.is_up:
                await self.machine.boot()

    async def _prepare(self, somebody: Program) -> None:
        answer = await somebody.ask(do="take", who="racer", why="first", mode="block")
        assert answer is not None
        assert answer["held"], answer
        self.updates += 1
        await self.machine.stage(f"43.{self.updates}")
        await self.machine.until(lambda status: is_inhibited_by(status, "first"))

    async def _try(self, somebody: Program, monitor: BusMonitor) -> bool:
        """One release and one Inhibit some time later; whether the machine is still up."""
        why = f"try {self.ran.total()}!"
        pace_s = self.dice.choice(PACES_S)
        self.machine.inside("run/pace").write_text(f"{pace_s}\n")
        monitor.forget()
        order = {"do": "race", "who": "racer", "why": why, "mode": "block"}
        is_close = self.dice.random() < CLOSE
        if is_close:
            after_s = self.dice.uniform(0, self.close_s)
            answer = await somebody.ask(**order, seen="committing", after_s=after_s)
        else:
            lead_s = self.dice.choice((1, 1, -0.1)) * 10 ** self.dice.uniform(-3, 0)
            after_s = max(0.001, pace_s + self.commit_s - lead_s)
            answer = await somebody.ask(**order, after_s=after_s)
        is_up = await self._settle(why)
        if is_up:
            await monitor.catch_up(self.machine.bus)
        else:
            await monitor.wait_lost()
        side = self._judge(monitor, answer, is_up=is_up)
        if side is None:
            return is_up
        if is_close:
            self.close_s *= 1.25 if side in WON else 0.6
        else:
            self.commit_s *= 1.15 if side in WON else 0.75
        if side in REFUSED:  # it would call again later; a configuration taken anew forgets that
            await call_manager(self.machine.bus, "Reload")
        return is_up

    async def _settle(self, why: str) -> bool:
        """Wait until it went down, or the inhibitor is seen; whether it is up."""
        async with asyncio.TaskGroup() as tasks:
            down = tasks.create_task(self.machine.ended())
            blocked = tasks.create_task(self._seen(why))
            await asyncio.wait((down, blocked), return_when=asyncio.FIRST_COMPLETED)
            if down.done():
                blocked.cancel()
                assert down.result() == REBOOTED
                return False
            down.cancel()
            return True

    async def _seen(self, why: str) -> None:
        try:
            await self.machine.until(lambda status: is_inhibited_by(status, why))
        except AssertionError:
            if self.machine.is_up:
                raise

    def _judge(self, monitor: BusMonitor, answer: Json | None, *, is_up: bool) -> Side | None:
        """Say who was first; None, a few times, if the bus ended before it told the monitor."""
        calls = monitor.calls("RebootWithFlags")
        granted = _granted(monitor)
        last = calls[-1] if calls else None
        assert len(calls) <= 1, calls
        if last is None and granted is None and not is_up and answer is None:
            self.unheard += 1
            assert self.unheard <= MOST_UNHEARD, "the bus tells the monitor too little"
            return None
        if granted is not None and (last is None or granted.order < last.order):
            assert is_up, f"rebooted {_gap(granted, last)} after an inhibitor was granted"
            side = Side.NO_CALL if last is None else Side.REFUSED
        else:
            assert last is not None, f"neither inhibited nor called: {answer}"
            side = Side.LUCKY if is_up else Side.LATE
        if last is not None:
            reply = monitor.answer(last)
            assert (reply is not None and reply.is_error) == is_up, reply
        self.ran[side] += 1
        if granted is not None and last is not None:
            self.margins_s.setdefault(side, []).append(last.at - granted.at)
        return side


def _granted(monitor: BusMonitor) -> Passed | None:
    for call in monitor.calls("Inhibit"):
        answer = monitor.answer(call)
        if answer is not None and answer.has_descriptor:
            return answer
    return None


def _gap(earlier: Passed, later: Passed | None) -> str:
    return "without any call" if later is None else f"{1000 * (later.at - earlier.at):.1f} ms"


async def call_manager(bus: Bus, member: str, *arguments: Any, signature: str = "") -> list[Any]:
    """Call the daemon as root."""
    manager = ("org.rebootmgr1", "/org/rebootmgr1", "org.rebootmgr1.Manager")
    return list(await bus.call(*manager, member, signature, arguments))


@pytest.mark.parametrize("user", ["root", "alice"])
async def test_an_inhibitor_that_was_granted_before_logind_heard_our_call_stops_the_reboot(
    machine: Machine, user: str, record_property: Any
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    race = Race(machine, user, random.Random(seed))  # noqa: S311 - not a secret
    machine.configure(MANY_REBOOTS)
    machine.hook("pre-reboot.d", "pace", 'exec sleep "$(cat /run/pace)"')
    allow(machine, "alice", BLOCK_SHUTDOWN)
    await machine.boot()
    await add_users(machine, "alice")
    try:
        await race.run(TRIES)
    finally:
        text = ", ".join(f"{side}: {race.ran[side]}" for side in Side)
        closest = {side: min(map(abs, gaps)) for side, gaps in race.margins_s.items()}
        near = ", ".join(f"{side}: {1000 * gap:.2f} ms" for side, gap in closest.items())
        heard = f"not heard of: {race.unheard}"
        record_property("race", f"seed {seed}; {text}; {heard}; closest: {near}")
    inhibited = race.ran[Side.NO_CALL] + race.ran[Side.REFUSED]
    assert inhibited >= 3, race.ran
    assert race.ran[Side.LATE] >= 3, race.ran


@pytest.mark.parametrize("user", ["root", "alice"])
async def test_a_block_inhibitor_is_shown_with_its_holder_and_reason_until_it_is_released(
    machine: Machine, user: str
) -> None:
    allow(machine, "alice", BLOCK_SHUTDOWN)
    await boot_with_alice(machine)
    async with Program(machine, "inhibitor", user=user) as somebody:
        await take(somebody, who="a backup", why="nightly, of the database")
        await machine.stage("42.2")
        status = await machine.until_blocked("inhibited")
        uid = 0 if user == "root" else 1000
        detail = status["blockers"][0]["detail"]
        assert detail.startswith("a backup (pid "), detail
        assert f"uid {uid}): nightly, of the database" in detail
        assert "nightly, of the database" in (await machine.ctl("why")).out
        assert machine.boots == 1
        await somebody.ask(do="release")
        await machine.until_rebooted()
    status = await machine.until_state("idle")
    assert status["booted"]["version"] == "42.2"


async def test_a_weak_block_inhibitor_counts_like_any_other(machine: Machine, suite: str) -> None:
    if suite == "bookworm":
        pytest.skip("systemd 252 knows none")
    await boot_with_alice(machine)
    async with Program(machine, "inhibitor") as somebody:
        await take(somebody, mode="block-weak")
        await machine.stage("42.2")
        await machine.until_blocked("inhibited")
        await somebody.ask(do="release")
        await machine.until_rebooted()


@pytest.mark.parametrize(("respect", "user"), [('"root"', "alice"), ("false", "root")])
async def test_an_inhibitor_that_does_not_count_is_overridden_once_polkit_lets_us(
    machine: Machine, respect: str, user: str
) -> None:
    machine.configure(f"[updates.inhibitors]\nrespect = {respect}\n")
    allow(machine, "alice", BLOCK_SHUTDOWN)
    await boot_with_alice(machine)
    async with Program(machine, "inhibitor", user=user) as somebody:
        await take(somebody)
        await machine.stage("42.2")
        status = await machine.until_blocked("inhibited")
        assert "reboot-ignore-inhibit" in status["blockers"][0]["detail"], status["blockers"]
        async with BusMonitor(machine.address) as monitor:  # a restart may cut off a question
            rules = machine.write("etc/polkit-1/rules.d/draft", OVERRIDE.read_text())
            rules.rename(rules.with_name(OVERRIDE.name))
            await monitor.until(lambda: bool(monitor.signals("Changed")))
        await machine.run("systemctl", "reload", "rebootmgr")
        await machine.until_rebooted()


async def test_only_roots_inhibitor_is_waited_for_where_that_is_configured_and_granted(
    machine: Machine,
) -> None:
    machine.configure('[updates.inhibitors]\nrespect = "root"\n')
    machine.write(f"etc/polkit-1/rules.d/{OVERRIDE.name}", OVERRIDE.read_text())
    allow(machine, "alice", BLOCK_SHUTDOWN)
    await boot_with_alice(machine)
    async with (
        Program(machine, "inhibitor", user="alice") as alice,
        Program(machine, "inhibitor") as root,
    ):
        await take(alice)
        await take(root)
        await machine.stage("42.2")
        status = await machine.until_blocked("inhibited")
        assert "uid 0" in status["blockers"][0]["detail"]
        assert ";" not in status["blockers"][0]["detail"], "alice does not count"
        await root.ask(do="release")
        await machine.until_rebooted()


async def test_a_delay_inhibitor_puts_the_reboot_off_until_it_is_released(
    machine: Machine,
) -> None:
    machine.write("etc/systemd/logind.conf.d/test.conf", "[Login]\nInhibitDelayMaxSec=1h\n")
    await boot_with_alice(machine)
    async with Program(machine, "inhibitor") as somebody, BusMonitor(machine.address) as monitor:
        await take(somebody, mode="delay")
        await machine.stage("42.2")
        await monitor.until(lambda: bool(monitor.signals("PrepareForShutdown")))
        status = await machine.until_state("rebooting")
        assert status["pending"]
        assert machine.is_up
        await somebody.ask(do="release")
        await machine.until_rebooted()


async def test_a_delay_inhibitor_that_is_never_released_is_waited_for_as_long_as_logind_says(
    machine: Machine,
) -> None:
    machine.write("etc/systemd/logind.conf.d/test.conf", "[Login]\nInhibitDelayMaxSec=3s\n")
    await boot_with_alice(machine)
    async with Program(machine, "inhibitor") as somebody, BusMonitor(machine.address) as monitor:
        await take(somebody, mode="delay")
        await machine.stage("42.2")
        assert await machine.wait_down() == REBOOTED
        await monitor.wait_lost()
        [call] = monitor.calls("RebootWithFlags")
        assert time.monotonic() - call.at >= 3


async def test_a_reason_that_speaks_to_systemd_is_heard_by_nobody(machine: Machine) -> None:
    allow(machine, "alice", BLOCK_SHUTDOWN)
    await boot_with_alice(machine)
    pid = await machine.property_of("rebootmgr.service", "MainPID")
    async with Program(machine, "inhibitor", user="alice") as somebody:
        evil = "busy\nWATCHDOG=trigger\nSTATUS=all is well\nSTOPPING=1\n\x1b[2Jwiped"
        await take(somebody, who="READY=1\nMAINPID=1", why=evil)
        await machine.stage("42.2")
        status = await machine.until_blocked("inhibited")
        detail = status["blockers"][0]["detail"]
        assert detail.isprintable(), detail
        assert "WATCHDOG=trigger" in detail
        ran = await machine.ctl("why")
        assert ran.status == 0
        assert "\x1b" not in ran.out
        assert not [line for line in ran.out.splitlines() if line.startswith("WATCHDOG")]
        text = await machine.property_of("rebootmgr.service", "StatusText")
        assert "42.2" in text, text
        assert len(text.splitlines()) == 1
        motd = machine.inside("run/motd.d/85-rebootmgr.motd").read_text()
        assert "\x1b" not in motd
        for name, value in (("NRestarts", "0"), ("MainPID", pid), ("ActiveState", "active")):
            assert await machine.property_of("rebootmgr.service", name) == value
        await somebody.ask(do="release")
        await machine.until_rebooted()


async def boot_with_alice(machine: Machine) -> None:
    """Boot, and wait until it has nothing to do."""
    await machine.boot()
    await add_users(machine, "alice")
    await machine.until_state("idle")


async def take(
    somebody: Program, *, who: str = "somebody", why: str = "a reason", mode: str = "block"
) -> None:
    """Take an inhibitor for shutdown, which has to succeed."""
    answer = await somebody.ask(do="take", who=who, why=why, mode=mode)
    assert answer is not None
    assert answer["held"], answer
