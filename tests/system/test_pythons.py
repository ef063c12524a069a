"""The newest Python, beside that of the system: all that decides and translates works there."""

import re
from collections.abc import Callable
from typing import Final

import pytest

from tests.system.layers import PROJECT
from tests.system.machine import Machine, mount

pytestmark = pytest.mark.systems("one")

PYTHON: Final = "python3.15"
# Those that start programs and servers take minutes.
SERVERS: Final = re.compile(r"tests[./]fakes|subprocess|pty")
WORDS: Final = re.compile(r"^from rebootmgr\.\w+\.(\w+_)?words import", re.MULTILINE)
TREE: Final = "/srv/tree"
# A walk through the worlds takes minutes, and takes the same steps on any Python.
WALK: Final = "test_world"


def _translates(text: str) -> bool:
    """Whether a test file is about words, and needs nothing but them."""
    return bool(WORDS.search(text)) and not SERVERS.search(text)


def tests_of_pure_rooms() -> list[str]:
    """Test files of the core, of who gets a slot, and of every module of words."""
    rooms = [one for room in ("core", "lending") for one in PROJECT.glob(f"tests/{room}/test_*.py")]
    words = [
        one
        for one in PROJECT.glob("tests/*/test_*.py")
        if one.name.endswith("words.py") or _translates(one.read_text("utf-8"))
    ]
    found = {one for one in (*rooms, *words) if not one.name.startswith(WALK)}
    return sorted(str(one.relative_to(PROJECT)) for one in found)


async def test_the_core_and_every_module_of_words_work_on_the_newest_python(
    machine: Machine, suite: str, record_property: Callable[[str, object], None]
) -> None:
    if not (machine.root / "usr/bin" / PYTHON).exists():
        pytest.skip(f"{suite} has no {PYTHON}")
    tree = machine.root / TREE.removeprefix("/")
    tree.mkdir(parents=True)
    mount("--bind", PROJECT, tree)
    await machine.boot()
    done = await machine.run(
        *("env", f"--chdir={TREE}", "PYTHONDONTWRITEBYTECODE=1", "HOME=/root", "LANG=C.UTF-8"),
        *(PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests_of_pure_rooms()),
    )
    assert done.status == 0, done.out[-8000:]
    record_property(PYTHON, done.out.strip().splitlines()[-1])
