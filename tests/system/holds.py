"""Holds, placed and released over the bus: its answer is here before the machine goes down."""

from typing import Final

from tests.fakes.host import NAME
from tests.system.machine import Machine

_MANAGER: Final = (NAME, "/org/rebootmgr1", "org.rebootmgr1.Manager")
_FOR_EVER: Final = 0


async def hold(machine: Machine) -> str:
    """Hold it until it is released; the hold's id."""
    body = ["the year's end", _FOR_EVER]
    [name] = await machine.bus.call(*_MANAGER, "Hold", "sx", body)
    return str(name)


async def release(machine: Machine) -> None:
    """Release the only hold, which has to be all that is in the way."""
    status = await machine.until_blocked("held")
    [one] = status["holds"]
    await machine.bus.call(*_MANAGER, "Release", "s", [one["id"]])
