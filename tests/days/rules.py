"""What a host is configured with: two drop-ins, taken through the real configuration path."""

import tomllib
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from random import Random
from typing import Final, Self

from rebootmgr.config.checked import DropIn, decode_config
from rebootmgr.config.resolve import resolve_policy
from rebootmgr.core.policy import Policy
from tests.days.ageing import Step
from tests.days.almanac import Almanac, almanac
from tests.days.calendars import ALWAYS, CALENDARS

SERVER: Final = "https://lock.example/"
GROUPS: Final = ("default", "other")
UNLIMITED: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The calendar is a drop-in as people write it; the rest goes into a second one."""

    node: str
    calendar: str = ALWAYS
    fleet: bool = False
    group: str = GROUPS[0]
    enabled: bool = True
    fit: bool = True
    wait: bool = True
    grace_minutes: int = 10
    respect: str = "true"
    per_day: int = 4
    attempts: int = 2
    clock: str = "windows"
    keep: bool = True
    deadlines: tuple[Step, ...] = ()

    @classmethod
    def drawn(cls, dice: Random, node: str, calendar: str) -> Self:
        """Draw some at random."""
        return cls(
            node=node,
            calendar=CALENDARS[calendar],
            fleet=dice.random() < 0.6,
            fit=dice.random() < 0.9,
            wait=dice.random() < 0.9,
            grace_minutes=dice.choice((1, 5, 10, 30)),
            respect=dice.choice(("true", "true", '"root"', "false")),
            per_day=dice.randint(1, 4),
            attempts=dice.randint(1, 3),
            clock=dice.choice(("windows", "windows", "always", "never")),
            keep=dice.random() < 0.8,
        )

    @property
    def strategies(self) -> tuple[str, ...]:
        """The strategies, those of the calendar among them."""
        own = tomllib.loads(self.calendar)["updates"]["strategy"]
        return (*own, "fleet_lock") if self.fleet else tuple(own)

    @property
    def toml(self) -> str:
        """The second drop-in."""
        return f"""
[identity]
group = "{self.group}"
[updates]
enabled = {str(self.enabled).lower()}
strategy = [{", ".join(f'"{each}"' for each in self.strategies)}]
[updates.periodic]
fit = {str(self.fit).lower()}
[updates.fleet_lock]
base_url = "{SERVER}"
timeout_seconds = 120
keep_slot_on_failed_update = {str(self.keep).lower()}
[updates.sessions]
wait = {str(self.wait).lower()}
grace_minutes = {self.grace_minutes}
[updates.inhibitors]
respect = {self.respect}
[updates.limits]
reboots_per_day = {self.per_day}
attempts_per_deployment = {self.attempts}
[updates.clock]
require_synchronized = "{self.clock}"
{"".join(step.toml for step in self.deadlines)}"""

    def openings(self, season: datetime, *, splayed: bool = True) -> Almanac:
        """When that is open, as the oracle sees it; perhaps as if there were no splay."""
        if not splayed:
            return almanac(self.calendar, 0, self.node, season)
        splay = tomllib.loads(self.calendar)["updates"].get("periodic", {}).get("splay_minutes", 0)
        return almanac(self.calendar, splay, self.node, season)

    def policy(self) -> Policy:
        """What the daemon makes of it."""
        return _policy(self)

    def moved(self) -> Self:
        """The same host in the other group."""
        return replace(self, group=next(each for each in GROUPS if each != self.group))


@lru_cache(maxsize=256)
def _policy(rules: Rules) -> Policy:
    drop_ins = (DropIn("10-calendar.toml", rules.calendar), DropIn("20-rest.toml", rules.toml))
    config = decode_config(drop_ins, localtime=None)
    assert not config.errors
    return resolve_policy(config, node_id=rules.node, variables={}, dry_run=False)
