"""The daemon's start on a state.json, whole but for the bus: loop, core, herald, disk, and screens.

The real runner takes the events and the real herald tells; what is saved is written and read again.
Neighbours are one answer each. It ends where nothing more is asked.
"""

import asyncio
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC
from pathlib import Path
from typing import Final

from rebootmgr.cli.operator_verbs import render_history
from rebootmgr.cli.page import Page
from rebootmgr.cli.render import render_status, render_why
from rebootmgr.control.described import decode_status
from rebootmgr.control.words import encode_status
from rebootmgr.core.alarm import Deadline
from rebootmgr.core.effects import (
    Acquire,
    Effect,
    ReadFacts,
    Reboot,
    Release,
    RunHooks,
    SaveMemory,
)
from rebootmgr.core.events import (
    Event,
    FactsRead,
    HooksPassed,
    LockRefused,
    RebootAccepted,
    Saved,
    SlotReleased,
)
from rebootmgr.core.memory import Memory, Unreadable
from rebootmgr.core.model import Moment
from rebootmgr.core.policy import Policy
from rebootmgr.core.states import Idle, State
from rebootmgr.daemon.herald import Herald
from rebootmgr.daemon.loop import Runner
from rebootmgr.show.metrics import encode_metrics
from rebootmgr.show.metrics_socket import OwnProcess
from rebootmgr.show.motd import encode_motd
from rebootmgr.state.store import Files, StateStore
from rebootmgr.state.words import decode_state, encode_state
from rebootmgr.systemd.journal import LineHandler
from tests.core.script import EPOCH, FIRST_BOOT, NEW, UP_S, Script

MOST_ANSWERS: Final = 500


class Hasty(Files):
    """Writes without waiting for the disk."""

    def fsync(self, fd: int) -> None:
        """Leave it to the kernel."""

    def fsync_dir(self, path: Path) -> None:
        """Leave it to the kernel."""


@dataclass(frozen=True, slots=True)
class Still:
    """A clock that stands."""

    def read(self) -> Moment:
        return Moment(wall=EPOCH, mono=UP_S)


@dataclass(frozen=True, slots=True)
class Started:
    """Where it came to, and all that it then says, as JSON, as a scrape and as screens."""

    state: State
    told: dict[str, object]
    scraped: str
    screens: str


class Neighbours:
    """Obeys as the daemon's hands do, each question answered at once and in order."""

    def __init__(self, store: StateStore, runner: Runner, host: Script) -> None:
        self._store = store
        self._runner = runner
        self._host = host
        self.answers = 0
        self.saves = 0

    def follow(self, before: State, after: State, effects: tuple[Effect, ...]) -> None:
        del before, after
        for effect in effects:
            for event in self._obey(effect):
                self.answers += 1
                assert self.answers < MOST_ANSWERS, "it never comes to rest"
                self._runner.tell(event)

    def wake_at(self, due: Deadline) -> None:
        del due  # no time passes

    def _obey(self, effect: Effect) -> Iterator[Event]:
        match effect:
            case SaveMemory(memory):
                self._store.write(memory)
                self.saves += 1
                yield Saved()
            case ReadFacts(ticket):
                yield FactsRead(ticket, self._host.facts)
            case Acquire(ticket, slot):
                yield LockRefused(ticket, slot, "busy")
            case Release(ticket, slot):
                yield SlotReleased(ticket, slot)
            case RunHooks(ticket):
                yield HooksPassed(ticket)
            case Reboot():
                yield RebootAccepted()
            case _:
                pass


async def start(store: StateStore, policy: Policy) -> Started:
    """Start on what `store` holds, look, decide and save until it rests, and say it all."""
    memory = store.read(at=EPOCH)
    intent = memory.intent if isinstance(memory, Memory) else None
    host = Script(staged=NEW, boot=FIRST_BOOT if intent is None else intent.boot)
    runner, herald = Runner(memory, policy, Still()), Herald()
    neighbours = Neighbours(store, runner, host)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(runner.run(neighbours))
        await asyncio.wait((running,), timeout=0)  # it begins
        await runner.caught_up()
        running.cancel()
    status = herald.status(runner.state, runner.policy, Still().read())
    herald.say(status)
    told = json.loads(json.dumps(encode_status(status)))
    record = decode_status(json.dumps(told))
    page = Page(now=EPOCH, zone=UTC, width=100, color=False)
    screens = (
        render_status(record, page),
        render_why(record, page, everything=True),
        *render_history(record.parts("history"), page),
        encode_motd(status, UTC),
    )
    again = store.read(at=EPOCH)
    if isinstance(memory, Unreadable):
        assert isinstance(again, Unreadable), "what is left alone is left alone"
        assert neighbours.saves == 0
    else:
        assert isinstance(again, Memory)
        if neighbours.saves:
            _compare(again, decode_state(encode_state(runner.state.memory)))
        assert not isinstance(runner.state.attempt, Idle) or runner.state.target is None
    scraped = encode_metrics(status, herald.counters, OwnProcess().read()).decode()
    return Started(runner.state, told, scraped, "\n".join(screens))


def _compare(found: Memory, written: object) -> None:
    """What is on disk is what it goes by; of twins in the history, one may be told as the other."""
    assert isinstance(written, Memory)
    assert replace(found, reboots=()) == replace(written, reboots=())
    assert [one.at for one in found.reboots] == [one.at for one in written.reboots]


@contextmanager
def logged_to(file: Path) -> Iterator[None]:
    """Have what is logged written there, as lines, and shown to nobody else."""
    log = logging.getLogger("rebootmgr")
    with file.open("wb", buffering=0) as stream:
        handler = LineHandler(stream.fileno(), prefixed=True)
        log.addHandler(handler)
        log.propagate = False
        try:
            yield
        finally:
            log.removeHandler(handler)
            log.propagate = True
