"""What deadlines promise (SPEC 5a), in words of its own: who may go when, who must, who is told.

`Ageing` knows the true time since when a host is behind, between two bounds: before `oldest` no
daemon can have seen the update, and from `youngest` on its age counts, whatever a clock says. It
never asks the core. A host that must not go is judged by the first, one that must by the second.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Final, Self

from rebootmgr.core.effects import Warn
from rebootmgr.core.memory import Memory
from tests.days.machine import Machine
from tests.fleet.agent import Agent

MINUTE: Final = 60.0
HOUR: Final = 3600.0
DAY: Final = 86400.0
SLACK_S: Final = 0.01  # an alarm is as late as that
SLOW_DISK_S: Final = 10.0
IN_DOUBT_S: Final = HOUR  # around the 24 h after which what is gone is forgotten
TOLD_WITHIN_S: Final = 4 * MINUTE  # checks that are just running are waited for
WAIVABLE: Final = ("sessions", "splay", "fit", "windows")


@dataclass(frozen=True, slots=True)
class Step:
    """One `[[updates.deadline]]`, in seconds."""

    after_s: float
    waive: tuple[str, ...]
    grace_s: float = HOUR
    warn_s: tuple[float, ...] = (DAY, HOUR, 10 * MINUTE)

    @property
    def toml(self) -> str:
        """As it is written in a drop-in."""
        names = ", ".join(f'"{name}"' for name in self.waive)
        spans = ", ".join(f'"{span:.0f}s"' for span in self.warn_s)
        return (
            f'[[updates.deadline]]\nafter = "{self.after_s:.0f}s"\nwaive = [{names}]\n'
            f'grace = "{self.grace_s:.0f}s"\nwarn = [{spans}]\n'
        )

    @classmethod
    def drawn(cls, dice: Random) -> tuple[Self, ...]:
        """One to three at random, of which the last waives windows."""
        spans = (2 * HOUR, 9 * HOUR, DAY, 2.5 * DAY, 4 * DAY, 7 * DAY)
        afters = sorted(dice.sample(spans, dice.randint(1, 3)))
        steps = [
            cls(
                after,
                tuple(dice.sample(WAIVABLE, dice.randint(1, 3))),
                dice.choice((30 * MINUTE, HOUR, 4 * HOUR)),
                dice.choice(((), (20 * MINUTE,), (DAY, HOUR, 10 * MINUTE), (2 * DAY, 900.0))),
            )
            for after in afters
        ]
        last = steps[-1]
        names = tuple(sorted({*last.waive, "windows"}))
        return (*steps[:-1], cls(last.after_s, names, last.grace_s, last.warn_s))


class Ageing:
    """Since when a host is behind. `told` is who heard of which deadline: when, and in how long."""

    def __init__(self, agent: Agent, machine: Machine) -> None:
        self.agent = agent
        self.machine = machine
        self.oldest: float | None = None
        self.youngest: float | None = None
        self.told: dict[str, list[tuple[float, float]]] = {}
        self._is_dated = False
        self._boot = machine.boot
        self._gone_since: float | None = None
        self._turned_s = 0.0
        self._fast_s = machine.fast_s
        self._synchronized_since: float | None = 0.0

    @property
    def now(self) -> float:
        return self.agent.world.agenda.now

    @property
    def began(self) -> float:
        """When this boot began."""
        return self.now - self.machine.at.mono

    def look(self) -> None:
        """The daemon takes a step: nothing is seen by it between two of them."""
        machine, now = self.machine, self.now
        self.look_at_the_clock()
        if machine.boot != self._boot:
            self._boot = machine.boot
            self._come_up()
        if machine.staged is None:
            if self._gone_since is None:
                self._gone_since, self._turned_s = now, 0.0
            return
        if self._gone_since is not None:
            self._come_back(now - self._gone_since)
        if self.oldest is None:
            self.oldest = now
        if self.youngest is None and not machine.os_is_silent:
            self.youngest, self._is_dated = now, machine.is_vouched_for

    def look_at_the_clock(self) -> None:
        """How far it was turned, and since when somebody vouches for it."""
        machine = self.machine
        self._turned_s += abs(machine.fast_s - self._fast_s)
        self._fast_s = machine.fast_s
        if not machine.is_vouched_for:
            self._synchronized_since = None
        elif self._synchronized_since is None:
            self._synchronized_since = self.now

    def _come_up(self) -> None:
        """What no good clock has dated, or was gone when the boot ended, counts from this boot."""
        if self.youngest is not None and not (self._is_dated and self.machine.left_with):
            self.youngest, self._is_dated = self.began, False
        self._gone_since = None

    def _come_back(self, gone_s: float) -> None:
        self._gone_since = None
        if gone_s >= DAY + IN_DOUBT_S:
            self.oldest = None
        if gone_s + self._turned_s >= DAY - IN_DOUBT_S:
            self.youngest = None

    def succeeded(self) -> None:
        """What was asked for is booted, and well; what is staged since then is another matter."""
        self.oldest = None if self.machine.staged is None else self.now - SLOW_DISK_S
        self.youngest = None

    def booted_unasked(self, before: Memory) -> None:
        """Somebody else booted it, perhaps."""
        self.youngest = None
        if before.backlog is not None and before.backlog.key == self.machine.booted.key:
            self.succeeded()

    # --- who may go ----------------------------------------------------------------------

    def may_waive(self, steps: tuple[Step, ...]) -> frozenset[str]:
        """What may count no more now, at the most."""
        mono, names = self.machine.at.mono + SLACK_S, frozenset[str]()
        found = names
        for step in steps:
            names |= frozenset(step.waive)
            if self.oldest is not None and self.now + SLACK_S >= self.oldest + step.after_s:
                found = names if mono >= step.grace_s else found
        return found

    # --- who must ------------------------------------------------------------------------

    def due_at(self, step: Step) -> float | None:
        """From when on the step is due at the latest; None while nobody need know."""
        if self.youngest is None or self.machine.staged is None:
            return None
        age_from = self.youngest
        if age_from < self.began and not self.is_clock_good:
            age_from = self.began
        return max(age_from + step.after_s, self.began + step.grace_s)

    @property
    def is_clock_good(self) -> bool:
        """Whether somebody has vouched for the clock for so long that the daemon knows."""
        since = self._synchronized_since
        return since is not None and self.now - since >= 5 * MINUTE

    @property
    def is_exact(self) -> bool:
        """Whether both bounds are one, so that every step has one instant."""
        here = self.youngest is not None and self.youngest >= self.began
        known = self.oldest is not None and self.oldest == self.youngest
        return known and (here or self.is_clock_good)

    # --- who is told ---------------------------------------------------------------------

    def heard(self, warn: Warn) -> None:
        """People are told."""
        for session in warn.sessions:
            if warn.waives:
                self.told.setdefault(session.id, []).append((self.now, warn.in_s))

    def untold(
        self, steps: tuple[Step, ...], since: float, logged_in: Mapping[str, float]
    ) -> Iterator[str]:
        """Whom nobody told although they were there, of the instants between `since` and lately.

        `logged_in` says since when whoever is there now is there.
        """
        until = self.now - TOLD_WITHIN_S
        for step in steps:
            due = self.due_at(step)
            if due is None or self.now >= due:
                continue
            for span in step.warn_s:
                at = due - span
                if not max(since, self.youngest or 0.0, self.began + 20 * MINUTE) < at <= until:
                    continue
                for session, came in logged_in.items():
                    heard = self.told.get(session, [])
                    if came < at and not any(
                        at - 1 <= when and abs(when + in_s - due) < 1 for when, in_s in heard
                    ):
                        yield f"session {session} was not told {span:.0f} s ahead"
