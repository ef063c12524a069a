"""What every target wants of the texts that the program took in."""

from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass

from rebootmgr.core.model import Slot
from rebootmgr.text import harmless

Target = Callable[[bytes], None]


def texts_of(thing: object) -> Iterable[str]:
    """Give every string in it that people may see; a slot is ours."""
    match thing:
        case Slot():
            pass
        case str():
            yield thing
        case tuple() | list() | frozenset():
            for one in thing:
                yield from texts_of(one)
        case _ if is_dataclass(thing):
            for field in fields(thing):
                yield from texts_of(getattr(thing, field.name))
        case _:
            pass


def assert_clean(texts: Iterable[str]) -> None:
    """Nothing in it can steer a terminal, end a record, or fail to be written."""
    for text in texts:
        text.encode()
        assert harmless(text, longest=len(text) + 1) == " ".join(text.split()), ascii(text)
        assert "\n" not in text
