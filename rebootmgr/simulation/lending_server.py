"""rebootmgr-lockd in virtual time: the lending itself, on a disk that takes no time."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Final

from rebootmgr.core.counters import Api
from rebootmgr.fleetlock.words import Answer as Told
from rebootmgr.fleetlock.words import Reply
from rebootmgr.lending import lend
from rebootmgr.lending.granting import Decided
from rebootmgr.lending.group import Fleet
from rebootmgr.lending.questions import (
    About,
    Answer,
    Crowded,
    Granted,
    Lent,
    PreReboot,
    Question,
    Refused,
    Report,
    SteadyState,
    TakenBack,
)
from rebootmgr.lending.saying import sentence
from rebootmgr.lending.terms import Moment, Rules, Terms
from rebootmgr.simulation.capacity import Capacity
from rebootmgr.simulation.scenario import CANARY, Scenario
from rebootmgr.simulation.server import GRANTED, Tally

HELD_S: Final = 60.0  # so long an agent lets its answer be held
FAILED: Final = "rolled back"


class LendingServer:
    """Lends as rebootmgr-lockd does.

    What it holds back is answered later: `answered` is told of the host, which comes to `collect`.
    `wake` is told when `tick` has something to do.
    """

    def __init__(
        self,
        scenario: Scenario,
        tally: Tally,
        *,
        answered: Callable[[int, float], None],
        wake: Callable[[float], None],
    ) -> None:
        self._scenario, self._tally = scenario, tally
        self._answered, self._wake = answered, wake
        self._capacity = Capacity(scenario.terms)
        self._rules = rules_of(scenario)
        self._groups = {scenario.group_name(index): index for index in range(scenario.all_groups)}
        self._fleet = Fleet()
        self._numbers = count(1)
        self._asked: dict[int, tuple[int, PreReboot]] = {}  # whose answers are held back
        self._held: dict[int, int] = {}
        self._replies: dict[int, Reply] = {}
        self._due = float("inf")

    def handle(self, api: Api, group: int, host: int, now: float) -> tuple[Reply, float] | None:
        """Answer a host's request, and say when it hears that; None: the answer is held back."""
        self._tally.request(now)
        heard = self._capacity.heard_at(now)
        if not isinstance(heard, float):
            return heard, now
        number, question = next(self._numbers), self._question(api, group, host)
        decided = lend.decide(self._fleet, number, question, self._rules, self._moment(now))
        own = dict(decided.answers).get(number)
        if own is None and isinstance(question, PreReboot):
            self._asked[number], self._held[host] = (host, question), number
        self._take(decided, now)
        return None if own is None else (_reply(own), heard)

    def report(self, group: int, host: int, *, failed: bool, now: float) -> None:
        """Hear what became of a reboot."""
        told = Report(self._scenario.group_name(group), self._scenario.name(host), failed * FAILED)
        number = next(self._numbers)
        self._take(lend.decide(self._fleet, number, told, self._rules, self._moment(now)), now)

    def hang_up(self, host: int, now: float) -> None:
        """Hold nothing back for a host any more."""
        number = self._held.pop(host, None)
        if number is not None:
            _, question = self._asked.pop(number)
            at = self._moment(now)
            self._fleet = lend.hung_up(self._fleet, number, question, self._rules, at)
            self._look_later(now)

    def collect(self, host: int) -> Reply | None:
        """Give what was held back for a host, once it is answered."""
        return self._replies.pop(host, None)

    def tick(self, now: float) -> None:
        """Look whether time brought anything."""
        if now >= self._due:
            self._due = float("inf")
            self._take(lend.look(self._fleet, self._rules, self._moment(now)), now)

    def is_halted(self, group: int) -> bool:
        """Whether a group grants nothing until people resume it."""
        return self._fleet.group(self._scenario.group_name(group)).halt is not None

    def _question(self, api: Api, group: int, host: int) -> Question:
        scenario = self._scenario
        name, patient = scenario.name(host), not scenario.polls(host)
        about = About(scenario.labels(host), "old", "new") if patient else About()
        if api is Api.STEADY_STATE:
            about = replace(about, booted="new", target="") if patient else about
            return SteadyState(scenario.group_name(group), name, about)
        wait_s = HELD_S if patient else 0.0
        return PreReboot(scenario.group_name(group), name, name, wait_s, about)

    def _take(self, decided: Decided, now: float) -> None:
        self._fleet = decided.fleet
        for change in decided.changes:
            match change:
                case Lent(group=group):
                    self._tally.take(self._groups[group], now)
                case TakenBack(group=group):
                    self._tally.free(self._groups[group], now)
                case _:
                    pass
        for number, answer in decided.answers:
            asked = self._asked.pop(number, None)
            if asked is not None:
                host, _ = asked
                if self._held.get(host) == number:
                    del self._held[host]
                self._replies[host] = _reply(answer)
                self._answered(host, now + self._scenario.terms.answer_s)
        self._look_later(now)

    def _look_later(self, now: float) -> None:
        at_s = lend.look_again_s(self._fleet, self._moment(now))
        if at_s is not None and at_s < self._due:
            self._due = max(at_s, now)
            self._wake(self._due)

    def _moment(self, now: float) -> Moment:
        return Moment(self._scenario.moment(now).wall, now)


def rules_of(scenario: Scenario) -> Rules:
    """Say what its groups lend on: as configured, or the defaults but for slots and canaries."""
    if scenario.configured is not None:
        return scenario.configured.rules
    terms, canaries = scenario.terms, scenario.canaries
    usual = Terms(slots=terms.slots)
    after = replace(usual, after=(CANARY,), soak_s=scenario.soak_s) if canaries else usual
    names = [scenario.group_name(index) for index in range(scenario.all_groups)]
    return Rules(groups={name: usual if name == CANARY else after for name in names})


def _reply(answer: Answer) -> Reply:
    match answer:
        case Refused(kind=kind, retry_after_s=wait_s):
            body = json.dumps({"kind": str(kind), "value": sentence(answer)})
            return Told(423, str(wait_s), body, appoints=True)
        case Granted():
            return Told(200, appoints=True)
        case Crowded(retry_after_s=wait_s):
            body = json.dumps({"kind": "too_many_waiting", "value": sentence(answer)})
            return Told(429, str(wait_s), body, appoints=True)
        case _:
            return GRANTED
