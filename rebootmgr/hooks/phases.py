"""The administrator's hooks, as the daemon has them run (SPEC 8)."""

import logging
import os
from pathlib import Path
from typing import Final, Protocol

from rebootmgr.bus.connection import Bus
from rebootmgr.core.events import HooksAnswer, HooksFailed, HooksPassed, HooksUnclear
from rebootmgr.core.model import Deployment, Phase, Ticket
from rebootmgr.hooks.exchange import read_result, write_order
from rebootmgr.hooks.files import (
    DIRECTORIES,
    Hook,
    Skipped,
    UnknownHooks,
    find_hooks,
    read_hook_timeout,
)
from rebootmgr.hooks.runner_child import HookChild
from rebootmgr.hooks.runner_unit import HookUnits
from rebootmgr.hooks.words import NEED_ORDER, Order, Result, Unusable, encode_word
from rebootmgr.text import harmless

log = logging.getLogger(__name__)

NO_RESULT: Final = "the hook runner ended without a result; its log says why"
ENDING_S: Final = 15.0  # TERM, KILL and the last words of one hook
RUNNER_S: Final = 60.0  # the runner's own start and end on a host that has better things to do
MANY: Final = 100  # hooks in a directory that only root may look into


class PhaseRunner(Protocol):
    """Whatever runs the hook runner."""

    async def run(self, phase: Phase, *, within_s: float) -> str:
        """Run a phase to its end; "" or why that could not be done. Cancelled: end it."""
        ...


def choose_hook_runner(root: Path, bus: Bus) -> PhaseRunner:
    """Choose how hooks are run: on a real host as root, by their units."""
    return HookUnits(bus) if root.samefile("/") else HookChild(root)


class Hooks:
    """The hooks under `root`; `runner` runs them."""

    def __init__(self, root: Path, runner: PhaseRunner) -> None:
        self._root = root
        self._runner = runner
        self._told: frozenset[Skipped] = frozenset()

    def phases(self) -> frozenset[Phase]:
        """Name the phases that have any hook, or that cannot be looked at."""
        return frozenset(phase for phase in Phase if self._find(phase))

    async def run(
        self, ticket: Ticket, phase: Phase, target: Deployment | None, booted: Deployment | None
    ) -> HooksAnswer:
        """Run one phase. Without hooks nothing is started."""
        hooks = self._find(phase)
        if not hooks:
            return HooksPassed(ticket)
        order = Order(
            request=os.urandom(16).hex(),
            deployment=encode_word(target.id) if target else "",
            version=encode_word(target.version) if target else "",
            booted=encode_word(booted.id) if booted else "",
        )
        why = self._tell(order)
        if not (why and phase in NEED_ORDER):
            why = await self._runner.run(phase, within_s=self._patience_s(hooks)) or why
        if why:
            return HooksUnclear(ticket, harmless(f"{DIRECTORIES[phase]}: {why}"))
        return _judge(ticket, phase, read_result(self._root, phase), order)

    def _tell(self, order: Order) -> str:
        """Write the order; "" or why it cannot be written."""
        try:
            write_order(self._root, order)
        except OSError as error:
            return f"hooks cannot be told which deployment this is about: {error}"
        return ""

    def _patience_s(self, hooks: list[Hook]) -> float:
        """Tell how long a phase may take: never less than what its hooks may, together."""
        count = sum(MANY if isinstance(hook, UnknownHooks) else 1 for hook in hooks)
        return RUNNER_S + count * (read_hook_timeout(self._root) + ENDING_S)

    def _find(self, phase: Phase) -> list[Hook]:
        found = find_hooks(self._root, phase)
        skipped = frozenset(entry for entry in found if isinstance(entry, Skipped))
        for entry in skipped - self._told:
            log.warning("%s is not run: %s", harmless(entry.name), entry.why)
        self._told |= skipped
        return [entry for entry in found if not isinstance(entry, Skipped)]


def _judge(ticket: Ticket, phase: Phase, result: Result | Unusable, order: Order) -> HooksAnswer:
    match result:
        case Unusable(why):
            return HooksUnclear(ticket, harmless(f"{DIRECTORIES[phase]}: {NO_RESULT} ({why})"))
        case Result(request=request) if request != order.request:  # left by another run
            return HooksUnclear(ticket, f"{DIRECTORIES[phase]}: {NO_RESULT}")
        case Result(status=0):
            return HooksPassed(ticket)
        case Result(hook=hook, last_line=line):
            return HooksFailed(ticket, hook or DIRECTORIES[phase], line)
