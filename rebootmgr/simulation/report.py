"""What came of a simulation."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from rebootmgr.core.model import Reason
from rebootmgr.core.reasons import explain
from rebootmgr.simulation.fleet import Fleet
from rebootmgr.simulation.host import NOT_YET, ROLLED_BACK, UPDATED, Host
from rebootmgr.simulation.scenario import UP_S

Why = tuple[tuple[str, str], ...]  # words as `why` has them, and what they mean here


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """Hosts that never made it; `why` is what was in the way of the `example` in the end."""

    hosts: int
    example: str
    why: Why


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """`first_request` and `last_update` are None where there was none; `ended` when it was over.

    `utilisation` is the share of the slots that was in use, while any host wanted one. By second
    since the begin: `requests`, where there were any, and the hosts that are `down`, at changes.
    """

    hosts: int
    updated: int
    left: tuple[Left, ...]
    begun: datetime
    ended: datetime
    first_request: datetime | None
    last_update: datetime | None
    utilisation: float
    requests: Mapping[int, int]
    down: Mapping[int, int]

    @property
    def duration(self) -> timedelta:
        """From the first request to the last update."""
        if self.first_request is None or self.last_update is None:
            return timedelta(0)
        return self.last_update - self.first_request

    @property
    def all_requests(self) -> int:
        """How many there were."""
        return sum(self.requests.values())

    @property
    def peak(self) -> int:
        """The most requests within a second."""
        return max(self.requests.values(), default=0)

    @property
    def mean(self) -> float:
        """Requests a second, from the first to the last."""
        if not self.requests:
            return 0.0
        return self.all_requests / (max(self.requests) - min(self.requests) + 1)


def outcome(fleet: Fleet) -> Rollout:
    """Sum up a simulation that has ended."""
    scenario, tally = fleet.scenario, fleet.world.tally
    wanted = scenario.terms.slots * sum(usage.wanted_s for usage in tally.usage)
    used = sum(usage.used_s for usage in tally.usage)

    def wall(now: float | None) -> datetime | None:
        return None if now is None else scenario.moment(now).wall

    begin, level, down = int(UP_S), 0, {}
    for second in sorted(tally.changes):
        level += tally.changes[second]
        down[second - begin] = level
    return Rollout(
        hosts=scenario.hosts,
        updated=tally.updated,
        left=_left(fleet),
        begun=scenario.start,
        ended=scenario.moment(fleet.world.now).wall,
        first_request=wall(tally.first_request),
        last_update=wall(tally.last_update),
        utilisation=used / wanted if wanted else 0.0,
        requests={second - begin: count for second, count in sorted(tally.requests.items())},
        down=down,
    )


def _left(fleet: Fleet) -> tuple[Left, ...]:
    """Hosts with the same words in their way are told together, with the details of the first."""
    found: dict[tuple[str, ...], list[int]] = {}
    for number, host in enumerate(fleet.hosts):
        if host.os is not UPDATED or host.state is None:
            found.setdefault(tuple(word for word, _ in _why(host)), []).append(number)
    return tuple(
        Left(
            hosts=len(numbers),
            example=fleet.scenario.name(numbers[0]),
            why=_why(fleet.hosts[numbers[0]]),
        )
        for numbers in sorted(found.values(), key=len, reverse=True)
    )


def _why(host: Host) -> Why:
    state = host.state
    if state is None:
        return ((Reason.REBOOTING, "the host is down for its reboot"),)
    if host.os is ROLLED_BACK:
        if any(entry.kept for entry in state.ledger):
            detail = "the update was rolled back; the slot is kept until rebootmgrctl forgive"
            return (("slot_kept", detail),)
        return (("rolled_back", "the update was rolled back"),)
    if host.os is NOT_YET:
        return (("idle", "the update is not staged yet"),)
    return tuple((one.reason.value, explain(one.reason, one.detail)) for one in host.blockers)
