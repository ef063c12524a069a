"""Whatever a hook prints, and however it arrives, the lines and the last word are the same."""

from hypothesis import given
from hypothesis import strategies as st

from rebootmgr.hooks.words import LONGEST_LINE, MOST_LINES, Transcript


@given(st.lists(st.binary(max_size=12)))
def test_how_the_output_is_cut_into_pieces_does_not_matter(pieces: list[bytes]) -> None:
    whole, cut = Transcript(), Transcript()
    lines = [*whole.feed(b"".join(pieces)), *whole.end()]
    assert [line for piece in pieces for line in cut.feed(piece)] + cut.end() == lines
    assert whole.last == cut.last == (lines[-1] if lines else "")


def test_after_a_thousand_lines_only_the_last_word_counts() -> None:
    said = Transcript()
    lines = said.feed(b"x\n" * (MOST_LINES + 5) + b"end\n\n")
    assert len(lines) == MOST_LINES + 1
    assert "no more than 1000 lines" in lines[-1]
    assert said.feed(b"the end\n") == []
    assert said.last == "the end"


def test_a_line_without_end_is_cut() -> None:
    said = Transcript()
    for _ in range(100):
        assert said.feed(b"y" * 65536) == []
    (line,) = said.end()
    assert len(line) < LONGEST_LINE
