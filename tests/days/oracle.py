"""What must hold on a host, judged by the truth about it and never by the core's own rules.

`Oracle` knows the machine as it is, the configuration as it was written, what people were promised
and what the disk says. SPEC 13 is asserted in every step, SPEC 4 to 9 at each call of logind.
"""

import math
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from rebootmgr.core.alarm import Deadline, deadline
from rebootmgr.core.clock import BUILT
from rebootmgr.core.describe import blockers, describe
from rebootmgr.core.effects import Effect, Reboot, RunHooks, Warn
from rebootmgr.core.facts import Finalization
from rebootmgr.core.memory import Intent, Memory
from rebootmgr.core.model import Deployment, Outcome, Phase, UpdateKey
from rebootmgr.core.states import Idle, Rebooting, State
from rebootmgr.core.status import Verdict
from tests.days.ageing import Ageing
from tests.days.machine import Machine, Rtc
from tests.days.rules import Rules
from tests.fleet.agent import Agent

DAY_S: Final = 86400.0
LAST_MINUTE_S: Final = 60.0
DRAINED_S: Final = 2 * 3600.0
CHECKED_S: Final = 300.0
ASSUMED_S: Final = 3600.0
SLOW_DISK_S: Final = 5.0  # a warning stands behind whatever is being written
SLACK_S: Final = 120.0  # a reboot is dated at the commit, a last warning may stand before the call


class BrokenError(AssertionError):
    """A promise was broken."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asked for with `rebootmgrctl reboot`."""

    key: UpdateKey
    boot: str
    until: float
    now: bool


class Oracle:
    """Watches one host. `failed` and `quarantined` are what it made of the truth itself."""

    def __init__(self, agent: Agent, machine: Machine, rules: Rules) -> None:
        self.agent = agent
        self.machine = machine
        self.rules = rules
        self.openings = rules.openings(machine.season)
        self.ageing = Ageing(agent, machine)
        self.holds: dict[str, tuple[datetime | None, str]] = {}
        self.spans: dict[str, float] = {}  # when holds for a span end, by the true time
        self.wish: Wish | None = None
        self.failed: Counter[UpdateKey] = Counter()
        self.quarantined: set[UpdateKey] = set()
        self.kept: set[str] = set()
        self.outcomes: Counter[Outcome] = Counter()
        self.calls = 0
        self.dated_early_s: dict[float, float] = {}  # by when it was called
        self.stormy = True
        self._promised: dict[str, tuple[float, float]] = {}  # told when, until when
        self._disk = agent.disk
        self._drains = 0
        self._drains_since = machine.at.wall
        self._menu: frozenset[str] = frozenset()  # what could be booted without the update
        machine.clock_watcher = self.note_the_time

    # --- the call ------------------------------------------------------------------------

    def obeys(self, effect: Effect) -> None:
        """The daemon is about to do this."""
        match effect:
            case Reboot(target):
                self.calls += 1
                self._call(target)
            case Warn(sessions, _, in_s):
                self.ageing.heard(effect)
                now = self.agent.world.agenda.now
                for session in sessions:
                    self._promised[session.id] = (now, now + in_s)
            case RunHooks(_, Phase.PRE_REBOOT, target):
                assert target is not None
                self._drains += 1
                agenda, machine = self.agent.world.agenda, self.machine
                agenda.after(DRAINED_S, self._look_at_drain, self._drains, machine.boot)
                self._drains_since = machine.at.wall
                if self.rules.fit and not self._skips(target) and not self._waived():
                    self._check_beginning(machine.at.wall)
            case _:
                pass

    def _call(self, target: Deployment) -> None:
        skips = self._skips(target)
        self._check_target(target)
        self._check_history(target)
        self._note_date()
        self._check_time(skips=skips)
        self._check_logind(target, skips=skips)
        self._check_consent(target)

    def _skips(self, target: Deployment) -> bool:
        wish, machine = self.wish, self.machine
        if wish is None or not wish.now:
            return False
        same = wish.key == target.key and wish.boot == machine.boot
        return same and self.agent.world.agenda.now < wish.until

    def _check_target(self, target: Deployment) -> None:
        machine = self.machine
        need(machine.up and not machine.asleep, "reboots a machine that is not up")
        need(machine.staged == target, f"{target.id} is not what is staged")
        need(target.id != machine.booted.id, "reboots into what is booted")
        need(machine.finalization is Finalization.OPEN, "the reboot would discard the update")
        need(machine.unlocked == "none", "the reboot would lose an overlay")
        need(not machine.transaction, "a transaction is active")
        need(not machine.driver, "somebody else drives the updates")
        need(not machine.os_is_silent, "rpm-ostree is silent")
        need(machine.complete, "this boot is not complete")
        need(self.rules.enabled, "reboots although it is disabled")

    def _check_history(self, target: Deployment) -> None:
        machine, now = self.machine, self.agent.world.agenda.now
        need(target.key not in self.quarantined, f"{target.key} is quarantined")
        need(self.failed[target.key] < self.rules.attempts, f"{target.key} failed too often")
        if len(machine.called_at) >= self.rules.per_day:
            first = machine.called_at[-self.rules.per_day]
            skipped = sum(by for at, by in machine.jumps if at >= first and by > 0)
            careless = self.rules.clock == "never" and machine.rtc is not Rtc.GOOD
            careless |= not machine.synchronized and machine.fast_s > 0  # nobody can know
            early = self.dated_early_s[first]
            rested = now - first + skipped + early >= DAY_S - SLACK_S
            need(rested or careless, "one reboot too many in 24 h")
        intent = self.agent.disk.intent
        need(intent is not None, "the intent is not on record")
        assert intent is not None
        need((intent.target, intent.boot) == (target.id, machine.boot), "the record is wrong")

    def _note_date(self) -> None:
        """A clock that nobody vouches for, and that is not behind what is known, dates this call.

        How far behind the truth it is, nobody can know then or later.
        """
        machine = self.machine
        early = 0.0 if machine.synchronized else max(0.0, -machine.fast_s)
        self.dated_early_s[self.agent.world.agenda.now] = early

    def _check_time(self, *, skips: bool) -> None:
        wall = self.machine.at.wall
        for id_, (until, boot) in self.holds.items():
            over = until is not None and until <= wall
            if id_ in self.spans:
                over = self.agent.world.agenda.now >= self.spans[id_] or (
                    over and boot != self.machine.boot and not self.machine.synchronized
                )
            need(over, f"hold {id_} is in force")
        need(not self.openings.is_frozen(wall), "reboots in a freeze")
        if skips:
            return
        waived = self._waived()
        if self.openings.covers(wall) and "windows" not in waived:
            splayed = self.openings.opening_at(wall) is not None
            need(splayed or self._is_open_early(wall), "reboots outside the window")
        elif self.openings.periodic:
            need(self.rules.clock == "never" or bool(waived), f"believes that it is {wall}")
        if self.rules.fit and not waived:
            self._check_fit(wall)
        if self.time_decides():
            need(self.is_trusted(), "the clock is not to be trusted")

    def _waived(self) -> frozenset[str]:
        """What may count no more by deadline."""
        return self.ageing.may_waive(self.rules.deadlines)

    def _is_open_early(self, wall: datetime) -> bool:
        """Whether the window is open but for the splay, and that counts no more."""
        whole = self.rules.openings(self.machine.season, splayed=False)
        return "splay" in self._waived() and whole.opening_at(wall) is not None

    def _check_fit(self, wall: datetime) -> None:
        """What is left is enough for what comes after the hooks; or it began where nothing fits."""
        opening = self.openings.opening_at(wall)
        if opening is None:
            return
        if opening[1] - wall.timestamp() < self.needs_s(wall, but_for_hooks=True):
            began = self._drains_since if self.machine.drained else wall
            need(self.openings.opening_at(began) is not None, "began outside, and ends too late")
            self._check_beginning(began)

    def _check_beginning(self, wall: datetime) -> None:
        """Nothing begins that cannot end in time, unless nothing ever could."""
        opening, needs = self.openings.opening_at(wall), self.needs_s(wall)
        if opening is None:
            return
        rest = opening[1] - wall.timestamp()
        if rest + SLOW_DISK_S < needs:
            spans = self.openings.later_than(wall)
            longest = max((end - start for start, end in spans), default=0.0)
            is_best = longest < needs / 0.9 and opening[1] - opening[0] >= min(needs, longest)
            need(is_best, f"{rest:.0f} s are left, {needs:.0f} s are needed")
            need(
                wall.timestamp() - opening[0] < rest, "starts late in an opening that is too short"
            )

    def needs_s(self, wall: datetime, *, but_for_hooks: bool = False) -> float:
        """How long a reboot takes here, as far as anybody knows; perhaps once it is drained."""
        past = self.agent.disk.reboots
        good = [one for one in past if one.outcome is Outcome.SUCCEEDED]
        known = [one for one in good if one.seconds > 0][-10:]
        took = sorted(one.seconds - but_for_hooks * one.phases.hooks_s for one in known)
        if len(took) < 3 or len(self.openings.openings) < 2:
            return 0.0
        spans = [*self.openings.later_than(wall)]
        if (here := self.openings.opening_at(wall)) is not None:
            spans.append(here)
        longest = max((end - start for start, end in spans), default=0.0)
        return min(took[math.ceil(0.95 * len(took)) - 1], longest)

    def time_decides(self) -> bool:
        match self.rules.clock:
            case "always":
                return True
            case "never":
                return False
            case _:
                holds = self.agent.disk.holds
                timed = any(hold.until is not None and hold.span is None for hold in holds)
                return self.openings.periodic or bool(self.openings.freezes) or timed

    def is_trusted(self) -> bool:
        """Whether the wall clock may decide anything."""
        machine, last = self.machine, self.agent.disk.last_seen
        late = machine.at.mono >= ASSUMED_S and machine.at.wall > BUILT
        return machine.synchronized or (late and (last is None or machine.at.wall >= last))

    def _check_logind(self, target: Deployment, *, skips: bool) -> None:
        logind, now = self.machine.logind, self.agent.world.agenda.now
        need(not self.machine.logind_is_gone, "logind cannot be asked")
        need(not (logind.scheduled or logind.preparing), "somebody else's shutdown is under way")
        counted = {"true": (0, 1000), '"root"': (0,), "false": ()}[self.rules.respect]
        need(all(one.uid not in counted for one in logind.inhibitors), "inhibited")
        need(logind.may_override or not logind.inhibitors, "logind lets nobody past an inhibitor")
        if skips or not self.rules.wait:
            return
        for session in logind.sessions:
            told, until = self._promised.get(session.id, (-math.inf, math.inf))
            need(told > -math.inf, f"session {session.id} was not warned")
            need(now >= until - SLOW_DISK_S, f"session {session.id} was promised more time")
            if "sessions" in self._waived():  # by the deadline that they were told of
                continue
            longest = max(60.0 * self.rules.grace_minutes, until - told + LAST_MINUTE_S)
            need(now <= told + longest + SLACK_S, f"session {session.id} was told long ago")

    def _check_consent(self, target: Deployment) -> None:
        machine, now = self.machine, self.agent.world.agenda.now
        if Phase.CHECK in machine.hooks:
            need(now - machine.checked_at < CHECKED_S, "the checks did not pass")
        if Phase.PRE_REBOOT in machine.hooks:
            need(machine.drained, "pre-reboot.d did not run")
        need(not self.rules.fleet or self.agent.exposed is not None, "nobody granted this")

    # --- every step ----------------------------------------------------------------------

    def decided(self, before: State | None, effects: tuple[Effect, ...]) -> None:
        """SPEC 13.4 to 13.6."""
        agent, state = self.agent, self.agent.state
        if state is None:
            return
        self.ageing.look()
        calls = any(isinstance(effect, Reboot) for effect in effects)
        was = before is not None and isinstance(before.attempt, Rebooting)
        is_at_it = isinstance(state.attempt, Rebooting)
        if was or is_at_it or calls:
            self._check_verdict(state, calls=calls, was=was)
        elif before is None or before.attempt != state.attempt:
            self._check_reasons(state)
        if isinstance(state.attempt, Idle) and is_content(state):
            due = deadline(state, at=self.machine.at, policy=agent.deciding)
            need(due == Deadline(None, None), f"wakes up at {due} while idle")

    def _check_verdict(self, state: State, *, calls: bool, was: bool) -> None:
        at, policy = self.machine.at, self.agent.deciding
        status = describe(state, policy, at, since={})
        says = status.verdict is Verdict.REBOOT
        need(says or not calls, "calls logind while why says something else")
        resumes = self.machine.logind.preparing  # the daemon of before has called
        need(calls or was or resumes or not says, "why says reboot, and nobody calls")
        need(not (calls and was), "calls logind twice")
        self._check_reasons(state)

    def _check_reasons(self, state: State) -> None:
        found = blockers(state, self.agent.deciding, self.machine.at)
        need(
            isinstance(state.attempt, Idle) or state.stopping or bool(found), "waits for no reason"
        )
        for blocker in found:
            need(bool(blocker.detail), f"{blocker.reason} says nothing")

    def _look_at_drain(self, drains: int, boot: str) -> None:
        machine = self.machine
        if machine.asleep:
            self.agent.world.agenda.after(DRAINED_S, self._look_at_drain, drains, boot)
        elif (drains, boot) == (self._drains, machine.boot):
            need(not machine.drained, "the node stays drained")

    # --- what is written -----------------------------------------------------------------

    def wrote(self) -> None:
        """state.json changed: perhaps a boot was judged."""
        before, after = self._disk, self.agent.disk
        self._disk = after
        if after.intent is not None and before.intent is None:
            self.machine.seen.clear()
            self._menu = self.machine.in_the_boot_menu()
        for hold in after.holds:
            if hold.id not in {one.id for one in before.holds}:
                self.holds[hold.id] = hold.until, self.machine.boot
        if before.settled != after.settled:
            self._judged(before, after)

    def _judged(self, before: Memory, after: Memory) -> None:
        said = Counter(dict(after.outcomes)) - Counter(dict(before.outcomes))
        if before.intent is None:
            need(not said, f"says {said} of a boot that nobody asked for")
            self._unasked(before)
            return
        expected = self._expected(before.intent)
        (outcome,) = said or (None,)
        need(outcome in expected, f"says {outcome} where it is {expected}")
        assert outcome is not None
        self.outcomes[outcome] += 1
        self._count(before.intent.key, outcome)

    def _expected(self, intent: Intent) -> set[Outcome]:
        machine = self.machine
        if machine.booted.id != intent.booted:
            again = machine.booted.key == intent.key and machine.booted.id not in self._menu
            if machine.booted.id == intent.target or again:
                good = not machine.post_boot_failed
                return {Outcome.SUCCEEDED if good else Outcome.ROLLED_BACK}
            return {Outcome.SUPERSEDED}
        if intent.target in machine.seen or machine.is_on_disk(intent.target):
            return {Outcome.ROLLED_BACK}
        # What is withdrawn at the last moment, nobody may have had the time to see.
        gone = {Outcome.SUPERSEDED} if machine.left_with != intent.target else set()
        if intent.shutdown_seen:
            return {Outcome.NOT_APPLIED, *gone}
        if machine.orderly and not self.stormy:
            return {Outcome.NOT_APPLIED, *gone}
        return {Outcome.INTERRUPTED, *gone}

    def _count(self, key: UpdateKey, outcome: Outcome) -> None:
        match outcome:
            case Outcome.SUCCEEDED:
                self.ageing.succeeded()
                self._absolve(key)
                self.kept.clear()
            case Outcome.ROLLED_BACK | Outcome.NOT_APPLIED:
                self.failed[key] += 1
                if self.failed[key] >= self.rules.attempts:
                    self.quarantined.add(key)
                bad = outcome is Outcome.ROLLED_BACK or key in self.quarantined
                if bad and self.rules.keep:
                    # Of the others, a server was only to confirm that nothing is ours there.
                    self.kept |= {debt.slot.group for debt in self._disk.debts if debt.asked}
            case Outcome.SUPERSEDED | Outcome.INTERRUPTED:
                pass

    def _unasked(self, before: Memory) -> None:
        booted, last = self.machine.booted, before.booted
        if last is not None and booted.key != last.key and booted.timestamp < last.timestamp:
            self.quarantined.add(last.key)
        if not self.machine.post_boot_failed:
            self.ageing.booted_unasked(before)
            self._absolve(booted.key)

    def _absolve(self, key: UpdateKey) -> None:
        self.quarantined.discard(key)
        del self.failed[key]

    # --- what people do ------------------------------------------------------------------

    def forgave(self) -> None:
        """Somebody lifted every quarantine."""
        self.failed.clear()
        self.quarantined.clear()
        self.kept.clear()

    def released(self, id_: str) -> None:
        """Somebody took a hold back."""
        self.holds.pop(id_, None)

    def freed(self, group: str) -> None:
        """The lock server took our slot back."""
        intent = self._disk.intent
        good = intent is not None and self._expected(intent) == {Outcome.SUCCEEDED}
        if good and self.machine.complete:  # judged, but the disk is full
            return
        need(group not in self.kept, f"gives back the slot of {group} that it has to keep")

    def note_the_time(self) -> None:
        """A hold until an instant ends by a trusted clock, whatever comes later."""
        wall = self.machine.at.wall
        trusted = self.is_trusted() or self.rules.clock == "never"
        for id_, (until, _) in list(self.holds.items()):
            is_span = id_ in self.spans
            if until is not None and until <= wall and trusted and not is_span:
                del self.holds[id_]


def is_content(state: State) -> bool:
    """Whether nothing is left to do."""
    known = state.known
    unread = known.is_nothing or known.os_unknown or known.logind_unknown
    return not (state.ledger or state.unsaved or state.looking or unread)


def need(fulfilled: bool, otherwise: str) -> None:  # noqa: FBT001 - as an assertion reads
    """Raise BrokenError."""
    if not fulfilled:
        raise BrokenError(otherwise)
