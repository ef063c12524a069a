"""Calendar events mean what systemd means by them, and what would mean more is refused."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Final
from zoneinfo import ZoneInfo

import pytest

from rebootmgr.config.checked import DropIn, decode_config
from rebootmgr.config.resolve import resolve_calendar
from rebootmgr.core.calendar_event import decode_event
from rebootmgr.core.window import LONGEST, plan

BASE: Final = datetime(2026, 3, 1, tzinfo=UTC)
ZONES: Final = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata")
EACH: Final = 200
LOOKED_AT: Final = 6  # occurrences of each expression
DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def expression(dice: Random) -> str:
    """Throw an expression of every form that comes once a day at most."""
    parts = []
    if dice.random() < 0.6:
        parts.append(",".join(_weekdays(dice) for _ in range(dice.choice((1, 1, 2, 3)))))
    if dice.random() < 0.7:
        year = dice.choice(("*-", "*-", "*-", "", _list(dice, 2026, 2031, 2199)))
        year = year if year[-1:] in {"", "-"} else f"{year}-"
        month = dice.choice(("*", "*", "*", _list(dice, 1, 12, 12)))
        if dice.random() < 0.3:
            day = f"~{_list(dice, 1, 19, 0)}"  # systemd 252 takes the third of a list up to 22
        else:
            day = f"-{dice.choice(('*', '*', _list(dice, 1, 31, 31)))}"
        parts.append(f"{year}{month}{day}")
    if not parts or dice.random() < 0.9:
        seconds = dice.choice(("", "", ":00", f":{dice.randrange(60):02}"))
        parts.append(
            f"{dice.randrange(24):0{dice.choice((1, 2))}}:{dice.randrange(60):02}{seconds}"
        )
    return " ".join(parts)


def _weekdays(dice: Random) -> str:
    first, last = sorted(dice.choices(range(7), k=2))
    names = [dice.choice((name, name.lower())) for name in (DAYS[first], DAYS[last])]
    return dice.choice((names[0], names[0], names[0] + dice.choice(("..", "-")) + names[1]))


def _list(dice: Random, low: int, high: int, most: int) -> str:
    return ",".join(_item(dice, low, high, most) for _ in range(dice.choice((1, 1, 2, 3))))


def _item(dice: Random, low: int, high: int, most: int) -> str:
    first, last = sorted((dice.randint(low, high), dice.randint(low, high)))
    room = most - first if most else first - 1  # a step is one that can be taken
    step = dice.randint(1, min(9, room)) if room > 0 else 0
    forms = [f"{first:02}", f"{first:02}", *([f"{first:02}/{step}"] if step else [])]
    if first < last:
        forms += [f"{first:02}..{last:02}", f"{first:02}..{last:02}/{dice.randint(1, 9)}"]
    return dice.choice(forms)


def told_by_systemd(expressions: Sequence[str], zone: str) -> dict[str, list[datetime]]:
    """When each elapses next, a few times, after the base; `[]` for never.

    Left out are those of which systemd itself says "Infinite loop in calendar calculation", as 252
    does where a clock is changed.
    """
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here: nothing was compared (apt-get install systemd)")
    told = told_of(expressions, zone)
    assert len(told) > len(expressions) * 0.9
    return told


def told_of(expressions: Sequence[str], zone: str) -> dict[str, list[datetime]]:
    command = ["systemd-analyze", "calendar", f"--iterations={LOOKED_AT}"]
    base = f"--base-time={BASE:%Y-%m-%d %H:%M:%S} UTC"
    environ = {**os.environ, "TZ": zone, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [*command, base, *expressions], env=environ, capture_output=True, text=True, check=False
    )
    if "Infinite loop" in done.stderr:
        half = len(expressions) // 2
        parts = (expressions[:half], expressions[half:]) if half else ()
        return {text: told for part in parts for text, told in told_of(part, zone).items()}
    assert (done.returncode, done.stderr) == (0, "")
    kind = r"(?:Next elapse|Iter(?:ation|\.) #\d+)" if zone == "UTC" else r"\(in UTC\)"
    blocks = done.stdout.split("Normalized form: ")[1:]
    return {
        text: [
            datetime.strptime(at, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
            for at in re.findall(rf"{kind}: \w+ ([0-9-]+ [0-9:]+) UTC", block)
        ]
        for text, block in zip(expressions, blocks, strict=True)
    }


def told_by_plan(text: str, zone: str, until: datetime) -> list[datetime]:
    """When a window of it opens, after the base until an instant, both included."""
    window = f'on_calendar = "{text}"\nlength_minutes = 1\ntime_zone = "{zone}"'
    drop_in = f'updates.strategy = "periodic"\n[[updates.periodic.window]]\n{window}'
    config = decode_config((DropIn("a.toml", drop_in),), localtime=UTC)
    assert config.errors == ()
    calendar = resolve_calendar(config.settings.updates, node_id="")
    start = BASE + timedelta(seconds=1)
    found = plan(calendar, start, min(until + timedelta(seconds=1), start + LONGEST)).openings
    return [each.start for each in found if each.start > start]


def is_quiet(at: datetime, zone: ZoneInfo) -> bool:
    """Whether no clock is changed on that day, where we do as RFC 5545 has it."""
    midnight = datetime.combine(at.astimezone(zone).date(), time(), zone)
    days = (midnight - timedelta(days=1), midnight, midnight + timedelta(days=2))
    return len({each.utcoffset() for each in days}) == 1


@pytest.mark.parametrize("zone", ZONES)
def test_a_plan_has_what_systemd_says_of_a_thousand_random_expressions(zone: str) -> None:
    dice = Random(f"calendar {zone}")  # noqa: S311 - the same ones each time
    expressions = [expression(dice) for _ in range(EACH)]
    compared = 0
    for text, theirs in told_by_systemd(expressions, zone).items():
        until = theirs[-1] if len(theirs) == LOOKED_AT else BASE + LONGEST
        ours = told_by_plan(text, zone, until)
        place = ZoneInfo(zone)
        near = [at for at in theirs if at <= BASE + LONGEST]
        quiet = [[at for at in some if is_quiet(at, place)] for some in (ours, near)]
        assert quiet[0] == quiet[1], text
        compared += len(quiet[0])
    assert compared > EACH * LOOKED_AT / 2


def test_what_is_thrown_has_every_form() -> None:
    dice = Random("forms")  # noqa: S311
    text = "\n".join(expression(dice) for _ in range(EACH))
    for form in (
        r"\.\.",
        "/",
        "~",
        ",",
        r"^\d+:",
        r"^\w{3} \d+:",
        r"\w-\d\d?( |$)",
        r":\d\d:\d\d$",
    ):
        assert re.search(form, text, re.MULTILINE), form


SHORT: Final = (
    *("daily", "weekly", "monthly", "quarterly", "semiannually", "yearly", "annually"),
    *("Saturday 2:5", "sat,sun", "Mon, 01:00", "26-03-05", "2-29 00:00"),
)


def test_shorthands_and_short_forms_are_those_of_systemd() -> None:
    for text, theirs in told_by_systemd(SHORT, "UTC").items():
        near = [at for at in theirs if at <= BASE + LONGEST]
        until = theirs[-1] if len(theirs) == LOOKED_AT else BASE + LONGEST
        assert told_by_plan(text, "UTC", until) == near, text


def days_of(text: str, year: int) -> Iterator[str]:
    low, high = date(year, 1, 1).toordinal(), date(year + 1, 1, 1).toordinal()
    return (f"{day:%a %m-%d}" for day in decode_event(text).within(low, high))


def test_days_from_the_end_of_a_month_are_those_of_the_manual() -> None:
    assert list(days_of("*-02~03", 2028)) == ["Sun 02-27"]
    assert list(days_of("Mon *-05~07/1", 2026)) == ["Mon 05-25"]


REFUSED: Final = {
    "hourly": "comes more than once a day",
    "*:0/15": "comes more than once a day",
    "Sat 01:00,13:00": "comes more than once a day",
    "Sat 01..03:00": "comes more than once a day",
    "Sat 01:00 Europe/Berlin": 'write time_zone = "Europe/Berlin" instead',
    "Sat *-*-* 01:00 UTC": 'write time_zone = "UTC" instead',
    "": "is empty",
    "Tusday 01:00": 'did you mean "Tuesday"?',
    "Sat..Mon 01:00": "over the end of a week",
    "*-13-01": '"13" is not a month; write 1 to 12',
    "*-*-32": '"32" is not a day; write 1 to 31',
    "*-*-7..1": '"7..1" is not a day',
    "*-*-*/2": '"*/2" is not a day',
    "*-*~30": "is not a day counted from the end; write 1 to 28",
    "*-*~*": "has no day behind the ~",
    "24:00": "is no time of day",
    "1:60": "is no time of day",
    "@1234": '"@1234" is no date',
    "Sat *-*-* noon": "has no time of day that can be read",
    "*-*-1/0": '"1/0" is not a day',
    "é": "is no calendar event",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_event_or_comes_more_often_is_refused_with_a_cure(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(REFUSED[text])) as raised:
        decode_event(text)
    assert "; " in str(raised.value)
