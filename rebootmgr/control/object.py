"""org.rebootmgr1 on the system bus (SPEC 12): anybody may read, changes need leave."""

import json
from collections.abc import Awaitable, Callable, Collection, Mapping
from pathlib import Path
from typing import Final, TypeAlias

from rebootmgr.bus.connection import Bus, Header, Reply, Request, variant
from rebootmgr.bus.words import LIMITS
from rebootmgr.control.introspection import (
    INTROSPECTABLE,
    PEER,
    PROPERTIES_INTERFACE,
    encode_introspection,
    encode_parent,
)
from rebootmgr.control.members import (
    DESCRIBE,
    MANAGER,
    NAME,
    PATH,
    PROPERTIES,
    STEERING,
    Member,
    encode_properties,
    steady,
)
from rebootmgr.control.polkit import Authority
from rebootmgr.control.words import encode_status
from rebootmgr.core.status import Status
from rebootmgr.errors import BusError, RebootmgrError, UsageError
from rebootmgr.text import harmless

Method: TypeAlias = Callable[[Request], Awaitable[Reply]]
Interfaces: TypeAlias = Mapping[str, Mapping[str, tuple[str, Method]]]
"""By interface and member: the signature of the arguments, and what answers."""

Handlers: TypeAlias = Mapping[Member, Callable[..., Awaitable[object]]]
"""Who does what people ask for: called with the user who asks and what the member takes.

The answer is what the member gives, once it is on record. UsageError for what makes no sense,
BusError with a name for what cannot be done now.
"""

PARENTS: Final = {"/": "org", "/org": "rebootmgr1"}
_ERROR: Final = "org.freedesktop.DBus.Error."


async def _nothing() -> None:
    return


class Control:
    """The object that people and scripts talk to; news reach it by `publish` alone.

    `refresh` publishes what time alone has changed. `handlers` has every member that needs leave;
    `changers` are the uids that need none of polkit's; `machine_id` is the file that the Peer
    interface asks for.
    """

    def __init__(
        self,
        bus: Bus,
        status: Status,
        *,
        handlers: Handlers,
        refresh: Callable[[], Awaitable[None]] = _nothing,
        changers: Collection[int],
        machine_id: Path,
    ) -> None:
        self._bus = bus
        self._status = status
        self._properties = self._told = encode_properties(status)
        self._refresh = refresh
        self._authority = Authority(bus, changers)
        self._machine_id = machine_id
        self._interfaces: Interfaces = {
            MANAGER: {
                DESCRIBE.name: (DESCRIBE.signature, self._describe),
                **{
                    member.name: (member.signature, self._guarded(member, handlers[member]))
                    for member in STEERING
                },
            },
            PROPERTIES_INTERFACE: {
                "Get": ("ss", self._get),
                "GetAll": ("s", self._get_all),
                "Set": ("ssv", _set),
            },
            **self._standard(encode_introspection()),
        }

    async def serve(self) -> None:
        """Answer calls, then take the name; BusError when another rebootmgrd has it."""
        self._serve(PATH, self._interfaces)
        for path, child in PARENTS.items():  # so that `busctl tree` finds the way
            self._serve(path, self._standard(encode_parent(child)))
        await self._bus.own(NAME)

    def _serve(self, path: str, interfaces: Interfaces) -> None:
        async def answer(request: Request) -> Reply:
            _, method = _meant(interfaces, request)
            return await method(request)

        def check(header: Header) -> None:
            signature, method = _meant(interfaces, header)
            if header.signature != signature:
                text = f"{header.member} takes ({signature}), not ({header.signature})"
                raise BusError(f"{_ERROR}InvalidArgs", text)
            if method is _set:  # whatever the value is, it need not be read for that
                raise _READ_ONLY

        self._bus.serve(path, answer, check=check)

    async def publish(self, status: Status) -> None:
        """Show `status` from now on; signal the properties that changed, if any did.

        What cannot be told, because the bus takes nothing now, is told with the next change.
        """
        self._status = status
        self._properties = steady(self._properties, encode_properties(status))
        changed = {name: now for name, now in self._properties.items() if now != self._told[name]}
        if changed:
            body = [MANAGER, _variants(changed), []]
            try:
                await self._bus.emit(
                    PATH, PROPERTIES_INTERFACE, "PropertiesChanged", "sa{sv}as", body
                )
            except BusError as error:
                if error.name != LIMITS:
                    raise
            else:
                self._told = self._properties

    async def _describe(self, _: Request) -> Reply:
        await self._refresh()
        return Reply(DESCRIBE.answer, [json.dumps(encode_status(self._status))])

    def _guarded(self, member: Member, handler: Callable[..., Awaitable[object]]) -> Method:
        """Have `handler` called for whoever may, with the arguments as values of ours."""

        async def call(request: Request) -> Reply:
            by = await self._authority.authorize(request)
            try:
                given = await handler(by, *_decoded(member, request))
            except BusError:
                raise
            except UsageError as error:
                raise BusError(f"{_ERROR}InvalidArgs", str(error)) from error
            except RebootmgrError as error:
                raise BusError(f"{_ERROR}Failed", str(error)) from error
            return Reply(member.answer, [each.encode(given) for each in member.gives])

        return call

    async def _get(self, request: Request) -> Reply:
        name = _known(request)
        return Reply("v", [variant(PROPERTIES[name].type, self._properties[name])])

    async def _get_all(self, request: Request) -> Reply:
        if not _is_ours(request):
            return Reply("a{sv}", [{}])
        return Reply("a{sv}", [_variants(self._properties)])

    def _standard(self, xml: str) -> Interfaces:
        """Give the interfaces that every object has (D-Bus specification, Standard Interfaces)."""

        async def introspect(_: Request) -> Reply:
            return Reply("s", [xml])

        return {
            INTROSPECTABLE: {"Introspect": ("", introspect)},
            PEER: {"Ping": ("", _ping), "GetMachineId": ("", self._get_machine_id)},
        }

    async def _get_machine_id(self, _: Request) -> Reply:
        try:
            text = self._machine_id.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise BusError(f"{_ERROR}FileNotFound", f"{self._machine_id}: {error}") from error
        return Reply("s", [harmless(text)])


def _decoded(member: Member, request: Request) -> list[object]:
    try:
        pairs = zip(member.takes, request.body, strict=True)
        return [each.decode(value) for each, value in pairs]
    except ValueError as error:
        raise UsageError(str(error)) from error


def _variants(properties: Mapping[str, object]) -> dict[str, object]:
    return {name: variant(PROPERTIES[name].type, value) for name, value in properties.items()}


_READ_ONLY: Final = BusError(f"{_ERROR}PropertyReadOnly", "no property here can be set")


async def _set(_: Request) -> Reply:
    raise _READ_ONLY


async def _ping(_: Request) -> Reply:
    return Reply()


def _meant(interfaces: Interfaces, call: Request | Header) -> tuple[str, Method]:
    """Find the method that is meant; without an interface its name alone decides."""
    if call.interface and call.interface not in interfaces:
        raise BusError(f"{_ERROR}UnknownInterface", f"no interface {call.interface} here")
    for interface, methods in interfaces.items():
        if call.interface in {"", interface} and call.member in methods:
            return methods[call.member]
    raise BusError(f"{_ERROR}UnknownMethod", f"no method {call.member} here")


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
