"""check-config, cat-config and plan, as they meet people and scripts."""

import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from rebootmgr.cli.main import main
from rebootmgr.config.checked import DropIn, decode_config
from rebootmgr.core.memory import Backlog, Memory
from rebootmgr.core.model import UpdateKey
from rebootmgr.state.store import StateStore
from tests.hooks.hook_scripts import hook

WINDOW = """
[[updates.periodic.window]]
days = ["Sat"]
start_time = "23:30"
length_minutes = 60
"""
PERIODIC = f"[updates]\nstrategy = 'periodic'\n{WINDOW}"


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


def run(root: Path, *words: str) -> Done:
    """Run the program in this process: starting one costs a third of a second each time."""
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        status = main(["--root", str(root), *words])
    return Done(status, out.getvalue(), err.getvalue())


def run_program(root: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rebootmgr.cli.main", "--root", str(root), *words]
    environ = {**os.environ, **environment}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    assert "Traceback" not in done.stderr
    return done


def drop_in(root: Path, text: str, name: str = "50-a.toml") -> Path:
    path = root / "etc/rebootmgr/config.d" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def answer(root: Path, *words: str, status: int = 0) -> Any:  # JSON is of any type
    done = run(root, "--json", *words)
    assert (done.returncode, done.stderr) == (status, "")
    return json.loads(done.stdout)


def test_a_host_without_drop_ins_is_valid_and_told_what_that_means(tmp_path: Path) -> None:
    found = answer(tmp_path, "check-config")
    assert (found["valid"], found["errors"]) == (True, [])
    (warning,) = found["warnings"]
    assert warning["message"].endswith("defaults apply: reboots as soon as an update is staged")
    drop_in(tmp_path, "# as by default\n")
    found = answer(tmp_path, "check-config")
    source = found.pop("source")
    assert found == {"valid": True, "errors": [], "warnings": []}
    done = run(tmp_path, "check-config")
    assert done.stdout.splitlines() == [
        "configuration valid: 0 errors, 0 warnings",
        f"Source of updates: ostree: {source['why']}",
    ]


def test_what_one_drop_in_overrides_of_another_is_said_with_both_places(tmp_path: Path) -> None:
    folder = drop_in(tmp_path, "[updates]\nenabled = false\n").parent
    (folder / "90-late.toml").write_text("[updates]\nenabled = true\n")
    places = sorted(f"{path}:2" for path in folder.iterdir())
    said = run(tmp_path, "check-config", "--strict").stdout.splitlines()
    assert said[0] == f"{places[1]}: note: updates.enabled: overrides {places[0]}"
    assert (
        f"enabled = true  # from {places[1]}, overrides {places[0]}"
        in run(tmp_path, "cat-config").stdout
    )


def test_check_config_names_every_error_in_json(tmp_path: Path) -> None:
    path = drop_in(tmp_path, "[updates]\nenabled = 1\n[hooks]\ntimeout = 3\n")
    assert answer(tmp_path, "check-config", status=78) == {
        "valid": False,
        "errors": [
            {
                "file": str(path),
                "line": 2,
                "key": "updates.enabled",
                "message": "must be true or false, not 1",
                "hint": "write it without quotes",
            },
            {
                "file": str(path),
                "line": 4,
                "key": "hooks.timeout",
                "message": "is no known key",
                "hint": "did you mean hooks.timeout_seconds?",
            },
        ],
        "warnings": [],
        "source": None,
    }


def test_check_config_is_readable_for_people_and_editors(tmp_path: Path) -> None:
    path = drop_in(tmp_path, "[updates]\nenabled = 1\nallow_downgrade = true\n")
    done = run_program(tmp_path, "check-config")
    assert (done.returncode, done.stderr) == (78, "")
    warning = "updates.allow_downgrade: has no effect here"
    cure = "Zincati's own; rebootmgr does not fetch updates"
    assert done.stdout.splitlines() == [
        f"{path}:2: updates.enabled: must be true or false, not 1 (write it without quotes)",
        f"{path}:3: warning: {warning} ({cure})",
        "configuration invalid: 1 error, 1 warning",
    ]


def test_strict_turns_warnings_into_errors(tmp_path: Path) -> None:
    drop_in(tmp_path, WINDOW)
    assert answer(tmp_path, "check-config")["valid"]
    strict = answer(tmp_path, "check-config", "--strict", status=78)
    assert not strict["valid"]
    (warning,) = strict["warnings"]
    assert warning["message"] == "has no effect without the strategy periodic"


def test_check_config_says_which_hook_would_block_and_how_to_mend_it(tmp_path: Path) -> None:
    hooks = {}
    for directory in ("checks.d", "pre-reboot.d", "post-boot.d"):
        hooks[directory] = hook(tmp_path, f"etc/{directory}/10-x", "exit 0", mode=0o644)
        hook(tmp_path, f"etc/{directory}/20-good", "exit 0")
        hook(tmp_path, f"etc/{directory}/README", "what this is for", mode=0o644)
        hook(tmp_path, f"etc/{directory}/10-x.rpmsave", "exit 0", mode=0o644)
    hook(tmp_path, "usr/lib/checks.d/30-old", "exit 0", mode=0o644)
    (hooks["checks.d"].parent / "30-old").symlink_to("/dev/null")
    broken = hooks["checks.d"].with_name("40-broken")
    broken.symlink_to("nowhere")
    drop_in(tmp_path, "# as by default\n")
    found = answer(tmp_path, "check-config")
    assert found["valid"]
    said = {one["file"]: (one["message"], one["hint"]) for one in found["warnings"]}
    fails = "a hook that fails whenever its turn comes: it"
    assert said == {
        **{str(path): (f"{fails} is not executable", "chmod +x") for path in hooks.values()},
        str(broken): (
            f"{fails} cannot be looked at (No such file or directory)",
            "repair it or remove it",
        ),
    }
    assert not answer(tmp_path, "check-config", "--strict", status=78)["valid"]
    line = f"{hooks['checks.d']}: warning: {fails} is not executable (chmod +x)"
    assert line in run(tmp_path, "check-config").stdout.splitlines()


def test_check_config_says_which_waived_check_is_not_there(tmp_path: Path) -> None:
    hook(tmp_path, "etc/checks.d/10-backup", "exit 0")
    names = '["checks:10-backup", "checks:10-bakcup", "checks:whatever"]'
    path = drop_in(tmp_path, f'[[updates.deadline]]\nafter = "9d"\nwaive = {names}\n')
    found = answer(tmp_path, "check-config")
    assert [
        (one["file"], one["line"], one["message"], one["hint"]) for one in found["warnings"]
    ] == [
        (
            *(str(path), 3),
            f'"checks:{name}" has no effect: there is no such program in checks.d',
            hint,
        )
        for name, hint in (
            ("10-bakcup", 'did you mean "checks:10-backup"?'),
            ("whatever", "leave it out, or add it there"),
        )
    ]


def test_what_links_of_an_image_lead_to_is_not_judged_by_the_host_that_makes_it(
    tmp_path: Path,
) -> None:
    directory = tmp_path / "etc/rebootmgr/checks.d"
    directory.mkdir(parents=True)
    (directory / "10-x").symlink_to("/usr/libexec/of/the/image")
    drop_in(tmp_path, "# as by default\n")
    assert answer(tmp_path, "check-config")["warnings"] == []


def test_a_policy_that_never_opens_is_an_error_of_check_config_only(tmp_path: Path) -> None:
    drop_in(tmp_path, "[[updates.blackout]]\nstart = 2020-01-01\nend = 2999-01-01\n")
    (error,) = answer(tmp_path, "check-config", status=78)["errors"]
    assert error["message"] == "no reboot would be allowed in the next 400 days"
    assert answer(tmp_path, "plan")["openings"] == []


def test_an_image_without_machine_id_gets_a_warning_where_it_matters(tmp_path: Path) -> None:
    drop_in(tmp_path, "[updates]\nstrategy = 'fleet_lock'\nfleet_lock.base_url = 'http://h'\n")
    (warning,) = answer(tmp_path, "check-config")["warnings"]
    assert (warning["key"], warning["line"]) == ("updates.strategy", 2)
    (tmp_path / "etc/machine-id").write_text("00112233445566778899aabbccddeeff\n")
    assert answer(tmp_path, "check-config")["warnings"] == []


def test_a_variable_that_this_host_does_not_have_is_an_error(tmp_path: Path) -> None:
    url = "http://h/${platform}"
    drop_in(tmp_path, f"[updates]\nstrategy = 'fleet_lock'\nfleet_lock.base_url = '{url}'\n")
    (tmp_path / "etc/machine-id").write_text("00112233445566778899aabbccddeeff\n")
    (error,) = answer(tmp_path, "check-config", status=78)["errors"]
    assert error["message"] == "this host has no value for ${platform}"


def test_cat_config_is_toml_that_means_the_same(tmp_path: Path) -> None:
    path = drop_in(tmp_path, PERIODIC)
    done = run(tmp_path, "cat-config")
    assert (done.returncode, done.stderr) == (0, "")
    assert f'start_time = "23:30"  # from {path}:6' in done.stdout
    written = decode_config((DropIn("a", done.stdout),), localtime=None)
    assert written.errors == ()
    expected = decode_config((DropIn("a", PERIODIC),), localtime=None)
    assert written.settings == expected.settings


def test_cat_config_in_json_has_no_secret(tmp_path: Path) -> None:
    path = drop_in(tmp_path, "updates.fleet_lock.base_url = 'https://me:hunter2@h/'\n")
    settings = {each["key"]: each for each in answer(tmp_path, "cat-config")["settings"]}
    assert settings["updates.fleet_lock.base_url"] == {
        "key": "updates.fleet_lock.base_url",
        "value": "https://***@h/",
        "file": str(path),
        "line": 1,
        "overrides": None,
    }
    assert settings["hooks.timeout_seconds"]["file"] is None


@pytest.mark.parametrize("verb", ["cat-config", "plan"])
def test_an_invalid_configuration_is_one_line_per_error(tmp_path: Path, verb: str) -> None:
    path = drop_in(tmp_path, "[updates]\nenabled = 1\n[hooks]\ntimeout = 3\n")
    done = run_program(tmp_path, verb)
    assert (done.returncode, done.stdout) == (78, "")
    first, second = done.stderr.splitlines()
    assert first.startswith(f"rebootmgrctl: {path}:2: updates.enabled: must be true or false")
    assert second.startswith(f"rebootmgrctl: {path}:4: hooks.timeout: is no known key")


def test_plan_lists_openings_clipped_to_the_range(tmp_path: Path) -> None:
    drop_in(tmp_path, PERIODIC)
    between = ("--from", "2026-11-22T00:00:00Z", "--to", "2026-11-28T23:45:00+00:00")
    assert answer(tmp_path, "plan", *between) == {
        "from": "2026-11-22T00:00:00Z",
        "to": "2026-11-28T23:45:00Z",
        "openings": [
            {"start": "2026-11-22T00:00:00Z", "end": "2026-11-22T00:30:00Z"},
            {"start": "2026-11-28T23:30:00Z", "end": "2026-11-28T23:45:00Z"},
        ],
    }


def test_plan_speaks_the_hosts_local_time_to_people(tmp_path: Path) -> None:
    drop_in(tmp_path, PERIODIC)
    (tmp_path / "etc/localtime").symlink_to("../usr/share/zoneinfo/Europe/Rome")
    done = run(tmp_path, "plan", "--from", "2026-11-21 12:00", "--to", "2026-11-23")
    assert done.stdout.splitlines() == [
        "Sun 2026-11-22 00:30:00 CET - Sun 2026-11-22 01:30:00 CET  1 h",
        "1 opening, 1 h in all,",
        "from Sat 2026-11-21 12:00:00 CET to Mon 2026-11-23 00:00:00 CET",
        "the policy's own time zone is UTC",
    ]
    elsewhere = run_program(tmp_path, "plan", "--from", "2026-11-22", TZ="UTC")
    assert "from Sun 2026-11-22 00:00:00 UTC to " in elsewhere.stdout
    assert "own time zone" not in elsewhere.stdout
    assert answer(tmp_path, "plan", "--from", "2026-11-21", "--to", "2026-11-22") == {
        "from": "2026-11-20T23:00:00Z",
        "to": "2026-11-21T23:00:00Z",
        "openings": [],
    }


def test_plan_of_immediate_is_the_whole_range_of_two_weeks(tmp_path: Path) -> None:
    found = answer(tmp_path, "plan", "--from", "2026-01-01")
    assert found["to"] == "2026-01-15T00:00:00Z"
    assert found["openings"] == [{"start": found["from"], "end": found["to"]}]
    assert answer(tmp_path, "plan")["openings"]


@pytest.mark.parametrize("text", ["strategy = 'off'", "enabled = false"])
def test_plan_of_a_host_that_never_reboots_is_empty(tmp_path: Path, text: str) -> None:
    drop_in(tmp_path, f"[updates]\n{text}\n")
    assert answer(tmp_path, "plan")["openings"] == []
    assert run(tmp_path, "plan").stdout.startswith("no reboot is allowed\nfrom ")


def test_plan_counts_the_deadlines_of_the_update_that_this_host_waits_with(tmp_path: Path) -> None:
    """By state.json, where it can be read; the drop-ins of another folder are another host's."""
    drop_in(tmp_path, PERIODIC + '[[updates.deadline]]\nafter = "3d"\nwaive = ["windows"]\n')
    since = datetime(2026, 3, 23, 12, tzinfo=UTC)  # a Monday
    range_ = ("--from", "2026-03-23T00:00:00Z", "--to", "2026-03-30T00:00:00Z")
    plain = answer(tmp_path, "plan", *range_)
    assert [each["start"] for each in plain["openings"]] == ["2026-03-28T23:30:00Z"]
    assert "deadlines" not in plain
    (tmp_path / "var/lib/rebootmgr").mkdir(parents=True)
    noted = Backlog(key=UpdateKey("os:2"), since=since, behind_since=since)
    StateStore(tmp_path).write(Memory(backlog=noted))
    found = answer(tmp_path, "plan", *range_)
    due = "2026-03-26T12:00:00Z"
    assert found["openings"] == [{"start": due, "end": found["to"]}]
    assert found["deadlines"] == [{"step": 1, "at": due, "waives": ["windows"]}]
    told = "from Thu 2026-03-26 12:00:00 UTC on these no longer count: windows"
    assert told in run(tmp_path, "plan", *range_).stdout.splitlines()
    folder = tmp_path / "etc/rebootmgr/config.d"
    assert answer(tmp_path, "plan", *range_, "--config", str(folder)) == plain
    StateStore(tmp_path).write(Memory(backlog=replace(noted, none_since=since)))
    assert answer(tmp_path, "plan", *range_) == plain
    state = tmp_path / "var/lib/rebootmgr/state.json"
    state.write_text('{"version": {"major": 99, "minor": 0}}')
    assert "deadlines are left out: " in run(tmp_path, "plan", *range_).stdout


def test_plan_cannot_tell_the_splay_of_a_host_without_identity(tmp_path: Path) -> None:
    drop_in(tmp_path, f"{PERIODIC}[updates.periodic]\nsplay_minutes = 10\n".replace(WINDOW, ""))
    drop_in(tmp_path, WINDOW, "60-window.toml")
    done = run(tmp_path, "plan")
    assert done.returncode == 1
    assert "the splay of this host is not known" in done.stderr
    drop_in(tmp_path, "identity.node_uuid = 'eee0097b460c4b2dbf94510d0330626c'\n", "70.toml")
    between = ("--from", "2026-11-21", "--to", "2026-11-23")
    (opening,) = answer(tmp_path, "plan", *between)["openings"]
    assert "2026-11-21T23:30:00Z" < opening["start"] < "2026-11-21T23:40:00Z"


@pytest.mark.parametrize(
    "words",
    [
        ("--from", "soon"),
        ("--from", "2026-02-30"),
        ("--from", "2026-01-01T00:00:00+99:00"),
        ("--from", "0001-01-01T00:00:00Z"),
        ("--from", "9999-12-31"),
        ("--from", "2026-01-02", "--to", "2026-01-01"),
        ("--from", "2026-01-01", "--to", "2026-01-01"),
        ("--from", "2026-01-01", "--to", "2126-01-01"),
        ("--from", "\uff12026-01-01"),
        ("--from",),
    ],
)
def test_a_range_that_makes_no_sense_is_a_usage_error(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    done = run(tmp_path, "plan", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1


def test_a_file_name_of_control_characters_cannot_speak(tmp_path: Path) -> None:
    drop_in(tmp_path, "x = 1", "a\x1b]0;owned\x07\n.toml")
    for words in (("check-config",), ("cat-config",)):
        done = run(tmp_path, *words)
        assert "\x1b" not in done.stdout + done.stderr
        assert "\x07" not in done.stdout + done.stderr


def test_a_terminal_without_unicode_is_no_obstacle(tmp_path: Path) -> None:
    drop_in(tmp_path, "[identity]\ngroup = 'größe'\n")
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    done = run_program(tmp_path, "check-config", **ascii_only)
    assert done.returncode == 78
    assert "gr\\xf6\\xdfe" in done.stdout


UUID = "0123456789abcdef0123456789abcdef"


def test_id_says_who_the_host_is_to_a_lock_server_and_to_which(tmp_path: Path) -> None:
    url = "https://me:secret@Lock.example/${group}"
    text = f"""
identity = {{ node_uuid = "{UUID}", group = "web" }}
updates.strategy = "fleet_lock"
updates.fleet_lock.base_url = "{url}"
"""
    drop_in(tmp_path, text)
    server = "https://lock.example/web"
    told = {"id": UUID, "group": "web", "server": server, "labels": {}}
    assert answer(tmp_path, "id") == told
    assert run(tmp_path, "id").stdout == f"id: {UUID}\ngroup: web\nserver: {server}\n"
    drop_in(tmp_path, text.replace('"web" }', '"web", labels = { zone = "b", rack = "a2" } }'))
    assert answer(tmp_path, "id") == {**told, "labels": {"rack": "a2", "zone": "b"}}
    assert run(tmp_path, "id").stdout.endswith("\nlabels: rack=a2,zone=b\n")


def test_id_names_no_server_where_none_is_asked(tmp_path: Path) -> None:
    drop_in(tmp_path, f"identity.node_uuid = '{UUID}'")
    who = {"id": UUID, "group": "default", "server": None}
    assert answer(tmp_path, "id") == {**who, "labels": {}}


def test_a_host_without_an_id_says_what_to_do(tmp_path: Path) -> None:
    done = run(tmp_path, "id")
    assert (done.returncode, done.stdout) == (1, "")
    assert "run systemd-machine-id-setup, or set identity.node_uuid" in done.stderr
