"""What is old-fashioned about a CA, read from its certificate (X.690 DER, RFC 5280).

Nobody here verifies anything: this says beforehand what stricter programs refuse. What cannot be
read is not judged, for OpenSSL will say so itself.
"""

import base64
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

_PEM: Final = re.compile(
    rb"-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----([A-Za-z0-9+/=\s]*)-----END"
)
_BOOLEAN, _INTEGER, _BITS, _OCTETS, _OID, _SEQUENCE = 0x01, 0x02, 0x03, 0x04, 0x06, 0x30
_UTC_TIME: Final = 0x17
_VERSION, _EXTENSIONS = 0xA0, 0xA3
_SUBJECT_KEY: Final = bytes.fromhex("551d0e")
_KEY_USAGE: Final = bytes.fromhex("551d0f")
_CONSTRAINTS: Final = bytes.fromhex("551d13")
_AUTHORITY_KEY: Final = bytes.fromhex("551d23")
_RSA: Final = bytes.fromhex("2a864886f70d010101")
_WEAK_SIGNATURES: Final = MappingProxyType(
    {
        bytes.fromhex("2a864886f70d010104"): "MD5",
        bytes.fromhex("2a864886f70d010105"): "SHA-1",
        bytes.fromhex("2a8648ce3d0401"): "SHA-1",  # with ECDSA
    }
)
_SHORTEST_RSA: Final = 2048


@dataclass(frozen=True, slots=True)
class _Extension:
    is_critical: bool
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Certificate:
    version: int
    signature: bytes
    issuer: bytes
    ends: datetime
    subject: bytes
    rsa_bits: int | None
    extensions: Mapping[bytes, _Extension]

    @property
    def is_ca(self) -> bool:
        constraints = self.extensions.get(_CONSTRAINTS)
        if constraints is None:
            return self.version == 1 and self.issuer == self.subject
        tag, content = _first(_only(constraints.value, _SEQUENCE))
        return tag == _BOOLEAN and content != b"\0"


def certificates_in(pem: bytes) -> tuple[bytes, ...]:
    """Give the DER of each certificate in a PEM file (RFC 7468); what is none is passed over."""
    found = []
    for block in _PEM.finditer(pem):
        with suppress(ValueError):
            found.append(base64.b64decode(block[1]))
    return tuple(found)


def old_fashions(der: bytes, *, at: datetime) -> tuple[str, ...]:
    """Say what a CA lacks, or has outlived at `at` (aware), in the order of RFC 5280."""
    try:
        certificate = _decode(der)
        return tuple(_found(certificate, at))
    except (ValueError, IndexError, OverflowError):
        return ()


def _found(one: _Certificate, at: datetime) -> Iterator[str]:
    if weak := _WEAK_SIGNATURES.get(one.signature):
        yield f"is signed with {weak}"
    if one.ends < at:
        yield f"ended on {one.ends:%Y-%m-%d}"
    if one.rsa_bits is not None and one.rsa_bits < _SHORTEST_RSA:
        yield f"has an RSA key of {one.rsa_bits} bits"
    if not one.is_ca:
        return
    if one.version < 3:
        yield "is of version 1, without any extension"
        return
    if _AUTHORITY_KEY not in one.extensions and one.issuer != one.subject:
        yield "has no authorityKeyIdentifier"
    if _SUBJECT_KEY not in one.extensions:
        yield "has no subjectKeyIdentifier"
    if _KEY_USAGE not in one.extensions:
        yield "has no keyUsage"
    if not one.extensions[_CONSTRAINTS].is_critical:
        yield "has a basicConstraints that is not critical"


def _decode(der: bytes) -> _Certificate:
    """Read the certificate; ValueError or IndexError for what is none."""
    signed = list(_elements(_only(der, _SEQUENCE)))
    fields = iter(_elements(_only_of(signed[0], _SEQUENCE)))
    tag, content = next(fields, (0, b""))
    version = 1
    if tag == _VERSION:
        version = int.from_bytes(_only(content, _INTEGER), "big") + 1
        next(fields)
    _, issuer = _next(fields, skip=1)
    _, validity = _next(fields)
    _, subject = _next(fields)
    _, key = _next(fields)
    extensions = next((content for tag, content in fields if tag == _EXTENSIONS), b"")
    return _Certificate(
        version=version,
        signature=_only(_only_of(signed[1], _SEQUENCE), _OID),
        issuer=issuer,
        ends=_time(*list(_elements(validity))[1]),
        subject=subject,
        rsa_bits=_rsa_bits(key),
        extensions=MappingProxyType(dict(_extensions(extensions))),
    )


def _extensions(content: bytes) -> Iterator[tuple[bytes, _Extension]]:
    if not content:
        return
    for tag, extension in _elements(_only(content, _SEQUENCE)):
        parts = list(_elements(_only_of((tag, extension), _SEQUENCE)))
        is_critical = len(parts) > 2 and parts[1] != (_BOOLEAN, b"\0")
        yield _only_of(parts[0], _OID), _Extension(is_critical, _only_of(parts[-1], _OCTETS))


def _rsa_bits(key: bytes) -> int | None:
    algorithm, bits = list(_elements(key))[:2]
    if _first(_only_of(algorithm, _SEQUENCE)) != (_OID, _RSA):
        return None
    numbers = _only(_only_of(bits, _BITS)[1:], _SEQUENCE)
    return int.from_bytes(_only(numbers, _INTEGER), "big").bit_length()


def _time(tag: int, content: bytes) -> datetime:
    """RFC 5280, 4.1.2.5: two digits of a year are of 1950 to 2049."""
    text = content.decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


# DER


def _elements(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of each element; ValueError where it is cut."""
    at = 0
    while at < len(content):
        tag, length, begin = content[at], content[at + 1], at + 2
        if length & 0x80:
            count = length & 0x7F
            length = int.from_bytes(content[begin : begin + count], "big")
            begin += count
        at = begin + length
        if at > len(content):
            raise ValueError("an element is cut")
        yield tag, content[begin:at]


def _first(content: bytes) -> tuple[int, bytes]:
    return next(_elements(content), (0, b""))


def _only(content: bytes, wanted: int) -> bytes:
    """Give the content of the first element; what is behind it is nobody's."""
    return _only_of(_first(content), wanted)


def _only_of(element: tuple[int, bytes], wanted: int) -> bytes:
    tag, content = element
    if tag != wanted:
        raise ValueError("another kind of element")
    return content


def _next(fields: Iterator[tuple[int, bytes]], *, skip: int = 0) -> tuple[int, bytes]:
    for _ in range(skip):
        next(fields, None)
    found = next(fields, None)
    if found is None:
        raise ValueError("a field is missing")
    return found
