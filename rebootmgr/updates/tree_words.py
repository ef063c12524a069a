"""What ostree's files say of its deployments, as `core.facts` (SPEC 4)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from rebootmgr.core.facts import Change
from rebootmgr.core.model import Deployment, DeploymentId, UpdateKey
from rebootmgr.text import harmless
from rebootmgr.updates.boot_words import BootEntry
from rebootmgr.updates.change_words import Arguments, decode_change, encode_change_key
from rebootmgr.updates.commit_words import Commit
from rebootmgr.updates.gvariant_words import decode_dictionary
from rebootmgr.updates.words import StagedFile, timestamp_of

_BACKING: Final = "backing-root-device-inode"
_PAIR: Final = 16


@dataclass(frozen=True, slots=True)
class Tree:
    """A deployment by its directory, ostree/deploy/OSNAME/deploy/NAME; NAME is CHECKSUM.SERIAL."""

    osname: str
    name: str

    @property
    def id(self) -> DeploymentId:
        """As rpm-ostree writes it."""
        return DeploymentId(f"{self.osname}-{self.name}")

    @property
    def checksum(self) -> str:
        """Which commit it is of."""
        return self.name.partition(".")[0]

    def deployment(self, content: str, commit: Commit) -> Deployment:
        """Describe it; `content` is what its update is known by (SPEC 9)."""
        return Deployment(
            id=self.id,
            key=UpdateKey(harmless(f"{self.osname}:{content}")),
            version=commit.version,
            timestamp=timestamp_of(commit.timestamp),
        )


def decode_backing(content: bytes, order: Literal["little", "big"]) -> tuple[int, int] | None:
    """Read device and inode of the booted deployment from /run/ostree-booted; ValueError.

    None where it does not tell: before ostree 2026.4.
    """
    found = decode_dictionary(content).get(_BACKING)
    if found is None:
        return None
    if not isinstance(found, bytes) or len(found) != _PAIR:
        raise ValueError(f"{_BACKING} is no pair of numbers")
    return int.from_bytes(found[:8], order), int.from_bytes(found[8:], order)


def order_entries(entries: Iterable[BootEntry]) -> list[BootEntry]:
    """Pick those that boot an ostree deployment, highest version first, as libostree reads them."""
    ours = [entry for entry in entries if entry.ostree]
    return sorted(ours, key=lambda entry: _number(entry.version), reverse=True)


def _number(version: str) -> int:
    return int(version) if version.isascii() and version.isdigit() and len(version) < 10 else 0


def decode_staged_tree(
    new: Deployment, booted: Deployment, file: StagedFile, arguments: tuple[str, ...]
) -> tuple[UpdateKey, Change]:
    """Compare what is staged with what is booted, whose kernel arguments are these."""
    both = Arguments(staged=file.arguments, booted=arguments, initrds=file.initrds)
    same_base = new.key == booted.key
    key = encode_change_key(new.key, {}, both, new.id) if same_base else new.key
    return key, decode_change({}, {}, both, same_base=same_base)
