"""What a host can boot and has booted: boot entries, origins, mounts.

The formats are those of the Boot Loader Specification, of GLib's key files and of proc(5).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from rebootmgr.updates.change_words import split_arguments

_ROOT: Final = re.compile(r"(?:transient:)?composefs[:=]([0-9a-f]{64}(?:[0-9a-f]{64})?)")
_COMPOSEFS: Final = re.compile(r"composefs(?:\.digest)?=\??([0-9a-f]{64}(?:[0-9a-f]{64})?)")
_ESCAPE: Final = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True, kw_only=True)
class BootEntry:
    """One entry of the boot menu; `ostree` and `composefs` say of which deployment, "" of none.

    `arguments` are the kernel's, without what the boot loader adds.
    """

    version: str
    ostree: str
    composefs: str
    arguments: tuple[str, ...]


def decode_boot_entry(text: str) -> BootEntry:
    """Read a boot entry; what is no line of one is skipped, as boot loaders do."""
    table: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.strip().partition(" ")
        if key and not key.startswith("#"):
            old = table.get(key) if key == "options" else None  # several lines are one
            table[key] = value.strip() if old is None else f"{old} {value.strip()}"
    options = table.get("options", "").split()
    ostree = [each.removeprefix("ostree=") for each in options if each.startswith("ostree=")]
    composefs = [found[1] for each in options if (found := _COMPOSEFS.fullmatch(each))]
    return BootEntry(
        version=table.get("version", ""),
        ostree=ostree[-1] if ostree else "",
        composefs=composefs[-1] if composefs else "",
        arguments=split_arguments(table.get("options", "")) or (),
    )


def decode_origin(text: str) -> Mapping[tuple[str, str], str]:
    """Read a deployment's origin: values by group and key, the last of each; junk is skipped."""
    table, group = {}, ""
    for line in text.splitlines():
        match line.strip():
            case "":
                pass
            case str(head) if head[0] == "[" and head[-1] == "]":
                group = head[1:-1]
            case str(pair) if "=" in pair and not pair.startswith("#"):
                key, _, value = pair.partition("=")
                table[group, key.strip()] = value.strip()
            case _:
                pass
    return table


def decode_root(mounts: str) -> str | None:
    """Read which composefs of bootc is mounted at /; None where it is another file system.

    Not the kernel's command line, which a soft reboot leaves as it was.
    """
    found = [_ROOT.fullmatch(source) for point, source in _mounted(mounts) if point == "/"]
    return found[-1][1] if found and found[-1] is not None else None


def has_usr_overlay(mounts: str) -> bool:
    """Whether `bootc usr-overlay` has laid something over /usr that a reboot would lose."""
    found = [source for point, source in _mounted(mounts) if point == "/usr"]
    return bool(found) and found[-1] == "transient"


def _mounted(mounts: str) -> list[tuple[str, str]]:
    """List mount points and what is mounted there, what covers the others last."""
    pairs = []
    for line in mounts.splitlines():
        head, separator, tail = line.partition(" - ")
        left, right = head.split(" "), tail.split(" ")
        if separator and len(left) > 4 and len(right) > 1:
            pairs.append((_plain(left[4]), _plain(right[1])))
    return pairs


def _plain(field: str) -> str:
    return _ESCAPE.sub(lambda found: chr(int(found[1], 8)), field)
