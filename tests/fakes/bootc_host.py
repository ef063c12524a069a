"""Whole hosts without rpm-ostree, led alike: ostree's files alone, or bootc's on composefs."""

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

from tests.fakes.composefs_host import ComposefsHost
from tests.fakes.host import Host
from tests.fakes.logind import Mode
from tests.fakes.ostree_host import SysrootLock


class BootcHost(Host):
    """A host whose updates are read from files; rpm-ostreed is not there, and cannot be started."""

    source = ""
    staged_file = ""

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        await self.os.leave()
        self.prepare()
        return self

    @abstractmethod
    def prepare(self) -> None:
        """Write the files of a host that booted 42.1."""

    @abstractmethod
    def stage(self, version: str, *, locked: bool = False) -> str:
        """Stage an update; its id."""

    @abstractmethod
    def unlock(self) -> None:
        """Unlock what is staged."""

    @abstractmethod
    def withdraw(self) -> None:
        """Drop what is staged."""

    @abstractmethod
    def rollback(self) -> None:
        """Boot the other deployment next."""

    @abstractmethod
    def lock_sysroot(self) -> SysrootLock:
        """Work on the deployments, as another process."""

    @abstractmethod
    def boot(self, *, finalize: bool = True) -> None:
        """What the disk is after a shutdown."""

    async def go_down(self, *, finalize: bool = True) -> None:
        """Shut down as logind was told to, and come up."""
        if self.daemon is not None and self.logind.mode is Mode.ACCEPT:
            await self.logind.rebooted.wait()
        await self.stop()
        self.boot(finalize=finalize)
        self.logind.end_shutdown()
        self._new_boot()

    async def lose_power(self) -> None:
        """End without a word, and come up with nothing finalized."""
        await self.kill()
        self.boot(finalize=False)
        self.logind.end_shutdown()
        self._new_boot()


class OstreeOnly(BootcHost):
    """ostree, without rpm-ostree."""

    source = "ostree"
    staged_file = "run/ostree/staged-deployment"

    def prepare(self) -> None:
        """Write what ostree has on disk."""
        self.trees.write_trees()

    def stage(self, version: str, *, locked: bool = False) -> str:
        """Stage an update; its id."""
        digest = f"sha256:{version.encode().hex():0<64}"
        return self.trees.stage(version, digest=digest, lock="gvariant" if locked else "").id

    def unlock(self) -> None:
        """Unlock what is staged."""
        self.trees.lock("")

    def withdraw(self) -> None:
        """Drop what is staged."""
        self.trees.cleanup()

    def rollback(self) -> None:
        """Boot the other deployment next."""
        self.trees.rollback()

    def lock_sysroot(self) -> SysrootLock:
        """Work on the deployments, as another process."""
        return self.trees.lock_sysroot()

    def boot(self, *, finalize: bool = True) -> None:
        """What the disk is after a shutdown."""
        if not finalize:
            self.trees.fail_to_finalize()
        self.trees.reboot()


class OnComposefs(BootcHost):
    """bootc on composefs."""

    source = "composefs"
    staged_file = "run/composefs/staged-deployment"

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.images = ComposefsHost(root)

    def prepare(self) -> None:
        """Write what bootc has on disk."""
        self.images.install("42.1")

    def stage(self, version: str, *, locked: bool = False) -> str:
        """Stage an update; its id."""
        return self.images.stage(version, locked=locked).name

    def unlock(self) -> None:
        """Unlock what is staged."""
        self.images.lock(locked=False)

    def withdraw(self) -> None:
        """Drop what is staged."""
        self.images.withdraw()

    def rollback(self) -> None:
        """Boot the other deployment next."""
        self.images.rollback()

    def lock_sysroot(self) -> SysrootLock:
        """Work on the deployments, as another process."""
        return self.images.lock_sysroot()

    def boot(self, *, finalize: bool = True) -> None:
        """What the disk is after a shutdown."""
        self.images.reboot(finalize=finalize)


KINDS: Final[Mapping[str, type[BootcHost]]] = {"ostree": OstreeOnly, "composefs": OnComposefs}
