"""The pictures of sequences are as they are drawn, and on a page."""

from typing import Final

import pytest

from tests.diagrams import DOCS, PICTURES, draw
from tests.doc_text import GUIDES

PAGES: Final = "\n".join(GUIDES.values())


@pytest.mark.parametrize("file", PICTURES)
def test_a_picture_is_as_it_is_drawn_and_stands_on_a_page(file: str) -> None:
    drawn = draw(PICTURES[file])
    assert (DOCS / file).read_text("utf-8") == drawn, "run python -m tests.diagrams"
    assert f"]({file})" in PAGES


def test_every_picture_of_the_pages_is_drawn_here() -> None:
    assert {path.name for path in DOCS.glob("*.svg")} == PICTURES.keys()
