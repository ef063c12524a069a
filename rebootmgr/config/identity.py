"""Who this host is, and which time it keeps: files under /etc, /usr/lib and /proc."""

import hashlib
import hmac
import os
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from io import BytesIO
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from rebootmgr.config.values import LOCALTIME, decode_zone

# Zincati's, so that servers know the host under the same id (machine-id(5), sd-id128(3)).
_APP_ID: Final = bytes.fromhex("de35106b6ec24688b63afddaa156679b")
_LARGEST: Final = 1 << 20
_STREAMS: Final = {"1": "next", "2": "testing", "3": "stable"}  # Fedora CoreOS: X.date.STREAM.N


@dataclass(frozen=True, slots=True, kw_only=True)
class HostIdentity:
    """The FleetLock id of a host, and its variables of base_url; "" where there is no value."""

    node_id: str
    basearch: str
    stream: str
    platform: str

    @property
    def variables(self) -> Mapping[str, str]:
        """Give what `${...}` in base_url stands for, except the group (SPEC 6)."""
        return {"basearch": self.basearch, "stream": self.stream, "platform": self.platform}


@dataclass(frozen=True, slots=True)
class MissingIdentity:
    """Why a host cannot tell itself from others."""

    detail: str

    @property
    def node_id(self) -> str:
        """It has none."""
        return ""

    @property
    def variables(self) -> Mapping[str, str]:
        """It has no value for any."""
        return {}


def read_identity(root: Path, *, node_uuid: str) -> HostIdentity | MissingIdentity:
    """Read who this host is. `node_uuid` (32 hex digits, or "") makes the machine id unneeded."""
    node_id = node_uuid or _read_node_id(root)
    if isinstance(node_id, MissingIdentity):
        return node_id
    return HostIdentity(
        node_id=node_id,
        basearch=_safe(os.uname().machine),
        stream=_read_stream(root),
        platform=_read_platform(root),
    )


def app_specific(machine_id: bytes) -> str:
    """Derive the node id of this machine id, as `systemd-id128 machine-id --app-specific` does."""
    digest = bytearray(hmac.digest(machine_id, _APP_ID, hashlib.sha256)[:16])
    digest[6] = digest[6] & 0x0F | 0x40
    digest[8] = digest[8] & 0x3F | 0x80
    return digest.hex()


def read_localtime(root: Path) -> tzinfo | None:
    """Read the host's time zone (localtime(5)): UTC if there is no file, None if it is no zone."""
    path = root / "etc/localtime"
    try:
        if path.is_symlink():
            _, zoneinfo, name = str(path.readlink()).rpartition("zoneinfo/")
            if zoneinfo:
                return decode_zone(name)
        elif not path.exists():
            return UTC
        if not path.is_file() or path.stat().st_size > _LARGEST:
            return None
        return _load_zone(path.read_bytes())
    except (OSError, LookupError, ValueError, AssertionError, struct.error):
        return None  # all of them are what zoneinfo raises for a broken file


class _Ending(BytesIO):
    """A file that says where it ends: zoneinfo would look for the last newline for ever."""

    def read(self, size: int | None = -1, /) -> bytes:
        content = super().read(size)
        if size and not content:
            raise ValueError("unexpected end of file")
        return content


def _load_zone(content: bytes) -> tzinfo:
    zone = ZoneInfo.from_file(_Ending(content), key=LOCALTIME)
    begin = datetime(1970, 1, 1, tzinfo=zone)
    for days in range(0, 130 * 365, 10):  # a broken one may load, and fail when it is used
        (begin + timedelta(days=days)).utcoffset()
    return zone


def _read_node_id(root: Path) -> str | MissingIdentity:
    path = root / "etc/machine-id"
    cure = "; run systemd-machine-id-setup, or set identity.node_uuid"
    try:
        content = _read(path).strip()
    except OSError as error:
        return MissingIdentity(f"{path}: {error.strerror}{cure}")
    if content in {"", "uninitialized"}:
        return MissingIdentity(f"{path} is not initialized yet{cure}")
    digits = content.replace("-", "")
    if not re.fullmatch(r"[0-9a-fA-F]{32}", digits) or not int(digits, 16):
        return MissingIdentity(f"{path} holds no machine id of 32 hex digits{cure}")
    return app_specific(bytes.fromhex(digits))


def _read_stream(root: Path) -> str:
    for name in ("etc/os-release", "usr/lib/os-release"):
        try:
            text = _read(root / name)
        except OSError:
            continue
        found = dict(re.findall(r"""^([A-Z_]+)=["']?([^"'\n]*)["']?$""", text, re.MULTILINE))
        parts = found.get("OSTREE_VERSION", "").split(".")
        is_coreos = found.get("VARIANT_ID") == "coreos" and len(parts) == 4
        return _STREAMS.get(parts[2], "") if is_coreos else ""
    return ""


def _read_platform(root: Path) -> str:
    try:
        words = _read(root / "proc/cmdline").split()
    except OSError:
        return ""
    key = "ignition.platform.id="
    return next((_safe(word.removeprefix(key)) for word in words if word.startswith(key)), "")


def _safe(value: str) -> str:
    """Keep a value only if it can stand in any part of a URL as it is."""
    return value if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", value) else ""


def _read(path: Path) -> str:
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        return file.read(1 << 16).decode("ascii", "replace")
