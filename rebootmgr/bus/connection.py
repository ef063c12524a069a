"""The system bus: the only place that knows dbus-next, and the cover for its defects.

dbus-next gives us messages to send, and the types of bodies. Its connection we do without (it loops
on a socket that closes during authentication, hangs after a loss, keeps handlers and descriptors of
calls that were given up, and dies of messages that it does not know): an asyncio transport and one
message at a time have none of that. Nor does it read headers: it would decode whatever a stranger
sends before anybody could say that it is not wanted. File descriptors are not negotiated, so the
bus never hands us one. dbus-fast has the same message interface; changing over would touch this
file alone.
"""

import asyncio
import contextlib
import io
import itertools
import logging
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dbus_next._private.unmarshaller import Unmarshaller
from dbus_next.constants import MessageFlag, MessageType
from dbus_next.message import Message
from dbus_next.signature import SignatureTree, Variant

from rebootmgr.bus.framing import Wire
from rebootmgr.bus.header_words import Header, Kind
from rebootmgr.bus.signals import Subscriptions
from rebootmgr.bus.strangers import Strangers
from rebootmgr.bus.words import (
    ABSENT,
    DRIVER,
    LIMITS,
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

__all__ = ["SYSTEM_BUS", "Bus", "Header", "Reply", "Request", "Signal", "variant"]

SYSTEM_BUS: Final = "unix:path=/run/dbus/system_bus_socket"
_DO_NOT_QUEUE: Final = 4
_OWNED: Final = {1, 4}  # PRIMARY_OWNER, ALREADY_OWNER
_MANY_SIGNATURES: Final = 256
_FAILED: Final = "org.freedesktop.DBus.Error.Failed"
_UNKNOWN: Final = "org.freedesktop.DBus.Error.UnknownObject"
LONGEST_TOLD: Final = 4 * 1024 * 1024
"""Bytes of an answer or signal that we asked for: of ten deployments they are 200,000."""

log = logging.getLogger(__name__)


def variant(signature: str, value: object) -> object:
    """Wrap `value` as a D-Bus variant for a `Reply` or an `emit`."""
    return Variant(signature, listed(value))


class Bus:
    """One connection. Every method raises `BusError` with name "" once the connection is lost."""

    def __init__(self, strangers: Strangers | None = None) -> None:
        self._wire = Wire(wants=self._wants, deliver=self._deliver, forsake=self._forsake)
        self._serials = itertools.count(1)
        self._pending: dict[int, asyncio.Future[list[Any] | BusError]] = {}
        self._subscriptions = Subscriptions()
        self._strangers = strangers or Strangers()
        self._served: dict[str, _Served] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._unique_name = ""

    @classmethod
    async def connect(
        cls, address: str, *, timeout_s: float = 10.0, strangers: Strangers | None = None
    ) -> "Bus":
        """Connect and say Hello; `strangers` says what those who call what we serve may do."""
        bus = cls(strangers)
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
        NO_REPLY after `timeout_s`, LIMITS for more than LONGEST_TOLD. A cancelled or timed-out call
        leaves nothing behind.
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
        answered: asyncio.Future[list[Any] | BusError] = asyncio.get_running_loop().create_future()
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
        return answer

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

    def serve(
        self,
        path: str,
        handler: Callable[[Request], Awaitable[Reply]],
        *,
        check: Callable[[Header], None] = lambda _: None,
    ) -> None:
        """Answer calls on `path`; an exception of the handler that is no BusError ends the bus.

        `check` raises BusError for what is refused by its header, before its body is even read.
        """
        self._served[path] = _Served(handler, check)

    async def emit(
        self, path: str, interface: str, member: str, signature: str, body: Sequence[Any]
    ) -> None:
        """Send a signal; BusError with LIMITS where the bus does not take what we send."""
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

    def _wants(self, header: Header) -> bool:
        """Whether the body of a message is to be read; it may get its answer here and now."""
        match header.kind:
            case Kind.RETURN | Kind.ERROR:
                return self._wants_answer(header)
            case Kind.SIGNAL:
                return self._wants_signal(header)
            case Kind.CALL:
                return self._wants_call(header)

    def _wants_answer(self, header: Header) -> bool:
        future = self._pending.get(header.reply_serial)
        if future is None or future.done():
            return False
        if header.size > LONGEST_TOLD:
            text = f"an answer of {header.size} bytes is longer than {LONGEST_TOLD}"
            future.set_result(BusError(LIMITS, text))
            return False
        return True

    def _wants_signal(self, header: Header) -> bool:
        subject = (header.sender, header.path, header.interface, header.member)
        if not self._subscriptions.wants(*subject):
            return False
        if header.size > LONGEST_TOLD:  # that there is news is told all the same
            self._subscriptions.deliver(_signal(header, ()))
            return False
        return True

    def _wants_call(self, header: Header) -> bool:
        try:
            self._strangers.admit(header.sender, header.size)
            self._served.get(header.path, _NOTHING).check(header)
        except BusError as error:
            if header.wants_reply and self._strangers.may_be_told():
                self._reply(_error(header, error))
            return False
        return True

    def _deliver(self, header: Header, body: bytearray) -> None:
        decoded = _decode(header, body)
        match header.kind:
            case Kind.RETURN | Kind.ERROR:
                future = self._pending.get(header.reply_serial)
                if decoded is not None and future is not None and not future.done():
                    is_error = header.kind is Kind.ERROR
                    future.set_result(_as_error(header, decoded) if is_error else decoded)
            case Kind.SIGNAL:
                if decoded is not None:
                    self._subscriptions.deliver(_signal(header, decoded))
            case Kind.CALL:
                if decoded is not None:
                    task = asyncio.get_running_loop().create_task(self._answer(header, decoded))
                    self._answering.add(task)
                    self._strangers.begin(header.sender)
                    task.add_done_callback(lambda done: self._answered(done, header.sender))

    async def _answer(self, header: Header, body: list[Any]) -> None:
        request = Request(
            sender=header.sender,
            path=header.path,
            interface=header.interface,
            member=header.member,
            signature=header.signature,
            body=body,
            interactive=header.is_interactive,
        )
        try:
            reply = await self._served[header.path].handler(request)
        except BusError as error:
            answer = _error(header, error)
        else:
            answer = Message(
                message_type=MessageType.METHOD_RETURN,
                reply_serial=header.serial,
                destination=header.sender,
                signature=reply.signature,
                body=listed(reply.body),
            )
        if header.wants_reply:
            self._reply(answer)

    def _reply(self, answer: Message) -> None:
        try:
            self._send(answer)
        except BusError as error:  # whoever waits for it sees the end of the time, or of the bus
            log.debug("an answer cannot be sent: %s", error)

    def _answered(self, task: asyncio.Task[None], sender: str) -> None:
        self._answering.discard(task)
        self._strangers.end(sender)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("answering a call failed", exc_info=error)
            self._wire.end(f"answering a call failed: {error!r}")


@dataclass(frozen=True, slots=True)
class _Served:
    handler: Callable[[Request], Awaitable[Reply]]
    check: Callable[[Header], None]


def _is_unknown(header: Header) -> None:
    raise BusError(_UNKNOWN, f"there is no object {harmless(header.path)}")


async def _refuse(_: Request) -> Reply:
    return Reply()


_NOTHING: Final = _Served(_refuse, _is_unknown)


def _signal(header: Header, body: Sequence[Any]) -> Signal:
    return Signal(
        sender=header.sender,
        path=header.path,
        interface=header.interface,
        member=header.member,
        body=body,
    )


def _error(header: Header, error: BusError) -> Message:
    return Message(
        message_type=MessageType.ERROR,
        reply_serial=header.serial,
        destination=header.sender,
        error_name=error.name or _FAILED,
        signature="s",
        body=[error.text],
    )


def _decode(header: Header, body: bytearray) -> list[Any] | None:
    """Read a body; None for one that dbus-next does not know (it must not end the bus)."""
    if len(SignatureTree._cache) > _MANY_SIGNATURES:  # noqa: SLF001 - anybody could fill it
        SignatureTree._cache.clear()  # noqa: SLF001
    unmarshaller = Unmarshaller(io.BytesIO())  # type: ignore[no-untyped-call]
    unmarshaller.buf, unmarshaller.endian = body, ord("l" if header.order == "<" else "B")
    try:
        types = SignatureTree._get(header.signature).types  # noqa: SLF001 - no public one
        read: Callable[[object], Any] = unmarshaller.read_argument
        return [_unwrapped(read(each)) for each in types if header.size]
    except (ValueError, TypeError, LookupError, EOFError, struct.error) as error:
        log.warning("ignoring a message that cannot be read: %s", harmless(str(error)))
        return None


def _as_error(header: Header, body: Sequence[Any]) -> BusError:
    """Read what an error says, whose body may well be empty."""
    match body:
        case [str(text), *_]:
            return BusError(header.error_name or _FAILED, harmless(text))
        case _:
            return BusError(header.error_name or _FAILED, "no reason given")


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
