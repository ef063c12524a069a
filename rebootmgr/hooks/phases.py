"""The administrator's hooks, as the daemon has them run (SPEC 8)."""

import asyncio
import logging
from pathlib import Path
from typing import Final

from rebootmgr.core.events import HooksAnswer, HooksFailed, HooksPassed, HooksUnclear
from rebootmgr.core.model import Deployment, Phase, Ticket
from rebootmgr.errors import RebootmgrError
from rebootmgr.hooks.files import DIRECTORIES, Hook, Skipped, find_hooks
from rebootmgr.hooks.launch import HookRunner
from rebootmgr.hooks.lines import Lines
from rebootmgr.hooks.words import (
    End,
    Order,
    Ran,
    Unusable,
    decode_answer,
    encode_order,
    encode_word,
)
from rebootmgr.text import harmless

log = logging.getLogger(__name__)

NO_END: Final = "the hook runner ended before its time: journalctl -t rebootmgr-hook says why"
# Beyond the time of a hook: the runner's start, its turn, TERM and KILL, on a host that has better
# things to do.
PATIENCE_S: Final = 75.0


class HookPhases:
    """The hooks under `root`; `runner` leads to who runs them, `timeout_s` each of them may take.

    It is that of the configuration in force: a new one that was refused decides nothing.
    """

    def __init__(self, root: Path, runner: HookRunner, *, timeout_s: int) -> None:
        self.timeout_s = timeout_s
        self._root = root
        self._runner = runner
        self._told: frozenset[Skipped] = frozenset()

    def phases(self) -> frozenset[Phase]:
        """Name the phases that have any hook, or that cannot be looked at."""
        return frozenset(phase for phase in Phase if self._find(phase))

    async def run(
        self,
        ticket: Ticket,
        phase: Phase,
        target: Deployment | None,
        booted: Deployment | None,
        *,
        waived: tuple[str, ...] = (),
    ) -> HooksAnswer:
        """Run one phase. Without hooks nothing is started. Cancelled: its hooks are ended."""
        if not self._find(phase):
            return HooksPassed(ticket)
        order = Order(
            phase=phase,
            timeout_s=self.timeout_s,
            deployment=encode_word(target.id) if target else "",
            version=encode_word(target.version) if target else "",
            booted=encode_word(booted.id) if booted else "",
            waived=waived,
        )
        match await self._ask(order):
            case str(why):
                return HooksUnclear(ticket, harmless(f"{DIRECTORIES[phase]}: {why}"))
            case Ran(hook, _, why):
                return HooksFailed(ticket, hook, why)
            case None:
                return HooksPassed(ticket)

    async def _ask(self, order: Order) -> Ran | str | None:
        """Have a phase run; the first hook that failed, or why nobody knows; None: all passed."""
        try:
            async with self._runner.connect() as connection:
                line = encode_order(order)
                await asyncio.get_running_loop().sock_sendall(connection, line)
                return await _hear(Lines(connection), patience_s=order.timeout_s + PATIENCE_S)
        except RebootmgrError as error:
            return str(error)
        except TimeoutError:
            return "the hook runner did not answer in time: journalctl -t rebootmgr-hook"
        except OSError:  # systemd takes no more connections, or the runner was killed
            return NO_END

    def _find(self, phase: Phase) -> list[Hook]:
        found = find_hooks(self._root, phase)
        skipped = frozenset(entry for entry in found if isinstance(entry, Skipped))
        for entry in skipped - self._told:
            log.warning("%s is not run: %s", harmless(entry.name), entry.why)
        self._told |= skipped
        return [entry for entry in found if not isinstance(entry, Skipped)]


async def _hear(lines: Lines, *, patience_s: float) -> Ran | str | None:
    """Hear of each hook, for none longer than `patience_s`."""
    first: Ran | None = None
    while True:
        async with asyncio.timeout(patience_s):
            line = await lines.read()
        match NO_END if line is None else decode_answer(line):
            case str(why):
                return why
            case Unusable(why):
                return f"the hook runner's answer {why}"
            case End():
                return first
            case Ran(status=0):
                pass
            case Ran() as failed:
                first = first or failed
