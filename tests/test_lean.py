"""Libraries are loaded without what they bring along, or whole where they do not stand that."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import rebootmgr

PACKAGE = "from heavy import other\nNAME = 'whole'\n"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A package whose __init__ imports another module than the one that is wanted."""
    package = tmp_path / "heavy"
    package.mkdir()
    (package / "__init__.py").write_text(PACKAGE)
    (package / "other.py").write_text("")
    (package / "wanted.py").write_text("IT = 1\n")
    return tmp_path


def printed(site: Path, code: str) -> str:
    environ = os.environ | {"PYTHONPATH": f"{site}:{Path(rebootmgr.__file__).parents[1]}"}
    command = [sys.executable, "-c", f"import sys; from rebootmgr.lean import *; {code}"]
    return subprocess.run(
        command, env=environ, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_a_bare_package_is_only_what_was_asked_for(site: Path) -> None:
    code = "import_bare('heavy', 'wanted'); from heavy.wanted import IT; "
    assert printed(site, f"{code} print(IT, 'heavy.other' in sys.modules)") == "1 False"


@pytest.mark.parametrize("need", ["from heavy import NAME", "import heavy; heavy.NAME"])
def test_a_package_that_needs_itself_is_imported_whole(site: Path, need: str) -> None:
    (site / "heavy/wanted.py").write_text(f"{need}\nIT = 2\n")
    code = "import_bare('heavy', 'wanted'); "
    assert printed(site, f"{code} import heavy; print(heavy.NAME)") == "whole"
    assert printed(site, f"{code} from heavy.wanted import IT; print(IT)") == "2"


def test_a_package_that_is_there_already_stays(site: Path) -> None:
    code = "import heavy; import_bare('heavy', 'wanted'); print(heavy.NAME)"
    assert printed(site, code) == "whole"


def test_a_package_that_is_not_installed_is_missed_where_it_is_imported(site: Path) -> None:
    assert (
        printed(site, "import_bare('absent', 'wanted'); print('absent' in sys.modules)") == "False"
    )


def test_what_is_unwanted_stays_out(site: Path) -> None:
    (site / "user.py").write_text("try:\n import heavy\nexcept ImportError:\n heavy = None\n")
    code = "import_without('user', 'heavy'); import user; print(user.heavy)"
    assert printed(site, code) == "None"


def test_who_cannot_do_without_gets_it(site: Path) -> None:
    (site / "user.py").write_text("from heavy import NAME\n")
    code = "import_without('user', 'heavy'); import user; print(user.NAME)"
    assert printed(site, code) == "whole"


def test_dbus_next_can_be_imported_where_typing_lost_a_name(site: Path) -> None:
    lost = "import typing; vars(typing).pop('no_type_check_decorator', None); "
    assert "ImportError" in printed(
        site, f"{lost}\ntry: import dbus_next.service\nexcept ImportError as e: print(repr(e))"
    )
    code = f"{lost}restore_typing(); import dbus_next.service as it; print(it.__name__)"
    assert printed(site, code) == "dbus_next.service"


def test_the_skeleton_of_the_benchmarks_starts_on_a_python_that_lost_a_name(site: Path) -> None:
    lost = "import typing; vars(typing).pop('no_type_check_decorator', None); "
    code = f"{lost}import benchmarks.skeleton as it; print(it.RULE[:6])"
    assert printed(site, code) == "type='"
