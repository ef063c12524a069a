"""A drop-in to start from, and a configuration that is looked at before a host has it."""

import json
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from rebootmgr.cli.main import main
from rebootmgr.cli.new_config import TEMPLATES, template
from rebootmgr.config.json_schema import encode_schema

WINDOW = """
[[updates.periodic.window]]
days = ["Sat"]
start_time = "01:00"
length_minutes = 60
"""


def ctl(root: Path, *words: str) -> tuple[int, str, str]:
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        status = main(["--root", str(root), *words])
    return status, out.getvalue(), err.getvalue()


def written(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.toml").write_text(text)
    return folder


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_alone_is_a_configuration_of_which_check_config_has_nothing_to_say(
    name: str, tmp_path: Path
) -> None:
    file = tmp_path / "50-local.toml"
    status, out, _ = ctl(tmp_path, "config", "init", "--template", name, "-o", str(file))
    assert (status, out.splitlines()[0]) == (0, f"wrote {file}")
    told = "configuration valid: 0 errors, 0 warnings\n"
    assert ctl(tmp_path, "check-config", "--strict", str(file)) == (0, told, "")
    assert ctl(tmp_path, "config", "init", "--template", name) == (0, file.read_text(), "")
    assert max(map(len, file.read_text().splitlines())) <= 96


def test_without_a_template_it_has_every_key(tmp_path: Path) -> None:
    assert ctl(tmp_path, "config", "init") == (0, template("every-key"), "")


def test_a_file_is_never_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[updates]\n")
    status, _, err = ctl(tmp_path, "config", "init", "-o", str(file))
    assert (status, file.read_text()) == (1, "[updates]\n")
    assert err == f"rebootmgrctl: {file} is there already; choose another name for -o\n"


def test_what_cannot_be_written_or_is_not_known_has_a_cure(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere/a.toml"
    assert ctl(tmp_path, "config", "init", "-o", str(nowhere))[::2] == (
        1,
        f"rebootmgrctl: {nowhere}: there is no such folder; create it first\n",
    )
    assert ctl(tmp_path, "config", "init", "--template", "weekends")[::2] == (
        2,
        'rebootmgrctl: --template "weekends" is not known; did you mean weekend?\n',
    )
    assert ctl(tmp_path, "config", "schema", "--template", "fleet")[0] == 2


def test_the_schema_is_printed_with_json_and_without(tmp_path: Path) -> None:
    for words in (("config", "schema"), ("--json", "config", "schema")):
        assert json.loads(ctl(tmp_path, *words)[1]) == encode_schema()


def test_files_and_folders_are_checked_as_one_configuration_in_the_order_of_their_names(
    tmp_path: Path,
) -> None:
    base = written(tmp_path / "base", **{"10-a": "updates.strategy = 'periodic'", "30-c": WINDOW})
    more = written(tmp_path / "more", **{"20-b": "updates.strategy = 'off'"})
    assert ctl(tmp_path, "check-config", str(base))[0] == 0
    status, out, _ = ctl(tmp_path, "check-config", str(more / "20-b.toml"), str(base))
    assert status == 0
    assert f"{more}/20-b.toml:1: note: updates.strategy: overrides {base}/10-a.toml:1" in out


def test_the_host_on_which_files_are_checked_is_not_looked_at(tmp_path: Path) -> None:
    written(tmp_path / "etc/rebootmgr/config.d", **{"50-host": "nonsense = 1"})
    text = "updates.strategy = 'fleet_lock'\nupdates.fleet_lock.base_url = 'https://h/${stream}'"
    files = written(tmp_path / "ci", **{"50-ci": text})
    assert ctl(tmp_path, "check-config")[0] == 78
    told = "configuration valid: 0 errors, 0 warnings\n"
    assert ctl(tmp_path, "check-config", "--strict", str(files)) == (0, told, "")


def test_an_error_of_a_named_file_has_its_place(tmp_path: Path) -> None:
    file = written(tmp_path / "ci", **{"50-a": "\n[updates]\nstrategie = 'off'"}) / "50-a.toml"
    status, out, _ = ctl(tmp_path, "check-config", str(file))
    assert status == 78
    assert f"{file}:3: updates.strategie: is no known key (did you mean updates.strategy?)" in out


def test_what_is_not_there_is_not_taken_for_a_configuration_without_faults(tmp_path: Path) -> None:
    empty = written(tmp_path / "empty")
    missing = tmp_path / "missing.toml"
    for path, what in ((empty, "holds no .toml file"), (missing, "there is no such file")):
        status, out, _ = ctl(tmp_path, "check-config", str(path))
        assert (status, f"{path}: {what}" in out) == (78, True)


def test_a_file_that_would_not_be_read_on_a_host_is_read_with_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "new.conf"
    file.write_text("updates.strategy = 'weekly'")
    status, out, _ = ctl(tmp_path, "check-config", str(file))
    assert (status, out.count("\n")) == (78, 3)
    assert "its name does not end in .toml" in out


def test_a_plan_of_a_folder_is_that_of_its_windows(tmp_path: Path) -> None:
    written(tmp_path / "etc/rebootmgr/config.d", **{"50-host": "updates.strategy = 'off'"})
    folder = written(tmp_path / "ci", **{"50-a": f"updates.strategy = 'periodic'\n{WINDOW}"})
    times = ("--from", "2026-12-01T00:00Z", "--to", "2026-12-08T00:00Z")
    status, out, _ = ctl(tmp_path, "--json", "plan", *times, "--config", str(folder))
    assert status == 0
    assert json.loads(out)["openings"] == [
        {"start": "2026-12-05T01:00:00Z", "end": "2026-12-05T02:00:00Z"}
    ]
    assert json.loads(ctl(tmp_path, "--json", "plan", *times)[1])["openings"] == []
    assert ctl(tmp_path, "plan", "--config", str(tmp_path / "nowhere"))[0] == 78
