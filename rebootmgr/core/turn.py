"""One turn of the machine: a draft of the next state and of what has to be done.

Mutable, but never older than one call of `step` and never seen outside the core.
"""

from dataclasses import replace
from typing import Final, NamedTuple

from rebootmgr.core import backlog, deadlines, slots
from rebootmgr.core.backoff import NO_WISH, Wish, jitter, next_retry
from rebootmgr.core.clock import latest_seen
from rebootmgr.core.effects import Effect, ReadFacts, RunHooks, SaveMemory, StopHooks
from rebootmgr.core.facts import Deployments, Look
from rebootmgr.core.gates import local_blockers
from rebootmgr.core.memory import Memory
from rebootmgr.core.model import Blocker, Deployment, Moment, Phase, Reason, Slot, Ticket
from rebootmgr.core.policy import Policy
from rebootmgr.core.states import (
    Asking,
    Attempt,
    Cause,
    Checking,
    Committing,
    Entry,
    Idle,
    Known,
    Looking,
    PostBoot,
    Preparing,
    Queued,
    Rebooting,
    Setback,
    Starting,
    State,
    Undoing,
    Waiting,
)

CONFIRMED: Final = 20
"""So many slots are remembered as confirmed: nobody changes the server that often in one boot."""


class Step(NamedTuple):
    """What follows from one event: the state we are in now, and what is to be done, in order."""

    state: State
    effects: tuple[Effect, ...] = ()


class Turn:
    """The draft. `heard` is what this step heard of from the newest look, answered by it.

    `fresh`: that look was a complete one, and nothing changed since.
    """

    def __init__(self, state: State, at: Moment, policy: Policy) -> None:
        self.before = state
        self.state = state
        self.at = at
        self.policy = policy
        self.effects: list[Effect] = []
        self.heard = Look.NOWHERE
        self.fresh = False
        self._judged: tuple[State, tuple[Blocker, ...]] | None = None

    @property
    def attempt(self) -> Attempt:
        """Where the attempt is, as drafted so far."""
        return self.state.attempt

    @property
    def known(self) -> Known:
        """What is known of the host, as drafted so far."""
        return self.state.known

    @property
    def target(self) -> Deployment | None:
        """What a reboot would boot into."""
        return self.state.target

    def blockers(self) -> tuple[Blocker, ...]:
        """The local gates that are closed now."""
        if self._judged is None or self._judged[0] is not self.state:
            self._judged = self.state, local_blockers(self.state, self.policy, self.at)
        return self._judged[1]

    def has_hooks(self, phase: Phase) -> bool:
        """Whether somebody put hooks there."""
        return phase in self.state.known.hooks

    def ticket(self) -> Ticket:
        """A number that no question has had."""
        self.state = replace(self.state, tickets=self.state.tickets + 1)
        return Ticket(self.state.tickets)

    def become(self, attempt: Attempt) -> None:
        """Go on as `attempt`."""
        if attempt != self.state.attempt:
            self.state = replace(self.state, attempt=attempt)

    def remember(self, memory: Memory) -> None:
        """Let this survive; it is saved before anything else that this step does."""
        self.state = replace(self.state, memory=memory)

    def set_ledger(self, ledger: tuple[Entry, ...]) -> None:
        """The slots are like this now."""
        if ledger != self.state.ledger:
            self.state = replace(self.state, ledger=ledger)

    def ask_fleet(self, target: Deployment) -> None:
        """Ask for the slot as soon as no earlier request for it is unfinished."""
        if self.policy.slot is None:
            return
        ledger, question = slots.ask(self.state.ledger, self.policy.slot, self.ticket)
        if question is not None:
            self.set_ledger(ledger)
            self._note_confirmed(self.policy.slot)
            self.effects.append(question)
            if self.state.queued_since is None:
                self.state = replace(self.state, queued_since=self.at.mono)
            self.become(Asking(target, question.ticket))

    def run_hooks(self, phase: Phase, target: Deployment | None) -> Ticket:
        """Start the hooks of a phase."""
        ticket = self.ticket()
        is_check = phase is Phase.CHECK
        waived = deadlines.waived_checks(self.state, self.policy, self.at) if is_check else ()
        self.effects.append(RunHooks(ticket, phase, target, waived))
        return ticket

    def look(self, look: Look) -> None:
        """Read afresh; an answer that is still under way no longer counts."""
        ticket = self.ticket()
        self.effects.append(ReadFacts(ticket, look))
        self.heard, self.fresh = Look.NOWHERE, False
        self.state = replace(self.state, looking=Looking(ticket, look), look_next=Look.NOWHERE)

    def look_afresh(self, look: Look) -> None:
        """Look there now: what a look that is under way finds is of a time before."""
        under_way = Look.NOWHERE if self.state.looking is None else self.state.looking.look
        self.look(Look(look | under_way | self.state.look_next))

    def set_back(
        self, cause: Cause, reason: Reason, detail: str, wish: Wish = NO_WISH, *, hook: str = ""
    ) -> None:
        """Note that a try failed; the next one waits longer, and as long as the server wishes."""
        last = self.state.setback(cause)
        patience, seed = self.policy.patience, self.policy.seed
        previous = None if last is None else last.retry
        retry = next_retry(previous, self.at.mono, patience, seed=seed, wish=wish)
        self.put_off(Setback(cause, Blocker(reason, detail), retry, hook=hook))

    def put_off(self, setback: Setback) -> None:
        """Let nothing begin before the next try at this cause is due."""
        self.succeed(setback.cause)
        heard = replace(setback, heard=self.at.mono)
        self.state = replace(self.state, setbacks=(*self.state.setbacks, heard))

    def succeed(self, cause: Cause) -> None:
        """Forget what failed before: this time it did not."""
        left = tuple(one for one in self.state.setbacks if one.cause is not cause)
        if left != self.state.setbacks:
            self.state = replace(self.state, setbacks=left)

    def try_anew(self) -> None:
        """Forget every setback, because somebody wants it tried now."""
        self.state = replace(self.state, setbacks=())

    def rest(self, *, queued: bool = False) -> None:
        """No attempt is under way."""
        if (target := self.target) is not None:
            self.become(Queued(target) if queued else Waiting(target))
        else:
            self.state = replace(self.state, attempt=Idle(), passed_checks_at=None)

    def abandon(self, *, queued: bool = False) -> None:
        """Call the attempt off, and undo what pre-reboot.d did before the slot may go back."""
        if isinstance(self.attempt, Checking | Preparing):
            self.effects.append(StopHooks(self.attempt.ticket))
        if self.state.memory.intent is not None:
            self.remember(replace(self.state.memory, intent=None))
        if not self.state.memory.drained:
            self.rest(queued=queued)
        elif self.state.stopping:
            self.rest()  # the next start finds the mark, undoes, and gives the slot back then
        else:
            self.undo()

    def undo(self) -> None:
        """Run the abandoned phase."""
        self.become(Undoing(self.run_hooks(Phase.ABANDONED, None)))

    def end(self) -> Step:
        """Bring the ledger, the looks and the memory in line, and close the draft."""
        self._settle_slots()
        self._look_if_needed()
        self.note_backlog()
        self._save_if_changed()
        return Step(self.state, tuple(self.effects))

    def _settle_slots(self) -> None:
        claim = self._claim()
        ledger, effects = slots.align(self.state.ledger, claim, self.at.mono)
        self.effects.extend(effects)
        if self.known.is_hushed:
            ledger, effects = slots.hush(ledger)
            self.effects.extend(effects)
            self._note_confirmed()
        elif self._may_tell_servers():
            ledger = self._confirm(ledger, claim)
            wanted = self.policy.slot if isinstance(self.attempt, Asking) else None
            ledger, effects = slots.give_back(ledger, self.at.mono, self.ticket, wanted=wanted)
            self.effects.extend(effects)
        self.set_ledger(ledger)
        if claim.slot is None and self.state.queued_since is not None:  # our place is lost
            self.state = replace(self.state, queued_since=None)

    def _may_tell_servers(self) -> bool:
        """Whether releases may be sent; not while the machine goes down (SPEC 6).

        Nor before a look that is still to come has told whether another agent is there, but whoever
        has to end does not wait for that.
        """
        if not self.state.readable or self.policy.dry_run or isinstance(self.attempt, Rebooting):
            return False
        under_way = Look.NOWHERE if self.state.looking is None else self.state.looking.look
        changed = self.state.look_next | under_way
        return Look.OS not in changed or self.state.stopping

    def _confirm(self, ledger: tuple[Entry, ...], claim: slots.Claim) -> tuple[Entry, ...]:
        """Have each slot of this boot confirmed free once, if it is not asked for (SPEC 6)."""
        slot, memory = self.policy.slot, self.state.memory
        if slot is None or slot in memory.confirmed or claim.freeze:
            return ledger
        if memory.settled != self.known.boot or isinstance(self.attempt, Asking):
            return ledger
        confirmed = slots.confirm(ledger, slot, self.at.mono + self._spread())
        if confirmed is None:
            return ledger
        self._note_confirmed(slot)
        return confirmed

    def _spread(self) -> float:
        """How long to wait (s) before a slot is confirmed free that was changed within a boot.

        One configuration changes it on a thousand hosts in one second. Boots come spread already,
        and what another agent left is somebody else's until it is given back.
        """
        booted = self.before.memory.settled != self.known.boot
        if booted or self.before.known.is_hushed:
            return 0.0
        return jitter(self.policy.seed, self.at.mono) * self.policy.patience.confirm_s

    def _note_confirmed(self, slot: Slot | None = None) -> None:
        """Remember that the ledger knows of this slot now; None: that it knows of no slot."""
        before = self.state.memory.confirmed
        others = tuple(one for one in before if one != slot)[1 - CONFIRMED :]
        confirmed = () if slot is None else tuple(sorted((*others, slot)))
        if confirmed != before:
            self.remember(replace(self.state.memory, confirmed=confirmed))

    def _claim(self) -> slots.Claim:
        if not self.state.readable or self.policy.dry_run:
            return slots.Claim(freeze=True)
        if self.state.stopping and self.state.memory.drained:
            return slots.Claim(freeze=True)
        match self.attempt:
            case Starting() | PostBoot() | Rebooting() | Undoing():
                return slots.Claim(freeze=True)
            case Asking() | Preparing() | Committing():
                return slots.Claim(slot=self.policy.slot)
            case Queued() | Checking(place=Queued()):
                return slots.Claim(slot=self.policy.slot)
            case Idle() | Waiting() | Checking():
                return slots.Claim()

    def _look_if_needed(self) -> None:
        if self.state.looking is not None or not self.state.look_next:
            return
        wanted = Look(self.state.look_next)
        if Look.OS in wanted:
            wanted = Look((wanted | Look.HOST) & ~Look.SYSROOT)
        elif isinstance(self.attempt, Idle):  # these matter only once something pends
            wanted = Look(wanted & ~(Look.LOGIND | Look.SYSROOT))
        if wanted:
            self.look(wanted)
        else:
            self.state = replace(self.state, look_next=Look.NOWHERE)

    def note_backlog(self) -> None:
        """Once the boot is judged, so that what was booted is none; what is pending, at once."""
        if not isinstance(self.known.os, Deployments) or self.known.os_unknown:
            return
        if self.target is None and isinstance(self.attempt, Starting | PostBoot | Rebooting):
            return
        memory = self.state.memory
        noted = backlog.see(memory.backlog, self.target, self.known, self.at)
        if noted != memory.backlog:
            self.remember(replace(memory, backlog=noted))

    def _save_if_changed(self) -> None:
        memory, debts = self.state.memory, slots.debts(self.state.ledger)
        if debts != memory.debts:
            memory = replace(memory, debts=debts)
        again = self.state.save_again
        due = again is not None and again.is_due(self.at.mono)
        if not self.state.readable or not (due or memory != self.before.memory):
            return
        memory = replace(memory, last_seen=latest_seen(self.state, self.at))
        self.state = replace(self.state, memory=memory, save_again=None)
        self.effects.insert(0, SaveMemory(self.state.memory))
