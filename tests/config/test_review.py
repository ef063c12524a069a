"""The advice on a calendar: each fault beside the nearest thing that is none (SPEC 11)."""

from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rebootmgr.config.checked import DropIn, decode_config
from rebootmgr.config.review import advise, review_config
from rebootmgr.core.window import HORIZON

AT = datetime(2026, 6, 1, 12, tzinfo=UTC)  # a Monday
PERIODIC = 'updates.strategy = "periodic"\n'


def window(days: str = "Sat", start: str = "01:00", length: int = 60) -> str:
    return (
        "[[updates.periodic.window]]\n"
        f'days = ["{days}"]\nstart_time = "{start}"\nlength_minutes = {length}\n'
    )


def ruled(rule: str) -> str:
    return window().replace('days = ["Sat"]', f'rrule = "{rule}"')


def blackout(start: str, end: str, rule: str = "") -> str:
    more = f'rrule = "{rule}"\n' if rule else ""
    return f"[[updates.blackout]]\nstart = {start}\nend = {end}\n{more}"


def warned(text: str, takes: timedelta | None = None) -> list[tuple[int | None, str]]:
    """Which line, and what is said of it; everything here is valid."""
    config = decode_config((DropIn("a.toml", text),), localtime=None)
    assert config.errors == ()
    found = review_config(config, at=AT, node_id="n", reboot_takes=takes)
    assert found.errors == ()
    assert all(each.hint for each in found.warnings)
    return [(each.line, each.message) for each in found.warnings]


def test_a_window_whose_rule_is_over_is_named_beside_one_that_opens() -> None:
    good, over = window(), ruled("FREQ=DAILY;UNTIL=20260531")
    assert warned(PERIODIC + good + over) == [(6, "does not open in the next 400 days")]
    assert warned(PERIODIC + good + over.replace("20260531", "20260602")) == []


def test_a_window_is_looked_for_as_far_as_the_plan_of_the_daemon_goes() -> None:
    assert HORIZON.days == 400
    good = window()
    far, near = ruled("FREQ=YEARLY;BYYEARDAY=190"), ruled("FREQ=YEARLY;BYYEARDAY=180")
    since = "start_date = 2027-01-01\n"  # day 190 of 2027 is 403 days from now
    assert warned(PERIODIC + good + far + since) == [(6, "does not open in the next 400 days")]
    assert warned(PERIODIC + good + near + since) == []


def test_a_window_that_always_falls_into_a_blackout_is_named() -> None:
    saturdays = blackout("2026-01-03", "2026-01-04", "FREQ=WEEKLY;BYDAY=SA")
    text = PERIODIC + window("Sun") + window("Sat")
    said = "each time it opens in the next 400 days, a blackout is on"
    assert warned(text + saturdays) == [(6, said)]
    assert warned(PERIODIC + window("Sun") + window("Sat", "23:30", 31) + saturdays) == []


@pytest.mark.parametrize(
    ("more", "minutes"),
    [
        ("", 61),
        ("updates.periodic.splay_minutes = 0\n", 61),
        (blackout("2026-01-03T01:30:00", "2026-01-03T12:00:00", "FREQ=WEEKLY"), 31),
    ],
    ids=["alone", "no splay", "cut by a blackout"],
)
def test_a_window_shorter_than_the_measured_need_is_named(more: str, minutes: int) -> None:
    text = PERIODIC + more + window("Sat") + window("Sun", length=600)
    if more.startswith("[["):
        text = PERIODIC + window("Sat") + window("Sun", length=600) + more
    takes = timedelta(minutes=minutes)
    [(line, said)] = warned(text, takes)
    assert line == text[: text.index("[[updates.periodic.window]]")].count("\n") + 1
    assert said == f"leaves {minutes - 1} minutes, and a reboot of this host takes {minutes}"
    assert warned(text, takes - timedelta(minutes=1)) == []
    assert warned(text, None) == [], "nothing is said where nothing was measured"
    assert warned(f"updates.periodic.fit = false\n{text}", takes) == [], "told not to look"


def test_the_splay_of_this_host_counts_against_its_windows() -> None:
    text = f"{PERIODIC}updates.periodic.splay_minutes = 60\n{window()}"
    [(_, said)] = warned(text, timedelta(minutes=60))
    assert said.startswith("leaves ")
    assert warned(text, timedelta(minutes=30)) == [], "a splay leaves half of an opening"


def test_windows_that_touch_are_as_long_as_they_are_together() -> None:
    text = PERIODIC + window("Sat", "01:00") + window("Sat", "02:00")
    assert warned(text, timedelta(minutes=120)) == []
    assert len(warned(text, timedelta(minutes=121))) == 2


def test_nothing_is_said_of_windows_while_rebooting_is_switched_off() -> None:
    text = "updates.enabled = false\n" + PERIODIC + ruled("FREQ=DAILY;UNTIL=20260531")
    assert warned(text, timedelta(hours=5)) == []


@pytest.mark.parametrize(
    ("over", "current"),
    [
        (blackout("2026-04-01", "2026-05-01"), blackout("2026-04-01", "2026-05-03")),
        (
            blackout("2020-12-18", "2021-01-04", "FREQ=YEARLY;UNTIL=20260414"),
            blackout("2020-12-18", "2021-01-04", "FREQ=YEARLY;UNTIL=20260416"),
        ),
        (
            blackout("2020-12-18T00:00:00Z", "2021-01-04T00:00:00Z"),
            blackout("2020-12-18T00:00:00Z", "2021-01-04T00:00:00Z", "FREQ=YEARLY"),
        ),
    ],
)
def test_a_blackout_that_ended_long_ago_is_named(over: str, current: str) -> None:
    [(line, said)] = warned(over)
    assert line == 1
    assert "does not come again" in said
    assert warned(current) == []


def test_what_needs_the_configuration_alone_is_what_the_daemon_logs() -> None:
    text = "updates.periodic.splay_minutes = 61\n" + PERIODIC + window()
    config = decode_config((DropIn("a.toml", text + blackout("2020-01-01", "2020-01-02")),),
                           localtime=None)  # fmt: skip
    assert [each.key for each in advise(config)] == ["updates.periodic.splay_minutes"]
    exact = decode_config((DropIn("a.toml", text.replace("61", "60")),), localtime=None)
    assert advise(exact) == ()


TIMES = st.times(min_value=time(0), max_value=time(23, 59)).map(lambda at: f"{at:%H:%M}")
LENGTHS = st.integers(1, 10080)
RULES = st.sampled_from(
    ["FREQ=DAILY", "FREQ=MONTHLY;BYDAY=2SU", "FREQ=YEARLY;INTERVAL=3", "FREQ=DAILY;UNTIL=20260401"]
)
WINDOWS = st.builds(window, st.sampled_from(["Sat", "mon"]), TIMES, LENGTHS) | RULES.map(ruled)
DAYS = st.integers(1, 28)
BLACKOUTS = st.builds(
    lambda first, last, rule: blackout(f"2026-05-{first:02}", f"2026-06-{last:02}", rule),
    DAYS,
    DAYS,
    st.sampled_from(["", "FREQ=YEARLY", "FREQ=YEARLY;UNTIL=20260601"]),
)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(WINDOWS, min_size=1, max_size=4),
    st.lists(BLACKOUTS, max_size=3),
    st.integers(0, 600),
    st.none() | st.timedeltas(timedelta(seconds=1), timedelta(days=2)),
)
def test_every_calendar_gets_advice_that_names_its_place(
    windows: list[str], blackouts: list[str], splay: int, takes: timedelta | None
) -> None:
    head = f"updates.periodic.splay_minutes = {splay}\n{PERIODIC}"
    text = head + "".join(windows + blackouts)
    config = decode_config((DropIn("a.toml", text),), localtime=None)
    assert config.errors == ()
    found = review_config(config, at=AT, node_id="n", reboot_takes=takes)
    lines = text.splitlines()
    for problem in (*found.errors, *found.warnings):
        assert problem.line is not None
        assert problem.key.split(".")[1] in lines[problem.line - 1]
    at_windows = [each.line for each in found.warnings if each.key.endswith("window")]
    assert len(at_windows) == len(set(at_windows)), "one piece of advice for each window"
