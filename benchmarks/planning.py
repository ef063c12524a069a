"""How long it takes to plan 400 days, and to decide: `python -m benchmarks.planning`.

Set against the conversions alone: each start and end of each of the 50 windows, from its zone to
UTC.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from time import perf_counter
from zoneinfo import ZoneInfo

from benchmarks.figures import Figures, milliseconds, table
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


def convert(windows: list[Weekly], end: datetime) -> list[tuple[datetime, datetime]]:
    """Give every start and end in UTC: what no plan can do without."""
    days = [START.date() + timedelta(days=number) for number in range((end - START).days)]
    return [
        (begin.astimezone(UTC), (begin + window.length).astimezone(UTC))
        for window in windows
        for day in days
        if day.weekday() in window.days
        for begin in (datetime.combine(day, window.start, tzinfo=window.zone),)
    ]


def run() -> Figures:
    """Each case against the conversions, in turn."""
    one = calendar(weekly(5))
    every_day = Weekly(
        days=frozenset(range(7)), start=time(2), length=timedelta(hours=1), zone=ZONES[0]
    )
    fifty = calendar(*map(weekly, range(40)), *map(ruled, range(10)))
    end = START + HORIZON
    soon = START + timedelta(days=40)
    conversions = "conversions of 50 windows"
    cases: dict[str, Callable[[], object]] = {
        conversions: lambda: convert([*map(weekly, range(50))], end),
        "plan 1 window": lambda: openings(one, START, end),
        "plan 1 window every day": lambda: openings(calendar(every_day), START, end),
        "plan 50 windows in 5 zones": lambda: openings(fifty, START, end),
        "decide, 1 window": lambda: outlook(one, soon, need=timedelta(minutes=5)),
        "decide, 50 windows": lambda: outlook(fifty, soon, need=timedelta(minutes=5)),
    }
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(ROUNDS):
        for name, case in cases.items():
            begin = perf_counter()
            case()
            taken[name].append(perf_counter() - begin)
    baseline = milliseconds(taken[conversions])
    return {
        name: milliseconds(each) if name == conversions else milliseconds(each).against(baseline)
        for name, each in taken.items()
    }


if __name__ == "__main__":
    print(*table(run()), sep="\n")
