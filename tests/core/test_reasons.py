"""The words of every reason: one table, and the page that shows it."""

from pathlib import Path
from typing import Final

import pytest

from rebootmgr.core.model import Reason
from rebootmgr.core.reasons import WORDS

PAGE: Final = Path(__file__).parents[2] / "docs/why.md"


def test_every_reason_has_its_words_in_reading_order() -> None:
    assert list(WORDS) == list(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_says_why_what_to_do_and_fits_on_a_line(reason: Reason) -> None:
    words = WORDS[reason]
    assert words.meaning
    assert words.advice
    assert 0 < len(words.headline) <= 60
    assert words.headline[0].islower(), "it continues a sentence"
    assert not words.headline.endswith("."), "something follows it"


def test_the_page_on_why_shows_the_table() -> None:
    rows = [f"| `{reason}` | {words.meaning} | {words.advice} |" for reason, words in WORDS.items()]
    head = "| Gate | It is closed because | What to do |\n|---|---|---|\n"
    assert head + "\n".join(rows) + "\n\n" in PAGE.read_text("utf-8")
