"""The lock server's base URL: template, credentials, normal form (SPEC 6)."""

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit, urlunsplit

VARIABLES: Final = ("group", "basearch", "stream", "platform")

_VARIABLE: Final = re.compile(r"\$\{([^${}]*)\}")
_SECRET: Final = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)?.*@", re.DOTALL)
_NO_PORT: Final = re.compile(
    r"^((?:[A-Za-z][A-Za-z0-9+.-]*://)?[^/?#:\[\]]*):(?![0-9]*(?:[/?#]|$))[^/?#]*"
)
_QUERY: Final = re.compile(r"[?#].*", re.DOTALL)
_LEGAL: Final = re.compile(r"[!-~]*")
_ILLEGAL_MARKS: Final = frozenset('"<>\\^`{|}')


def redact(url: str) -> str:
    """Give `url` without userinfo and query, for people; works for what is no URL, too."""
    hidden = _SECRET.sub(lambda found: f"{found[1] or ''}***@", url)
    hidden = _NO_PORT.sub(r"\1:***", hidden)  # perhaps a password whose @ was forgotten
    return _QUERY.sub("?***", hidden)


def variables_of(template: str) -> frozenset[str]:
    """Name the variables in a valid template."""
    return frozenset(_VARIABLE.findall(template))


def expand(template: str, variables: Mapping[str, str]) -> str:
    """Replace the variables of a valid template; in normal form, without a slash at the end.

    Credentials stay in: for the request only, never to be shown or stored.
    """
    return _VARIABLE.sub(lambda found: variables[found[1]], template).rstrip("/")


def without_userinfo(url: str) -> str:
    """Make a valid URL fit to be shown and stored: no credentials, the host in lower case."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2].lower()
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def origin_of(url: str) -> tuple[str, str, int]:
    """Say who gets what is sent to a valid URL: scheme, host and port (RFC 6454)."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or (80 if parts.scheme == "http" else 443)


def is_in_clear(url: str) -> bool:
    """Whether others can read what is sent to a valid URL: plain http, to beyond this host."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        is_here = ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        is_here = host == "localhost"
    return parts.scheme == "http" and not is_here


def fault_of(template: str) -> tuple[str, str] | None:
    """Say what is wrong with a base URL, and the cure; None if nothing is."""
    unknown = [name for name in _VARIABLE.findall(template) if name not in VARIABLES]
    if unknown:
        known = ", ".join(f"${{{name}}}" for name in VARIABLES)
        return "has a variable that does not exist", f"known are {known}"
    url = _VARIABLE.sub("x", template)
    if "$" in url:
        return 'has a "$" outside ${...}', 'write "$" as %24'
    if not _LEGAL.fullmatch(url) or _ILLEGAL_MARKS & set(url):
        return "has characters that a URL cannot have", "percent-encode them, without blanks around"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # reading the port checks it
    except ValueError:
        return "is no URL", "write https://HOST[:PORT]/PATH"
    if parts.scheme not in {"http", "https"} or not host:
        return "is no http or https URL with a host", "write https://HOST[:PORT]/PATH"
    if "?" in url or "#" in url:
        return "has a query or a fragment", "remove it: v1/pre-reboot is put behind the path"
    if "@" in parts.path:
        return 'has an "@" in its path', 'write "@" as %40, and "/" in a password as %2F'
    return None
