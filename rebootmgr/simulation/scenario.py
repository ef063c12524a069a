"""What is simulated: a fleet, its lock server, and what goes wrong (SPEC 11, simulate)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Final

from rebootmgr.core.backoff import jitter
from rebootmgr.core.model import Moment, Slot
from rebootmgr.core.policy import Policy
from rebootmgr.core.window import phase_of
from rebootmgr.lending import terms as lending

UP_S: Final = 7200.0
"""How long every host is up when the simulation begins: what CLOCK_BOOTTIME says then."""
SERVER: Final = "https://lock.example"
CANARY: Final = "canary"
"""The group that goes first, where there are canaries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the lock server does: `slots` for each group, `rate` requests a second at most.

    `lends`: it is rebootmgr-lockd, which makes appointments, holds answers back, and halts.
    `answer_s` is how long an answer takes when nobody else asks. In an outage, [start, end) in
    seconds from the begin, it cannot be reached.
    """

    slots: int
    groups: int = 1
    lends: bool = False
    rate: float = float("inf")
    answer_s: float = 0.0
    outages: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """What a rebootmgr-lockd lends on, and how many hosts each of its groups has.

    Hosts tell of themselves what `labels` has, one after the other and from the begin again.
    """

    rules: lending.Rules
    sizes: Mapping[str, int]
    labels: tuple[tuple[tuple[str, str], ...], ...] = ((),)

    def terms_of(self, group: str) -> lending.Terms:
        """Give the terms of a group that has hosts."""
        return self.rules.terms_of(group) or lending.Terms(slots=0)

    def is_timed(self, group: str) -> bool:
        """Whether a group grants at some times only."""
        return self.terms_of(group).calendar is not None

    @property
    def last(self) -> tuple[str, ...]:
        """The groups after which no other goes."""
        first = {name for group in self.sizes for name in self.terms_of(group).after}
        return tuple(group for group in self.sizes if group not in first)

    def with_slots(self, slots: int) -> "Configured":
        """Give the same with so many slots in each of the `last`."""
        more = {group: replace(self.terms_of(group), slots=slots) for group in self.last}
        return replace(self, rules=replace(self.rules, groups={**self.rules.groups, **more}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A fleet from `start` (UTC) on, for `length_s` at most.

    Hosts are shared out equally among `policies`, which say all but id, group and seed. An update
    is staged on each within the first `staging_s`. A reboot, from the grant to the slot's return,
    takes one of `reboots_s`, `spread` (a share of it) more or less; the update of a share
    `failures` of the hosts fails, and a share `deaths` never comes back. A share `polling` asks as
    Zincati does, every `polling_s` or so. The first `canaries` are a group of their own; the others
    go when one of them has come back and none has held or waited for `soak_s`. Where the server is
    `configured`, that says the groups and their slots, and `terms` says neither. All chance is a
    hash of `seed` and of the host's number.
    """

    hosts: int
    terms: Terms
    policies: tuple[Policy, ...]
    start: datetime
    length_s: float
    reboots_s: tuple[float, ...]
    spread: float = 0.0
    failures: float = 0.0
    deaths: float = 0.0
    polling: float = 0.0
    polling_s: float = 300.0
    canaries: int = 0
    soak_s: float = 3600.0
    staging_s: float = 0.0
    configured: Configured | None = None
    seed: str = "0"

    def name(self, number: int) -> str:
        """The node id of a host."""
        return f"{self.seed}-{number:06}"

    @property
    def all_groups(self) -> int:
        """How many groups there are, with that of the canaries, which is the last."""
        if self.configured is not None:
            return len(self.configured.sizes)
        return self.terms.groups + bool(self.canaries)

    def group(self, number: int) -> int:
        """The group of a host, by its number."""
        if self.configured is not None:
            ends = accumulate(self.configured.sizes.values())
            return next(group for group, end in enumerate(ends) if number < end)
        if number < self.canaries:
            return self.terms.groups
        return (number - self.canaries) % self.terms.groups

    def group_name(self, group: int) -> str:
        """What a group is called."""
        if self.configured is not None:
            return tuple(self.configured.sizes)[group]
        return CANARY if group == self.terms.groups else f"group-{group}"

    def slots(self, group: int) -> int:
        """How many slots a group has."""
        if self.configured is not None:
            return self.configured.terms_of(self.group_name(group)).slots
        return self.terms.slots

    def with_slots(self, slots: int) -> "Scenario":
        """Give the same with so many slots in each group, or in those after which no other goes."""
        configured = self.configured and self.configured.with_slots(slots)
        return replace(self, terms=replace(self.terms, slots=slots), configured=configured)

    @property
    def largest(self) -> int:
        """How many hosts the largest group has whose slots `with_slots` says."""
        if self.configured is not None:
            return max(self.configured.sizes[group] for group in self.configured.last)
        return -(-self.hosts // self.terms.groups)

    def labels(self, number: int) -> tuple[tuple[str, str], ...]:
        """What a host tells of itself."""
        if self.configured is None:
            return ()
        return self.configured.labels[number % len(self.configured.labels)]

    def policy(self, number: int) -> Policy:
        """What a host is configured with."""
        name, group = self.name(number), self.group(number)
        policy = self.policies[number // self.terms.groups % len(self.policies)]
        calendar = policy.calendar
        if calendar.splay:
            calendar = replace(calendar, phase=phase_of(name))
        slot = Slot(server=SERVER, group=self.group_name(group), id=name)
        return replace(policy, slot=slot, seed=name, calendar=calendar)

    def staged_at(self, number: int) -> float:
        """When the update is staged, by the virtual clock."""
        return UP_S + self._chance("staged", number) * self.staging_s

    def reboot_s(self, number: int) -> float:
        """How long a host's reboot takes."""
        drawn = self.reboots_s[int(self._chance("reboot", number) * len(self.reboots_s))]
        return drawn * (1.0 + self.spread * (2.0 * self._chance("spread", number) - 1.0))

    def fails(self, number: int) -> bool:
        """Whether the update of a host is rolled back."""
        return self._chance("failure", number) < self.failures

    def dies(self, number: int) -> bool:
        """Whether a host never comes back from its reboot."""
        return self._chance("death", number) < self.deaths

    def polls(self, number: int) -> bool:
        """Whether a host asks as Zincati does, whatever it is told."""
        return self._chance("polling", number) < self.polling

    def poll_s(self, number: int, asked: int) -> float:
        """How long such a host waits after it has asked so often: with a tenth of jitter."""
        return self.polling_s * (0.9 + 0.2 * self._chance(f"poll {asked}", number))

    def moment(self, now: float) -> Moment:
        """What both clocks of every host say."""
        return Moment(wall=self.start + timedelta(seconds=now - UP_S), mono=now)

    def instant(self, wall: datetime) -> float:
        """When the virtual clock stands at `wall`."""
        return UP_S + (wall - self.start).total_seconds()

    def _chance(self, what: str, number: int) -> float:
        return jitter(f"{self.seed}/{what}", number)
