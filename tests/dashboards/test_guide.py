"""What docs/monitoring.md shows is done: commands run, excerpts are of the shipped files."""

import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Final

from rebootmgr.cli.bus_verbs import METRICS
from tests.dashboards.prometheus import DASHBOARDS, ROOT, need
from tests.doc_text import GUIDES, blocks

PAGE: Final = {"docs/monitoring.md": GUIDES["docs/monitoring.md"]}
INSTALLED: Final = "/usr/share/doc/rebootmgr/dashboards"


def commands(word: str) -> str:
    """The one shell block that has this word."""
    [found] = [block["body"] for _, block in blocks(PAGE, "sh") if word in block["body"]]
    return found


def run(script: str, programs: str) -> str:
    """Run the commands of a block; what they wrote."""
    done = subprocess.run(
        ["/bin/sh", "-eu", "-c", script],
        env={"PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_an_excerpt_stands_in_the_configuration() -> None:
    configuration = (DASHBOARDS / "prometheus.yml").read_text("utf-8")
    excerpts = [excerpt["body"] for _, excerpt in blocks(PAGE, "yaml")]
    assert len(excerpts) == 2
    assert all(excerpt in configuration for excerpt in excerpts)


def test_the_alerts_are_tried_as_the_guide_says() -> None:
    script = commands("promtool").replace(INSTALLED, str(DASHBOARDS))
    assert run(script, str(Path(need("promtool")).parent)).count("SUCCESS") == 4


def test_the_timer_is_installed_as_the_guide_says(tmp_path: Path) -> None:
    programs, calls = tmp_path / "bin", tmp_path / "calls"
    programs.mkdir()
    (programs / "systemctl").write_text(f'#!/bin/sh\necho "$@" >>{calls}\n')
    (programs / "sudo").write_text('#!/bin/sh\nexec "$@"\n')
    for program in programs.iterdir():
        program.chmod(0o755)
    script = commands("rebootmgr-textfile").replace(INSTALLED, str(DASHBOARDS))
    for place in ("/usr/local", "/etc/systemd", "/var/lib"):
        assert place in script
        script = script.replace(place, f"{tmp_path}{place}")
    run(script, str(programs))
    unit = tmp_path / "etc/systemd/system/rebootmgr-textfile.service"
    command, directory = unit.read_text().partition("\nExecStart=")[2].partition("\n")[0].split()
    assert os.access(f"{tmp_path}{command}", os.X_OK)
    assert Path(f"{tmp_path}{directory}").is_dir()
    assert unit.with_suffix(".timer").exists()
    assert calls.read_text() == "daemon-reload\nenable --now rebootmgr-textfile.timer\n"


def test_local_exporter_is_given_the_socket_the_port_and_its_configuration() -> None:
    words = shlex.split(commands("podman"))
    service = tomllib.loads((DASHBOARDS / "local_exporter.toml").read_text("utf-8"))["service"]
    volumes = [words[at + 1] for at, word in enumerate(words) if word == "--volume"]
    ours = Path("/", METRICS).parent.parent
    config = "/etc/local_exporter/config.toml"  # where it looks for it
    assert volumes == [f"{config}:{config}:ro", f"{ours}:{ours}:ro"]
    assert words[words.index("--publish") + 1] == f"{service['port']}:{service['port']}"


def test_all_of_it_is_installed() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    patterns = re.findall(
        r"^\t\$\(put\) -t \$\(doc\)/(\S+) (dashboards/\S+)$", makefile, re.MULTILINE
    )
    assert [place for place, _ in patterns] == ["dashboards", "dashboards/textfile"]
    installed = {path for _, pattern in patterns for path in ROOT.glob(pattern)}
    assert {path for path in DASHBOARDS.rglob("*") if path.is_file()} == installed
