"""Walks and simulations make millions of values, hardly one of which refers to itself."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Run without looking for garbage all the while, which would take a fifth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
