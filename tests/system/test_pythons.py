"""The newest Python, beside that of the system: all that decides and translates works there."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.system.layers import PROJECT
from tests.system.machine import Machine, mount

pytestmark = pytest.mark.systems("one")

PYTHON: Final = "python3.15"
TREE: Final = "srv/tree"
# A walk through the worlds takes minutes, and takes the same steps on any Python.
WALK: Final = "test_world"
# Words that no test imports but through what uses them.
THROUGH: Final[Mapping[str, str]] = {
    "bus/header_words": "bus/test_strangers",
    "bus/words": "bus/test_peer",
    "control/polkit_words": "control/test_polkit",
    "fleetlock/labels_words": "config/test_resolve",
    "lockd/admin_words": "lockd/test_admin",
    "lockd/airlock_words": "fleet_etcd/test_import_airlock",
    "lockd/http/wire_words": "lockd/test_admin",
    "lockd/page/words": "lockd/test_page",
    "lockd/stores/etcd_words": "lockd/test_etcd",
    "lockd/stores/gateway_words": "lockd/test_etcd",
    "state/growth_words": "state/test_words",
    "updates/boot_words": "updates/test_bootc_files",
    "updates/change_words": "updates/test_words",
    "updates/commit_words": "updates/test_bootc_files",
    "updates/composefs_words": "updates/test_bootc_files",
    "updates/lock_words": "updates/test_bootc_files",
    "updates/tree_words": "updates/test_bootc_files",
}


def pure_rooms() -> list[str]:
    """Test files of the core, of who gets a slot, and of every module of words."""
    rooms = [one for room in ("core", "lending") for one in PROJECT.glob(f"tests/{room}/test_*.py")]
    found = {one for one in rooms if not one.name.startswith(WALK)}
    found |= set(PROJECT.glob("tests/*/test_*words.py"))
    found |= {PROJECT / f"tests/{one}.py" for one in THROUGH.values()}
    assert not (unshown := words_without(found)), unshown
    return sorted(str(one.relative_to(PROJECT)) for one in found)


def words_without(tests: set[Path]) -> list[str]:
    """Name the modules of words that none of these tests are about."""
    texts = [one.read_text("utf-8") for one in tests]
    words = (PROJECT / "rebootmgr").rglob("*words.py")
    names = {str(one.relative_to(PROJECT / "rebootmgr").with_suffix("")) for one in words}
    return sorted(
        name
        for name in names - set(THROUGH)
        if not any(
            re.search(rf"^from rebootmgr\.{name.replace('/', '[.]')} import", text, re.MULTILINE)
            for text in texts
        )
    )


async def test_the_core_and_every_module_of_words_work_on_the_newest_python(
    machine: Machine, suite: str, record_property: Callable[[str, object], None]
) -> None:
    if not (machine.root / "usr/bin" / PYTHON).exists():
        pytest.skip(f"NOTHING RAN ON {PYTHON}, which {suite} does not have")
    tree = machine.root / TREE
    tree.mkdir(parents=True)
    mount("--bind", PROJECT, tree)
    await machine.boot()
    done = await machine.run(
        *("env", f"--chdir=/{TREE}", "PYTHONDONTWRITEBYTECODE=1", "HOME=/root", "LANG=C.UTF-8"),
        *("HYPOTHESIS_STORAGE_DIRECTORY=/run/hypothesis", PYTHON, "-m", "pytest", "-q"),
        *("-p", "no:cacheprovider", *pure_rooms()),
    )
    assert done.status == 0, done.out[-8000:]
    record_property(PYTHON, done.out.strip().splitlines()[-1])
