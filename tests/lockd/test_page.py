"""The page as it comes without JavaScript: what it says first, what to do, and how much of it."""

import html
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from rebootmgr.lending.questions import About, Change, Frozen, Halted, Joined, Lent
from rebootmgr.lending.terms import MAX_HOLD_S
from rebootmgr.lockd.page.drawing import CONTENT_SECURITY_POLICY
from rebootmgr.lockd.page.words import AT_ONCE, MARKS, Mood
from rebootmgr.lockd.watch import MOST, MOST_GROUPS
from tests.lockd.program import serving
from tests.lockd.test_watching import stored
from tests.lockd.watcher import watching

NOW: Final = datetime.now(UTC)
LATE: Final = NOW - timedelta(seconds=2 * MAX_HOLD_S)
HOSTILE: Final = "<img src=x onerror=alert(1)>\"'&</section><script>alert(2)</script>"
VERSIONS: Final = About((), "41.1", "41.2")


def text_of(page: bytes) -> str:
    """What is read: tags left out, entities decoded, blanks squeezed."""
    plain = re.sub(r"<style.*?</style>|<[^>]*>", " ", page.decode())
    return " ".join(html.unescape(plain).split())


def card_of(page: bytes, group: str) -> str:
    [found] = re.findall(rf'<section id="group-{group}".*?</section>', page.decode(), re.DOTALL)
    return text_of(found.encode())


def headline(page: bytes) -> str:
    [found] = re.findall(rb"<h1>.*?</h1>", page, re.DOTALL)
    return text_of(found)


def commands(page: bytes) -> list[str]:
    found = re.findall(r'<p class="command"><code>(.*?)</code>', page.decode())
    return [html.unescape(one) for one in found]


async def test_an_idle_server_says_so(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        page = (await server.get("/")).body
    assert headline(page) == "✓ Nobody holds a slot, and nobody waits for one"
    assert card_of(page, "default") == "✓ default idle 0 of 1 slot lent Nobody waits"
    assert commands(page) == []


async def test_what_stands_still_comes_first_with_why_and_what_to_type(tmp_path: Path) -> None:
    text = "[groups.fine]\n[groups.cold]\n[groups.late]\nslots = 2\n[groups.bad]\nslots = 2\n"
    changes: list[Change] = [
        Lent("fine", "f1", "fine-1", NOW, VERSIONS),
        Frozen("cold", "ask Ana", None, "ana", NOW),
        Lent("late", "l1", "late-1", LATE),
        Lent("bad", "b1", "bad-1", NOW, VERSIONS, "rolled back: it fell"),
        Halted("bad", "the reboot of bad-1 failed: rolled back: it fell", NOW),
        Joined("bad", "b2", "bad-2", 1, NOW - timedelta(hours=5)),
    ]
    await stored(tmp_path, changes)
    async with serving(tmp_path, text) as server:
        page = (await server.get("/")).body
    assert headline(page) == "■ 1 group stands still: bad; 2 more to look at"
    order = re.findall(r'<section id="group-(\w+)" class="card (\w+)"', page.decode())
    assert order == [
        ("bad", "stopped"),
        ("cold", "attention"),
        ("late", "attention"),
        ("fine", "moving"),
        ("default", "quiet"),
    ]
    assert re.findall(r'href="#group-(\w+)"', page.decode()) == [name for name, _ in order]
    assert commands(page) == [
        "sudo rebootmgrctl fleet resume bad",
        "sudo rebootmgrctl fleet resume bad --forgive b1",
        "sudo rebootmgrctl fleet thaw cold",
        "sudo rebootmgrctl fleet release l1",
    ]
    assert "Halted since" in card_of(page, "bad")
    assert "the reboot of bad-1 failed: rolled back: it fell." in card_of(page, "bad")
    assert "1 host waits bad-2 b2 for 5 hours" in card_of(page, "bad")
    assert "Frozen until somebody thaws it, by ana: ask Ana." in card_of(page, "cold")
    assert "late-1 has held its slot for too long." in card_of(page, "late")
    assert "1 of 1 slot lent fine-1 f1 for" in card_of(page, "fine")
    assert "41.1 → 41.2" in card_of(page, "fine")


async def test_a_group_all_of_whose_slots_are_overdue_is_halted_and_the_host_named(
    tmp_path: Path,
) -> None:
    await stored(tmp_path, [Lent("default", "h1", "host-1", LATE)])
    async with serving(tmp_path) as server:
        page = (await server.get("/")).body
    assert headline(page) == "■ 1 group stands still: default"
    assert "all slots are held for longer than 60 minutes" in card_of(page, "default")
    assert commands(page) == ["sudo rebootmgrctl fleet release h1"]


async def test_who_waits_for_canaries_is_told_of_them_and_nobody_is_alarmed(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, "[groups.rest]\nafter = ['default']\n") as server:
        assert (await server.ask("r1", "rest")).kind == "waiting_for_group"
        page = (await server.get("/")).body
    assert "Other hosts go first: no host of group default has come back" in card_of(page, "rest")
    assert "It goes on by itself." in card_of(page, "rest")
    assert 'id="group-rest" class="card paused"' in page.decode()


async def test_a_freeze_of_all_and_a_store_in_trouble_are_told_before_the_groups(
    tmp_path: Path,
) -> None:
    await stored(tmp_path, [Frozen("", "release week", None, "ana", NOW)])
    async with serving(tmp_path) as server:
        page = (await server.get("/")).body
    assert headline(page) == "▲ All groups are frozen"
    assert commands(page) == ["sudo rebootmgrctl fleet thaw"]
    (tmp_path / "var/lib/rebootmgr-lockd/lockd.sqlite").write_bytes(b"no database" * 999)
    async with serving(tmp_path) as server:
        page = (await server.get("/")).body
    assert headline(page) == "■ Nothing is lent: the store cannot be used"
    assert "lockd.sqlite" in text_of(page)


async def test_hostile_names_stay_text_in_the_page_and_in_its_pieces(tmp_path: Path) -> None:
    changes: list[Change] = [
        Lent("default", "h1", HOSTILE, NOW, About((), HOSTILE, ""), HOSTILE),
        Halted("default", HOSTILE, NOW),
        Frozen("default", HOSTILE, None, HOSTILE, NOW),
        Joined("default", "h2", HOSTILE, 1, NOW),
    ]
    await stored(tmp_path, changes)
    async with serving(tmp_path) as server, watching(server.port, "/live") as watcher:
        page = (await server.get("/")).body
        while len(watcher.told) < 2:
            await watcher.next_raw()
    for text in (page.decode(), *(one.data for one in watcher.told)):
        assert "<img" not in text
        assert "<script>" not in text
    assert text_of(page).count("<img src=x onerror=alert(1)>") == 8
    assert page.count(b"</section>") == 1


async def test_the_page_is_drawn_anew_when_something_changed(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, watching(server.port) as watcher:
        assert b"0 of 1 slot lent" in (await server.get("/")).body
        assert (await server.ask("h1")).status == 200
        await watcher.until(lambda it: it.holders() == ["h1"])
        assert b"1 of 1 slot lent" in (await server.get("/")).body


async def test_nothing_is_loaded_from_elsewhere_and_nothing_is_inline(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        answer = await server.get("/")
        page = answer.body.decode()
        for path, kind in (("/style.css", "text/css"), ("/live.js", "text/javascript")):
            found = await server.get(path)
            assert (found.status, found.headers["Content-Type"].partition(";")[0]) == (200, kind)
            assert "//" not in re.sub(
                r"^\s*//.*$|; // .*$|\{ // .*$", "", found.body.decode(), flags=re.MULTILINE
            )
    assert answer.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert CONTENT_SECURITY_POLICY.startswith("default-src 'none'; ")
    assert set(re.findall(r'(?:src|href)="([^#"]+)"', page)) <= {
        *("/", "/style.css", "/live.js", "/icon.svg")
    }
    assert not re.search(r"\sstyle=|\son\w+=|<style|<script>", page)


async def test_of_ten_thousand_that_wait_it_shows_a_few_and_how_many_more(tmp_path: Path) -> None:
    """Rows and bytes are counted, which do not depend on how busy the machine is."""
    changes: list[Change] = [
        Joined("default", f"host-{number}", "x" * 64, number, NOW) for number in range(1, 10_001)
    ]
    changes += [Lent("default", f"h-{number}", "y" * 64, NOW) for number in range(1000)]
    await stored(tmp_path, changes)
    async with serving(tmp_path, "[groups.default]\nslots = 1000\n") as server:
        page = (await server.get("/")).body
    assert len(re.findall(rb"<li[ >]", page)) == 1 + MOST.holders + MOST.waiting
    assert len(page) < 32 * 1024
    shown = card_of(page, "default")
    assert "1000 of 1000 slots lent" in shown
    assert f"and {1000 - MOST.holders} more: rebootmgrctl fleet holders" in shown
    assert "10000 hosts wait" in shown
    assert f"the next {MOST.waiting - AT_ONCE}" in shown
    assert f"and {10_000 - MOST.waiting} more: rebootmgrctl fleet waiting" in shown
    assert page.count(b"<i class=") == 40


async def test_of_very_many_groups_it_shows_a_few_and_how_many_more(tmp_path: Path) -> None:
    text = "".join(f"[groups.g{number}]\n" for number in range(MOST_GROUPS + 10))
    async with serving(tmp_path, text) as server:
        page = (await server.get("/")).body
    assert page.count(b"<section") == MOST_GROUPS
    assert "and 11 more groups: rebootmgrctl fleet status" in text_of(page)


def test_every_mood_has_a_sign_of_its_own_beside_its_color() -> None:
    assert set(MARKS) == set(Mood)
    assert len(set(MARKS.values())) == len(Mood)
