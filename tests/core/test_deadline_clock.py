"""The clock of deadlines, whatever people and boots do to it (SPEC 5a).

Within a boot the age of an update goes by CLOCK_BOOTTIME alone. What lies before this boot counts
only if a synchronized clock dated it, and one says so today; else this boot is all that counts.
"""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final, TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from rebootmgr.core.events import ClockJumped, Ticked
from rebootmgr.core.facts import Logind
from rebootmgr.core.memory import Memory, Unreadable
from rebootmgr.core.model import BootId
from rebootmgr.core.policy import ClockRule, DeadlineStep, Waivable
from tests.core.script import BACKUP, DAY, EPOCH, IMMEDIATE, NEW, Script, settled, shown
from tests.core.test_deadlines import SATURDAYS

UNSURE_S: Final = 125.0  # the clock is asked once a minute
SPANS: Final = st.sampled_from([1.0, 90.0, 3600.0, 7 * 3600.0, 86400.0, 5 * 86400.0])
SHIFTS: Final = st.sampled_from([-400, -30, -1, -0.01, 0.01, 1, 30, 365, 4000])
POLICY: Final = replace(IMMEDIATE, calendar=SATURDAYS, clock=ClockRule.NEVER)


@dataclass(frozen=True)
class Waits:
    seconds: float


@dataclass(frozen=True)
class IsSet:
    """Somebody sets the clock, which is synchronized no longer."""

    days: float


@dataclass(frozen=True)
class IsSynchronized:
    pass


@dataclass(frozen=True)
class Restarts:
    """The daemon does."""


@dataclass(frozen=True)
class Boots:
    """After so long off, with a clock that is so much off, or right and vouched for."""

    off_s: float
    days: float | None


Happening: TypeAlias = Waits | IsSet | IsSynchronized | Restarts | Boots
HAPPENINGS: Final[st.SearchStrategy[Happening]] = st.one_of(
    st.builds(Waits, SPANS),
    st.builds(Waits, SPANS),
    st.builds(IsSet, SHIFTS),
    st.builds(IsSynchronized),
    st.builds(Restarts),
    st.builds(Boots, SPANS, st.none() | SHIFTS),
)


@dataclass
class Life:
    """A host with an update that an inhibitor keeps from being booted, and the truth about both.

    `since` is from when on it has to count (true seconds), `is_dated` whether a good clock knows;
    `began` is when this boot did, and `is_told` whether a good clock said so.
    """

    after_s: float
    days: float | None
    now: float = 7200.0
    began: float = 0.0
    boots: int = 1
    since: float = 7200.0
    is_dated: bool = field(init=False)
    is_told: bool = field(init=False)
    script: Script = field(init=False)

    def __post_init__(self) -> None:
        self.is_dated = self.is_told = self.days is None
        self.script = self._start(settled(), self.days)

    def _start(self, memory: Memory | Unreadable, days: float | None) -> Script:
        step = DeadlineStep(
            after=timedelta(seconds=self.after_s),
            waive=frozenset({Waivable.WINDOWS}),
            grace=timedelta(),
        )
        off = timedelta() if days is None else timedelta(days=days)
        return Script(
            policy=replace(POLICY, deadlines=(step,)),
            memory=memory,
            staged=NEW,
            logind=Logind(inhibitors=(BACKUP,)),
            boot=BootId(f"b{self.boots}"),
            seconds=self.now - self.began,
            began=EPOCH + timedelta(seconds=self.now) + off,
            synchronized=days is None,
        ).settle()

    def happen(self, what: Happening) -> None:
        script = self.script
        match what:
            case Waits(seconds):
                self._pass(seconds)
            case IsSet(days):
                script.booted_at += timedelta(days=days)
                script.synchronized = False
                script.on(ClockJumped()).settle()
            case IsSynchronized():
                script.booted_at = EPOCH + timedelta(seconds=self.began)
                script.synchronized = True
                script.on(ClockJumped()).settle()
                self._pass(UNSURE_S)
                if self.is_dated and self.since < self.began:
                    self.is_told = True  # for it is asked until somebody knows
            case Restarts():
                wall = script.at.wall - (EPOCH + timedelta(seconds=self.now))
                days = None if script.synchronized else wall / DAY
                self.script = self._start(script.state.memory, days)
                self.is_told |= days is None
                if days is None and self.since >= self.began:
                    self.is_dated = True
            case Boots(off_s, days):
                if not self.is_dated:
                    self.since = self.now + off_s  # nobody can tell any more
                self.now += off_s
                self.began, self.boots = self.now - 60.0, self.boots + 1
                if not self.is_dated:
                    self.since, self.is_dated = self.began, days is None
                self.is_told = days is None
                self.script = self._start(script.state.memory, days)

    def _pass(self, seconds: float) -> None:
        self.now += seconds
        self.script.later(seconds).settle()
        self.script.on(Ticked()).settle()

    @property
    def age_s(self) -> float:
        """How old the update has to be taken for."""
        is_known = self.since >= self.began or (self.is_dated and self.is_told)
        return self.now - (self.since if is_known else self.began)


@settings(deadline=None, max_examples=100)
@given(
    after_s=SPANS.filter(lambda span: span > 3600),
    days=st.none() | SHIFTS,
    story=st.lists(HAPPENINGS, max_size=12),
)
def test_an_update_is_as_old_as_uptime_and_good_clocks_say_and_no_older(
    after_s: float, days: float | None, story: list[Happening]
) -> None:
    life = Life(after_s, days)
    for what in story:
        life.happen(what)
        if abs(life.age_s - after_s) > UNSURE_S:
            is_waived = "windows" in shown(life.script).waived
            assert is_waived == (life.age_s > after_s), (life.age_s, what)
            assert life.now - 7200.0 >= after_s or not is_waived
