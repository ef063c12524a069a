"""What a host tells of itself by headers: labels and versions, as agent and server write them."""

import re
from collections.abc import Iterable
from typing import Final, TypeAlias

from rebootmgr.text import harmless

MOST_LABELS: Final = 32
LONGEST_LABELS: Final = 1024
LONGEST_VERSION: Final = 128

Labels: TypeAlias = tuple[tuple[str, str], ...]

_LABEL: Final = re.compile(r"([a-zA-Z0-9.-]{1,253})=([a-zA-Z0-9.-]{1,253})")


def encode_labels(labels: Iterable[tuple[str, str]]) -> str:
    """Write `rack=a2,zone=b`, sorted."""
    return ",".join(f"{name}={value}" for name, value in sorted(labels))


def decode_labels(text: str) -> Labels:
    """Read labels as `encode_labels` writes them; what is no label is left out, as what is more."""
    if len(text) > LONGEST_LABELS:
        return ()
    found = (_LABEL.fullmatch(part.strip()) for part in text.split(","))
    labels = {one[1]: one[2] for one in found if one is not None}
    return tuple(sorted(labels.items())[:MOST_LABELS])


def decode_version(text: str) -> str:
    """Take a version as text for people that is safe to keep and to compare."""
    return harmless(text.strip(), longest=LONGEST_VERSION) if text.strip() else ""
