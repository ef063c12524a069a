"""What a staged deployment changes, and by which key it is known again (SPEC 9, 11)."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from rebootmgr.core.facts import Change
from rebootmgr.core.model import DeploymentId, UpdateKey
from rebootmgr.text import harmless

_PACKAGES: Final = (
    "requested-packages",
    "requested-local-packages",
    "requested-local-fileoverride-packages",
)
_OVERRIDES: Final = (
    "requested-base-removals",
    "requested-base-local-replacements",
    "requested-base-remote-replacements",
)
_INITRAMFS: Final = ("regenerate-initramfs", "initramfs-args", "initramfs-etc")
_SHOWN: Final = 50
_DIGITS: Final = 16
_NOT_CHOSEN: Final = ("ostree=", "BOOT_IMAGE=", "initrd=")  # written by boot loader and ostree


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """Kernel arguments of both sides, None where nobody tells; `initrds` are laid over the new."""

    staged: tuple[str, ...] | None = None
    booted: tuple[str, ...] | None = None
    initrds: tuple[str, ...] | None = None


def encode_change_key(
    base: UpdateKey, staged: Mapping[str, Any], arguments: Arguments, target: DeploymentId
) -> UpdateKey:
    """Make the key of a change on `base`: of what it consists of, or else of its id alone."""
    names = (*_PACKAGES, *_OVERRIDES, *_INITRAMFS)
    parts = {name: staged[name] for name in names if name in staged}
    parts |= {
        name: list(value)
        for name, value in (("kargs", arguments.staged), ("initrds", arguments.initrds))
        if value is not None
    }
    if not parts:
        return UpdateKey(f"{base}+{target}")
    text = json.dumps(parts, sort_keys=True, default=repr)
    return UpdateKey(f"{base}+{hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]}")


def decode_change(
    staged: Mapping[str, Any], booted: Mapping[str, Any], arguments: Arguments, *, same_base: bool
) -> Change:
    """Compare both dictionaries; what cannot be read is no change."""
    new, old = arguments.staged, arguments.booted
    known = new is not None and old is not None
    packages, packages_before = _names(staged, _PACKAGES), _names(booted, _PACKAGES)
    overrides, overrides_before = _names(staged, _OVERRIDES), _names(booted, _OVERRIDES)
    return Change(
        same_base=same_base,
        arguments_added=_without(new or (), old or ()) if known else (),
        arguments_removed=_without(old or (), new or ()) if known else (),
        packages_added=_without(packages, packages_before),
        packages_removed=_without(packages_before, packages),
        overrides=(
            *_without(overrides, overrides_before),
            *_without(overrides_before, overrides),
        ),
        initramfs=any(staged.get(name) != booted.get(name) for name in _INITRAMFS)
        or bool(arguments.initrds),
        applied_live=_is_live(staged, booted),
    )


def split_arguments(options: object) -> tuple[str, ...] | None:
    """Take a kernel command line apart, without what a boot loader adds; None where it is none.

    Quotes keep blanks, as the kernel reads them.
    """
    if not isinstance(options, str):
        return None
    words, word, quoted = [], "", False
    for letter in options:
        quoted ^= letter == '"'
        if letter.isspace() and not quoted:
            words.append(word)
            word = ""
        else:
            word += letter
    words.append(word)
    return chosen_arguments(word for word in words if word)


def chosen_arguments(words: Iterable[str]) -> tuple[str, ...]:
    """Leave out what a boot loader or ostree adds.

    `ostree admin deploy` takes it over from the booted deployment, where it changes with each boot.
    """
    return tuple(word for word in words if not word.startswith(_NOT_CHOSEN))


def _is_live(staged: Mapping[str, Any], booted: Mapping[str, Any]) -> bool:
    live = booted.get("live-replaced")
    return bool(live) and live == staged.get("checksum")


def _names(table: Mapping[str, Any], keys: Iterable[str]) -> tuple[str, ...]:
    """List what people asked for; entries of several parts, as replacements from a repository."""
    found: list[str] = []
    for key in keys:
        value = table.get(key)
        found += [_name(each) for each in value] if isinstance(value, list) else []
    return tuple(found)


def _name(entry: object) -> str:
    match entry:
        case str():
            return harmless(entry)
        case [str(source), [*packages]]:
            return harmless(f"{', '.join(map(str, packages))} from {source}")
        case _:
            return harmless(repr(entry))


def _without(these: tuple[str, ...], those: tuple[str, ...]) -> tuple[str, ...]:
    """What is in `these` more often than in `those`, in order; no more than anybody would read."""
    left = list(those)
    found = []
    for one in these:
        if one in left:
            left.remove(one)
        else:
            found.append(harmless(one))
    return tuple(found[:_SHOWN])
