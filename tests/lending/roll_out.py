"""A roll-out in virtual time: hosts of several manners ask until each has had its reboot.

Nothing of the program is asked how good it is: waits, slots and requests are counted here.
"""

import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from statistics import mean

from rebootmgr.lending.group import Fleet
from rebootmgr.lending.lend import decide, hung_up, look, look_again_s
from rebootmgr.lending.questions import Answer, Granted, PreReboot, Refused, SteadyState
from rebootmgr.lending.terms import Moment, Rules, Terms

BEGIN = datetime(2030, 1, 6, tzinfo=UTC)
GROUP = "default"
TRAVEL_S = 0.05


@dataclass(slots=True)
class Host:
    """`manner`: "patient" lets its answer be held, "plain" does as told, "deaf" as it pleases."""

    manner: str
    hold_s: float
    came_s: float
    requests: int = 0
    granted_s: float | None = None
    dies_waiting: bool = False


@dataclass(slots=True)
class Report:
    """`used` and `wanted` are seconds of slots while anybody waited."""

    waits_s: list[float]
    used: float
    wanted: float
    requests: dict[str, list[int]]
    most_held: int

    @property
    def use(self) -> float:
        return self.used / self.wanted if self.wanted else 1.0

    def mean_requests(self, manner: str) -> float:
        return mean(self.requests[manner])


def fleet_of(hosts: int, *, deaf: float, plain: float, noisy: bool, seed: int) -> list[Host]:
    chance = random.Random(seed)  # noqa: S311 - repeatable
    made = []
    for _ in range(hosts):
        manner = chance.choices(["deaf", "plain", "patient"], [deaf, plain, 1 - deaf - plain])[0]
        hold_s = chance.lognormvariate(5.62, 0.4) if noisy else 300.0
        if noisy and chance.random() < 0.05:
            hold_s = 1200.0
        if noisy and chance.random() < 0.005:
            hold_s = 3600.0  # it died, and an administrator took an hour
        host = Host(manner, hold_s, chance.random())
        host.dies_waiting = noisy and chance.random() < 0.005
        made.append(host)
    return made


def strict_waits(hosts: list[Host], slots: int) -> list[float]:
    """What each would wait if all were there all the time and nobody was passed over."""
    free = [0.0] * slots
    waits = []
    for host in sorted((one for one in hosts if not one.dies_waiting), key=lambda one: one.came_s):
        begin = max(heapq.heappop(free), host.came_s)
        waits.append(begin - host.came_s)
        heapq.heappush(free, begin + host.hold_s)
    return waits


@dataclass(slots=True)
class RollOut:
    """Runs to its end, as fast as it can."""

    hosts: list[Host]
    slots: int
    seed: int = 1
    now: float = 0.0
    fleet: Fleet = field(default_factory=Fleet)
    events: list[tuple[float, int, str, int]] = field(default_factory=list)
    asked: dict[int, int] = field(default_factory=dict)
    lent: int = 0
    waiting: int = 0
    used: float = 0.0
    wanted: float = 0.0
    most_held: int = 0
    tick_at: float | None = None
    rules: Rules = field(init=False)
    chance: random.Random = field(init=False)
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def run(self) -> Report:
        self.rules = Rules(groups={GROUP: Terms(slots=self.slots)})
        self.chance = random.Random(self.seed)  # noqa: S311 - repeatable
        for index, host in enumerate(self.hosts):
            self.later(host.came_s, "ask", index)
        while self.events:
            at, _, what, index = heapq.heappop(self.events)
            if self.waiting:
                self.used += self.lent * (at - self.now)
                self.wanted += self.slots * (at - self.now)
            self.now = at
            self.happen(what, index)
            self.wake()
        return Report(
            [h.granted_s - h.came_s for h in self.hosts if h.granted_s is not None],
            self.used,
            self.wanted,
            {
                manner: [h.requests for h in self.hosts if h.manner == manner]
                for manner in ("deaf", "plain", "patient")
            },
            self.most_held,
        )

    def later(self, at: float, what: str, index: int) -> None:
        heapq.heappush(self.events, (at, next(self.numbers), what, index))

    @property
    def moment(self) -> Moment:
        return Moment(BEGIN + timedelta(seconds=self.now), self.now)

    def wake(self) -> None:
        """Let the server look when it wants to."""
        if self.waiting and self.tick_at is None:
            at = look_again_s(self.fleet, self.moment)
            if at is not None:
                self.tick_at = max(at, self.now)
                self.later(self.tick_at, "tick", -1)

    def happen(self, what: str, index: int) -> None:
        match what:
            case "tick":
                self.tick_at = None
                after = look(self.fleet, self.rules, self.moment)
                self.fleet = after.fleet
                self.tell(after.answers)
            case "return":
                self.lent -= 1
                self.say(SteadyState(GROUP, f"h{index}"), index)
            case _:
                host = self.hosts[index]
                if host.granted_s is not None:
                    return
                if not host.requests:
                    self.waiting += not host.dies_waiting
                host.requests += 1
                wait_s = 60.0 if host.manner == "patient" else 0.0
                question = PreReboot(GROUP, f"h{index}", wait_s=wait_s)
                number = self.say(question, index)
                if host.dies_waiting and number in self.asked:
                    self.fleet = hung_up(self.fleet, number, question, self.rules, self.moment)

    def say(self, question: PreReboot | SteadyState, index: int) -> int:
        number = next(self.numbers)
        self.asked[number] = index
        after = decide(self.fleet, number, question, self.rules, self.moment)
        self.fleet = after.fleet
        self.tell(after.answers)
        self.most_held = max(self.most_held, len(self.fleet.group(GROUP).queue.held))
        return number

    def tell(self, answers: tuple[tuple[int, Answer], ...]) -> None:
        for number, answer in answers:
            index = self.asked.pop(number)
            host = self.hosts[index]
            match answer:
                case Granted():
                    assert host.granted_s is None
                    host.granted_s = self.now
                    self.lent += 1
                    self.waiting -= not host.dies_waiting
                    self.later(self.now + TRAVEL_S + host.hold_s, "return", index)
                case Refused() if not host.dies_waiting:
                    told_s = float(answer.retry_after_s)
                    again_s = self.chance.uniform(270, 330) if host.manner == "deaf" else told_s
                    self.later(self.now + TRAVEL_S + again_s, "ask", index)
                case _:
                    pass
