"""What the core wants done, done: each effect in order, each question answered exactly once."""

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from rebootmgr.aside import Aside
from rebootmgr.core.effects import (
    Acquire,
    CancelRequest,
    Effect,
    ReadFacts,
    Reboot,
    Release,
    RunHooks,
    SaveMemory,
    StopHooks,
    TellOutcome,
    Warn,
    answer_off_record,
)
from rebootmgr.core.events import (
    Event,
    FactsRead,
    HooksFailed,
    LockGranted,
    LockUnclear,
    RebootAccepted,
    RebootRefused,
    RebootUnclear,
    ReleaseUnclear,
    Saved,
    SaveFailed,
    SlotReleased,
)
from rebootmgr.core.memory import Memory
from rebootmgr.core.model import Deployment, Slot, Ticket
from rebootmgr.daemon.look import Eyes
from rebootmgr.daemon.outcome_reports import OutcomeReports
from rebootmgr.fleetlock.client import LockClient
from rebootmgr.fleetlock.labels_words import Labels
from rebootmgr.fleetlock.words import Server, Told
from rebootmgr.hooks.phases import HookPhases
from rebootmgr.logind.terminals import write_warning
from rebootmgr.logind.words import encode_announcement, encode_warning
from rebootmgr.text import harmless

log = logging.getLogger(__name__)

UNKNOWN_SERVER_TIMEOUT_S = 120.0


class Store(Protocol):
    """Whatever makes memory survive."""

    def write(self, memory: Memory) -> None:
        """Write it; OSError when that cannot be promised."""


class Rebooter(Protocol):
    """Whatever can reboot the machine."""

    async def reboot(
        self, message: str, *, overrides: bool
    ) -> RebootAccepted | RebootRefused | RebootUnclear:
        """Ask for the reboot; `overrides`: whatever inhibitors are held."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What the hands work with; `dev` is where terminals are."""

    eyes: Eyes
    store: Store
    hooks: HookPhases
    fleet: LockClient
    rebooter: Rebooter
    dev: Path


class Hands:
    """Obeys effects; `report` takes what came of them."""

    def __init__(
        self, tools: Tools, tasks: asyncio.TaskGroup, report: Callable[[Event], None]
    ) -> None:
        self.servers: Mapping[Slot, Server] = {}
        self.labels: Labels = ()
        self.booted: Deployment | None = None
        self.target: Deployment | None = None
        self._tools = tools
        self._tasks = tasks
        self._report = report
        self._reports = OutcomeReports(tools.fleet, tasks)
        self._orders: asyncio.Queue[tuple[Effect, ...]] = asyncio.Queue()
        self._jobs: dict[Ticket, asyncio.Task[Event]] = {}
        self._one_hook_at_a_time = asyncio.Lock()
        self._disk = Aside("state.json")
        self._terminals = Aside("terminals", at_once=16, hanging=64)

    def obey(self, effects: tuple[Effect, ...]) -> None:
        """Do these after everything that was ordered before."""
        if effects:
            self._orders.put_nowait(effects)

    async def work(self) -> None:
        """Carry out orders until cancelled."""
        while True:
            await self._carry_out(await self._orders.get())
            self._orders.task_done()

    async def finish(self) -> None:
        """Wait until everything that was ordered is done or under way."""
        await self._orders.join()

    async def _carry_out(self, effects: tuple[Effect, ...]) -> None:
        on_record = True
        for effect in effects:
            match effect:
                case SaveMemory(memory):
                    on_record = await self._save(memory)
                case _ if not on_record and (answer := answer_off_record(effect)) is not None:
                    self._report(answer)
                case Acquire(ticket, slot):
                    server, told = self._server(slot), self._told()
                    asking = self._tools.fleet.acquire(ticket, slot, server, told)
                    why = "the question was taken back"
                    self._ask(ticket, asking, LockUnclear(ticket, slot, why, answered=False))
                case Release(ticket, slot):
                    asked = self._release(ticket, slot, self._server(slot), self._told())
                    self._ask(ticket, asked, ReleaseUnclear(ticket, slot, "the request was ended"))
                case RunHooks(ticket):
                    stopped = HooksFailed(ticket, "", "stopped: the reboot is off")
                    self._ask(ticket, self._run_hooks(effect), stopped)
                case StopHooks(ticket) | CancelRequest(ticket):
                    if (job := self._jobs.get(ticket)) is not None:
                        job.cancel()
                case ReadFacts():
                    self._tasks.create_task(self._read(effect))
                case Reboot():
                    self._tasks.create_task(self._reboot(effect))
                case Warn():
                    self._tasks.create_task(self._warn(effect))
                case TellOutcome(slot, reboot):
                    server, booted = self._server(slot), _named(self.booted)
                    self._reports.begin(slot, server, reboot, booted=booted)

    async def _save(self, memory: Memory) -> bool:
        try:
            await self._disk.run("state.json", lambda: self._tools.store.write(memory))
        except OSError as error:
            detail = harmless(f"state.json cannot be written: {error.strerror or error}")
            self._report(SaveFailed(detail))
            return False
        self._report(Saved())
        return True

    def _server(self, slot: Slot) -> Server:
        """How to reach the server; one from before the last change of policy has no secrets."""
        known = self.servers.get(slot)
        return known or Server(base_url=slot.server, timeout_s=UNKNOWN_SERVER_TIMEOUT_S)

    def _told(self) -> Told:
        """What a lock server may know of us; where nothing is pending, no target."""
        booted, target = self.booted, self.target
        is_pending = booted is not None and target is not None and target.id != booted.id
        return Told(
            host=os.uname().nodename,
            labels=self.labels,
            booted=_named(booted),
            target=_named(target) if is_pending else "",
        )

    async def _release(self, ticket: Ticket, slot: Slot, server: Server, told: Told) -> Event:
        await self._reports.wait_tried(slot)
        return await self._tools.fleet.release(ticket, slot, server, told)

    def _ask(self, ticket: Ticket, work: Coroutine[None, None, Event], if_ended: Event) -> None:
        job = self._tasks.create_task(work)
        self._jobs[ticket] = job
        job.add_done_callback(lambda done: self._answer(ticket, done, if_ended))

    def _answer(self, ticket: Ticket, job: asyncio.Task[Event], if_ended: Event) -> None:
        del self._jobs[ticket]
        if job.cancelled():
            self._report(if_ended)
        elif job.exception() is None:
            _log_slot(job.result())
            self._report(job.result())

    async def _read(self, effect: ReadFacts) -> None:
        log.debug("looking at %s", effect.look)
        self._report(FactsRead(effect.ticket, await self._tools.eyes.look(effect.look)))

    async def _run_hooks(self, effect: RunHooks) -> Event:
        async with self._one_hook_at_a_time:
            return await self._tools.hooks.run(
                *(effect.ticket, effect.phase, effect.target, self.booted), waived=effect.waived
            )

    async def _reboot(self, effect: Reboot) -> None:
        message = f"rebootmgr: rebooting into {effect.target.version}"
        self._report(await self._tools.rebooter.reboot(message, overrides=effect.overrides))

    async def _warn(self, effect: Warn) -> None:
        version, in_s, now = effect.target.version, effect.in_s, datetime.now(UTC)
        if effect.waives:
            text = encode_announcement(version, in_s=in_s, waives=effect.waives, at=now)
        else:
            text = encode_warning(version, in_s=in_s, at=now)
        unwarned = await write_warning(
            effect.sessions, text, dev=self._tools.dev, aside=self._terminals
        )
        told = [session.user for session in effect.sessions if session.id not in unwarned]
        if told:
            names = ", ".join(told)
            what = "a deadline" if effect.waives else "the reboot"
            log.info("told %s that %s is at most %.0f s away", names, what, effect.in_s)
        if unwarned:
            log.warning("could not be warned on a terminal: sessions %s", ", ".join(unwarned))


def _named(deployment: Deployment | None) -> str:
    return "" if deployment is None else deployment.version or deployment.id


def _log_slot(answer: Event) -> None:
    """Say when a slot came or went; what stands between is told as the reason to wait."""
    match answer:
        case LockGranted(_, slot):
            log.info("%s granted a slot of group %s", slot.server, slot.group)
        case SlotReleased(_, slot):
            log.info("%s confirmed that no slot of group %s is ours", slot.server, slot.group)
        case _:
            pass
