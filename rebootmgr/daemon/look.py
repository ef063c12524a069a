"""One look at the host, put together from every source that was asked for."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from rebootmgr.core import facts
from rebootmgr.core.facts import (
    BootTimes,
    Deployments,
    Facts,
    LogindUnreachable,
    Look,
    NotOstree,
    OsUnknown,
)
from rebootmgr.core.model import BootId, Phase

T = TypeVar("T")


class OsReader(Protocol):
    """Whatever knows the deployments."""

    async def read(self) -> Deployments | OsUnknown | NotOstree:
        """Look at files and rpm-ostree."""
        ...

    def is_sysroot_locked(self) -> bool:
        """Look whether somebody works on the deployments, and ask nobody."""
        ...


class LogindReader(Protocol):
    """Whatever knows sessions and inhibitors."""

    async def read(self) -> facts.Logind | LogindUnreachable:
        """Look at logind."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Eyes:
    """Every source of facts on one host."""

    boot: BootId
    os: OsReader
    logind: LogindReader
    boot_incomplete: Callable[[], Awaitable[str]]
    boot_times: Callable[[], Awaitable[BootTimes | None]]
    not_finalized: Callable[[], Awaitable[str]]
    phases: Callable[[], frozenset[Phase]]
    synchronized: Callable[[], Awaitable[bool | None]]

    async def look(self, look: Look) -> Facts:
        """Ask the wanted sources side by side; failures are inside the facts."""
        os, logind, incomplete, synchronized = await asyncio.gather(
            _if(Look.OS in look, self.os.read),
            _if(Look.LOGIND in look, self.logind.read),
            _if(Look.BOOT in look, self.boot_incomplete),
            _if(Look.CLOCK in look, self.synchronized),
        )
        return Facts(
            boot=self.boot,
            os=os,
            logind=logind,
            boot_incomplete=incomplete,
            boot_times=await self.boot_times() if incomplete == "" else None,
            not_finalized=await self.not_finalized() if incomplete == "" else "",
            sysroot_locked=self.os.is_sysroot_locked() if Look.SYSROOT in look else None,
            hooks=self.phases() if Look.HOOKS in look else None,
            clock_synchronized=bool(synchronized) if Look.CLOCK in look else None,
        )


async def _if(wanted: bool, read: Callable[[], Awaitable[T]]) -> T | None:  # noqa: FBT001
    return await read() if wanted else None
