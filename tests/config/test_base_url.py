"""Base URLs: what is one, and what nobody may see of it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rebootmgr.config.base_url import expand, fault_of, redact, without_userinfo
from rebootmgr.config.checked import DropIn, decode_config
from rebootmgr.config.effective import effective_values, encode_config

HOST = {"group": "g", "basearch": "x86_64", "stream": "stable", "platform": "metal"}


@pytest.mark.parametrize(
    "url",
    [
        "http://h",
        "https://h:8443/base/",
        "http://user:p%2Fss@h/x",
        "http://[::1]:80/",
        "https://${group}.example.com/${stream}/${basearch}/${platform}",
    ],
)
def test_these_are_base_urls(url: str) -> None:
    assert fault_of(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "h",
        "ftp://h",
        "http://",
        "http:///x",
        "http://h:port",
        "http://h:70000",
        "http://[::1",
        "http://h/?x",
        "http://h/#x",
        "http://h/ ",
        "http://h/\n",
        "ht\ntp://h/",
        "http://h\u00e4/",
        "http://h\\x",
        "http://h/${node_uuid}",
        "http://h/${}",
        "http://h/${group",
        "http://h/$group",
        "http://h/${${group}}",
        "http://u:pa/ss@h",
        "http://u/pass@h",
    ],
)
def test_these_are_not(url: str) -> None:
    assert fault_of(url) is not None


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("http://h", "http://h"),
        ("http://h//", "http://h"),
        ("http://User:pw@H:80/Base/${group}/", "http://h:80/Base/g"),
        ("https://[::1]:8443/x", "https://[::1]:8443/x"),
    ],
)
def test_the_server_of_a_slot_has_one_spelling_and_no_credentials(
    template: str, expected: str
) -> None:
    assert without_userinfo(expand(template, HOST)) == expected


WORD = "hunter2"


@pytest.mark.parametrize(
    "value",
    [
        "https://me:hunter2@h/",
        "https://hunter2@h/",
        "https://me:hunter2@h/?x",
        "https://h/?token=hunter2",
        "https://h/#hunter2",
        "https://me:a/hunter2@h",
        "https://me:a@hunter2@h",
        "me:hunter2@h",
        "https://me:hunter2@h:port",
        "ftp://me:hunter2@h",
        "https://me:hunter2\n@h",
        "https://me:hunter2@${nope}",
        "https://me:hunter2h.example/",  # the @ was forgotten
        "https://me:hunter2",
        "me:hunter2/x",
    ],
)
def test_credentials_show_nowhere(value: str) -> None:
    text = f"[updates]\nfleet_lock.base_url = '''{value}'''\n"
    config = decode_config((DropIn("a.toml", text),), localtime=None)
    seen = f"{config!r} {config.provenance!r} {encode_config(effective_values(config))}"
    assert WORD not in seen
    assert WORD not in "".join(map(str, config.errors))
    assert WORD not in redact(value)


@pytest.mark.parametrize(
    "text",
    [
        "[updates.fleet_lock]\nauthorization_file = 'Bearer hunter2'",
        "[updates.fleet_lock]\nbase_url = ['http://me:hunter2@h']",
        "[updates.fleet_lock]\nbase_ur = 'http://me:hunter2@h'",
        "[updates.fleet_lock]\nbase_url = 'http://me:hunter2@h' x",
        "[updates.fleet_lock]\nbase_url = 'http://me:hunter2@h",
    ],
)
def test_a_mistake_does_not_show_a_secret_either(text: str) -> None:
    (error,) = decode_config((DropIn("a.toml", text),), localtime=None).errors
    assert WORD not in repr(error)


def test_a_redacted_url_still_says_where_it_leads() -> None:
    assert redact("https://me:pw@h:1/x") == "https://***@h:1/x"
    for plain in ("https://h/x", "https://h:8443/x:y", "http://[::1]:80", "http:/h", "h:"):
        assert redact(plain) == plain


@settings(deadline=None)
@given(st.text())
def test_no_text_makes_the_url_checker_fail(text: str) -> None:
    if fault_of(text) is None:
        without_userinfo(expand(text, HOST))
    redact(text)
