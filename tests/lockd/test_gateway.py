"""The gateway's choice of a member, on two small servers that answer as members of etcd do."""

from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from rebootmgr.lockd.stores.gateway import EtcdGateway
from rebootmgr.lockd.stores.gateway_words import Json
from rebootmgr.lockd.stores.keeper import StoreError

NOTHING: Json = {}


class Member:
    """Answers, or says that it has no leader; each watch ends after one message."""

    def __init__(self, *, leads: bool) -> None:
        self.leads = leads
        app = web.Application()
        app.router.add_post("/v3/watch", self.watch)
        app.router.add_post("/v3/kv/range", self.range)
        self.server = TestServer(app)

    @property
    def url(self) -> str:
        return str(self.server.make_url("")).rstrip("/")

    async def range(self, _: web.Request) -> web.Response:
        if self.leads:
            return web.json_response({"by": self.url})
        return web.json_response({"code": 14, "message": "etcdserver: no leader"}, status=503)

    async def watch(self, _: web.Request) -> web.Response:
        return web.Response(text=f'{{"by": "{self.url}"}}\n')


@pytest.fixture
async def members() -> AsyncIterator[tuple[Member, Member]]:
    cut_off, other = Member(leads=False), Member(leads=True)
    async with cut_off.server, other.server:
        yield cut_off, other


async def watched(gateway: EtcdGateway) -> object:
    """Name the member at which a watch is."""
    async with aclosing(gateway.watch(NOTHING)) as messages:
        return await anext(messages)


async def test_what_is_watched_is_the_member_that_answered_last(
    members: tuple[Member, Member],
) -> None:
    cut_off, other = members
    gateway = EtcdGateway((cut_off.url, other.url), None, None)
    assert await gateway.call("kv/range", NOTHING, repeatable=True) == {"by": other.url}
    assert await watched(gateway) == {"by": other.url}
    await gateway.close()


async def test_a_watch_that_broke_is_taken_up_at_the_next_member(
    members: tuple[Member, Member],
) -> None:
    one, two = members
    gateway = EtcdGateway((one.url, two.url), None, None)
    seen = [await watched(gateway) for _ in range(3)]
    assert seen == [{"by": one.url}, {"by": two.url}, {"by": one.url}]
    await gateway.close()


async def test_what_no_member_does_is_an_error_that_names_one(
    members: tuple[Member, Member],
) -> None:
    cut_off, _ = members
    gateway = EtcdGateway((cut_off.url,), None, None)
    with pytest.raises(StoreError, match=f"etcd: {cut_off.url}: etcdserver: no leader"):
        await gateway.call("kv/range", NOTHING, repeatable=True)
    await gateway.close()
