"""The text of a scrape is made seldom, however many ask for it."""

from itertools import count

from rebootmgr.show.exposition import Exposition


class Told:
    """What is told, and how often it was put into words."""

    def __init__(self) -> None:
        self.state = object()
        self.now = 100.0
        self._made = count(1)
        self.exposition = Exposition(self._make, lambda: (self.state,), clock=lambda: self.now)

    def _make(self) -> bytes:
        return b"made %d" % next(self._made)


def test_a_thousand_scrapes_within_a_second_are_made_once() -> None:
    told = Told()
    assert {told.exposition.text() for _ in range(1000)} == {b"made 1"}
    told.now += 0.999
    assert told.exposition.text() == b"made 1"
    told.now += 0.001
    assert told.exposition.text() == b"made 2"


def test_what_has_changed_is_told_at_once() -> None:
    told = Told()
    assert told.exposition.text() == b"made 1"
    told.state = object()
    assert told.exposition.text() == b"made 2"


def test_a_text_that_could_not_be_made_is_tried_again_at_once() -> None:
    failures = iter([OSError(24, "Too many open files")])

    def make() -> bytes:
        for failure in failures:
            raise failure
        return b"made"

    exposition = Exposition(make, tuple)
    try:
        exposition.text()
    except OSError:
        assert exposition.text() == b"made"
