"""etcd's JSON gateway over HTTP: the endpoints in turn, and a token where there are users."""

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, Iterator
from http import HTTPStatus
from typing import Final

import aiohttp

from rebootmgr.lockd.http.watched_file import WatchedFiles
from rebootmgr.lockd.stores.etcd_secrets import CREDENTIALS, Login
from rebootmgr.lockd.stores.gateway_words import (
    Json,
    credentials,
    decode_refusal,
    decode_token,
)
from rebootmgr.lockd.stores.keeper import StoreError
from rebootmgr.text import harmless

CONNECT_S: Final = 2.0
WRITE_S: Final = 5.0
"""etcd itself gives up on what finds no majority after five to seven seconds."""
REPEATABLE_S: Final = 3.0
LONGEST_MESSAGE: Final = 64 * 1024 * 1024
_CLOSED: Final = "the store is closed"
_NOT_ASKED: Final = (aiohttp.ClientConnectorError, aiohttp.ServerTimeoutError)
"""No connection came about: what was to be asked was not."""
_NO_ANSWER: Final = (aiohttp.ClientError, TimeoutError)

# Of gRPC, where asking another member is no use.
_INVALID: Final = 3
_DENIED: Final = 7
_EXHAUSTED: Final = 8
_COMPACTED: Final = 11
_UNKNOWN_CALL: Final = 12
_NOBODY: Final = 16
_CURES: Final = {
    _DENIED: "give its user the permission readwrite below store.etcd_prefix",
    _EXHAUSTED: "its space is used up: compact, defragment, then `etcdctl alarm disarm`",
    _UNKNOWN_CALL: "it has no JSON gateway: run it with --enable-grpc-gateway",
    _NOBODY: f"correct the file of {CREDENTIALS}",
    _INVALID: "look at what it says; older than etcd 3.4 will not do",
    _COMPACTED: "the store is read anew",
}


_NAMED_CURE: Final = (
    "etcd with users wants store.etcd_client_cert_file to have no CommonName in its subject"
)
_SHOWN: Final = 200


class _RefusedError(StoreError):
    """A member answered, and says no."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{text}: {_CURES[code]}" if code in _CURES else text)
        self.code = code


class EtcdGateway:
    """etcd at `endpoints`, URLs without a path."""

    def __init__(
        self,
        endpoints: tuple[str, ...],
        trust: WatchedFiles[ssl.SSLContext] | None,
        login: WatchedFiles[Login] | None,
    ) -> None:
        self._endpoints, self._trust, self._login = endpoints, trust, login
        self._first, self._watched = 0, -1
        self._token = ""
        self._http: aiohttp.ClientSession | None = None

    async def call(self, what: str, asked: Json, *, repeatable: bool) -> object:
        """Ask the member that answered last, then the others, once each.

        What is not repeatable is asked again only where it surely was not asked.
        """
        trouble = StoreError(_CLOSED)
        for number in self._in_turn():
            endpoint = self._endpoints[number]
            try:
                answer = await self._ask(endpoint, what, asked, repeatable=repeatable)
            except _NOT_ASKED as error:
                trouble = _unreachable(endpoint, error)
            except _NO_ANSWER as error:
                trouble = _unreachable(endpoint, error)
                if not repeatable:
                    break
            except _RefusedError as error:
                trouble = error
                if error.code in _CURES or not repeatable:
                    break
            else:
                self._first = number
                return answer
        self._first = (self._first + 1) % len(self._endpoints)
        raise trouble

    async def watch(self, asked: Json) -> AsyncGenerator[object, None]:
        """Hear messages from the member that answered last, until that breaks.

        If it was that one that broke before, from the next: one that is cut off from the others may
        take a watch, and tell nothing.
        """
        many = len(self._endpoints)
        again = self._first == self._watched
        self._watched = (self._first + again) % many
        endpoint = self._endpoints[self._watched]
        body = json.dumps(asked)
        try:
            if self._login is not None:
                await self._log_in(endpoint)
            async with self._session().post(
                f"{endpoint}/v3/watch",
                data=body,
                headers=self._headers() | {"Grpc-Metadata-hasleader": "true"},
                timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_S),
                ssl=self._tls(),
            ) as response:
                if response.status != HTTPStatus.OK:
                    raise _refused(endpoint, await response.read())
                rest = b""
                async for piece in response.content.iter_any():
                    *lines, rest = (rest + piece).split(b"\n")
                    for line in lines:
                        yield _parsed(endpoint, line)
                    if len(rest) > LONGEST_MESSAGE:
                        raise StoreError(f"etcd: {endpoint}: a message of the watch has no end")
        except _NO_ANSWER as error:
            raise _unreachable(endpoint, error) from error

    async def close(self) -> None:
        """Let go of all connections."""
        http, self._http = self._http, None
        if http is not None:
            await http.close()

    def _in_turn(self) -> Iterator[int]:
        first, many = self._first, len(self._endpoints)
        return ((first + number) % many for number in range(many))

    async def _ask(self, endpoint: str, what: str, asked: Json, *, repeatable: bool) -> object:
        """Ask one member, with a fresh token if it does not take the one that we have."""
        if self._login is not None and not self._token:
            await self._log_in(endpoint)
        try:
            return await self._post(endpoint, what, asked, repeatable=repeatable)
        except _RefusedError as error:
            if error.code != _NOBODY or self._login is None:
                raise
        await self._log_in(endpoint)
        return await self._post(endpoint, what, asked, repeatable=repeatable)

    async def _log_in(self, endpoint: str) -> None:
        if self._login is None:
            return
        self._token = ""
        login = self._login.current(asyncio.get_running_loop().time())
        asked = credentials(login.user, login.password)
        try:
            answer = await self._post(endpoint, "auth/authenticate", asked, repeatable=True)
            self._token = decode_token(answer)
        except ValueError as error:
            raise StoreError(f"etcd: {endpoint}: {error}") from error
        except _RefusedError as error:
            if error.code == _INVALID:  # as it calls a wrong password
                raise _RefusedError(_NOBODY, str(error).partition(": look")[0]) from error
            raise

    async def _post(self, endpoint: str, what: str, asked: Json, *, repeatable: bool) -> object:
        total_s = REPEATABLE_S if repeatable else WRITE_S
        async with self._session().post(
            f"{endpoint}/v3/{what}",
            data=json.dumps(asked),
            headers=self._headers(),
            timeout=aiohttp.ClientTimeout(total=total_s, sock_connect=CONNECT_S),
            ssl=self._tls(),
        ) as response:
            body = await response.read()
            if response.status != HTTPStatus.OK:
                raise _refused(endpoint, body)
            return _parsed(endpoint, body)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": self._token} if self._token else {}

    def _tls(self) -> ssl.SSLContext | bool:
        if self._trust is None:
            return True
        return self._trust.current(asyncio.get_running_loop().time())

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            self._http = aiohttp.ClientSession(trust_env=False)
        return self._http


def _parsed(endpoint: str, body: bytes) -> object:
    try:
        parsed: object = json.loads(body)
    except ValueError as error:
        cure = "is it etcd that answers at store.etcd_endpoints?"
        raise StoreError(f"etcd: {endpoint}: its answer is not JSON: {cure}") from error
    return parsed


def _refused(endpoint: str, body: bytes) -> _RefusedError:
    try:
        code, said = decode_refusal(json.loads(body))
    except ValueError:
        text = body[:_SHOWN].decode(errors="replace")
        cure = _NAMED_CURE if "CommonName" in text else "look at store.etcd_endpoints"
        code, said = 0, f"{harmless(text) or 'it answers, but not as etcd does'}: {cure}"
    return _RefusedError(code, f"etcd: {endpoint}: {said or 'it refuses'}")


def _unreachable(endpoint: str, error: Exception) -> StoreError:
    match error:
        case aiohttp.ClientConnectorCertificateError():
            why = f"{error.certificate_error}: look at store.etcd_ca_file"
        case aiohttp.ClientConnectorError():
            why = f"{error.os_error.strerror or error.os_error}: look whether it runs"
        case TimeoutError():
            why = "no answer in time: look whether a majority of its members runs"
        case _:
            why = f"{str(error) or type(error).__name__}: look whether it runs"
    return StoreError(f"etcd: {endpoint}: {why}")
