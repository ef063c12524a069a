"""What the environment says of proxies, as curl reads it, and beside the real curl."""

import asyncio
import shutil
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebootmgr.fleetlock.proxy_words import (
    Direct,
    Proxy,
    UnusableProxy,
    Way,
    is_excepted,
    way_to,
)
from tests.fakes.forward_proxy import ForwardProxy

P = Proxy(host="proxy", port=3128, variable="http_proxy")
ENVIRONMENTS: Mapping[str, tuple[str, Mapping[str, str], Way]] = {
    "nothing": ("http", {}, Direct()),
    "as everybody writes it": ("http", {"http_proxy": "http://proxy:3128"}, P),
    "without a scheme": ("http", {"http_proxy": "proxy:3128"}, P),
    "with a path": ("http", {"http_proxy": "http://proxy:3128/"}, P),
    "with blanks around": ("http", {"http_proxy": " http://proxy:3128\n"}, P),
    "loud": ("http", {"http_proxy": "HTTP://PROXY:3128"}, P),
    "curl's port": ("http", {"http_proxy": "proxy"}, replace(P, port=1080)),
    "empty is none": ("http", {"http_proxy": "", "all_proxy": ""}, Direct()),
    "all": ("http", {"all_proxy": "proxy:3128"}, replace(P, variable="all_proxy")),
    "ALL": ("https", {"ALL_PROXY": "proxy:3128"}, replace(P, variable="ALL_PROXY")),
    "its own first": ("http", {"http_proxy": "proxy:3128", "all_proxy": "other"}, P),
    "empty gives way": (
        "http",
        {"http_proxy": "", "all_proxy": "proxy:3128"},
        replace(P, variable="all_proxy"),
    ),
    "HTTP_PROXY is a header of CGI": (
        "http",
        {"HTTP_PROXY": "proxy:3128"},
        Direct(ignored="HTTP_PROXY"),
    ),
    "HTTPS_PROXY is not": (
        "https",
        {"HTTPS_PROXY": "proxy:3128"},
        replace(P, variable="HTTPS_PROXY"),
    ),
    "lower case first": (
        "https",
        {"HTTPS_PROXY": "other", "https_proxy": "proxy:3128"},
        replace(P, variable="https_proxy"),
    ),
    "for the other scheme": ("https", {"http_proxy": "proxy:3128"}, Direct()),
    "IPv6": ("http", {"http_proxy": "[::1]:3128"}, replace(P, host="::1")),
    "a login": (
        "http",
        {"http_proxy": "us%40er:p%3Aw@proxy:3128"},
        replace(P, user="us@er", password="p:w"),  # noqa: S106 - of nobody
    ),
    "a user alone": ("http", {"http_proxy": "http://u@proxy:3128"}, replace(P, user="u")),
    "an exception": ("http", {"http_proxy": "proxy", "no_proxy": "lock.example"}, Direct()),
    "an EXCEPTION": ("http", {"http_proxy": "proxy", "NO_PROXY": "lock.example"}, Direct()),
    "lower case exceptions first": (
        "http",
        {"http_proxy": "proxy:3128", "NO_PROXY": "lock.example", "no_proxy": "else"},
        P,
    ),
    "an exception from what we cannot use": (
        "http",
        {"http_proxy": "socks5://proxy", "no_proxy": "*"},
        Direct(),
    ),
}  # fmt: skip
EXCEPTIONS = {
    ("lock.example", "lock.example"): True,
    ("lock.example", ".example"): True,
    ("lock.example", "example"): True,
    ("lock.example", ".lock.example"): True,
    ("lock.example", "LOCK.Example."): True,
    ("lock.example.", "lock.example"): True,
    ("lock.example", "ock.example"): False,
    ("lock.example", "le"): False,
    ("lock.example", "*"): True,
    ("lock.example", "other, lock.example"): True,
    ("lock.example", "other lock.example"): True,
    ("lock.example", "other,,lock.example,"): True,
    ("lock.example", ""): False,
    ("lock.example", "."): False,
    ("lock.example", "127.0.0.0/8"): False,
    ("10.1.2.3", "10.1.2.3"): True,
    ("10.1.2.3", "10.0.0.0/8"): True,
    ("10.1.2.3", "10.1.2.99/24"): True,
    ("10.1.2.3", "10.1.3.0/24"): False,
    ("10.1.2.3", "10.1.2.0/33"): False,
    ("10.1.2.3", "10.1.2"): False,
    ("10.1.2.3", "2.3"): False,
    ("::1", "::1"): True,
    ("fd00::7", "fe80::/10"): False,
    ("fd00::7", "10.0.0.0/8"): False,
}
BEYOND_CURL = {
    ("fd00::7", "fd00::/8"): True,  # some versions of curl forget it for a URL with brackets
    ("lock.example", "*.example"): True,
    ("example", "*.example"): False,
    ("lock.example", "other,*"): True,
    ("lock.example", "lock.example:8080"): True,
    ("lock.example", "lock.example:8081"): False,
    ("10.1.2.3", "10.1.2.3:8080"): True,
    ("10.1.2.3", "10.1.2.3:80"): False,
    ("::1", "[::1]"): True,
    ("::1", "0:0:0:0:0:0:0:1"): True,
    ("::1", "[::1]:8080"): True,
    ("::1", "[::1]:80"): False,
    ("fe80::1%eth0", "fe80::/10"): True,
}


@pytest.mark.parametrize(("scheme", "environment", "way"), ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_the_environment_says_which_way(
    scheme: str, environment: Mapping[str, str], way: Way
) -> None:
    assert way_to(scheme, "lock.example", None, environment) == way


@pytest.mark.parametrize(
    "value",
    [
        *("socks5://proxy:1080", "socks5h://u:hunter2@proxy", "socks4a://p", "SOCKS4://p"),
        *("https://u:hunter2@proxy:443", "ftp://proxy"),
    ],
)
def test_a_proxy_that_we_cannot_speak_to_is_an_error_and_never_passed_by(value: str) -> None:
    for variable in ("https_proxy", "ALL_PROXY"):
        way = way_to("https", "lock.example", 8443, {variable: value})
        assert isinstance(way, UnusableProxy)
        assert (
            f"{variable} names a proxy of the kind {value.partition(':')[0].lower()}" in way.detail
        )
        assert "hunter2" not in way.detail


@pytest.mark.parametrize(
    "value",
    [
        *("http://", "http://:3128", "http://proxy:99999", "http://proxy:0", "http://[::1"),
        *("http://pro xy", "://proxy", "u:hunter2@", "http://proxy:hunter2"),
    ],
)
def test_what_is_no_proxy_is_an_error_that_names_the_variable(value: str) -> None:
    way = way_to("http", "lock.example", None, {"http_proxy": value})
    assert isinstance(way, UnusableProxy)
    assert "http_proxy" in way.detail
    assert "hunter2" not in way.detail


@pytest.mark.parametrize(("host", "entries"), EXCEPTIONS | BEYOND_CURL, ids=str)
def test_no_proxy_excepts(host: str, entries: str) -> None:
    assert is_excepted(host, 8080, entries) is (EXCEPTIONS | BEYOND_CURL)[host, entries]


def test_a_proxy_is_shown_without_its_login() -> None:
    proxy = Proxy(host="::1", port=3128, variable="all_proxy", user="u", password="hunter2")  # noqa: S106
    assert proxy.name == "the proxy [::1]:3128 (all_proxy)"
    assert "hunter2" not in repr(proxy) + proxy.url


@given(st.sampled_from(["http", "https"]), st.text(), st.integers(1, 65535), st.data())
def test_any_environment_says_one_of_three(
    scheme: str, host: str, port: int, data: st.DataObject
) -> None:
    names = ["http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "no_proxy", "NO_PROXY"]
    values = st.text() | st.from_regex(r"(https?://|socks5://)?(u:p@)?[a-z0-9.\[\]:]{0,20}(:\d*)?")
    environment = data.draw(st.dictionaries(st.sampled_from(names), values))
    way = way_to(scheme, host, port, environment)
    assert isinstance(way, Direct | Proxy | UnusableProxy)
    if isinstance(way, Proxy):
        assert 0 < way.port < 65536
        assert way.host
        assert environment[way.variable]


@given(st.ip_addresses(), st.integers(1, 128))
def test_an_address_is_in_every_network_around_it_and_in_none_beside_it(
    address: object, bits: int
) -> None:
    one = ip_address(str(address))
    bits = min(bits, one.max_prefixlen)
    beside = ip_address(int(one) ^ (1 << (one.max_prefixlen - bits)))
    if beside.version == one.version:
        assert is_excepted(str(one), 80, f"{one}/{bits}")
        assert not is_excepted(str(one), 80, f"{beside}/{bits}")


# Beside curl. It is asked the same, and a real proxy says whether it came by.


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here to compare with")
async def test_curl_goes_the_same_way() -> None:
    async with ForwardProxy(refusal=b"HTTP/1.1 204 X\r\n\r\n") as proxy:
        here = proxy.authority
        for (host, entries), excepted in EXCEPTIONS.items():
            if ip_address_or_none(host) or entries.strip(",. "):
                environment = {"http_proxy": here, "no_proxy": entries}
                assert await comes_by(proxy, "http", host, environment) is not excepted, (
                    host,
                    entries,
                )
        for environment in (
            {"http_proxy": here},
            {"http_proxy": f"http://{here}"},
            {"all_proxy": here},
            {"ALL_PROXY": here},
            {"HTTP_PROXY": here},
            {"http_proxy": "", "all_proxy": here},
            {"HTTPS_PROXY": here},
            {"https_proxy": here},
            {"http_proxy": here, "NO_PROXY": "*"},
            {"http_proxy": here, "NO_PROXY": "*", "no_proxy": "else"},
        ):
            for scheme in ("http", "https"):
                way = way_to(scheme, "lock.example", None, environment)
                by = await comes_by(proxy, scheme, "lock.example", environment)
                assert by is isinstance(way, Proxy), (scheme, environment)


def ip_address_or_none(host: str) -> object:
    try:
        return ip_address(host)
    except ValueError:
        return None


async def comes_by(
    proxy: ForwardProxy, scheme: str, host: str, environment: Mapping[str, str]
) -> bool:
    """Whether curl asks the proxy. It goes nowhere else: every name and address is a dead end."""
    number = len(proxy.seen)
    url = f"{scheme}://{f'[{host}]' if ':' in host else host}:8080/"
    dead_end = ("--connect-to", "::127.0.0.1:1")
    curl = await asyncio.create_subprocess_exec(
        "curl", "-q", "-s", "-o", "/dev/null", *dead_end, url, env=dict(environment)
    )  # fmt: skip
    await curl.wait()
    return len(proxy.seen) > number
