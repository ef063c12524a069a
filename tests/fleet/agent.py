"""One simulated agent: the real decisions, run as rebootmgr.daemon.loop runs them."""

from collections import deque
from typing import Final, Protocol

from rebootmgr.core.alarm import deadline, is_at_rest
from rebootmgr.core.effects import Effect
from rebootmgr.core.events import ClockJumped, Event, PolicyLoaded, Ticked
from rebootmgr.core.memory import Memory
from rebootmgr.core.model import Slot
from rebootmgr.core.policy import Policy
from rebootmgr.core.states import (
    Asking,
    Attempt,
    Checking,
    Committing,
    Idle,
    Preparing,
    Queued,
    Rebooting,
    State,
    Undoing,
    Waiting,
)
from rebootmgr.state.words import decode_state, encode_state
from tests.fleet.hands import Client, Hands
from tests.fleet.host import Host
from tests.fleet.server import Network
from tests.fleet.world import LATE_ALARM_S, World

PAST_GRANT: Final = (Preparing, Committing, Rebooting)
AT_EASE: Final = (Idle, Waiting, Queued, Checking, Asking)

Told = Event | Policy


class Overseer(Protocol):
    """Who watches over the agents."""

    world: World
    network: Network
    client: Client

    def went_past(self, agent: "Agent", slot: Slot) -> None:
        """The agent takes its grant for given."""

    def came_back(self, agent: "Agent", slot: Slot) -> None:
        """The agent's host does not need the slot any longer."""

    def wrote(self, agent: "Agent") -> None:
        """The agent's state.json changed."""

    def tempt(self, agent: "Agent") -> None:
        """The agent does something delicate."""

    def decided(self, agent: "Agent", before: State | None, effects: tuple[Effect, ...]) -> None:
        """The agent took a step; it started if there is nothing before."""

    def obeys(self, agent: "Agent", effect: Effect) -> None:
        """The agent is about to do this."""


class Agent:
    """A daemon on its host. `exposed`: the slot on the strength of which something is going on."""

    def __init__(self, name: str, policy: Policy, overseer: Overseer, host: Host) -> None:
        self.name = name
        self.policy = policy
        self.overseer = overseer
        self.client = overseer.client
        self.world = overseer.world
        self.host = host
        host.daemon = self
        told = () if policy.slot is None else (policy.slot,)  # after this boot, long ago
        self.disk = Memory(settled=self.host.boot, booted=self.host.booted, confirmed=told)
        self.exposed: Slot | None = None
        self.story: deque[tuple[float, Told | str, Attempt | None, tuple[Effect, ...]]]
        self.story = deque(maxlen=80)
        self._deciding = policy
        self._state: State | None = None
        self._hands: Hands | None = None
        self._inbox: deque[Told] = deque()
        self._thinking = False
        self._alarm = 0
        self._minds_the_clock = False

    @property
    def state(self) -> State | None:
        """Where its daemon is; None while there is none."""
        return self._state

    @property
    def deciding(self) -> Policy:
        """The policy that its daemon goes by."""
        return self._deciding

    @property
    def is_done(self) -> bool:
        """Whether it runs the newest update there is for it, and owes nothing to anybody."""
        state = self._state
        return (
            state is not None
            and isinstance(state.attempt, Idle)
            and self.host.is_up_to_date
            and not (state.ledger or self.disk.debts or self.exposed or self.host.drained)
        )

    def wake(self) -> None:
        """The daemon starts, with what survived and with its configuration as it is now."""
        if self.host.asleep:
            self.host.when_awake(self.wake)
        if self._state is not None or not self.host.up or self.host.asleep:
            return
        recalled = decode_state(encode_state(self.disk))
        self._deciding = self.policy
        self._hands = Hands(self, self.world, self.overseer.network)
        self._state, effects = self.client.start(recalled, at=self.host.at, policy=self._deciding)
        self.story.append((self.world.agenda.now, "started", self._state.attempt, effects))
        self.overseer.decided(self, None, effects)
        self._thinking = True
        self._hands.obey(effects)
        self._thinking = False
        self.tell()

    def tell(self, *told: Told) -> None:
        """These happened. A new policy decides from its place in the inbox on."""
        if self._state is None:
            return
        self._inbox.extend(told)
        if self._thinking or self.host.asleep:
            return
        self._thinking = True
        while self._inbox:
            self._decide(self._inbox.popleft())
        self._thinking = False
        self._arm()

    def end(self, *, restart_s: float) -> None:
        """The daemon is gone at once, whatever it was doing."""
        hands, self._hands, self._state = self._hands, None, None
        self._inbox.clear()
        if hands is not None:
            self.story.append((self.world.agenda.now, "ended", None, ()))
            hands.drop()
        self.world.agenda.after(restart_s, self.wake)

    def end_later(self, delay_s: float) -> None:
        """This run of the daemon ends by itself, and systemd starts another."""
        self.world.agenda.after(delay_s, self._end_if, self._hands)

    def clock_set(self) -> None:
        """The wall clock was set, or the machine slept: noticed while a timer waits for it."""
        if self._minds_the_clock:
            self.tell(ClockJumped())

    def reload(self, policy: Policy) -> None:
        """Somebody changed the configuration."""
        self.policy = policy
        self.tell(policy)

    def write(self, memory: Memory) -> None:
        """Replace state.json."""
        self.disk = memory
        self.overseer.wrote(self)

    def be_delicate(self) -> None:
        """A fine moment for a misfortune."""
        self.overseer.tempt(self)

    def obeys(self, effect: Effect) -> None:
        """The hands are about to do this."""
        self.overseer.obeys(self, effect)

    def _decide(self, told: Told) -> None:
        if self._state is None or self._hands is None:
            return
        event: Event
        if isinstance(told, Policy):
            self._deciding, event = told, PolicyLoaded()
        else:
            event = told
        before = self._state
        self._state, effects = self.client.step(
            before, event, at=self.host.at, policy=self._deciding
        )
        self.story.append((self.world.agenda.now, told, self._state.attempt, effects))
        self.overseer.decided(self, before, effects)
        self._watch(before.attempt, self._state.attempt)
        if is_at_rest(self._state) and not self.host.going_down:
            self.end_later(0.1)
        self._hands.obey(effects)

    def _watch(self, before: Attempt, attempt: Attempt) -> None:
        """From the grant on, until nothing is drained, goes down, or waits to be judged.

        Under a policy without a slot the next attempt follows in the step in which one is undone.
        """
        is_undone = isinstance(before, Undoing) and not isinstance(attempt, Undoing)
        if is_undone and not (self.host.drained or self.host.going_down):
            self._come_back()
        if isinstance(attempt, PAST_GRANT):
            called = isinstance(attempt, Rebooting)  # what is configured now does not matter
            if self.exposed is None and self._deciding.slot is not None and not called:
                self.exposed = self._deciding.slot
                self.overseer.went_past(self, self.exposed)
        elif isinstance(attempt, AT_EASE) and not (self.host.drained or self.host.going_down):
            self._come_back()

    def _come_back(self) -> None:
        if self.exposed is not None:
            self.overseer.came_back(self, self.exposed)
        self.exposed = None

    def _arm(self) -> None:
        if self._state is None:
            return
        at = self.host.at
        due = deadline(self._state, at=at, policy=self._deciding)
        waits = [] if due.mono is None else [due.mono - at.mono]
        waits += [] if due.wall is None else [(due.wall - at.wall).total_seconds()]
        self._minds_the_clock = due.wall is not None
        self._alarm += 1
        if waits:
            self.world.agenda.after(min(waits) + LATE_ALARM_S, self._ring, self._alarm)

    def _ring(self, alarm: int) -> None:
        if alarm == self._alarm:
            self.tell(Ticked())

    def _end_if(self, hands: Hands) -> None:
        if self.host.asleep:
            self.host.when_awake(self._end_if, hands)
        elif hands is self._hands:
            self.end(restart_s=self.world.dice.uniform(0.5, 20))
