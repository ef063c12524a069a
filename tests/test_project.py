"""The whole of the project: its linters, its pins, its two commands, its words."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.mutants import MUTANTS

ROOT: Final = Path(__file__).parent.parent
MADE_HERE: Final = {"build", "dist", "__pycache__"}
# In two halves, so that this file does not contain them.
FORBIDDEN: Final = (
    r"/work/" + r"(main|shared)\b",
    r"/tmp/" + r"(venv|briefs)\b",  # noqa: S108 - a pattern, not a file
    r"\b[Ii]ssue" + r" #\d",
    r"\b(files\.pythonhosted|pypi)" + r"\.org\b",
    r"\b(deb|security|ftp|snapshot)\.debian" + r"\.org\b",
    r"\b(archive|ports)\.ubuntu" + r"\.com\b",
    r"\b(registry\.npmjs\.org|crates" + r"\.io|proxy\.golang\.org)\b",
    r"\b(dl|download|mirrors|registry)\.fedoraproject" + r"\.org\b",
)


def run(*command: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=ROOT,
        env=env,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize(
    "linter",
    ["ruff check --no-fix .", "ruff format --check --diff .", "mypy"],
    ids=["ruff", "format", "mypy"],
)
def test_the_linters_find_nothing(linter: str) -> None:
    done = run(sys.executable, "-m", *linter.split())
    if done.returncode:
        pytest.fail(f"{linter}\n{done.stdout}", pytrace=False)


def read_pins() -> dict[str, str]:
    text = (ROOT / "packaging/requirements.txt").read_text("utf-8")
    pins = re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE)
    return {canonicalize_name(name): version for name, version in pins}


def test_the_pins_are_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    asked = [
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["test"],
    ]
    pins = read_pins()
    for requirement in map(Requirement, asked):
        pin = pins.get(canonicalize_name(requirement.name), "none")
        assert pin in requirement.specifier, f"{requirement} is pinned at {pin}"


def test_every_pin_names_its_files_by_hash() -> None:
    text = (ROOT / "packaging/requirements.txt").read_text("utf-8")
    entries = [line for line in re.split(r"(?<!\\)\n", text) if line and line[0] != "#"]
    assert len(entries) == len(read_pins())
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []


def commands_of_the_readme() -> set[str]:
    """The make commands in its fenced blocks."""
    text = (ROOT / "README.md").read_text("utf-8")
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return set(re.findall(r"^(?:\$ )?(make [a-z]+)", "\n".join(blocks), re.MULTILINE))


@pytest.mark.parametrize("command", ["make check", "make demo"])
def test_the_readme_gives_the_two_commands(command: str) -> None:
    assert command in commands_of_the_readme(), f"README.md has no fenced block with {command!r}"


def test_every_command_of_the_readme_exists() -> None:
    for command in sorted(commands_of_the_readme()):
        dry = run(*command.split(), "--dry-run", env={"PATH": os.environ["PATH"]})
        assert dry.returncode == 0, dry.stdout
        assert "Nothing to be done" not in dry.stdout


def test_the_integration_machine_runs_the_test_command_and_passes_on_its_verdict(
    tmp_path: Path,
) -> None:
    (tmp_path / "make").write_text('#!/bin/sh\necho "called: make $*"\nexit 7\n')
    (tmp_path / "make").chmod(0o755)
    done = run(".ci/run", env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert re.findall("called: (.*)", done.stdout) == ["make check"]
    assert done.returncode == 7


def texts() -> Iterator[tuple[str, str]]:
    """Path and text of every file that belongs to the project, hidden folders but .ci left out."""
    for folder, below, names in os.walk(ROOT):
        below[:] = [n for n in below if n == ".ci" or not (n.startswith(".") or n in MADE_HERE)]
        for path in (Path(folder, name) for name in names):
            if path.is_file() and path.name != ".git":  # of a worktree
                yield str(path.relative_to(ROOT)), path.read_text("utf-8", errors="replace")


def test_no_file_speaks_of_the_workplace() -> None:
    words = re.compile("|".join(FORBIDDEN))
    found = [f"{path}: {match[0]}" for path, text in texts() for match in words.finditer(text)]
    assert not found, "\n".join(["", *found])


def test_every_mutation_still_applies() -> None:
    core = ROOT / "rebootmgr/core"
    assert [it.name for it in MUTANTS if (core / it.file).read_text().count(it.old) != 1] == []
