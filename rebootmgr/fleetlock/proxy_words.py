"""Which proxy a request goes through: the environment's words, read as curl(1) reads them.

Beyond curl, `no_proxy` takes `IP:PORT`, `[IPV6]`, `*.DOMAIN` and a `*` among others, because
other programs do, and an exception that is silently missed sends a request where nobody wants it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final, TypeAlias
from urllib.parse import unquote, urlsplit

PORTS: Final = {"http": 80, "https": 443}
PROXY_PORT: Final = 1080  # curl's, where a proxy has none
SPOKEN: Final = "http"
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_HOST: Final = re.compile(r"[A-Za-z0-9._:%-]+")
_BRACKETED: Final = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::([0-9]{1,5}))?")
_WITH_PORT: Final = re.compile(r"([^:]+):([0-9]{1,5})")

Address: TypeAlias = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Direct:
    """No proxy. `ignored` is a variable that looks as if it asked for one, and does not."""

    ignored: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """An HTTP proxy, and the variable that names it. `user` is None where it wants nobody's."""

    host: str
    port: int
    variable: str
    user: str | None = field(default=None, repr=False)
    password: str = field(default="", repr=False)

    @property
    def url(self) -> str:
        """Its URL, without userinfo."""
        return f"{SPOKEN}://{self.authority}"

    @property
    def authority(self) -> str:
        """HOST:PORT."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def name(self) -> str:
        """What people are told of it."""
        return f"the proxy {self.authority} ({self.variable})"


@dataclass(frozen=True, slots=True)
class UnusableProxy:
    """A proxy is wanted that we cannot go through; the text says why, and never the value."""

    detail: str


Way: TypeAlias = Direct | Proxy | UnusableProxy


def way_to(scheme: str, host: str, port: int | None, environment: Mapping[str, str]) -> Way:
    """Say how to reach `scheme`://`host`:`port` (IPv6 without brackets; None: the scheme's)."""
    variable = _first(environment, *_variables(scheme))
    is_exempt = is_excepted(host, port or PORTS[scheme], _exceptions(environment))
    if not variable or is_exempt:
        upper = "HTTP_PROXY" if scheme == "http" and not is_exempt else ""
        return Direct(_first(environment, upper))
    return _decode(environment[variable], variable)


def _variables(scheme: str) -> tuple[str, ...]:
    """Which say it, the first that is set decides; HTTP_PROXY does not, a web client may set it."""
    common = ("all_proxy", "ALL_PROXY")
    return ("http_proxy", *common) if scheme == "http" else ("https_proxy", "HTTPS_PROXY", *common)


def _exceptions(environment: Mapping[str, str]) -> str:
    name = _first(environment, "no_proxy", "NO_PROXY")
    return environment[name] if name else ""


def _first(environment: Mapping[str, str], *names: str) -> str:
    """The first name with a value; an empty value is none."""
    return next((name for name in names if environment.get(name)), "")


def _decode(value: str, variable: str) -> Way:
    found = _SCHEME.fullmatch(value.strip())
    scheme, rest = (found[1].lower(), found[2]) if found else (SPOKEN, value.strip())
    if scheme != SPOKEN:
        return UnusableProxy(
            f"{variable} names a proxy of the kind {scheme[:16]}, which cannot be used:"
            " name an http one, or except the lock server in no_proxy"
        )
    broken = UnusableProxy(f"{variable} names no proxy: write http://HOST:PORT")
    try:
        parts = urlsplit(f"//{rest}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return broken
    if not _HOST.fullmatch(host) or port == 0:
        return broken
    return Proxy(
        host=host,
        port=port or PROXY_PORT,
        variable=variable,
        user=None if parts.username is None else unquote(parts.username),
        password=unquote(parts.password or ""),
    )


# no_proxy


def is_excepted(host: str, port: int, exceptions: str) -> bool:
    """Whether `exceptions`, a list with commas or blanks between, has this host."""
    return any(_has(entry, host, port) for entry in re.split(r"[,\s]+", exceptions) if entry)


def _has(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    name, only = _without_port(entry)
    if only not in {None, port}:
        return False
    address = _address(host)
    if address is not None:
        return _has_address(name, address)
    return _has_name(name.lower().rstrip("."), host.lower().rstrip("."))


def _without_port(entry: str) -> tuple[str, int | None]:
    for form in (_BRACKETED, _WITH_PORT):
        if found := form.fullmatch(entry):
            return found[1], None if found[2] is None else int(found[2])
    return entry, None


def _has_address(entry: str, address: Address) -> bool:
    try:
        return address in ip_network(entry, strict=False)
    except ValueError:
        return False


def _has_name(entry: str, host: str) -> bool:
    if entry.startswith("*."):
        return host.endswith(entry[1:])
    bare = entry.removeprefix(".")
    return bool(bare) and (host == bare or host.endswith(f".{bare}"))


def _address(host: str) -> Address | None:
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        return None
