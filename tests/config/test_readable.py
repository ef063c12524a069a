"""Who may read what, by owner, group and mode alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebootmgr.config.readable import ENTER, READ, Rights, User, decode_user, may

USERS = "root:x:0:0::/root:/bin/sh\nrebootmgr:x:990:989:Reboot Manager:/:/sbin/nologin\n"
GROUP = "root:x:0:\ntty:x:5:alice,rebootmgr\nrebootmgr:x:989:\nbroken:x:rebootmgr:rebootmgr\n"
USER = User(name="rebootmgr", uid=990, gids=frozenset({989, 5}))


def test_a_user_has_the_group_of_passwd_and_those_that_name_it() -> None:
    assert decode_user("rebootmgr", USERS, GROUP) == USER
    assert decode_user("reboot", USERS, GROUP) is None
    assert decode_user("rebootmgr", "rebootmgr:x:990", GROUP) is None


@pytest.mark.parametrize(
    ("uid", "gid", "mode", "allowed"),
    [
        (0, 0, 0o644, True), (0, 0, 0o640, False), (0, 989, 0o640, True), (0, 5, 0o640, True),
        (990, 0, 0o400, True), (990, 989, 0o044, False), (0, 989, 0o604, False),
    ],
)  # fmt: skip
def test_the_first_class_that_fits_decides(uid: int, gid: int, mode: int, allowed: object) -> None:
    assert may(USER, Rights(uid=uid, gid=gid, mode=0o100000 | mode), READ) is allowed


def test_entering_a_folder_is_not_reading_it() -> None:
    assert may(USER, Rights(uid=0, gid=0, mode=0o711), ENTER)
    assert not may(USER, Rights(uid=0, gid=0, mode=0o711), READ | ENTER)


def test_root_may_everything() -> None:
    root = User(name="rebootmgr", uid=0, gids=frozenset())
    assert may(root, Rights(uid=5, gid=5, mode=0), READ | ENTER)


@given(passwd=st.text(), group=st.text(alphabet="rebootmgr:x0123456789,\n²-"))
def test_no_text_is_too_odd(passwd: str, group: str) -> None:
    decode_user("rebootmgr", USERS + passwd, group)
    decode_user("rebootmgr", passwd, group)
