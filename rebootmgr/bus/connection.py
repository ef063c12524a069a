"""The system bus: the only place that knows dbus-next, and the cover for its defects.

dbus-next gives us messages, their types and their bytes. Its connection we do without (it loops on
a socket that closes during authentication, hangs after a loss, keeps handlers and descriptors of
calls that were given up, and dies of messages that it does not know): an asyncio transport and
one frame at a time have none of that. File descriptors are not negotiated, so the bus never hands
us one. dbus-fast has the same message interface; changing over would touch this file alone.
"""

import asyncio
import contextlib
import io
import itertools
import logging
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from dbus_next._private.unmarshaller import Unmarshaller
from dbus_next.constants import MessageFlag, MessageType
from dbus_next.message import Message
from dbus_next.signature import SignatureTree, Variant

from rebootmgr.bus.framing import Wire
from rebootmgr.bus.signals import Subscriptions
from rebootmgr.bus.words import (
    ABSENT,
    DRIVER,
    NO_REPLY,
    Reply,
    Request,
    Signal,
    decode_match_rule,
    encode_owner_rule,
    listed,
)
from rebootmgr.errors import BusError, UsageError
from rebootmgr.text import harmless

__all__ = ["SYSTEM_BUS", "Bus", "Reply", "Request", "Signal", "variant"]

SYSTEM_BUS: Final = "unix:path=/run/dbus/system_bus_socket"
_DO_NOT_QUEUE: Final = 4
_OWNED: Final = {1, 4}  # PRIMARY_OWNER, ALREADY_OWNER
_MANY_SIGNATURES: Final = 256
_FAILED: Final = "org.freedesktop.DBus.Error.Failed"

log = logging.getLogger(__name__)


def variant(signature: str, value: object) -> object:
    """Wrap `value` as a D-Bus variant for a `Reply` or an `emit`."""
    return Variant(signature, listed(value))


class Bus:
    """One connection. Every method raises `BusError` with name "" once the connection is lost."""

    def __init__(self) -> None:
        self._wire = Wire(deliver=self._deliver, forsake=self._forsake)
        self._serials = itertools.count(1)
        self._pending: dict[int, asyncio.Future[Message | BusError]] = {}
        self._subscriptions = Subscriptions()
        self._served: dict[str, Callable[[Request], Awaitable[Reply]]] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._unique_name = ""

    @classmethod
    async def connect(cls, address: str, *, timeout_s: float = 10.0) -> "Bus":
        """Connect and say Hello."""
        bus = cls()
        async with contextlib.AsyncExitStack() as on_failure:
            on_failure.push_async_callback(bus._wire.close)
            try:
                async with asyncio.timeout(timeout_s):
                    await bus._wire.open(address)
                    [bus._unique_name] = await bus.call(*DRIVER, "Hello", timeout_s=timeout_s)
            except (OSError, BusError) as error:
                # TimeoutError is an OSError, with an empty text
                why = str(error) or f"no answer within {timeout_s:g} s"
                raise BusError("", f"cannot connect to the bus at {address}: {why}") from None
            on_failure.pop_all()
        return bus

    @property
    def unique_name(self) -> str:
        """Our name on the bus, like `:1.7`."""
        return self._unique_name

    async def call(  # noqa: PLR0913 - a D-Bus call has this many parts
        self,
        destination: str,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        body: Sequence[Any] = (),
        *,
        timeout_s: float = 25.0,
        autostart: bool = True,
        interactive: bool = False,
    ) -> Sequence[Any]:
        """Call a method; the reply's body with variants unwrapped.

        `interactive`: our user may be asked for a password. Raises BusError with the error's name;
        NO_REPLY after `timeout_s`. A cancelled or timed-out call leaves
        nothing behind.
        """
        call = Message(
            destination=destination,
            path=path,
            interface=interface,
            member=member,
            flags=(MessageFlag.NONE if autostart else MessageFlag.NO_AUTOSTART)
            | (MessageFlag.ALLOW_INTERACTIVE_AUTHORIZATION if interactive else MessageFlag.NONE),
            signature=signature,
            body=listed(body),
        )
        serial = self._send(call)
        answered: asyncio.Future[Message | BusError] = asyncio.get_running_loop().create_future()
        self._pending[serial] = answered
        try:
            async with asyncio.timeout(timeout_s):
                answer = await answered
        except TimeoutError:
            text = f"{destination} did not answer {member} within {timeout_s:g} s"
            raise BusError(NO_REPLY, text) from None
        finally:
            self._pending.pop(serial, None)
        if isinstance(answer, BusError):
            raise answer
        return _body(answer)

    async def subscribe(self, rule: str, handler: Callable[[Signal], None]) -> None:
        """AddMatch `rule` (D-Bus specification, match rules), by a low-level message.

        `handler` is called for each signal that the rule's type, sender (a well-known name is
        followed through its owners), path, path_namespace, interface, member and arg0 match.
        """
        decoded = decode_match_rule(rule)
        if self._subscriptions.add(decoded, handler):
            await self.call(*DRIVER, "AddMatch", "s", [encode_owner_rule(decoded.sender)])
            self._subscriptions.learn(decoded.sender, await self._owner(decoded.sender))
        await self.call(*DRIVER, "AddMatch", "s", [rule])

    async def unsubscribe(self, rule: str, handler: Callable[[Signal], None]) -> None:
        """Undo one `subscribe`."""
        self._subscriptions.remove(decode_match_rule(rule), handler)
        await self.call(*DRIVER, "RemoveMatch", "s", [rule])

    async def own(self, name: str) -> None:
        """RequestName without queueing; BusError when somebody else has it."""
        [answer] = await self.call(*DRIVER, "RequestName", "su", [name, _DO_NOT_QUEUE])
        if answer not in _OWNED:
            raise BusError("org.freedesktop.DBus.Error.AddressInUse", f"{name} is taken already")

    def serve(self, path: str, handler: Callable[[Request], Awaitable[Reply]]) -> None:
        """Answer calls on `path`; an exception of the handler that is no BusError ends the bus."""
        self._served[path] = handler

    async def emit(
        self, path: str, interface: str, member: str, signature: str, body: Sequence[Any]
    ) -> None:
        """Send a signal."""
        self._send(Message.new_signal(path, interface, member, signature, listed(body)))

    async def wait_lost(self) -> str:
        """Wait until the connection ends; why it did. At once if it already has."""
        return await asyncio.shield(self._wire.lost)

    async def close(self) -> None:
        """Disconnect; the socket and every descriptor are closed when this returns."""
        await self._wire.close()
        await asyncio.gather(*self._answering, return_exceptions=True)

    async def _owner(self, name: str) -> str:
        try:
            [owner] = await self.call(*DRIVER, "GetNameOwner", "s", [name])
        except BusError as error:
            if error.name not in ABSENT:
                raise
            return ""
        return str(owner)

    def _send(self, message: Message) -> int:
        message.serial = next(self._serials)
        frame = message._marshall()  # type: ignore[no-untyped-call] # noqa: SLF001 - no public one
        self._wire.send(bytes(frame))
        return message.serial

    def _forsake(self, reason: str) -> None:
        for future in self._pending.values():
            if not future.done():
                future.set_result(BusError("", reason))  # an exception might never be retrieved
        for task in self._answering:
            task.cancel()

    def _deliver(self, frame: bytes) -> None:
        message = _decode(frame)
        if message is None:
            return
        match message.message_type:
            case MessageType.METHOD_RETURN | MessageType.ERROR:
                future = self._pending.get(message.reply_serial)
                if future is not None and not future.done():
                    future.set_result(message)
            case MessageType.SIGNAL:
                self._subscriptions.deliver(
                    Signal(
                        sender=message.sender,
                        path=message.path,
                        interface=message.interface,
                        member=message.member,
                        body=_unwrapped(message.body),
                    )
                )
            case MessageType.METHOD_CALL:
                task = asyncio.get_running_loop().create_task(self._answer(message))
                self._answering.add(task)
                task.add_done_callback(self._answered)

    async def _answer(self, message: Message) -> None:
        request = Request(
            sender=message.sender,
            path=message.path,
            interface=message.interface or "",
            member=message.member,
            signature=message.signature,
            body=_unwrapped(message.body),
            interactive=bool(message.flags & MessageFlag.ALLOW_INTERACTIVE_AUTHORIZATION),
        )
        handler = self._served.get(request.path, _refuse)
        try:
            reply = await handler(request)
        except BusError as error:
            answer = Message.new_error(message, error.name or _FAILED, error.text)
        else:
            answer = Message.new_method_return(message, reply.signature, listed(reply.body))
        if not message.flags & MessageFlag.NO_REPLY_EXPECTED and not self._wire.lost.done():
            self._send(answer)

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._answering.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("answering a call failed", exc_info=error)
            self._wire.end(f"answering a call failed: {error!r}")


async def _refuse(request: Request) -> Reply:
    raise BusError("org.freedesktop.DBus.Error.UnknownObject", f"there is no object {request.path}")


def _decode(frame: bytes) -> Message | None:
    """Read a message; None for one that dbus-next does not know (it must not end the bus)."""
    if len(SignatureTree._cache) > _MANY_SIGNATURES:  # noqa: SLF001 - anybody could fill it
        SignatureTree._cache.clear()  # noqa: SLF001
    try:
        unmarshaller = Unmarshaller(io.BytesIO(frame))  # type: ignore[no-untyped-call]
        message: Message | None = unmarshaller.unmarshall()  # type: ignore[no-untyped-call]
    except (ValueError, TypeError, LookupError, EOFError, struct.error) as error:
        log.warning("ignoring a message that cannot be read: %s", harmless(str(error)))
        return None
    return message


def _body(answer: Message) -> list[Any]:
    """Read the body of a reply; BusError if it is an error (whose body may well be empty)."""
    if answer.message_type is MessageType.METHOD_RETURN:
        return [_unwrapped(item) for item in answer.body]
    match answer.body:
        case [str(text), *_]:
            raise BusError(answer.error_name, harmless(text))
        case _:
            raise BusError(answer.error_name, "no reason given")


def _unwrapped(value: Any) -> Any:
    """Take the variants off `value`, recursively."""
    match value:
        case Variant():
            return _unwrapped(value.value)
        case list():
            return [_unwrapped(item) for item in value]
        case dict():
            return {key: _unwrapped(item) for key, item in value.items()}
        case _:
            return value


VARIABLE: Final = "DBUS_SYSTEM_BUS_ADDRESS"


def bus_address(root: Path, environ: Mapping[str, str]) -> str:
    """Give the system bus, or what the environment names.

    Raises UsageError for another root without that variable: a test must never reboot its machine.
    """
    if address := environ.get(VARIABLE):
        return address
    if root.resolve() != Path("/"):
        raise UsageError(f"--root {root} needs a bus of its own: set {VARIABLE}")
    return SYSTEM_BUS
