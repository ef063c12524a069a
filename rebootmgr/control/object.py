"""org.rebootmgr1 on the system bus (SPEC 12): anybody may read, changes need leave."""

import json
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from rebootmgr.bus.connection import Bus, Reply, Request, variant
from rebootmgr.control.introspection import (
    INTROSPECTABLE,
    MANAGER,
    PEER,
    PROPERTIES_INTERFACE,
    encode_introspection,
    encode_parent,
)
from rebootmgr.control.polkit import Authority
from rebootmgr.control.words import (
    CONFIG_INVALID,
    PROPERTIES,
    decode_until,
    encode_properties,
    encode_status,
)
from rebootmgr.core.status import Status
from rebootmgr.errors import BusError, RebootmgrError, UsageError
from rebootmgr.text import harmless

log = logging.getLogger(__name__)

Method: TypeAlias = Callable[[Request], Awaitable[Reply]]
Interfaces: TypeAlias = Mapping[str, Mapping[str, tuple[str, Method]]]
"""By interface and member: the signature of the arguments, and what answers."""

NAME: Final = "org.rebootmgr1"
PATH: Final = "/org/rebootmgr1"
PARENTS: Final = {"/": "org", "/org": "rebootmgr1"}
_ERROR: Final = "org.freedesktop.DBus.Error."


class Operators(Protocol):
    """Whoever does what people ask for, `by` a user, and puts it on record.

    UsageError for what makes no sense, BusError with a name for what cannot be done now.
    """

    async def hold(self, reason: str, by: str, until: datetime | None) -> str:
        """Keep this host from rebooting; the id of the hold."""
        ...

    async def release(self, id_: str, by: str) -> None:
        """Lift that hold."""

    async def reboot(self, by: str, valid: timedelta, *, now: bool) -> None:
        """Ask for the reboot into what is pending."""

    async def cancel(self, by: str, length: timedelta) -> str:
        """Call the attempt off and hold for so long; the id of the hold."""
        ...

    async def forgive(self, by: str, key: str) -> tuple[str, ...]:
        """Lift a quarantine, all of them for "", and free kept slots; the keys."""
        ...


class Control:
    """The object that people and scripts talk to; news reach it by `publish` alone.

    `refresh`, where somebody sets it, publishes what time alone has changed. `reload` takes the
    configuration anew and returns what is wrong with it; `changers` are the uids that may ask for
    changes without polkit's leave; `machine_id` is the file that the Peer interface asks for.
    """

    def __init__(
        self,
        bus: Bus,
        status: Status,
        *,
        reload: Callable[[], Awaitable[tuple[str, ...]]],
        operators: Operators,
        changers: Collection[int],
        machine_id: Path,
    ) -> None:
        self._bus = bus
        self._status = status
        self._properties = encode_properties(status)
        self.refresh: Callable[[], Awaitable[None]] = _nothing
        self._reload = reload
        self._operators = operators
        self._authority = Authority(bus, changers)
        self._machine_id = machine_id
        self._interfaces: Interfaces = {
            MANAGER: {
                "Describe": ("", self._describe),
                "Reload": ("", self._take_reload),
                "Hold": ("sx", self._hold),
                "Release": ("s", self._release),
                "Reboot": ("bt", self._reboot),
                "Cancel": ("t", self._cancel),
                "Forgive": ("s", self._forgive),
            },
            PROPERTIES_INTERFACE: {
                "Get": ("ss", self._get),
                "GetAll": ("s", self._get_all),
                "Set": ("ssv", self._set),
            },
            **self._standard(encode_introspection()),
        }

    async def serve(self) -> None:
        """Answer calls, then take the name; BusError when another rebootmgrd has it."""
        self._bus.serve(PATH, lambda request: _dispatch(self._interfaces, request))
        for path, child in PARENTS.items():  # so that `busctl tree` finds the way
            self._bus.serve(path, self._parent(child))
        await self._bus.own(NAME)

    async def publish(self, status: Status) -> None:
        """Show `status` from now on; signal the properties that changed, if any did."""
        before, self._properties = self._properties, encode_properties(status)
        self._status = status
        changed = {
            name: variant(PROPERTIES[name], value)
            for name, value in self._properties.items()
            if value != before[name]
        }
        if changed:
            body = [MANAGER, changed, []]
            await self._bus.emit(PATH, PROPERTIES_INTERFACE, "PropertiesChanged", "sa{sv}as", body)

    async def _describe(self, _: Request) -> Reply:
        await self.refresh()
        return Reply("s", [json.dumps(encode_status(self._status))])

    async def _take_reload(self, request: Request) -> Reply:
        log.info("%s asked to reload the configuration", await self._authority.authorize(request))
        if errors := await self._reload():
            raise BusError(CONFIG_INVALID, "\n".join(errors))
        return Reply()

    async def _hold(self, request: Request) -> Reply:
        by = await self._authority.authorize(request)
        reason, until_usec = request.body
        with _refusing():
            return Reply("s", [await self._operators.hold(reason, by, decode_until(until_usec))])

    async def _release(self, request: Request) -> Reply:
        by = await self._authority.authorize(request)
        with _refusing():
            await self._operators.release(request.body[0], by)
        return Reply()

    async def _reboot(self, request: Request) -> Reply:
        by = await self._authority.authorize(request)
        now, valid_usec = request.body
        with _refusing():
            await self._operators.reboot(by, timedelta(microseconds=valid_usec), now=now)
        return Reply()

    async def _cancel(self, request: Request) -> Reply:
        by = await self._authority.authorize(request)
        length = timedelta(microseconds=request.body[0])
        with _refusing():
            return Reply("s", [await self._operators.cancel(by, length)])

    async def _forgive(self, request: Request) -> Reply:
        by = await self._authority.authorize(request)
        with _refusing():
            return Reply("as", [list(await self._operators.forgive(by, request.body[0]))])

    async def _get(self, request: Request) -> Reply:
        name = _known(request)
        return Reply("v", [variant(PROPERTIES[name], self._properties[name])])

    async def _get_all(self, request: Request) -> Reply:
        if not _is_ours(request):
            return Reply("a{sv}", [{}])
        values = self._properties.items()
        return Reply("a{sv}", [{name: variant(PROPERTIES[name], value) for name, value in values}])

    async def _set(self, request: Request) -> Reply:
        raise BusError(f"{_ERROR}PropertyReadOnly", f"property {_known(request)} is read-only")

    def _standard(self, xml: str) -> Interfaces:
        """Give the interfaces that every object has (D-Bus specification, Standard Interfaces)."""

        async def introspect(_: Request) -> Reply:
            return Reply("s", [xml])

        return {
            INTROSPECTABLE: {"Introspect": ("", introspect)},
            PEER: {"Ping": ("", _ping), "GetMachineId": ("", self._get_machine_id)},
        }

    def _parent(self, child: str) -> Method:
        interfaces = self._standard(encode_parent(child))
        return lambda request: _dispatch(interfaces, request)

    async def _get_machine_id(self, _: Request) -> Reply:
        try:
            text = self._machine_id.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise BusError(f"{_ERROR}FileNotFound", f"{self._machine_id}: {error}") from error
        return Reply("s", [harmless(text)])


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn what an operator is told into the error of a call."""
    try:
        yield
    except BusError:
        raise
    except (UsageError, ValueError) as error:
        raise BusError(f"{_ERROR}InvalidArgs", str(error)) from error
    except RebootmgrError as error:
        raise BusError(f"{_ERROR}Failed", str(error)) from error


async def _nothing() -> None:
    return


async def _ping(_: Request) -> Reply:
    return Reply()


async def _dispatch(interfaces: Interfaces, request: Request) -> Reply:
    """Call the method that is meant; without an interface its name alone decides."""
    if request.interface and request.interface not in interfaces:
        raise BusError(f"{_ERROR}UnknownInterface", f"no interface {request.interface} here")
    for interface, methods in interfaces.items():
        if request.interface in {"", interface} and request.member in methods:
            signature, method = methods[request.member]
            if request.signature != signature:
                text = f"{request.member} takes ({signature}), not ({request.signature})"
                raise BusError(f"{_ERROR}InvalidArgs", text)
            return await method(request)
    raise BusError(f"{_ERROR}UnknownMethod", f"no method {request.member} here")


def _is_ours(request: Request) -> bool:
    """Whether the properties of Manager are meant; "" is any interface, standard ones have none."""
    interface = request.body[0]
    if interface in {"", MANAGER}:
        return True
    if interface in {PROPERTIES_INTERFACE, INTROSPECTABLE, PEER}:
        return False
    raise BusError(f"{_ERROR}UnknownInterface", f"no interface {interface} here")


def _known(request: Request) -> str:
    name = str(request.body[1])
    if not _is_ours(request) or name not in PROPERTIES:
        raise BusError(f"{_ERROR}UnknownProperty", f"no property {name} here")
    return name
