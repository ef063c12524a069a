"""HACKING.md's recipes: each names every file that a sibling of what it adds stands in."""

import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent
TOPS: Final = (
    "README.md", "completion", "dashboards", "docs", "etc", "packaging", "rebootmgr", "systemd",
    "tests",
)  # fmt: skip
RECIPE: Final = re.compile(
    r"(?ms)^## How to add ([^\n]+)\n.*?^As with (.+?), which stands? in:\n(.+?)\n\n"
)
RECIPES: Final = {found[1]: found for found in RECIPE.finditer((ROOT / "HACKING.md").read_text())}


def is_text(path: Path) -> bool:
    return "__pycache__" not in path.parts and path.suffix != ".png"


def files() -> Iterator[Path]:
    for top in TOPS:
        path = ROOT / top
        found = [path] if path.is_file() else sorted(path.rglob("*"))
        yield from (one for one in found if one.is_file() and is_text(one))


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    read = {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in files()}
    del read[str(Path(__file__).relative_to(ROOT))]
    return read


def test_there_is_a_recipe_for_everything_that_is_added_often() -> None:
    assert list(RECIPES) == [
        "a gate", "an event", "a setting", "a verb that changes something", "a source of updates"
    ]  # fmt: skip


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))
def test_a_recipe_names_every_file_that_its_sibling_stands_in(
    recipe: re.Match[str], texts: dict[str, str]
) -> None:
    words = [re.escape(word) for word in re.findall(r"`([^`]+)`", recipe[2])]
    sibling = re.compile("|".join(rf"(?<![\w]){word}(?![\w])" for word in words))
    named = re.findall(r"`([^`]+)`", recipe[3])
    standing = {path for path, text in texts.items() if sibling.search(text)}
    missing = {path for path in standing if not any(fnmatch(path, name) for name in named)}
    assert not missing, f"HACKING.md does not name {sorted(missing)}"
    idle = [name for name in named if not any(fnmatch(path, name) for path in standing)]
    assert not idle, f"HACKING.md names {idle}, where none of {words} stands"
