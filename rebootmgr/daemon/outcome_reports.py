"""Telling lock servers what became of a reboot: best effort, and before the slot goes back."""

import asyncio
import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from rebootmgr.core.memory import PastReboot
from rebootmgr.core.model import Slot
from rebootmgr.fleetlock.client import LockClient
from rebootmgr.fleetlock.words import Answer, Reply, Server, Silence

log = logging.getLogger(__name__)

AGAIN_S: Final = (10.0, 60.0, 600.0)  # the network may come up late


class OutcomeReports:
    """Tells it, in a task of its own, and once more after each span of `again_s` if it has to."""

    def __init__(
        self, client: LockClient, tasks: asyncio.TaskGroup, *, again_s: Sequence[float] = AGAIN_S
    ) -> None:
        self._client, self._tasks, self._again_s = client, tasks, again_s
        self._tried: dict[Slot, asyncio.Event] = {}

    def begin(self, slot: Slot, server: Server, reboot: PastReboot, *, booted: str) -> None:
        """Tell the server of a slot; an older report to it is not waited for any more."""
        tried = self._tried[slot] = asyncio.Event()
        self._tasks.create_task(self._tell(slot, server, reboot, booted, tried))

    async def wait_tried(self, slot: Slot) -> None:
        """Wait until the server of this slot was told, or could not be for the first time."""
        if (tried := self._tried.get(slot)) is not None:
            await tried.wait()

    async def _tell(
        self, slot: Slot, server: Server, reboot: PastReboot, booted: str, tried: asyncio.Event
    ) -> None:
        for span_s in (*self._again_s, None):
            try:
                reply = await self._client.report(slot, server, reboot, booted=booted)
            finally:
                tried.set()
            if not _is_passing(reply) or span_s is None:
                _log(server, reboot, reply)
                return
            await _passed(span_s)


async def _passed(span_s: float) -> None:
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(span_s, over.set)
    await over.wait()


def _is_passing(reply: Reply) -> bool:
    match reply:
        case Silence():
            return True
        case Answer(status=status):
            return status == HTTPStatus.TOO_MANY_REQUESTS or status >= 500


def _log(server: Server, reboot: PastReboot, reply: Reply) -> None:
    match reply:
        case Answer(status=200 | 204):
            log.info("told %s of the reboot: %s", server.public_url, reboot.outcome)
        case Answer(status=status):
            log.warning("%s did not take what became of the reboot: %s", server.public_url, status)
        case Silence(detail):
            log.warning("could not tell %s of the reboot: %s", server.public_url, detail)
