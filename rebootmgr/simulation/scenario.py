"""What is simulated: a fleet, its lock server, and what goes wrong (SPEC 11, simulate)."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from rebootmgr.core.backoff import jitter
from rebootmgr.core.model import Moment, Slot
from rebootmgr.core.policy import Policy
from rebootmgr.core.window import phase_of

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
class Scenario:
    """A fleet from `start` (UTC) on, for `length_s` at most.

    Hosts are shared out equally among `policies`, which say all but id, group and seed. An update
    is staged on each within the first `staging_s`. A reboot, from the grant to the slot's return,
    takes one of `reboots_s`, `spread` (a share of it) more or less; the update of a share
    `failures` of the hosts fails, and a share `deaths` never comes back. A share `polling` asks as
    Zincati does. The first `canaries` are a group of their own; the others go when one of them has
    come back and none has held or waited for `soak_s`. All chance is a hash of `seed` and of the
    host's number.
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
    canaries: int = 0
    soak_s: float = 3600.0
    staging_s: float = 0.0
    seed: str = "0"

    def name(self, number: int) -> str:
        """The node id of a host."""
        return f"{self.seed}-{number:06}"

    @property
    def all_groups(self) -> int:
        """How many groups there are, with that of the canaries, which is the last."""
        return self.terms.groups + bool(self.canaries)

    def group(self, number: int) -> int:
        """The group of a host, by its number."""
        if number < self.canaries:
            return self.terms.groups
        return (number - self.canaries) % self.terms.groups

    def group_name(self, group: int) -> str:
        """What a group is called."""
        return CANARY if group == self.terms.groups else f"group-{group}"

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
        """How long such a host waits after being asked so often: five minutes, and jitter."""
        return 270.0 + 60.0 * self._chance(f"poll {asked}", number)

    def moment(self, now: float) -> Moment:
        """What both clocks of every host say."""
        return Moment(wall=self.start + timedelta(seconds=now - UP_S), mono=now)

    def instant(self, wall: datetime) -> float:
        """When the virtual clock stands at `wall`."""
        return UP_S + (wall - self.start).total_seconds()

    def _chance(self, what: str, number: int) -> float:
        return jitter(f"{self.seed}/{what}", number)
