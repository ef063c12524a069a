"""A D-Bus service out of plain functions, on dbus-next, for fakes that must behave like sd-bus."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from dbus_next.aio.message_bus import MessageBus
from dbus_next.constants import MessageType
from dbus_next.message import Message
from dbus_next.signature import Variant

PROPERTIES: Final = "org.freedesktop.DBus.Properties"
ERROR: Final = "org.freedesktop.DBus.Error"


class Refused(Exception):  # noqa: N818 - it is an answer
    """An error reply."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name
        self.text = text


class Silence(Exception):  # noqa: N818 - it is an answer, too
    """No reply at all."""


@dataclass
class Call:
    """A call, and who made it."""

    member: str
    body: list[Any]
    uid: int
    pid: int


@dataclass
class Answer:
    signature: str = ""
    body: Sequence[Any] = ()
    fds: list[int] = field(default_factory=list)


Method = Callable[[Call], Answer]
Properties = dict[str, tuple[str, Any]]


@dataclass
class Interface:
    """Properties are read when they are asked for; methods may raise Refused or Silence."""

    properties: Callable[[], Properties] = dict
    methods: Mapping[str, Method] = field(default_factory=dict)


class _Socket:
    """A socket that is full takes nothing, and no more: dbus-next would end the connection."""

    def __init__(self, plain: socket.socket) -> None:
        self._plain = plain
        self.sendmsg = plain.sendmsg

    def send(self, data: memoryview) -> int:
        try:
            return self._plain.send(data)
        except BlockingIOError:
            return 0


class Service:
    """One name on the bus. `objects` is path to interface name to interface."""

    def __init__(self, address: str, name: str) -> None:
        self.name = name
        self.objects: dict[str, dict[str, Interface]] = {}
        self._bus = MessageBus(bus_address=address, negotiate_unix_fd=True)
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        await self._bus.connect()
        self._bus._writer.sock = _Socket(self._bus._sock)
        self._bus.add_message_handler(self._heard)
        await self.enter()

    async def enter(self) -> None:
        await self._bus.request_name(self.name)

    async def leave(self) -> None:
        """Be gone from the bus, as after a crash; `enter` comes back."""
        await self._bus.release_name(self.name)

    async def wait_lost(self) -> None:
        try:
            await self._bus.wait_for_disconnect()  # type: ignore[no-untyped-call]
        except (EOFError, OSError):
            return

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._bus.disconnect()  # type: ignore[no-untyped-call]
        await self.wait_lost()
        # What is told to a bus that is gone has dbus-next write again, to whatever is opened next.
        asyncio.get_running_loop().remove_writer(self._bus._fd)
        self._bus._stream.close()  # dbus-next leaves both open
        self._bus._sock.close()

    def emit(
        self, path: str, interface: str, member: str, signature: str, body: Sequence[Any]
    ) -> None:
        signal = Message.new_signal(path, interface, member, signature, list(body))
        self._spawn(self._bus.send(signal))

    def emit_changed(self, path: str, interface: str, *names: str) -> None:
        """PropertiesChanged with the new values of `names`."""
        properties = self.objects[path][interface].properties()
        changed = {name: Variant(*properties[name]) for name in names}
        self.emit(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", [interface, changed, []])

    def _spawn(self, work: Awaitable[None]) -> None:
        async def run() -> None:
            try:
                await work
            except (EOFError, OSError):  # whoever ends the bus first ends what is under way
                if self._bus.connected:
                    raise

        task = asyncio.get_running_loop().create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _heard(self, message: Message) -> bool:
        if message.message_type is not MessageType.METHOD_CALL:
            return False
        self._spawn(self._reply(message))
        return True

    async def _reply(self, message: Message) -> None:
        try:
            answer = await self._answer(message)
        except Refused as error:
            await self._bus.send(Message.new_error(message, error.name, error.text))
        except (LookupError, TypeError, ValueError) as error:
            await self._bus.send(Message.new_error(message, f"{ERROR}.Failed", repr(error)))
        except Silence:
            return
        else:
            body = list(answer.body)
            reply = Message.new_method_return(message, answer.signature, body, answer.fds)
            await self._bus.send(reply)
            for fd in answer.fds:
                os.close(fd)

    async def _answer(self, message: Message) -> Answer:
        interfaces = self.objects.get(message.path)
        if interfaces is None:
            raise Refused(f"{ERROR}.UnknownObject", f"Unknown object '{message.path}'.")
        if message.interface == PROPERTIES:
            return _properties(interfaces, message.member, message.body)
        if message.interface not in interfaces:
            raise Refused(f"{ERROR}.UnknownInterface", f"Unknown interface {message.interface}")
        method = interfaces[message.interface].methods.get(message.member)
        if method is None:
            raise Refused(f"{ERROR}.UnknownMethod", f"Unknown method {message.member}")
        uid = await self._ask_driver("GetConnectionUnixUser", message.sender)
        pid = await self._ask_driver("GetConnectionUnixProcessID", message.sender)
        return method(Call(message.member, message.body, uid, pid))

    async def _ask_driver(self, member: str, name: str) -> int:
        driver = "org.freedesktop.DBus"
        path = "/org/freedesktop/DBus"
        question = Message(driver, path, driver, member, signature="s", body=[name])
        reply = await self._bus.call(question)
        assert reply is not None
        if reply.error_name == f"{ERROR}.NameHasNoOwner":  # the caller is gone
            raise Silence
        assert reply.message_type is MessageType.METHOD_RETURN, reply.body
        [number] = reply.body
        assert isinstance(number, int)
        return number


def _properties(interfaces: dict[str, Interface], member: str, body: list[Any]) -> Answer:
    found = interfaces[body[0]].properties() if body[0] in interfaces else {}
    match member, body:
        case "GetAll", _:
            return Answer("a{sv}", [{name: Variant(*value) for name, value in found.items()}])
        case "Get", [_, str(name)] if name in found:
            return Answer("v", [Variant(*found[name])])
        case _:
            raise Refused(f"{ERROR}.UnknownProperty", "Unknown property or interface.")
