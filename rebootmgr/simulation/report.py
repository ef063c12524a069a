"""What came of a simulation."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Final

from rebootmgr.core import deadlines
from rebootmgr.core.model import Reason
from rebootmgr.core.reasons import explain
from rebootmgr.core.window import never_opens
from rebootmgr.simulation.fleet import Fleet
from rebootmgr.simulation.host import NOT_YET, ROLLED_BACK, UPDATED, Host
from rebootmgr.simulation.poller import Poller
from rebootmgr.simulation.scenario import UP_S

Why = tuple[tuple[str, str], ...]  # words as `why` has them, and what they mean here
BEGIN: Final = int(UP_S)
DIED: Final = "it never came back from its reboot; rebootmgrctl fleet release takes its slot back"
HALTED: Final = "the group is halted since a reboot failed, until rebootmgrctl fleet resume"
NO_SLOT: Final = "the group has no slot"
SPENT: Final = "every slot is kept by a host whose update failed, until rebootmgrctl forgive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """Hosts without the update; `why` is what was in the way of the `example` in the end."""

    hosts: int
    example: str
    why: Why


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """`first_request` and `last_update` are None where there was none; `ended` when it was over.

    The `unfinished` would go on after the simulated time; as things are, the others `never` will:
    their update failed, or nothing lets them begin. `utilisation` is the share of the slots that
    was in use, while any host wanted one. `by_deadline` are the hosts that found no window in time,
    and went without by deadline. By second since the begin: `requests`, where there were
    any, and at changes the hosts that are `down` and `done`.
    """

    hosts: int
    updated: int
    by_deadline: int
    never: tuple[Left, ...]
    unfinished: tuple[Left, ...]
    begun: datetime
    ended: datetime
    first_request: datetime | None
    last_update: datetime | None
    utilisation: float
    requests: Mapping[int, int]
    down: Mapping[int, int]
    done: Mapping[int, int]

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
    wanted = sum(scenario.slots(group) * usage.wanted_s for group, usage in enumerate(tally.usage))
    used = sum(usage.used_s for usage in tally.usage)

    def wall(now: float | None) -> datetime | None:
        return None if now is None else scenario.moment(now).wall

    never, unfinished = _left(fleet)
    return Rollout(
        hosts=scenario.hosts,
        updated=tally.updated,
        by_deadline=tally.by_deadline,
        never=never,
        unfinished=unfinished,
        begun=scenario.start,
        ended=scenario.moment(fleet.world.now).wall,
        first_request=wall(tally.first_request),
        last_update=wall(tally.last_update),
        utilisation=used / wanted if wanted else 0.0,
        requests={second - BEGIN: count for second, count in sorted(tally.requests.items())},
        down=_levels(tally.changes),
        done=_levels(tally.updates),
    )


def _levels(changes: Mapping[int, int]) -> Mapping[int, int]:
    seconds = sorted(changes)
    levels = accumulate(changes[second] for second in seconds)
    return {second - BEGIN: level for second, level in zip(seconds, levels, strict=True)}


def _left(fleet: Fleet) -> tuple[tuple[Left, ...], tuple[Left, ...]]:
    """Tell who never will from who would go on; those with the same words in their way together."""
    found: dict[tuple[bool, tuple[str, ...]], list[tuple[int, Why]]] = {}
    for number, host in enumerate(fleet.hosts):
        if host.os is not UPDATED or host.is_down:
            is_lost, why = _fate(host, fleet)
            place = is_lost, tuple(word for word, _ in why)
            found.setdefault(place, []).append((number, why))
    largest = sorted(found.items(), key=lambda item: len(item[1]), reverse=True)
    never, unfinished = (
        tuple(
            Left(hosts=len(those), example=fleet.scenario.name(those[0][0]), why=those[0][1])
            for (is_lost, _), those in largest
            if is_lost is wanted
        )
        for wanted in (True, False)
    )
    return never, unfinished


def _fate(host: Host | Poller, fleet: Fleet) -> tuple[bool, Why]:
    """Whether a host without the update never gets it, as things are, and what is in its way."""
    state = host.state
    if host.died:
        return True, (("died", DIED),)
    if host.is_down:
        return False, ((Reason.REBOOTING, "the host is down for its reboot"),)
    if host.os is ROLLED_BACK:
        if state is not None and any(entry.kept for entry in state.ledger):
            detail = "the update was rolled back; the slot is kept until rebootmgrctl forgive"
            return True, (("slot_kept", detail),)
        return True, (("rolled_back", "the update was rolled back"),)
    blockers = host.blockers
    why = tuple((one.reason.value, explain(one.reason, one.detail)) for one in blockers)
    is_closed = never_opens(deadlines.most_relaxed(host.policy), fleet.world.moment.wall)
    if is_closed or any(one.reason is Reason.DISABLED for one in blockers):
        return True, why
    slots = fleet.scenario.slots(host.group)
    if not slots:
        return True, ((Reason.LOCK_REFUSED, NO_SLOT),)
    if fleet.world.tally.usage[host.group].kept >= slots:
        return True, ((Reason.LOCK_REFUSED, SPENT),)
    if fleet.world.server.is_halted(host.group):
        return True, ((Reason.LOCK_REFUSED, HALTED),)
    if host.os is NOT_YET:
        return False, (("idle", "the update is not staged yet"),)
    return False, why
