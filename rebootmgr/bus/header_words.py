"""The header of a message, read before anybody asks for its body (D-Bus specification).

Whatever a stranger sends is judged by these few values alone.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

FIXED: Final = 16
"""Bytes at the start of each message, which say how long it is."""
LONGEST_MESSAGE: Final = 128 * 1024 * 1024  # "Message Format"
_ORDER: Final = {ord("l"): "<", ord("B"): ">"}
_PROTOCOL_VERSION: Final = 1
_PATH, _INTERFACE, _MEMBER, _ERROR_NAME, _REPLY_SERIAL = 1, 2, 3, 4, 5
_SENDER, _SIGNATURE = 7, 8
_TEXTS: Final = (_PATH, _INTERFACE, _MEMBER, _ERROR_NAME, _SENDER, _SIGNATURE)
_SIZES: Final = {
    "y": 1,
    **dict.fromkeys("nq", 2),
    **dict.fromkeys("biuh", 4),
    **dict.fromkeys("xtd", 8),
}
_NO_REPLY_EXPECTED: Final = 1
_MAY_ASK_FOR_A_PASSWORD: Final = 4


class Kind(IntEnum):
    """What a message is."""

    CALL = 1
    RETURN = 2
    ERROR = 3
    SIGNAL = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """All of a message but its body, which has `size` bytes; "" and 0 where it does not say.

    `order` is the byte order, in the terms of struct.
    """

    kind: Kind
    flags: int
    serial: int
    reply_serial: int
    sender: str
    path: str
    interface: str
    member: str
    error_name: str
    signature: str
    size: int
    order: str

    @property
    def wants_reply(self) -> bool:
        """Whether an answer goes anywhere."""
        return not self.flags & _NO_REPLY_EXPECTED

    @property
    def is_interactive(self) -> bool:
        """Whether the caller allows us to ask its user for a password."""
        return bool(self.flags & _MAY_ASK_FOR_A_PASSWORD)


def decode_sizes(fixed: bytes | bytearray) -> tuple[int, int]:
    """Give the bytes of header fields, padded, and of body; ValueError where it is no message."""
    order = _ORDER.get(fixed[0])
    if order is None or fixed[3] != _PROTOCOL_VERSION:
        raise ValueError("the bus does not speak D-Bus")
    body, _, fields = struct.unpack_from(f"{order}III", fixed, 4)
    size = FIXED + (fields + 7 & ~7) + body
    if size > LONGEST_MESSAGE:
        raise ValueError(f"the bus sent a message of {size} bytes")
    return fields + 7 & ~7, body


def decode_header(head: bytes | bytearray) -> Header:
    """Read fixed part and fields; ValueError where we cannot, which is no reason to hang up."""
    order = _ORDER[head[0]]
    size, serial, fields = struct.unpack_from(f"{order}III", head, 4)
    try:
        texts, reply_serial = _decode_fields(head, order, FIXED + fields)
    except (LookupError, struct.error) as error:
        raise ValueError(f"a header that is cut off: {error}") from None
    return Header(
        kind=Kind(head[1]),
        flags=head[2],
        serial=serial,
        reply_serial=reply_serial,
        sender=texts.get(_SENDER, ""),
        path=texts.get(_PATH, ""),
        interface=texts.get(_INTERFACE, ""),
        member=texts.get(_MEMBER, ""),
        error_name=texts.get(_ERROR_NAME, ""),
        signature=texts.get(_SIGNATURE, ""),
        size=size,
        order=order,
    )


def _decode_fields(head: bytes | bytearray, order: str, end: int) -> tuple[dict[int, str], int]:
    texts: dict[int, str] = {}
    reply_serial, at = 0, FIXED
    while at < end:
        code, length, kind = head[at], head[at + 1], chr(head[at + 2])
        if length != 1:
            raise ValueError(f"header field {code} is of a type that nobody knows")
        at += 4
        match kind:
            case "s" | "o":
                [size] = struct.unpack_from(f"{order}I", head, at)
                at += 4
                text = head[at : at + size]
            case "g":
                size = head[at]
                at += 1
                text = head[at : at + size]
            case _ if size := _SIZES.get(kind, 0):
                at += -at % size
                if code == _REPLY_SERIAL:
                    [reply_serial] = struct.unpack_from(f"{order}I", head, at)
                at += size + (-(at + size) % 8)
                continue
            case _:
                raise ValueError(f"header field {code} is of a type that nobody knows")
        if code in _TEXTS:
            texts[code] = text.decode()
        at += size + 1
        at += -at % 8
    return texts, reply_serial
