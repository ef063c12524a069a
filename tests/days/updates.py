"""Updates, what becomes of a host that reboots into one, and how they are deployed."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from rebootmgr.core.model import Deployment, DeploymentId, UpdateKey

FOR_EVER: Final = 10**6


class Fate(Enum):
    """What becomes of a host that reboots into an update."""

    GOOD = auto()
    NEVER = auto()  # finalization fails at shutdown
    RED = auto()  # boot-complete.target is never reached, and greenboot goes back
    SICK = auto()  # post-boot.d fails


@dataclass(slots=True)
class Update:
    """A version, and for how many more boots its fate holds."""

    version: int
    fate: Fate = Fate.GOOD
    times: int = FOR_EVER

    def strikes(self, fate: Fate) -> bool:
        """Whether that befalls the host now."""
        if self.fate is not fate or self.times <= 0:
            return False
        self.times -= 1
        return True


def key_of(version: int) -> UpdateKey:
    """What stays the same however often a commit is deployed."""
    return UpdateKey(f"os:{version}")


def deploy(version: int, serial: int = 0) -> Deployment:
    """A commit on disk; newer versions have later timestamps."""
    return Deployment(
        id=DeploymentId(f"os-{version}.{serial}"),
        key=key_of(version),
        version=str(version),
        timestamp=version,
    )
