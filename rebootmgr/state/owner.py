"""Whose memory it is: a cloned disk brings that of another machine along (SPEC 9)."""

import hashlib
import hmac
import re
from dataclasses import replace
from pathlib import Path
from typing import Final

from rebootmgr.core.memory import Memory

_LONGEST: Final = 64
_ID: Final = re.compile(r"[0-9a-f]{32}")
_PURPOSE: Final = b"rebootmgr state.json"  # machine-id(5) is not to be told as it is


def read_machine(root: Path) -> str:
    """Tell this machine from others by a hash of its id; "" while it has none."""
    try:
        with (root / "etc/machine-id").open("rb") as file:
            written = file.read(_LONGEST).decode("ascii").strip().replace("-", "").lower()
    except (OSError, UnicodeDecodeError):
        return ""
    if not _ID.fullmatch(written):
        return ""
    return hmac.digest(bytes.fromhex(written), _PURPOSE, hashlib.sha256)[:16].hex()


def is_of_another(memory: Memory, machine: str) -> bool:
    """Whether it was written on another machine; what nobody signed is this machine's."""
    return bool(machine and memory.machine and memory.machine != machine)


def adopt(memory: Memory, machine: str) -> Memory:
    """Take `memory` over: of another machine's only what people asked of whoever has this disk.

    Its slots are lent to it and not to us, and what it went through says nothing of us.
    """
    if not machine:
        return memory
    if is_of_another(memory, machine):
        return Memory(machine=machine, holds=memory.holds, last_seen=memory.last_seen)
    return replace(memory, machine=machine)
