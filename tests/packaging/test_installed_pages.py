"""The pages where the package puts them: every link leads to something that is there, too."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.doc_text import GUIDES, ROOT
from tests.test_docs import anchors

LINK: Final = re.compile(r"\]\(([^)\s]+)\)")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("documents")
    command = ("make", "--silent", "documents", f"DESTDIR={root}")
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return root / "usr/share/doc/rebootmgr"


def links(documents: Path) -> Iterator[tuple[Path, str]]:
    for page in sorted(documents.rglob("*.md")):
        for target in LINK.findall(page.read_text("utf-8")):
            if not re.match(r"[a-z]+:", target):
                yield page, target


def test_every_link_of_an_installed_page_leads_to_what_is_installed(installed: Path) -> None:
    found = list(links(installed))
    assert len(found) > 100
    for page, target in found:
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.is_relative_to(installed.resolve()), f"{page.name}: {target}"
        assert file.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(file.read_text("utf-8")), f"{page.name}: {target}"


def test_what_only_the_checkout_has_is_named_without_a_link(installed: Path) -> None:
    design = (installed / "docs/design.md").read_text("utf-8")
    assert "](../tests/" in GUIDES["docs/design.md"]
    assert "tests/core/world.py" in design
    assert "](../tests/" not in design


def test_every_guide_but_hacking_is_installed(installed: Path) -> None:
    pages = {str(page.relative_to(installed)) for page in installed.rglob("*.md")}
    assert set(GUIDES) - {"HACKING.md"} <= pages
