"""What a host tells of itself by headers: labels and versions, as agent and server write them."""

import re
from collections.abc import Iterable
from typing import Final, TypeAlias

from rebootmgr.text import harmless

MOST_LABELS: Final = 32
LONGEST_LABELS: Final = 1024
LONGEST_VERSION: Final = 128

Labels: TypeAlias = tuple[tuple[str, str], ...]

WORD: Final = "[a-zA-Z0-9.-]{1,253}"
"""What a label, and its value, may be."""

_LABEL: Final = re.compile(f"({WORD})=({WORD})")


def encode_labels(labels: Iterable[tuple[str, str]]) -> str:
    """Write `rack=a2,zone=b`, sorted."""
    return ",".join(f"{name}={value}" for name, value in sorted(labels))


def fault_of_labels(labels: Iterable[tuple[str, str]]) -> str:
    """Say why `decode_labels` would not read them all; "" where it would."""
    listed = list(labels)
    if len(listed) > MOST_LABELS:
        return f"has {len(listed)} labels, more than {MOST_LABELS}"
    if (length := len(encode_labels(listed))) > LONGEST_LABELS:
        return f"has {length} characters as it is sent, more than {LONGEST_LABELS}"
    return ""


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
