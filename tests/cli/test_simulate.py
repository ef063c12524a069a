"""simulate, as it meets people and scripts."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from rebootmgr.cli.simulate_plot import round_levels, round_times
from rebootmgr.core.memory import Memory, PastReboot
from rebootmgr.core.model import DeploymentId, Outcome
from rebootmgr.state.store import StateStore
from tests.cli.test_config_verbs import Done, drop_in, run
from tests.core.script import EPOCH

SUNDAY = """
[updates]
strategy = ["periodic", "fleet_lock"]
[updates.fleet_lock]
base_url = "https://lock.example/${group}/${basearch}"
[[updates.periodic.window]]
days = ["Sun"]
start_time = "02:00"
length_minutes = 60
"""
FROM = ("--from", "2026-11-21T12:00:00Z")


def simulate(root: Path, *words: str) -> Done:
    return run(root, "simulate", *FROM, *words)


def answer(root: Path, *words: str) -> Any:  # JSON is of any type
    done = simulate(root, "--json", *words)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_a_fleet_without_a_configuration_reboots_at_any_time(tmp_path: Path) -> None:
    found = answer(tmp_path, "--hosts", "30", "--slots", "3", "--spread", "0%")
    assert (found["hosts"], found["updated"], found["never"]) == (30, 30, [])
    assert found["from"] == found["first_request"] == "2026-11-21T12:00:00Z"
    assert 3000 < found["duration_seconds"] < 5000
    assert 0.6 < found["utilisation"] < 1
    assert found["requests_per_host"] == round(found["requests"] / 30, 3)
    assert (found["peak_requests_per_second"], found["most_hosts_down"]) == (30, 3)
    assert found["mean_requests_per_second"] < 1


def test_windows_are_those_of_the_host_or_of_a_directory(tmp_path: Path) -> None:
    drop_in(tmp_path, SUNDAY)
    words = ("--hosts", "40", "--slots", "2")
    found = answer(tmp_path, *words)
    assert found["first_request"] == "2026-11-22T02:00:00Z"
    assert found["updated"] < 40
    (left,) = found["unfinished"]
    assert found["never"] == []
    assert left["hosts"] == 40 - found["updated"]
    assert left["blockers"][0]["reason"] == "outside_window"
    assert "2026-11-29 02:00 UTC" in left["blockers"][0]["detail"]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert answer(tmp_path, *words, "--config", str(elsewhere))["updated"] == 40
    (elsewhere / "10.toml").write_text(SUNDAY.replace("02:00", "03:00"))
    found = answer(tmp_path, *words, "--config", str(elsewhere))
    assert found["first_request"] == "2026-11-22T03:00:00Z"


DEADLINE = """
[[updates.deadline]]
after = "10d"
waive = ["windows"]
"""


def test_how_many_miss_the_window_and_go_by_the_deadline_is_said(tmp_path: Path) -> None:
    drop_in(tmp_path, SUNDAY + DEADLINE)
    words = ("--hosts", "40", "--slots", "1", "--for", "20d")
    found = answer(tmp_path, *words)
    assert found["updated"] == 40
    assert 15 < found["by_deadline"] < 36  # two Sundays take some ten each
    shown = simulate(tmp_path, *words).stdout
    missed = f"deadlines: {found['by_deadline']} hosts found no window in time, and went without by"
    assert missed in shown
    assert "deadlines: no host" in simulate(tmp_path, *words[:2], "--slots", "40").stdout
    drop_in(tmp_path, SUNDAY)
    assert answer(tmp_path, *words)["by_deadline"] == 0
    assert "deadline" not in simulate(tmp_path, *words).stdout


def test_zones_share_the_hosts_and_open_one_after_the_other(tmp_path: Path) -> None:
    drop_in(tmp_path, SUNDAY)
    zones = ("--time-zone", "Europe/Rome", "--time-zone", "America/New_York")
    found = answer(tmp_path, "--hosts", "8", "--slots", "8", *zones)
    assert found["first_request"] == "2026-11-22T01:00:00Z"
    assert found["last_update"] > "2026-11-22T07:00:00Z"
    assert found["most_hosts_down"] == 4


def test_reboots_may_take_as_long_as_they_did_here(tmp_path: Path) -> None:
    reboots = tuple(
        PastReboot(
            at=EPOCH,
            target=DeploymentId("x"),
            version="1",
            outcome=Outcome.SUCCEEDED,
            seconds=seconds,
        )
        for seconds in (100.0, 100.0)
    )
    (tmp_path / "var/lib/rebootmgr").mkdir(parents=True)
    StateStore(tmp_path).write(Memory(reboots=reboots))
    found = answer(tmp_path, "--hosts", "4", "--slots", "4", "--reboot", "history")
    assert found["duration_seconds"] == 100.0


def test_failures_outages_and_a_slow_server_are_told_of(tmp_path: Path) -> None:
    calm = answer(tmp_path, "--hosts", "20", "--slots", "2")
    failed = answer(tmp_path, "--hosts", "20", "--slots", "2", "--failures", "100%")
    assert {left["blockers"][0]["reason"] for left in failed["never"]} == {
        "lock_refused",
        "slot_kept",
    }
    disturbed = ("--outage", "10min/20min", "--outage", "2026-11-21T13:00:00Z/5min")
    assert (
        answer(tmp_path, "--hosts", "20", "--slots", "2", *disturbed)["duration_seconds"]
        > calm["duration_seconds"] + 600
    )
    slow = ("--server-rate", "0.5", "--answer", "2s", "--staging", "10min", "--groups", "2")
    assert answer(tmp_path, "--hosts", "20", "--slots", "2", *slow)["updated"] == 20


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--hosts", "0", "--slots", "1"), '--hosts "0": write a whole number from 1 to 1000000'),
        (("--hosts", "9" * 80, "--slots", "1"), "write a whole number"),
        (("--slots", "5"), "the following arguments are required: --hosts"),
        (("--hosts", "4", "--slots", "1", "--groups", "5"), "write a whole number from 1 to 4"),
        (("--hosts", "5", "--slots", "1", "--failures", "3"), "write 0% to 100%"),
        (("--hosts", "5", "--slots", "1", "--spread", "200%"), "write 0% to 100%"),
        (("--hosts", "5", "--slots", "1", "--reboot", "soon"), '--reboot: "soon" is no length'),
        (("--hosts", "5", "--slots", "1", "--reboot", "history"), "is on record; say how long"),
        (("--hosts", "5", "--slots", "1", "--outage", "5min"), "write START/SPAN"),
        (("--hosts", "5", "--slots", "1", "--outage", "x/5min"), '"x" cannot be read as a time'),
        (("--hosts", "5", "--slots", "1", "--server-rate", "nan"), "write requests a second"),
        (("--hosts", "5", "--slots", "1", "--time-zone", "Europe/Roma"), "mean Europe/Rome?"),
        (("--hosts", "5", "--slots", "1", "--for", "2y"), "covers 400 days at most"),
        (("--hosts", "5", "--slots", "1", "--config", "/nowhere"), "no such directory"),
        (("--hosts", "5", "--slots", "1", "--plot", "/nowhere/x"), "cannot be written"),
    ],
)
def test_a_senseless_option_is_refused_with_its_cure(
    tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    done = simulate(tmp_path, *words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert told in done.stderr


def test_a_fleet_that_is_switched_off_says_so_at_once(tmp_path: Path) -> None:
    drop_in(tmp_path, '[updates]\nstrategy = "off"\n')
    found = answer(tmp_path, "--hosts", "5", "--slots", "1", "--for", "400d")
    assert (found["updated"], found["requests"], found["first_request"]) == (0, 0, None)
    assert [left["blockers"][0]["reason"] for left in found["never"]] == ["disabled"]
    file = tmp_path / "x.svg"
    words = ("--hosts", "5", "--slots", "1", "--plot", str(file))
    assert "none of 5" in simulate(tmp_path, *words).stdout
    assert "5 hosts, 1 slot: none updated" in file.read_text()


def test_an_invalid_configuration_is_not_simulated(tmp_path: Path) -> None:
    drop_in(tmp_path, '[updates]\nstrategy = "fleet_lock"\n')
    done = simulate(tmp_path, "--hosts", "5", "--slots", "1")
    assert done.returncode == 78
    assert "base_url" in done.stderr


def test_the_page_fits_on_a_screen_and_says_it_all(tmp_path: Path) -> None:
    drop_in(tmp_path, SUNDAY)
    page = simulate(tmp_path, "--hosts", "100", "--slots", "3", "--failures", "8%").stdout
    assert max(map(len, page.splitlines())) <= 80
    labels = ("fleet:", "updated:", "not yet:", "never:", "slots:", "requests:")
    for part in (*labels, "requests/s", "hosts down"):
        assert part in page
    assert page.count("#") > 50


def test_not_yet_after_a_week_is_not_never(tmp_path: Path) -> None:
    drop_in(tmp_path, SUNDAY)
    words = ("--hosts", "100", "--slots", "3", "--failures", "8%")
    shown = simulate(tmp_path, *words).stdout
    golden = Path(__file__).parent / "golden" / "simulate.80.txt"
    if not golden.exists():
        golden.write_text(shown)
        pytest.fail(f"{golden.name} was missing: look at what is there now")
    assert shown == golden.read_text()
    assert " not yet: 76 hosts after 7 d, such as " in shown
    assert " never: 2 hosts, such as " in shown


def test_the_drawing_is_svg_with_its_three_curves_and_a_title(tmp_path: Path) -> None:
    file = tmp_path / "x.svg"
    assert simulate(tmp_path, "--hosts", "20", "--slots", "2", "--plot", str(file)).returncode == 0
    drawing = ET.parse(file).getroot()  # noqa: S314 - our own
    names = [each.tag.rpartition("}")[2] for each in drawing.iter()]
    assert names.count("polygon") == 3
    shown = {each.text for each in drawing.iter()}
    assert {"hosts done", "hosts down for their reboot"} < shown
    assert any(text and text.startswith("Roll-out to 20 hosts, 2 slots: all upd") for text in shown)
    assert "window" not in {each.get("class") for each in drawing.iter()}


def test_the_drawing_shades_the_windows_and_says_who_is_left(tmp_path: Path) -> None:
    drop_in(tmp_path, SUNDAY)
    file = tmp_path / "x.svg"
    words = ("--hosts", "100", "--slots", "2", "--for", "10d", "--plot", str(file))
    found = answer(tmp_path, *words)
    drawing = ET.parse(file).getroot()  # noqa: S314 - our own
    bands = [each for each in drawing.iter() if each.get("class") == "window"]
    assert len(bands) == 3 * 2  # a band a panel for each of two Sundays
    left = found["unfinished"][0]["hosts"]
    told = f"shaded: a window is open; not yet after 10 d: {left} hosts"
    assert any(each.text and each.text.endswith(told) for each in drawing.iter())


@pytest.mark.parametrize(
    ("most", "is_whole", "last", "step"),
    [
        (300, True, 300, 100),
        (7, True, 8, 2),
        (1, True, 1, 1),
        (0, True, 1, 1),
        (0.93, False, 1.0, 0.2),
        (1_000_000, True, 1_000_000, 200_000),
    ],
)
def test_numbers_beside_the_drawing_are_round(
    *, most: float, is_whole: bool, last: float, step: float
) -> None:
    levels = round_levels(most, is_whole=is_whole)
    assert (levels[0], levels[1], levels[-1]) == (0, step, last)


@pytest.mark.parametrize("minutes", [1, 7, 50, 106, 403, 1440, 4000, 10250, 50000, 576000])
def test_times_below_the_drawing_are_round_and_few(minutes: int) -> None:
    start = datetime(2026, 10, 23, 22, 3, 17, tzinfo=UTC)
    end = start + timedelta(minutes=minutes)
    found = round_times(start, end, ZoneInfo("Europe/Rome"))
    assert len(found) <= 9
    assert found == sorted(found)
    assert len(found) >= 2 or minutes < 2
    assert all(start <= at <= end and at.second == 0 for at, _ in found)


def test_times_below_the_drawing_follow_the_clocks_of_the_zone() -> None:
    start = datetime(2026, 10, 24, 22, tzinfo=UTC)  # the night in which there are two 02:00
    found = round_times(start, start + timedelta(hours=7), ZoneInfo("Europe/Rome"))
    assert [label for _, label in found][:4] == ["Sun 10-25 00:00", "01:00", "02:00", "03:00"]
    assert found[3][0] - found[2][0] == timedelta(hours=2)
    start = datetime(2026, 3, 28, 23, tzinfo=UTC)  # and there is none
    found = round_times(start, start + timedelta(hours=7), ZoneInfo("Europe/Rome"))
    assert [label for _, label in found][:4] == ["Sun 03-29 00:00", "01:00", "03:00", "04:00"]


def test_a_long_run_shows_how_far_it_is_and_ends_tidily_when_interrupted(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "rebootmgr.cli.main", "--root", str(tmp_path), "simulate")
    master, slave = pty.openpty()
    child = subprocess.Popen(
        (*command, "--hosts", "3000", "--slots", "2"), stdout=subprocess.PIPE, stderr=slave
    )
    os.close(slave)
    try:
        shown = read_until(master, b"of 3000 hosts are updated")
        child.send_signal(signal.SIGINT)
        out, _ = child.communicate()
        shown += read_until(master, b"\x1b[K")
    finally:
        child.kill()
        os.close(master)
    assert (child.returncode, out) == (130, b"")
    assert shown.endswith(b"\r\x1b[K")
    assert b"Traceback" not in shown


def read_until(terminal: int, wanted: bytes) -> bytes:
    shown = b""
    while wanted not in shown:
        assert select.select([terminal], [], [])[0], shown
        shown += os.read(terminal, 4096)
    return shown


def test_a_roll_out_through_rebootmgr_lockd_and_how_many_slots_it_takes(tmp_path: Path) -> None:
    ours = ("--hosts", "40", "--server", "lockd", "--zincati", "25%", "--canaries", "2")
    by = ("--soak", "20min", "--finish-by", "2026-11-21T15:00:00Z")
    found = answer(tmp_path, *ours, *by)
    assert (found["hosts"], found["updated"]) == (40, 40)
    assert found["last_update"] <= "2026-11-21T15:00:00Z"
    slots = found["slots_needed"]
    text = simulate(tmp_path, *ours, *by).stdout
    assert f"needed: {slots} slot" in text
    assert "rebootmgr-lockd, 2 canaries first, 25 % of them poll" in " ".join(text.split())
    fewer = answer(tmp_path, *ours, "--soak", "20min", "--slots", str(slots - 1))
    assert fewer["last_update"] > "2026-11-21T15:00:00Z"
    assert "slots_needed" not in fewer


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("", "say how many --slots there are, or --finish-by when all is to be over"),
        ("--slots 2 --finish-by 15:00", "leave --slots out"),
        ("--finish-by 2026-11-20T12:00:00Z", "is before the begin; write a later one"),
        ("--slots 2 --canaries 2", "--canaries go first at --server lockd alone"),
        ("--slots 2 --server lockd --canaries 9", "write a whole number from 1 to 8"),
        ("--slots 2 --deaths few", "write 0% to 100%"),
    ],
)
def test_what_makes_no_sense_of_a_lock_server_is_named(
    tmp_path: Path, words: str, why: str
) -> None:
    done = simulate(tmp_path, "--hosts", "9", *words.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert why in done.stderr


def test_an_end_that_no_number_of_slots_will_meet_is_named(tmp_path: Path) -> None:
    done = simulate(tmp_path, "--hosts", "9", "--finish-by", "2026-11-21T12:01:00Z")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no number of slots has every host updated by 2026-11-21T12:01:00Z" in done.stderr
