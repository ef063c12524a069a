"""Sorted half-open intervals of time: joining them, and cutting some out of others."""

from collections.abc import Iterable, Iterator
from datetime import datetime

Span = tuple[datetime, datetime]  # [start, end)


def merge(spans: Iterable[Span]) -> list[Span]:
    """Sort, and join what overlaps or touches. Empty spans vanish."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            if end > merged[-1][1]:
                merged[-1] = (merged[-1][0], end)
        elif start < end:
            merged.append((start, end))
    return merged


def cut(spans: Iterable[Span], holes: Iterable[Span]) -> Iterator[Span]:
    """Yield what remains of `spans` outside `holes`; both are as `merge` returns them."""
    waiting = iter(holes)
    hole = next(waiting, None)
    for span in spans:
        start, end = span
        while hole is not None and hole[0] < end:
            if start < hole[0]:
                yield start, hole[0]
            start = max(start, hole[1])
            if hole[1] >= end:  # it may reach into the next span
                break
            hole = next(waiting, None)
        if start < end:
            yield start, end
