"""Nobody starves and no slot lies idle, whatever manners the hosts have."""

from dataclasses import dataclass

import pytest

from tests.lending.roll_out import RollOut, fleet_of, strict_waits


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
