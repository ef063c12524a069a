"""One look at files, by a source that asks nobody else what is booted and staged."""

from dataclasses import dataclass

from rebootmgr.core.facts import Deployments
from rebootmgr.updates.ostree_files import Identity
from rebootmgr.updates.words import FileContent


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What one look found; two that are equal saw the same.

    `deployments` are without what only systemd knows: drivers and who works on them. `driver` is
    the file by which one registers; `holders` are the processes that have locked the sysroot;
    `marks` are the identities of files that are replaced or touched at each change.
    """

    deployments: Deployments
    driver: FileContent
    holders: tuple[int, ...]
    marks: tuple[Identity, ...]


class OddError(Exception):
    """Something is not as its writer makes it; the text says what, and `cure` what to do."""

    def __init__(self, what: str, cure: str = "") -> None:
        super().__init__(what)
        self.cure = cure
