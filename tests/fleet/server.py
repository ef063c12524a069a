"""A FleetLock server, modelled: slots per group, the dialects of the real ones, and the way there.

The way is as bad as SPEC 6 allows for. A question may be lost, repeated, or arrive when its client
has long given up, but less than `LATEST_S` after it was sent. A steady-state may be lost or
repeated too, but never arrives after its client has gone: the protocol has no answer to that.
"""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from rebootmgr.core.counters import Api
from rebootmgr.core.model import Slot
from rebootmgr.fleetlock.words import Answer, Reply, Silence, encode_body
from tests.fleet.world import World

TIMEOUT_S: Final = 120.0
LATEST_S: Final = 110.0


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a server says that all slots are taken, and that a host gave back what it had not."""

    name: str
    busy: int
    stranger: int = 200
    drain_s: float = 0.0


DIALECTS: Final = (
    Dialect("airlock", busy=500),
    Dialect("poseidon", busy=423, stranger=423),
    Dialect("heathcliff", busy=423, drain_s=20.0),
    Dialect("knubbis", busy=409),
    Dialect("krm", busy=404),
    Dialect("consul", busy=503),
)


class Server(Protocol):
    """Who is asked, of whatever make."""

    @property
    def name(self) -> str:
        """What it is called in stories."""

    @property
    def holders(self) -> Mapping[str, Collection[str]]:
        """Who holds what."""

    def is_granted(self, group: str, host: str, now: float) -> bool:
        """Whether this host holds a slot and is drained."""

    def handle(
        self, api: Api, body: bytes, now: float, answered: Callable[[Answer], None]
    ) -> Callable[[], None]:
        """Do what the request asks for; what comes back is called when the client hangs up."""

    def start(self) -> None:
        """Come up with what was not lost."""

    def stop(self) -> None:
        """Be gone at once."""


class LockServer:
    """Who holds what; `taken` and `freed` are told of every change."""

    def __init__(
        self,
        dialect: Dialect,
        *,
        slots: int,
        taken: Callable[[str, str], None],
        freed: Callable[[str, str], None],
    ) -> None:
        self.dialect = dialect
        self.holders: dict[str, dict[str, float]] = {}
        self._slots = slots
        self._crowded: set[str] = set()
        self._taken = taken
        self._freed = freed

    @property
    def name(self) -> str:
        """Whose dialect it speaks."""
        return self.dialect.name

    def start(self) -> None:
        """It has forgotten nothing."""

    def stop(self) -> None:
        """It has nothing under way."""

    def is_granted(self, group: str, host: str, now: float) -> bool:
        """Whether this host holds a slot and is drained."""
        drained_at = self.holders.get(group, {}).get(host)
        return drained_at is not None and drained_at <= now

    def take_all(self, group: str) -> None:
        """Hosts that are not simulated hold all that is left of a group."""
        self._crowded.add(group)

    def leave_all(self, group: str) -> None:
        """They have gone."""
        self._crowded.discard(group)

    def handle(
        self, api: Api, body: bytes, now: float, answered: Callable[[Answer], None]
    ) -> Callable[[], None]:
        """Do what the request asks for, at once."""
        answered(self._answer(api, body, now))
        return _nothing

    def _answer(self, api: Api, body: bytes, now: float) -> Answer:
        params = json.loads(body)["client_params"]
        group, host = params["group"], params["id"]
        holders = self.holders.setdefault(group, {})
        if api is Api.STEADY_STATE:
            if holders.pop(host, None) is None:
                return Answer(self.dialect.stranger)
            self._freed(group, host)
            return Answer(200)
        if host not in holders:
            if len(holders) >= self._slots or group in self._crowded:
                return Answer(self.dialect.busy, body='{"kind":"failed_lock","value":"all taken"}')
            holders[host] = now + self.dialect.drain_s
            self._taken(group, host)
        return Answer(200 if holders[host] <= now else 202)


def _unheard(_: Answer) -> None:
    """Nobody is there to hear it."""


def _nothing() -> None:
    """Who hangs up now has been answered."""


class Network:
    """Carries requests, and says when each was sent."""

    def __init__(self, world: World, server: Server) -> None:
        self.world = world
        self.server = server
        self.up = True
        self.restarts = 0
        self.sent: list[float] = []

    def send(self, api: Api, slot: Slot, heard: Callable[[Reply], None]) -> "Call":
        """Begin a request; its client hears at most one reply."""
        self.sent.append(self.world.agenda.now)
        return Call(self, api, slot, heard)

    def restart(self) -> None:
        """Stop the server and start it again: it remembers its slots, and answers nobody."""
        if self.up:
            self.up = False
            self.server.stop()
            self.restarts += 1
            self.world.faults += 1
            self.world.agenda.after(self.world.dice.uniform(1, 40), self._come_up)

    def _come_up(self) -> None:
        self.server.start()
        self.up = True


class Call:
    """One request under way, with whatever befalls it."""

    def __init__(
        self, network: Network, api: Api, slot: Slot, heard: Callable[[Reply], None]
    ) -> None:
        self.slot = slot
        self._network = network
        self._world = network.world
        self._api = api
        self._body = encode_body(slot)
        self._heard: Callable[[Reply], None] | None = heard
        self._under_way = 0
        self._connected: list[Callable[[], None]] = []
        self._spoilt: Reply | None = None
        if self._world.happens(self._world.weather.trouble):
            self._world.dice.choice(_TROUBLES)(self)
        else:
            self._go(self._world.dice.uniform(0.01, 0.5))

    def close(self) -> None:
        """The client has gone. A steady-state is with the server by now, or never will be."""
        self._heard = None
        self._hang_up()
        if self._api is Api.STEADY_STATE and self._under_way:
            self._under_way = 0
            if self._network.up and self._world.dice.random() < 0.5:
                self._handle(_unheard)()

    def _go(self, delay_s: float, *, answer_s: float = 0.05) -> None:
        """Send it on its way; a negative `answer_s`: nobody will hear the answer."""
        self._under_way += 1
        self._world.agenda.after(delay_s, self._arrive, answer_s)

    def _arrive(self, answer_s: float) -> None:
        if not self._under_way:
            return
        self._under_way -= 1
        restarts = self._network.restarts
        if not self._network.up:
            self._hear(Silence("connection refused"), restarts)
            return

        def answered(answer: Answer) -> None:
            if answer_s >= 0:
                self._world.agenda.after(answer_s, self._hear, self._spoilt or answer, restarts)

        self._connected.append(self._handle(answered))

    def _handle(self, answered: Callable[[Answer], None]) -> Callable[[], None]:
        now = self._world.agenda.now
        return self._network.server.handle(self._api, self._body, now, answered)

    def _hang_up(self) -> None:
        """The server sees that nobody is there any more."""
        connected, self._connected = self._connected, []
        for hang_up in connected:
            hang_up()

    def _hear(self, reply: Reply, restarts: int) -> None:
        if self._heard is None:
            return
        heard, self._heard = self._heard, None
        self._hang_up()
        if self._api is Api.STEADY_STATE:
            self._under_way = 0
        lost = restarts != self._network.restarts
        heard(Silence("connection reset") if lost else reply)

    def _hear_nothing(self, after_s: float) -> None:
        restarts = self._network.restarts
        self._world.agenda.after(after_s, self._hear, Silence("no answer"), restarts)

    def _lose_request(self) -> None:
        self._hear_nothing(self._world.dice.choice((0.1, 10.0, TIMEOUT_S)))

    def _lose_answer(self) -> None:
        self._go(0.1, answer_s=-1)
        self._hear_nothing(self._world.dice.choice((0.2, 10.0, TIMEOUT_S)))

    def _come_late(self) -> None:
        """The client gives up first, and what it then does may overtake this question."""
        dice = self._world.dice
        given_up_s = dice.uniform(0.1, 60)
        if self._api is Api.PRE_REBOOT:
            self._go(dice.uniform(given_up_s, LATEST_S), answer_s=-1)
        self._hear_nothing(given_up_s)

    def _be_slow(self) -> None:
        dice = self._world.dice
        self._go(dice.uniform(0.5, 60), answer_s=dice.uniform(0.5, 50))

    def _double(self) -> None:
        """Delivered twice, both times before the answer."""
        first_s, second_s = sorted(self._world.dice.uniform(0.01, 20) for _ in "12")
        self._go(first_s, answer_s=-1)
        self._go(second_s)

    def _fail_after(self) -> None:
        self._spoilt = Answer(self._world.dice.choice((500, 502, 504)), body="<html>")
        self._go(0.1)

    def _fail_before(self) -> None:
        dice = self._world.dice
        answer = Answer(dice.choice((500, 503)), dice.choice(("", "7", "30")), "no etcd")
        self._world.agenda.after(0.3, self._hear, answer, self._network.restarts)


_TROUBLES: Final = (
    Call._lose_request,
    Call._lose_answer,
    Call._come_late,
    Call._be_slow,
    Call._double,
    Call._fail_after,
    Call._fail_before,
)
