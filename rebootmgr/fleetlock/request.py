"""One request to a lock server, in a process of its own: the only place that knows aiohttp.

Reads one line of JSON on standard input, writes one on standard output, and is gone. It ends at
once when standard input is closed or the parent dies. A secret is in no argument and no answer.
"""

import asyncio
import base64
import json
import os
import resource
import ssl
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import aiohttp
from yarl import URL

from rebootmgr import __version__
from rebootmgr.fleetlock.header_names import LOCKD, PROTOCOL
from rebootmgr.fleetlock.proxy_words import Direct, Proxy, UnusableProxy, Way, way_to
from rebootmgr.fleetlock.secret_files import UnusableFileError, read_file
from rebootmgr.prctl import close_memory, die_with_parent

CONNECT_S: Final = 10.0
BODY_S: Final = 2.0
LONGEST_BODY: Final = 64 * 1024
LONGEST_SHOWN: Final = 8 * 1024 * 1024
MOST_INTERIM: Final = 32
LIMITS: Final = (  # several times what a request needs: 40 MB, 260 MB of addresses, 0.5 s
    (resource.RLIMIT_DATA, 256 * 1024 * 1024),
    (resource.RLIMIT_AS, 1024 * 1024 * 1024),
    (resource.RLIMIT_CPU, 30),
    (resource.RLIMIT_NOFILE, 64),
    (resource.RLIMIT_CORE, 0),
)
JSON_TYPE: Final = "application/json"

Reply: TypeAlias = dict[str, object]


class UnsendableError(Exception):
    """The request cannot even be made; the text says which setting to mend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """What the parent wants sent. `url` may hold a password.

    `reads`: nothing is sent, and what rebootmgr-lockd shows is read whole or not at all.
    """

    url: str = field(repr=False)
    body: str
    timeout_s: float
    headers: dict[str, str]
    ca_file: str
    client_cert_file: str
    client_key_file: str
    authorization_file: str
    reads: bool = False


def main() -> None:
    """Do what standard input says."""
    die_with_parent()
    close_memory()
    for limit, most in LIMITS:
        resource.setrlimit(limit, (most, most))
    order = Errand(**json.loads(sys.stdin.buffer.readline()))
    answer = asyncio.run(_answer(order))
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
    os._exit(0)  # a resolver thread may be stuck for minutes, and nobody waits for it


async def _answer(order: Errand) -> Reply:
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), os._exit, 1)
    way: Way = Direct()
    try:
        url = _url(order.url)
        way = way_to(url.scheme, url.raw_host or "", url.port, os.environ)
        return await _post(order, url, way)
    except UnsendableError as error:
        return {"error": "client_failed_build", "detail": str(error)}
    except aiohttp.ClientConnectorCertificateError as error:
        return {"error": "client_refused_certificate", "detail": _explain(error, way)}
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return {"error": "client_failed_request", "detail": _explain(error, way)}


async def _post(order: Errand, url: URL, way: Way) -> Reply:
    secret = _authorization(url, order.authorization_file)
    headers = {
        **order.headers,
        PROTOCOL: "true",
        "Accept": JSON_TYPE,
        "User-Agent": f"rebootmgr/{__version__}",
    }
    if secret:
        headers["Authorization"] = secret
    proxy, login = _through(way)
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(connect=CONNECT_S),
        auto_decompress=False,
        trust_env=False,
        response_class=Response,
    ) as session:
        trust = _trust(order) if url.scheme == "https" else False

        async def post(**more: str) -> Reply:
            async with session.request(
                "GET" if order.reads else "POST",
                url.with_user(None),
                data=None if order.reads else order.body.encode("ascii"),
                headers={**headers, **more},
                skip_auto_headers=("Accept-Encoding", "Content-Type"),
                allow_redirects=False,
                ssl=trust,
                proxy=proxy,
                proxy_auth=login,
            ) as response:
                is_shown = order.reads and LOCKD in response.headers
                read = _whole if is_shown else _beginning
                body = await read(response.content)
                return {
                    "status": response.status,
                    "retry_after": response.headers.get("Retry-After", ""),
                    "appoints": LOCKD in response.headers,
                    "body": _without(secret, body.decode(errors="replace")),
                    "via": way.name if isinstance(way, Proxy) and url.scheme == "http" else "",
                }

        async with asyncio.timeout(order.timeout_s):
            answer = await post()
            if answer["status"] == 415:  # Unsupported Media Type: it wants one after all
                answer = await post(**{"Content-Type": JSON_TYPE})
            return answer


class Response(aiohttp.ClientResponse):
    """An answer before which only so many interim ones (1xx, RFC 9110 section 15.2) may come."""

    async def start(self, connection: Any) -> aiohttp.ClientResponse:
        """Read the head; ClientPayloadError when there is no end of what comes before it."""
        protocol = connection.protocol
        read: Callable[[], Awaitable[Any]] = protocol.read
        heads = 0

        async def read_so_many() -> Any:
            nonlocal heads
            heads += 1
            if heads > MOST_INTERIM:
                raise EndlessError
            return await read()

        protocol.read = read_so_many
        try:
            return await super().start(connection)
        finally:
            protocol.read = read


class EndlessError(aiohttp.ClientError):
    """One interim answer after the other, and no answer."""


class OverlongError(aiohttp.ClientError):
    """More than `LONGEST_SHOWN`."""


def _through(way: Way) -> tuple[str | None, aiohttp.BasicAuth | None]:
    """What aiohttp needs to know of the proxy."""
    match way:
        case Direct():
            return None, None
        case Proxy(user=user, password=password):
            login = None if user is None else aiohttp.BasicAuth(user, password, encoding="utf-8")
            return way.url, login
        case UnusableProxy(detail):
            raise UnsendableError(detail)


def _url(text: str) -> URL:
    try:
        url = URL(text)
    except ValueError:  # its text may hold a password
        url = URL()
    if url.scheme not in {"http", "https"} or not url.host:
        raise UnsendableError("base_url is no http or https URL")
    return url


async def _beginning(content: aiohttp.StreamReader) -> bytes:
    """Read what comes of the body; the status alone decides, so a bad body is no failure."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for chunk in content.iter_any():
                body += chunk
                if len(body) >= LONGEST_BODY:
                    break
    except (aiohttp.ClientError, OSError, ValueError):
        pass
    return bytes(body[:LONGEST_BODY])


async def _whole(content: aiohttp.StreamReader) -> bytes:
    """Read the body to its end; OverlongError, and what aiohttp raises where it breaks off."""
    body = bytearray()
    async for chunk in content.iter_any():
        body += chunk
        if len(body) > LONGEST_SHOWN:
            raise OverlongError
    return bytes(body)


def _trust(order: Errand) -> ssl.SSLContext:
    """Make what judges certificates: alike on every Python, and as curl and browsers do.

    From 3.13 on `ssl` refuses CAs for what they lack of RFC 5280 (VERIFY_X509_STRICT): a host that
    was updated to it could not give back its slot. check-config tells of such a CA.
    """
    if not order.ca_file:
        _check_trust_of_environment()
    with _named("ca_file", order.ca_file) as file:
        context = ssl.create_default_context(cafile=file)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if order.client_cert_file:
        cert, key = order.client_cert_file, order.client_key_file
        with _named("client_cert_file", cert) as its, _named("client_key_file", key) as own:
            try:
                context.load_cert_chain(its or "", own, password="")  # or it asks the terminal
            except OSError as error:
                files = f"client_cert_file {cert}, client_key_file {key or cert}"
                raise UnsendableError(f"{files}: {_reason(error)}") from error
    return context


def _check_trust_of_environment() -> None:
    """Name a file that OpenSSL would silently do without."""
    if file := os.environ.get("SSL_CERT_FILE"):
        try:
            with open(file, "rb"):  # noqa: PTH123
                pass
        except OSError as error:
            raise UnsendableError(f"SSL_CERT_FILE {file}: {_reason(error)}") from error


@contextmanager
def _named(key: str, path: str) -> Iterator[str | None]:
    """Give a path to a copy of this file, for `ssl` takes no content; None where there is none.

    UnsendableError, also for what fails inside, names the file.
    """
    if not path:
        yield None
        return
    try:
        content = read_file(key, path)
        with os.fdopen(os.memfd_create(key), "wb") as copy:
            copy.write(content)
            copy.flush()
            yield f"/proc/self/fd/{copy.fileno()}"
    except UnusableFileError as error:
        raise UnsendableError(f"{key} {path}: {error}") from error
    except OSError as error:
        raise UnsendableError(f"{key} {path}: {_reason(error)}") from error


def _authorization(url: URL, file: str) -> str:
    """Compose the value of the Authorization header; "" for none. The file beats the URL."""
    if file:
        return _secret_of(file)
    if url.user is None:
        return ""
    pair = f"{url.user}:{url.password or ''}"
    return "Basic " + base64.b64encode(pair.encode()).decode("ascii")


def _secret_of(file: str) -> str:
    name = f"authorization_file {file}"
    try:
        secret = read_file("authorization_file", file).decode("ascii").strip()
    except UnusableFileError as error:
        raise UnsendableError(f"{name}: {error}") from error
    except OSError as error:
        raise UnsendableError(f"{name}: {_reason(error)}") from error
    except ValueError:
        raise UnsendableError(f"{name}: not plain ASCII") from None
    if not secret or not secret.isprintable():
        raise UnsendableError(f"{name}: must hold exactly one line")
    return secret


def _without(secret: str, text: str) -> str:
    """Strike our credentials out of what a server echoes, as they are or as JSON has them."""
    for word in sorted(_words(secret), key=len, reverse=True):
        quoted = json.dumps(word)[1:-1]
        for form in (word, quoted, quoted.replace("/", r"\/")):
            text = text.replace(form, "***")
    return text


def _words(secret: str) -> set[str]:
    """Everything in an Authorization header's value that nobody may see."""
    scheme, _, parameter = secret.partition(" ")
    words = {secret, parameter}
    if scheme.lower() == "basic":
        with suppress(ValueError):
            pair = base64.b64decode(parameter).decode()
            user, _, password = pair.partition(":")
            words |= {pair, password or user}
    return words - {""}


def _explain(error: Exception, way: Way) -> str:
    """Say what failed, without the texts of aiohttp, which may hold a URL."""
    proxy = way.name if isinstance(way, Proxy) else ""
    match error:
        case aiohttp.ClientConnectorCertificateError(certificate_error=ssl.SSLError() as reason):
            return f"certificate of {error.host} refused: {_reason(reason)}"
        case aiohttp.ClientProxyConnectionError():
            return f"cannot connect to {proxy}: {_reason(error.os_error)}"
        case aiohttp.ClientConnectorError():
            what = f"cannot connect to {error.host}:{error.port}: {_reason(error.os_error)}"
            return f"{what}{_hint(way)}"
        case EndlessError():
            return "the server never comes to an answer (endless 1xx)"
        case OverlongError():
            return f"the answer is longer than {LONGEST_SHOWN // 2**20} MiB"
        case aiohttp.ClientPayloadError():
            return "the server broke its answer off"
        case aiohttp.ServerDisconnectedError():
            return "the server closed the connection without an answer"
        case aiohttp.ClientHttpProxyError(status=status):
            return f"{proxy} refused to connect us (HTTP {status})"
        case aiohttp.ClientResponseError():
            return "no usable HTTP answer"
        case aiohttp.ServerTimeoutError():
            return f"no connection within {CONNECT_S:.0f} s{f' through {proxy}' if proxy else ''}"
        case TimeoutError():
            return "no answer in time"
        case OSError():
            return _reason(error)
        case _:
            return f"no usable HTTP answer ({type(error).__name__})"


def _hint(way: Way) -> str:
    """What a user of other programs may take for the way."""
    if isinstance(way, Direct) and way.ignored:
        return f" ({way.ignored} is not used, as by curl: set http_proxy)"
    return ""


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return error.strerror or type(error).__name__


if __name__ == "__main__":
    main()
