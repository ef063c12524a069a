"""simulate --lockd-config: a roll-out by the drop-ins of a lock server."""

from pathlib import Path

import pytest

from tests.cli.test_simulate import answer, simulate

WHOLE = """
[groups.canary]
[groups.workers]
slots = 4
after = ["canary"]
soak_minutes = 30
[[groups.workers.window]]
days = ["Sat"]
start_time = "14:00"
length_minutes = 240
"""
RACKS = """
[groups.default]
slots = 6
spread = "rack"
[hosts.a]
labels = { rack = "one" }
[hosts.b]
labels = { rack = "two" }
"""
FLEET = ("--hosts", "canary=2,workers=12")


@pytest.fixture
def lockd(tmp_path: Path) -> Path:
    directory = tmp_path / "lockd.d"
    directory.mkdir()
    (directory / "10.toml").write_text(WHOLE)
    return directory


def test_canaries_soak_and_the_window_are_those_of_the_drop_ins(
    tmp_path: Path, lockd: Path
) -> None:
    found = answer(tmp_path, *FLEET, "--lockd-config", str(lockd))
    assert (found["hosts"], found["updated"], found["most_hosts_down"]) == (14, 14, 4)
    assert found["last_update"] > "2026-11-21T14:05:00Z"
    text = " ".join(simulate(tmp_path, *FLEET, "--lockd-config", str(lockd)).stdout.split())
    assert "14 hosts: 2 in canary with 1 slot, 12 in workers with 4 slots" in text
    assert "rebootmgr-lockd as it is configured, in the windows of the lock server" in text
    (lockd / "10.toml").write_text(WHOLE.replace("14:00", "12:00"))
    sooner = answer(tmp_path, *FLEET, "--lockd-config", str(lockd), "--server", "lockd")
    assert "2026-11-21T12:40:00Z" < sooner["last_update"] < "2026-11-21T13:30:00Z"
    (lockd / "20.toml").write_text("[groups.workers]\nsoak_minutes = 90\n")
    later = answer(tmp_path, *FLEET, "--lockd-config", str(lockd))
    assert later["last_update"] > "2026-11-21T13:40:00Z"


def test_an_hour_to_settle_and_a_blackout_slow_it_down(tmp_path: Path, lockd: Path) -> None:
    (lockd / "10.toml").write_text("[groups.default]\nsettle_minutes = 60\n")
    found = answer(tmp_path, "--hosts", "3", "--lockd-config", str(lockd))
    assert found["last_update"] > "2026-11-21T14:00:00Z"
    frozen = """
[[groups.default.blackout]]
name = "freeze"
start = 2026-11-21T13:00:00Z
end = 2026-11-22T00:00:00Z
"""
    (lockd / "20.toml").write_text(frozen)
    found = answer(tmp_path, "--hosts", "3", "--lockd-config", str(lockd))
    assert found["last_update"] > "2026-11-22T00:00:00Z"


def test_hosts_of_one_rack_of_the_inventory_go_one_after_the_other(
    tmp_path: Path, lockd: Path
) -> None:
    (lockd / "10.toml").write_text(RACKS)
    found = answer(tmp_path, "--hosts", "12", "--lockd-config", str(lockd))
    assert (found["updated"], found["most_hosts_down"]) == (12, 2)
    (lockd / "20.toml").write_text("[groups.default]\nspread_slots = 2\n")
    assert answer(tmp_path, "--hosts", "12", "--lockd-config", str(lockd))["most_hosts_down"] == 4


def test_a_failure_halts_the_group_unless_the_drop_ins_say_otherwise(
    tmp_path: Path, lockd: Path
) -> None:
    (lockd / "10.toml").write_text("[groups.default]\nslots = 3\n")
    words = ("--hosts", "60", "--failures", "5%", "--lockd-config", str(lockd))
    found = answer(tmp_path, *words)
    assert found["updated"] < 50
    assert any("fleet resume" in left["blockers"][0]["detail"] for left in found["never"])
    (lockd / "10.toml").write_text("[groups.default]\nslots = 8\nhalt_after = 0\n")
    assert answer(tmp_path, *words)["updated"] > 50


def test_who_would_make_the_queue_too_long_is_told_so_and_holds_nothing(
    tmp_path: Path, lockd: Path
) -> None:
    (lockd / "10.toml").write_text("[groups.default]\nmax_waiting = 1\n")
    found = answer(tmp_path, "--hosts", "6", "--lockd-config", str(lockd))
    assert (found["updated"], found["most_hosts_down"]) == (6, 1)


def test_a_group_without_slots_never_goes(tmp_path: Path, lockd: Path) -> None:
    (lockd / "10.toml").write_text("[groups.default]\nslots = 0\n")
    found = answer(tmp_path, "--hosts", "2", "--lockd-config", str(lockd))
    assert [left["blockers"][0]["detail"] for left in found["never"]] == ["the group has no slot"]


def test_the_slots_it_takes_are_those_of_the_groups_that_go_last(
    tmp_path: Path, lockd: Path
) -> None:
    words = (*FLEET, "--lockd-config", str(lockd), "--finish-by", "2026-11-21T14:20:00Z")
    found = answer(tmp_path, *words)
    assert (found["updated"], found["slots_needed"]) == (14, 4)
    assert "needed: 4 slots in workers; with fewer" in simulate(tmp_path, *words).stdout
    early = (*words[:-1], "2026-11-21T13:59:00Z")
    assert "no number of slots" in simulate(tmp_path, *early).stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--hosts workers=3", "workers goes after canary, which has no host; add canary=1"),
        ("--hosts worker=3", "has no group worker; did you mean workers?"),
        ("--hosts x=3", "has no group x; there is default, canary, workers"),
        ("--hosts canary=1,canary=2", "names group canary twice; add the two up"),
        ("--hosts canary=", '--hosts canary= "": write a whole number from 1 to 1000000'),
        ("--hosts canary=1000000,workers=1", "1000000 in all at most"),
        ("--hosts 3 --slots 2", "--slots: --lockd-config says that; leave it out"),
        ("--hosts 3 --canaries 2", "--canaries: --lockd-config says that"),
        ("--hosts 3 --soak 1h", "--soak: --lockd-config says that"),
        ("--hosts 3 --groups 1", "--groups: --lockd-config says that"),
        ("--hosts 3 --server plain", "configures --server lockd, not plain"),
    ],
)
def test_what_makes_no_sense_of_the_drop_ins_is_named(
    tmp_path: Path, lockd: Path, words: str, told: str
) -> None:
    done = simulate(tmp_path, *words.split(), "--lockd-config", str(lockd))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert told in done.stderr


def test_groups_and_a_directory_need_each_other(tmp_path: Path) -> None:
    done = simulate(tmp_path, "--hosts", "a=3", "--slots", "1")
    assert (done.returncode, "for the groups of --lockd-config" in done.stderr) == (2, True)
    done = simulate(tmp_path, "--hosts", "3", "--lockd-config", "/nowhere")
    assert (done.returncode, "/nowhere: no such directory" in done.stderr) == (2, True)


def test_every_error_of_the_drop_ins_is_named_with_its_cure(tmp_path: Path, lockd: Path) -> None:
    (lockd / "20.toml").write_text("[groups.workers]\nslot = 3\nsoak_minutes = -1\n")
    done = simulate(tmp_path, *FLEET, "--lockd-config", str(lockd))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (78, "", 2)
    assert "20.toml:2: groups.workers.slot" in done.stderr
    assert "did you mean groups.workers.slots?" in done.stderr
    assert "20.toml:3: groups.workers.soak_minutes" in done.stderr
