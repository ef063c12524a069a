"""A host with its agent, its oracle, and the people who run `rebootmgrctl` on it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from rebootmgr.core.events import Cancelled, Forgiven, HoldAdded, HoldReleased, RebootAsked
from rebootmgr.core.facts import Finalization, Session
from rebootmgr.core.memory import Hold
from rebootmgr.core.states import Idle, Queued, Waiting
from tests.days.machine import Machine, Rtc
from tests.days.oracle import Oracle, Wish
from tests.days.rules import Rules
from tests.days.updates import Fate
from tests.fleet.agent import Agent
from tests.fleet.server import LockServer, Network
from tests.fleet.world import World

MINUTE: Final = 60.0
HOUR: Final = 3600.0
DAY: Final = 24 * HOUR
START: Final = 3 * MINUTE  # what checks, a draining server and a second look may take


@dataclass(slots=True)
class Home:
    """One host with its agent, what is true of both, and the world around them."""

    agent: Agent
    machine: Machine
    oracle: Oracle
    network: Network
    server: LockServer
    people: int = 0

    @property
    def world(self) -> World:
        return self.agent.world

    @property
    def is_listening(self) -> bool:
        """Whether a daemon runs there that takes orders."""
        return self.agent.state is not None and not self.machine.asleep

    @property
    def is_at_ease(self) -> bool:
        """Whether nothing is under way between it and logind or the fleet."""
        state = self.agent.state
        return state is not None and isinstance(state.attempt, Idle | Waiting | Queued)

    def later(self, low_s: float, high_s: float, call: Callable[..., None], *args: object) -> None:
        """Call at some time between; if the machine sleeps then, when it wakes up."""
        delay = self.world.dice.uniform(low_s, high_s)
        self.world.agenda.after(delay, self.machine.when_awake, call, *args)

    def configure(self, rules: Rules) -> None:
        """Write other drop-ins, and reload."""
        self.oracle.rules = rules
        self.oracle.openings = rules.openings(self.machine.season)
        self.agent.reload(rules.policy())

    def ask(self, *, now: bool, valid_s: float = HOUR) -> None:
        """`rebootmgrctl reboot`."""
        staged, machine = self.machine.staged, self.machine
        if staged is not None and self.is_listening:
            until = self.world.agenda.now + valid_s
            self.oracle.wish = Wish(staged.key, machine.boot, until, now)
            self.agent.tell(RebootAsked("root", now, valid_s))

    def forgive(self) -> None:
        """`rebootmgrctl forgive`."""
        if self.is_listening:
            self.oracle.forgave()
            self.agent.tell(Forgiven(None))

    def hold(self, for_s: float | None) -> str:
        """`rebootmgrctl hold`; the id."""
        hold = self._a_hold(for_s)
        self.agent.tell(HoldAdded(hold, for_s))
        return hold.id

    def cancel(self, for_s: float) -> None:
        """`rebootmgrctl cancel`."""
        self.oracle.wish = None
        self.agent.tell(Cancelled(self._a_hold(for_s), for_s))

    def release(self, id_: str) -> None:
        """`rebootmgrctl release`."""
        if self.is_listening:
            self.oracle.released(id_)
            self.agent.tell(HoldReleased(id_))

    def log_in(self, tty: str = "pts/0") -> Session:
        """Somebody comes; who they are."""
        self.people += 1
        session = Session(id=str(self.people), user="alice", tty=tty)
        self.machine.sit(*self.machine.logind.sessions, session)
        return session

    def log_out(self, session: Session) -> None:
        """They go, if a reboot has not thrown them out."""
        there = self.machine.logind.sessions
        if session in there:
            self.machine.sit(*(one for one in there if one != session))

    def set_clock(self, fast_s: float) -> None:
        """Set the wall clock."""
        self.machine.set_clock(fast_s)

    def calm_down(self) -> None:
        """What is broken gets mended; people and updates stay as they are."""
        machine = self.machine
        machine.check_says_no = machine.drain_fails = machine.hooks_hang = False
        machine.disk_full = machine.os_is_silent = machine.logind_is_gone = False
        machine.hooks_dawdle, machine.ntp_takes_s = 0.0, 20.0
        for update in machine.updates.values():
            if update.fate is Fate.RED:  # or the host might go to and fro between two of them
                update.times = 0
        machine.wake_up()

    def make_way(self) -> None:
        """Nothing and nobody is in the way of a reboot any longer, and a good update is there."""
        machine = self.machine
        machine.offer()
        for hold in self.agent.disk.holds:
            self.release(hold.id)
        machine.unlocked, machine.transaction, machine.driver = "none", "", ""
        machine.finalization = Finalization.OPEN
        machine.sit()
        machine.inhibit()
        self.forgive()
        self.configure(replace(self.oracle.rules, enabled=True))

    def due_at(self, hosts: int) -> float:
        """When the newest update has to be applied, if `hosts` take turns in their openings."""
        machine, limit = self.machine, self.oracle.rules.per_day
        wait = 0.0
        if len(machine.called_at) >= limit:
            wait = max(wait, machine.called_at[-limit] + DAY - self.world.agenda.now)
            if machine.rtc is not Rtc.GOOD:  # all that is known may be that it was before this boot
                wait = max(wait, DAY - machine.at.mono)
        free = machine.at.wall + timedelta(seconds=wait)
        needs = self.oracle.needs_s(free)
        openings = self.oracle.openings
        here, soon = openings.opening_at(free), free.timestamp() + hosts * HOUR
        if here is not None and here[1] >= soon + needs:
            return soon - machine.season.timestamp()
        later = openings.later_than(free)
        longest = max((end - start for start, end in later))
        fitting = [end for start, end in later if end - start >= min(needs + START, longest)]
        return fitting[2 * (hosts - 1)] - machine.season.timestamp()

    def _a_hold(self, for_s: float | None) -> Hold:
        wall = self.machine.at.wall
        until = None if for_s is None else wall + timedelta(seconds=for_s)
        id_ = f"h{self.world.agenda.now:.3f}"
        if for_s is not None:
            self.oracle.spans[id_] = self.world.agenda.now + for_s
        return Hold(id=id_, owner="root", reason="not now", since=wall, until=until)
