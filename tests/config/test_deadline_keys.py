"""The keys of deadlines: what they take, and what is said of what they do not (SPEC 3, 5a)."""

from datetime import UTC, datetime, timedelta

import pytest

from rebootmgr.config.checked import DropIn, decode_config
from rebootmgr.config.resolve import resolve_policy
from rebootmgr.config.review import review_config
from rebootmgr.core.policy import DeadlineStep, Waivable

AT = datetime(2026, 6, 1, 12, tzinfo=UTC)  # a Monday
DAY = timedelta(days=1)
SATURDAYS = """updates.strategy = "periodic"
[[updates.periodic.window]]
days = ["Sat"]
start_time = "01:00"
length_minutes = 60
"""


def step(after: str = '"14d"', waive: str = '["windows"]', more: str = "") -> str:
    return f"[[updates.deadline]]\nafter = {after}\nwaive = {waive}\n{more}"


def faults(text: str) -> list[tuple[int | None, str, str, str]]:
    config = decode_config((DropIn("a.toml", text),), localtime=None)
    assert all(each.hint for each in config.errors)
    return [(each.line, each.key, each.message, each.hint) for each in config.errors]


def warned(text: str) -> list[tuple[int | None, str]]:
    config = decode_config((DropIn("a.toml", text),), localtime=None)
    assert config.errors == ()
    found = review_config(config, at=AT, node_id="n")
    assert (found.errors, all(each.hint for each in found.warnings)) == ((), True)
    return [(each.line, each.message) for each in found.warnings]


def test_steps_of_all_files_are_taken_by_rising_age() -> None:
    late = step(more='grace = "4h"\nwarn = ["15m", "2d", "4h"]\n')
    files = (DropIn("a.toml", late), DropIn("b.toml", step('"7d"', '["sessions", "fit"]')))
    config = decode_config(files, localtime=None)
    policy = resolve_policy(config, node_id="n", variables={}, dry_run=False)
    assert policy.deadlines == (
        DeadlineStep(after=7 * DAY, waive=frozenset({Waivable.SESSIONS, Waivable.FIT})),
        DeadlineStep(
            after=14 * DAY,
            waive=frozenset({Waivable.WINDOWS}),
            grace=DAY / 6,
            warn=(2 * DAY, DAY / 6, DAY / 96),
        ),
    )


@pytest.mark.parametrize(
    ("text", "line", "key", "message", "hint"),
    [
        (step("14"), 2, "after", "must be a length of time, not 14", "14d"),
        (step('"soon"'), 2, "after", '"soon" is no length of time', "90s"),
        (step('"0s"'), 2, "after", "too short", "90s"),
        (step(waive='"windows"'), 3, "waive", "must be an array", '["windows"]'),
        (step(waive="[]"), 3, "waive", "is empty", '"windows"'),
        (step(waive='["window"]'), 3, "waive", "nothing that a deadline", '"windows"?'),
        (step(waive='["inhibitors"]'), 3, "waive", "never waived", "respect"),
        (step(waive='["blackouts"]'), 3, "waive", "never waived", "blackout"),
        (step(waive='["checks"]'), 3, "waive", "never waived", '"checks:10-backup"'),
        (step(waive='["checks:"]'), 3, "waive", "never waived", '"checks:10-backup"'),
        (step(waive='["checks:../x"]'), 3, "waive", "no name of a program", "its file alone"),
        (step(waive='["check:10-a"]'), 3, "waive", "nothing that a deadline", "checks:10-backup"),
        (step(waive="[7]"), 3, "waive", "7 is nothing", '"sessions"'),
        (step(more='warn = "1d"\n'), 4, "warn", "must be an array", '["1d"'),
        (step(more="grace = true\n"), 4, "grace", "must be a length", "14d"),
        (step(more='wran = ["1d"]\n'), 4, "wran", "is no known key", "warn"),
        ('[[updates.deadline]]\nafter = "1d"\n', 1, "", "has no waive", "add waive"),
        ('[[updates.deadline]]\nwaive = ["fit"]\n', 1, "", "has no after", "add after"),
        (step() + step('"2w"', '["fit"]'), 5, "after", "the same as", "one step"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_its_cure(
    text: str, line: int, key: str, message: str, hint: str
) -> None:
    [(where, what, said, cure)] = faults(text)
    assert (where, what) == (line, f"updates.deadline.{key}".rstrip("."))
    assert message in said
    assert hint in cure


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (step(waive='["windows"]'), "no windows"),
        (step(waive='["splay"]'), "no windows"),
        (step(waive='["fit"]'), "no windows"),
        (SATURDAYS + step('"7d"', '["splay"]'), "splay_minutes is 0"),
        (step(waive='["sessions"]') + "[updates.sessions]\nwait = false\n", "wait is false"),
        (step(waive='["sessions"]') + step('"3w"', '["sessions"]'), "does nothing"),
        (step(waive='["sessions"]') + "[updates]\nenabled = false\n", "nothing reboots"),
        (SATURDAYS + step('"6d"'), "comes before the first window"),
    ],
)
def test_a_step_that_is_of_no_use_is_named(text: str, message: str) -> None:
    [(_, said)] = warned(text)
    assert message in said


def test_steps_that_are_of_use_are_not_remarked_upon() -> None:
    assert warned(SATURDAYS + step('"7d"') + step('"5d"', '["sessions"]')) == []


def test_programs_of_checks_d_are_waived_by_their_names() -> None:
    first = step('"5d"', '["windows", "checks:10-backup", "checks:20-load"]')
    config = decode_config((DropIn("a.toml", SATURDAYS + first),), localtime=None)
    policy = resolve_policy(config, node_id="n", variables={}, dry_run=False)
    [found] = policy.deadlines
    assert found.waive == {Waivable.WINDOWS}
    assert found.checks == {"10-backup", "20-load"}
    assert found.names == {"windows", "checks:10-backup", "checks:20-load"}
    again = step('"6d"', '["checks:20-load"]')
    assert "does nothing" in warned(step('"5d"', '["checks:20-load"]') + again)[0][1]
    assert warned(step('"5d"', '["checks:10-backup"]') + again) == []
