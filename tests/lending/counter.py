"""A desk at which tests ask one question after the other."""

from datetime import UTC, datetime, timedelta

from rebootmgr.lending.desk import (
    Asked,
    Desk,
    Event,
    Reply,
    StoreRead,
    Ticked,
    Write,
    Written,
    step,
)
from rebootmgr.lending.questions import (
    NOTHING_TOLD,
    About,
    Answer,
    PreReboot,
    Question,
    Refused,
    SteadyState,
)
from rebootmgr.lending.saved import Saved
from rebootmgr.lending.terms import Moment, Rules, Terms

BEGIN = datetime(2030, 1, 6, tzinfo=UTC)


class Counter:
    """A desk whose store works, unless a test says otherwise."""

    def __init__(self, slots: int = 1, **terms: int) -> None:
        self.rules = Rules(groups={"default": Terms(slots=slots, max_waiting=terms.get("max", 9))})
        self.desk, self.now, self.number = Desk(), 0.0, 0
        self.written: list[object] = []
        self.told: dict[int, Answer] = {}
        self.restart(Saved())

    def restart(self, saved: Saved) -> None:
        """Begin anew with what the store has."""
        self.desk = Desk()
        self.on(StoreRead(saved))

    @property
    def at(self) -> Moment:
        return Moment(BEGIN + timedelta(seconds=self.now), self.now)

    def on(self, event: Event) -> tuple[object, ...]:
        turn = step(self.desk, event, self.rules, self.at)
        self.desk = turn.desk
        self.told |= {one.number: one.answer for one in turn.effects if isinstance(one, Reply)}
        return turn.effects

    def ask(self, question: Question) -> Answer | None:
        """Ask, and write what follows; None while the answer is held."""
        self.number += 1
        mine = self.number
        effects = self.on(Asked(mine, question))
        while writes := [one for one in effects if isinstance(one, Write)]:
            self.written += writes[0].changes
            effects = self.on(Written())
        return self.told.get(mine)

    def later(self, seconds: float) -> None:
        self.now += seconds
        effects = self.on(Ticked())
        while writes := [one for one in effects if isinstance(one, Write)]:
            self.written += writes[0].changes
            effects = self.on(Written())


def wish(
    host: str, wait_s: float = 0.0, name: str = "", *, about: About = NOTHING_TOLD
) -> PreReboot:
    return PreReboot("default", host, name, wait_s, about)


def back(host: str, booted: str = "") -> SteadyState:
    return SteadyState("default", host, About(booted=booted))


def refused(answer: Answer | None) -> Refused:
    assert isinstance(answer, Refused)
    return answer
