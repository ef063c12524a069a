"""One request to a lock server, in a process of its own: the only place that knows aiohttp.

Reads one line of JSON on standard input, writes one on standard output, and is gone. It ends at
once when standard input is closed or the parent dies. A secret is in no argument and no answer.
"""

import asyncio
import base64
import ctypes
import json
import os
import resource
import signal
import ssl
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp
from yarl import URL

from rebootmgr import __version__

CONNECT_S: Final = 10.0
BODY_S: Final = 2.0
LONGEST_BODY: Final = 64 * 1024
LONGEST_SECRET: Final = 8 * 1024
MEMORY: Final = 256 * 1024 * 1024
PR_SET_PDEATHSIG: Final = 1


class UnsendableError(Exception):
    """The request cannot even be made; the text says which setting to mend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the parent wants sent. `url` may hold a password."""

    url: str = field(repr=False)
    body: str
    timeout_s: float
    ca_file: str
    client_cert_file: str
    client_key_file: str
    authorization_file: str


def main() -> None:
    """Do what standard input says."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    order = Order(**json.loads(sys.stdin.buffer.readline()))
    answer = asyncio.run(_answer(order))
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
    os._exit(0)  # a resolver thread may be stuck for minutes, and nobody waits for it


async def _answer(order: Order) -> dict[str, object]:
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), os._exit, 1)
    try:
        return await _post(order)
    except UnsendableError as error:
        return {"error": "client_failed_build", "detail": str(error)}
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return {"error": "client_failed_request", "detail": _explain(error)}


async def _post(order: Order) -> dict[str, object]:
    url = _url(order.url)
    secret = _authorization(url, order.authorization_file)
    headers = {
        "fleet-lock-protocol": "true",
        "Content-Type": "application/json",
        "Accept": "application/json",
        "User-Agent": f"rebootmgr/{__version__}",
    }
    if secret:
        headers["Authorization"] = secret
    async with (
        aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=order.timeout_s, connect=CONNECT_S),
            auto_decompress=False,
            trust_env=True,
        ) as session,
        session.post(
            url.with_user(None),
            data=order.body.encode("ascii"),
            headers=headers,
            skip_auto_headers=("Accept-Encoding",),
            allow_redirects=False,
            ssl=_trust(order) if url.scheme == "https" else False,
        ) as response,
    ):
        body = await _beginning(response.content)
        return {
            "status": response.status,
            "retry_after": response.headers.get("Retry-After", ""),
            "body": _without(secret, body.decode(errors="replace")),
        }


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


def _trust(order: Order) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=order.ca_file or None)
    except OSError as error:
        raise UnsendableError(f"ca_file {order.ca_file}: {_reason(error)}") from error
    if order.client_cert_file:
        try:
            context.load_cert_chain(
                order.client_cert_file,
                order.client_key_file or None,
                password="",  # or OpenSSL would ask for it on the terminal
            )
        except OSError as error:
            files = f"client_cert_file {order.client_cert_file}, key {order.client_key_file}"
            raise UnsendableError(f"{files}: {_reason(error)}") from error
    return context


def _authorization(url: URL, file: str) -> str:
    """Compose the value of the Authorization header; "" for none. The file beats the URL."""
    if file:
        try:
            with Path(file).open(encoding="ascii") as opened:
                secret = opened.read(LONGEST_SECRET).strip()
        except OSError as error:
            raise UnsendableError(f"authorization_file {file}: {_reason(error)}") from error
        except ValueError:
            raise UnsendableError(f"authorization_file {file}: not plain ASCII") from None
        if not secret or not secret.isprintable():
            raise UnsendableError(f"authorization_file {file}: must hold exactly one line")
        return secret
    if url.user is None:
        return ""
    pair = f"{url.user}:{url.password or ''}"
    return "Basic " + base64.b64encode(pair.encode()).decode("ascii")


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


def _explain(error: Exception) -> str:
    """Say what failed, without the texts of aiohttp, which may hold a URL."""
    match error:
        case aiohttp.ClientConnectorCertificateError(certificate_error=ssl.SSLError() as reason):
            return f"certificate of {error.host} refused: {_reason(reason)}"
        case aiohttp.ClientConnectorError():
            return f"cannot connect to {error.host}:{error.port}: {_reason(error.os_error)}"
        case aiohttp.ServerDisconnectedError():
            return "the server closed the connection without an answer"
        case aiohttp.ClientResponseError(status=status) if status >= 400:
            return f"no usable HTTP answer, or the proxy refused ({status})"
        case aiohttp.ServerTimeoutError():
            return f"no connection within {CONNECT_S:.0f} s"
        case TimeoutError():
            return "no answer in time"
        case OSError():
            return _reason(error)
        case _:
            return f"no usable HTTP answer ({type(error).__name__})"


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return error.strerror or type(error).__name__


if __name__ == "__main__":
    main()
