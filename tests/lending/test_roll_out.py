"""Nobody starves and no slot lies idle, whatever manners the hosts have."""

from dataclasses import dataclass

import pytest

from rebootmgr.lending.group import Group
from rebootmgr.lending.queue import Queue, Waiting
from rebootmgr.lending.terms import Moment
from rebootmgr.lending.turns import front_after
from tests.lending.roll_out import BEGIN, RollOut, fleet_of, strict_waits


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """Shares of the fleet, and what is wanted of it: the least use of slots."""

    name: str
    hosts: int = 300
    slots: int = 6
    deaf: float = 0.0
    plain: float = 0.0
    noisy: bool = False
    use: float


MIXES = (
    Mix(name="all let their answers be held", use=0.995),
    Mix(name="all let their answers be held, and some die", noisy=True, use=0.97),
    Mix(name="all do as they are told", plain=1.0, use=0.97),
    Mix(name="half come as they please", deaf=0.5, use=0.90),
    Mix(name="half come as they please to 30 slots", hosts=1200, slots=30, deaf=0.5, use=0.968),
    Mix(name="half come as they please, and some die", deaf=0.5, noisy=True, use=0.90),
    Mix(name="all come as they please", deaf=1.0, use=0.88),
    Mix(name="a slot for all manners", hosts=60, slots=1, deaf=0.4, plain=0.3, use=0.85),
)


@pytest.mark.parametrize("mix", MIXES, ids=lambda mix: mix.name)
def test_the_longest_wait_is_at_most_twice_that_of_a_strict_queue(mix: Mix) -> None:
    for seed in (1, 2):
        hosts = fleet_of(mix.hosts, deaf=mix.deaf, plain=mix.plain, noisy=mix.noisy, seed=seed)
        strict = strict_waits(hosts, mix.slots)
        report = RollOut(hosts, mix.slots, seed).run()
        assert len(report.waits_s) >= len(strict)
        assert max(report.waits_s) <= 2 * max(strict)
        assert report.use >= mix.use


def test_who_lets_its_answer_be_held_asks_a_dozen_times() -> None:
    hosts = fleet_of(600, deaf=0.0, plain=0.0, noisy=False, seed=3)
    report = RollOut(hosts, 12).run()
    assert report.mean_requests("patient") <= 12
    assert max(report.requests["patient"]) <= 40
    assert report.most_held <= 64


NOW = Moment(BEGIN, 1000.0)


def waiting(ticket: int, interval_s: float | None = None) -> Waiting:
    return Waiting(
        ticket=ticket,
        id=f"h{ticket}",
        name="",
        joined=BEGIN,
        joined_s=0.0,
        answered_s=0.0,
        told_s=900.0,
        interval_s=interval_s,
        due_s=900.0,
        gone_s=9000.0,
    )


def queued(*tickets: int) -> Group:
    queue = Queue()
    for ticket in tickets:
        queue = queue.put(waiting(ticket))
    return Group(queue=queue, front=10)


@pytest.mark.parametrize(
    ("ticket", "interval_s", "idle_since_s", "front"),
    [
        (19, None, None, 19),
        (70, None, None, 10),
        (70, None, 970.0, 10),
        (70, None, 930.0, 70),
        (19, 300.0, 930.0, 10),
        (5, None, 930.0, 10),
    ],
    ids=[
        "in its turn",
        "let in far ahead of it",
        "where a slot was free for half a minute",
        "where one was for longer, and all before it missed their turn",
        "of those that come as they please",
        "who came late",
    ],
)
def test_the_turn_comes_as_far_as_those_who_had_theirs(
    ticket: int, interval_s: float | None, idle_since_s: float | None, front: int
) -> None:
    group = queued(*range(5, 90))._replace(idle_since_s=idle_since_s)
    assert front_after(group, 3, NOW, waiting(ticket, interval_s)) == front
