"""What a daemon on some bus says of itself, and how tests wait until it says so."""

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeAlias

from rebootmgr.bus.connection import Bus
from rebootmgr.errors import BusError
from tests.waiting import telling

Json: TypeAlias = dict[str, Any]

NAME: Final = "org.rebootmgr1"
MANAGER: Final = (NAME, "/org/rebootmgr1", "org.rebootmgr1.Manager")
ASK_AGAIN_S: Final = 0.1
_CHANGES: Final = (
    f"type='signal',sender='{NAME}',interface='org.freedesktop.DBus.Properties',"
    "member='PropertiesChanged'"
)
_OWNERS: Final = (
    "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',"
    f"member='NameOwnerChanged',arg0='{NAME}'"
)


class Spoken(ABC):
    """A host with a daemon that is asked, and listened to, over `bus`."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    @property
    @abstractmethod
    def bus(self) -> Bus:
        """Where it is asked."""

    @abstractmethod
    def last_words(self) -> str:
        """What it wrote last, for whoever wonders why it goes no further."""

    @property
    def has_ended(self) -> bool:
        """Whether it will say nothing more."""
        return False

    async def _listen(self) -> None:
        for rule in (_CHANGES, _OWNERS):
            await self.bus.subscribe(rule, lambda _: self._changed.set())

    async def status(self) -> Json:
        """Everything it says of itself."""
        [text] = await self.bus.call(*MANAGER, "Describe", autostart=False)
        status: Json = json.loads(text)
        return status

    async def until(self, holds: Callable[[Json], bool]) -> Json:
        """Wait until it says so; what it said last is in the error if it never does."""
        said: Json | None = None

        def last() -> str:
            return f"never so; last: {_brief(said)}\n{self.last_words()}"

        with telling(last):
            while True:
                self._changed.clear()
                try:
                    said = await self.status()
                except BusError:
                    said = None
                if said is not None and holds(said):
                    return said
                assert not self.has_ended, last()
                with suppress(TimeoutError):  # not everything that it says is signalled
                    async with asyncio.timeout(ASK_AGAIN_S):
                        await self._changed.wait()

    async def until_state(self, state: str) -> Json:
        """Wait for a state."""
        return await self.until(lambda status: status["state"] == state)

    async def until_blocked(self, *wanted: str) -> Json:
        """Wait until exactly these are in the way of a pending update."""
        return await self.until(
            lambda status: bool(status["pending"]) and reasons(status) == list(wanted)
        )

    async def until_incomplete(self) -> Json:
        """Wait until nothing but the boot that is not complete would be in the way."""
        return await self.until(lambda status: reasons(status) == ["boot_not_complete"])


def reasons(status: Json) -> list[str]:
    """What is in the way."""
    return [blocker["reason"] for blocker in status["blockers"]]


def told(status: Json) -> str:
    """What is said of all that is in the way."""
    return " ".join(blocker["detail"] for blocker in status["blockers"])


def _brief(said: Json | None) -> str:
    return json.dumps({name: it for name, it in (said or {}).items() if name != "gates"})
