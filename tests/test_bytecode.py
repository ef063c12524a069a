"""On ostree hosts every file's time is 0: compiled modules count there all the same."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import rebootmgr

SHOW = (
    "from rebootmgr.bytecode import trust_compiled; trust_compiled(); import said; print(said.IT)"
)


def compiled(
    root: Path, text: str, *, by: str = "compileall", options: tuple[str, ...] = ()
) -> Path:
    """A module and its .pyc, made before the source's time was set to 0."""
    source = root / "said.py"
    source.write_text(text)
    subprocess.run([sys.executable, "-m", by, "-q", *options, str(source)], check=True)
    os.utime(source, (0, 0))
    return source


def said(root: Path, code: str = SHOW) -> str:
    command = [sys.executable, "-B", "-c", code]
    environ = os.environ | {"PYTHONPATH": f"{root}:{Path(rebootmgr.__file__).parents[1]}"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def rewrite(source: Path, text: str, *, time: float = 0) -> None:
    source.write_text(text)
    os.utime(source, (time, time))


def test_what_was_compiled_from_a_source_without_a_time_is_taken(tmp_path: Path) -> None:
    source = compiled(tmp_path, "IT = 'compiled'")
    rewrite(source, "IT = 'source  '")
    assert said(tmp_path) == "compiled"
    assert said(tmp_path, "import said; print(said.IT)") == "source", "as Python does by itself"


def test_a_source_of_another_size_is_compiled_anew(tmp_path: Path) -> None:
    source = compiled(tmp_path, "IT = 'compiled'")
    rewrite(source, "IT = 'another size'")
    assert said(tmp_path) == "another size"


def test_a_source_with_a_time_is_judged_by_it(tmp_path: Path) -> None:
    source = compiled(tmp_path, "IT = 'compiled'")
    rewrite(source, "IT = 'changed '", time=1_700_000_000)
    assert said(tmp_path) == "changed"


@pytest.mark.parametrize("damage", [b"", b"\0" * 16, b"short"])
def test_a_damaged_pyc_is_passed_over(tmp_path: Path, damage: bytes) -> None:
    source = compiled(tmp_path, "IT = 'compiled'")
    [cache] = (tmp_path / "__pycache__").iterdir()
    cache.write_bytes(damage)
    rewrite(source, "IT = 'source  '")
    assert said(tmp_path) == "source"


def test_a_pyc_that_is_judged_by_hash_stays_so(tmp_path: Path) -> None:
    source = compiled(tmp_path, "IT = 'compiled'", options=("--invalidation-mode", "checked-hash"))
    rewrite(source, "IT = 'source  '")
    assert said(tmp_path) == "source"


def test_no_module_of_ours_is_compiled_anew_on_an_ostree_host(tmp_path: Path) -> None:
    root = tmp_path / "site"
    shutil.copytree(Path(rebootmgr.__file__).parent, root / "rebootmgr")
    subprocess.run([sys.executable, "-m", "compileall", "-q", "-f", str(root)], check=True)
    for path in root.rglob("*.py"):
        os.utime(path, (0, 0))
    environ = os.environ | {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-v", "-m", "rebootmgr.cli.main", "--version"]
    done = subprocess.run(
        command, cwd=root, env=environ, capture_output=True, text=True, check=True
    )
    loaded = (
        line.split(" ")[-1] for line in done.stderr.splitlines() if "# code object from" in line
    )
    compiled_anew = (path for path in loaded if path.endswith(".py"))  # else a quoted .pyc
    ours = {path.removeprefix(f"{root}/") for path in compiled_anew if str(root) in path}
    assert ours == {"rebootmgr/__init__.py", "rebootmgr/bytecode.py"}, "they are read before"


def test_where_files_have_times_python_stays_as_it_is() -> None:
    command = "import sys; before = len(sys.path_hooks); import rebootmgr; print(before)"
    assert said(Path("/nowhere"), f"{command}; print(len(sys.path_hooks))").split() == ["2", "2"]
