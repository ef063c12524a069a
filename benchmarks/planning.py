"""How long it takes to plan 400 days, and to decide: `python -m benchmarks.planning`."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from statistics import median
from time import perf_counter
from zoneinfo import ZoneInfo

from rebootmgr.core.window import HORIZON, Calendar, Ruled, Weekly, Window, openings, outlook

ROUNDS = 20
START = datetime(2026, 1, 1, tzinfo=UTC)
ZONES = [
    ZoneInfo(name)
    for name in (
        "Europe/Rome",
        "America/New_York",
        "Australia/Lord_Howe",
        "Africa/Casablanca",
        "Asia/Kathmandu",
    )
]
RULES = ("FREQ=MONTHLY;BYDAY=2SU", "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TH", "FREQ=DAILY;BYMONTHDAY=-1")


def weekly(number: int) -> Weekly:
    return Weekly(
        days=frozenset({number % 7, (number + 3) % 7}),
        start=time(number % 24, 30),
        length=timedelta(minutes=60 + number),
        zone=ZONES[number % len(ZONES)],
    )


def ruled(number: int) -> Ruled:
    return Ruled(
        rule=RULES[number % len(RULES)],
        first=date(2000, 1, 3),
        start=time(number % 24, 15),
        length=timedelta(minutes=90),
        zone=ZONES[number % len(ZONES)],
    )


def calendar(*windows: Window) -> Calendar:
    return Calendar(periodic=True, windows=windows, splay=timedelta(minutes=20), phase=0.5)


def duration(action: Callable[[], object]) -> float:
    """Median of the rounds, in seconds."""
    taken: list[float] = []
    for _ in range(ROUNDS):
        begin = perf_counter()
        action()
        taken.append(perf_counter() - begin)
    return median(taken)


def run() -> dict[str, float]:
    """Each case and its duration in milliseconds."""
    one = calendar(weekly(5))
    every_day = Weekly(
        days=frozenset(range(7)), start=time(2), length=timedelta(hours=1), zone=ZONES[0]
    )
    fifty = calendar(*map(weekly, range(40)), *map(ruled, range(10)))
    end = START + HORIZON
    soon = START + timedelta(days=40)
    seconds = {
        "plan_1_window": duration(lambda: openings(one, START, end)),
        "plan_1_window_every_day": duration(lambda: openings(calendar(every_day), START, end)),
        "plan_50_windows": duration(lambda: openings(fifty, START, end)),
        "decide_1_window": duration(lambda: outlook(one, soon, need=timedelta(minutes=5))),
        "decide_50_windows": duration(lambda: outlook(fifty, soon, need=timedelta(minutes=5))),
    }
    return {name: value * 1000 for name, value in seconds.items()}


if __name__ == "__main__":
    for name, milliseconds in run().items():
        print(f"{name:>24} {milliseconds:9.3f} ms")
