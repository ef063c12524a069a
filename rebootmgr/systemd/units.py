"""systemd's manager and its units (org.freedesktop.systemd1(5))."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

from rebootmgr.bus.connection import Bus, Signal
from rebootmgr.bus.peer import Peer
from rebootmgr.bus.words import ABSENT, encode_object_path
from rebootmgr.errors import BusError
from rebootmgr.text import harmless

_SYSTEMD: Final = "org.freedesktop.systemd1"
_PATH: Final = "/org/freedesktop/systemd1"
_MANAGER: Final = (_PATH, f"{_SYSTEMD}.Manager")
_UNIT: Final = f"{_SYSTEMD}.Unit"
_SERVICE: Final = f"{_SYSTEMD}.Service"
_ALREADY: Final = f"{_SYSTEMD}.AlreadySubscribed"  # by another of us: it counts for the connection
_ODD: Final = "org.freedesktop.DBus.Error.Failed"
NO_SUCH_UNIT: Final = f"{_SYSTEMD}.NoSuchUnit"

log = logging.getLogger(__name__)


def unit_path(unit: str) -> str:
    """Where a unit is on the bus, loaded or not."""
    return encode_object_path(f"{_PATH}/unit", unit)


class ServiceManager:
    """systemd on `bus`; each method raises BusError. Units are named by their paths there.

    `may_be_absent`: there may be none at all, as below a root of one's own. Everywhere else one
    that is not on the bus is about to come back, as after `systemctl daemon-reexec`.
    """

    def __init__(self, bus: Bus, *, patience_s: float, may_be_absent: bool = False) -> None:
        self._peer = Peer(bus, _SYSTEMD, patience_s=patience_s)
        self._may_be_absent = may_be_absent
        self._followed: set[str] = set()
        self._is_subscribed = False

    async def call(
        self, member: str, signature: str = "", body: Sequence[Any] = ()
    ) -> Sequence[Any]:
        """Call a method of the manager."""
        return await self._peer.call(*_MANAGER, member, signature, body)

    async def get(self, name: str) -> Any:
        """Read a property of the manager."""
        return await self._peer.get(*_MANAGER, name)

    async def get_of(self, path: str, name: str) -> Any:
        """Read a property of a unit."""
        return await self._peer.get(path, _UNIT, name)

    @property
    def tells(self) -> bool:
        """Whether it tells of changes; where it does not, whoever wants to know has to ask."""
        return self._is_subscribed

    def has_none(self, error: BusError) -> bool:
        """Whether this error says that the host has no systemd."""
        return self._may_be_absent and error.name in ABSENT

    async def follow_owner(self, changed: Callable[[], None]) -> None:
        """Have `changed` called when systemd leaves the bus or comes back to it."""
        await self._peer.subscribe_owner(lambda _: changed())

    async def follow_return(self, returned: Callable[[], None]) -> None:
        """Have `returned` called when systemd is on the bus again: after `daemon-reexec`."""

        def heard(signal: Signal) -> None:
            match signal.body:
                case [_, _, ""]:
                    pass
                case _:
                    returned()

        await self._peer.subscribe_owner(heard)

    async def follow_reloads(self, heard: Callable[[Signal], None]) -> None:
        """Have `heard` called when systemd reloads its units: true as it begins, false at its end.

        Only who has subscribed is told, as by `follow`.
        """
        path, interface = _MANAGER
        await self._peer.subscribe(heard, path=path, interface=interface, member="Reloading")

    async def read_failure(self, unit: str) -> str:
        """Read why a service failed: its Result (`exit-code`, `timeout` …); "" if it did not."""
        if await self.get_of(unit_path(unit), "ActiveState") != "failed":
            return ""
        return harmless(str(await self._peer.get(unit_path(unit), _SERVICE, "Result")))

    async def read_state(self, unit: str, changed: Callable[[str], None]) -> str:
        """Read a unit's ActiveState, "inactive" where there is no such unit, or no systemd.

        From the first time on, `changed` is called when it is another.
        """

        def heard(signal: Signal) -> None:
            match signal.body:
                case [_, {"ActiveState": state}, *_]:
                    changed(harmless(f"{unit} is {state}"))
                case _:
                    pass

        try:
            await self.follow(unit_path(unit), heard)  # before it is loaded, too
            path = await self._path_of(unit)
            await self.follow(path, heard)  # of an alias
            return harmless(str(await self.get_of(path, "ActiveState")))
        except BusError as error:
            if error.name == NO_SUCH_UNIT or self.has_none(error):
                return "inactive"
            if error.name in ABSENT:
                text = "systemd is not on the bus, nobody knows what runs"
                raise BusError(_ODD, text) from error
            raise

    async def read_commands(self, unit: str) -> tuple[tuple[str, ...], ...]:
        """Read what a service starts (ExecStart), each with its arguments."""
        match await self._peer.get(unit_path(unit), _SERVICE, "ExecStart"):
            case list(commands):
                found = [each[1] for each in commands if isinstance(each, list) and len(each) > 1]
                return tuple(tuple(map(str, one)) for one in found if isinstance(one, list))
            case _:
                raise BusError(_ODD, f"{_SYSTEMD} tells the ExecStart of {unit} as something else")

    async def read_needed_paths(self, unit: str) -> tuple[tuple[str, bool], ...]:
        """Read which paths must exist, or must not (False), for a unit to start."""
        match await self._peer.get(unit_path(unit), _UNIT, "Conditions"):
            case list(conditions):
                return tuple(
                    (path, not negated)
                    for each in conditions
                    if isinstance(each, list)
                    for kind, is_one_of, negated, path in [each[:4]]
                    if kind == "ConditionPathExists" and not is_one_of
                )
            case _:
                raise BusError(_ODD, f"{_SYSTEMD} tells the Conditions of {unit} as something else")

    async def _path_of(self, unit: str) -> str:
        match await self.call("GetUnit", "s", [unit]):
            case [str(path)]:
                return path
            case _:
                raise BusError(_ODD, f"{_SYSTEMD} answered GetUnit with something else")

    async def follow(self, path: str, heard: Callable[[Signal], None]) -> None:
        """Have `heard` called when properties of a unit change, its Job among them.

        For good, and only the first time. Where systemd does not want to tell, that is no error.
        """
        if path not in self._followed:
            await self._peer.subscribe_properties(heard, path=path, arg0=_UNIT)
            self._followed.add(path)
        if self._is_subscribed:
            return
        try:
            # It costs nothing more: logind is subscribed on every host, so systemd tells anyway.
            await self.call("Subscribe")
        except BusError as error:
            if error.name != _ALREADY:
                log.debug("systemd will not tell of changes: %s", error)
                return
        self._is_subscribed = True
