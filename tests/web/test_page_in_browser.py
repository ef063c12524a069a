"""The page in a real headless Chromium, on a real server: live, safe and for everybody."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, get_args

import pytest

pytest.importorskip(
    "playwright", reason="no Playwright: `packaging/prepare web` installs it"
)  # before what imports it

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser

from rebootmgr.lending.questions import About, Change, Frozen, Halted, Joined, Lent
from rebootmgr.lockd.http.pages import REPORTS
from tests.lockd.program import Server, request, serving
from tests.lockd.test_page import HOSTILE
from tests.lockd.test_watching import stored
from tests.web.browser import DESK, PHONE, Looking, Scheme, chromium, looking, needs_chromium

pytestmark = needs_chromium

NOW: Final = datetime.now(UTC)
GROUPS: Final = "[groups.canary]\n[groups.workers]\nslots = 6\n[groups.edge]\n[groups.empty]\n"
SERIOUS: Final = {"serious", "critical"}


def troubled() -> list[Change]:
    """A bit of everything: a halt, a freeze, hosts that wait, a name that is an attack."""
    versions = About((), "41.20261102.3.0", "41.20261130.1.0")
    failed = "rolled back: post-boot.d/50-health: kubelet did not come up"
    return [
        Lent("workers", "a1" * 16, "worker-3", NOW - timedelta(minutes=22), versions, failed),
        Lent("workers", "b2" * 16, "worker-11", NOW - timedelta(minutes=4), versions),
        Halted("workers", f"the reboot of worker-3 failed: {failed}", NOW),
        *(Joined("workers", f"w{it}", f"worker-{it}", it, NOW) for it in range(20, 50)),
        Frozen("edge", "release week", NOW + timedelta(days=2), "ana", NOW),
        Joined("edge", "e1", HOSTILE, 100, NOW),
        Lent("canary", "c1" * 16, "x" * 64, NOW, versions),
    ]


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


def is_content(found: Looking, server: Server) -> None:
    """The console complained of nothing, and nothing was asked of anybody else."""
    assert found.complaints == []
    here = f"http://127.0.0.1:{server.port}/"
    assert [url for url in found.asked if not url.startswith(here)] == []


async def test_a_holder_appears_and_goes_without_a_reload(tmp_path: Path, browser: Browser) -> None:
    async with serving(tmp_path) as server, looking(browser, server.port) as found:
        await found.page.wait_for_selector("text=Nobody waits")
        while "/live" not in found.asked[-1]:
            await found.page.wait_for_timeout(1)
        before = list(found.asked)
        asked = await server.ask("h1", headers={"Rebootmgr-Host": "worker-1"})
        assert asked.status == 200
        await found.page.wait_for_selector("#group-default li >> text=worker-1")
        assert await found.page.title() == "▶ All groups go on · rebootmgr-lockd"
        assert (await server.give_back("h1")).status == 200
        await found.page.wait_for_selector("#group-default li", state="detached")
        assert found.asked == before
        is_content(found, server)


async def test_a_group_that_halts_comes_first_and_keeps_who_reads_where_they_are(
    tmp_path: Path, browser: Browser
) -> None:
    changes: list[Change] = [Joined("last", f"h{it}", f"host-{it}", it, NOW) for it in range(1, 30)]
    await stored(tmp_path, [Lent("last", "h0", "host-0", NOW), *changes])
    text = "[groups.first]\n[groups.last]\n"
    async with serving(tmp_path, text) as server, looking(browser, server.port) as found:
        await found.page.click("#next-last")
        await found.page.wait_for_selector("#more-last[open]")
        told = b'{"client_params":{"id":"h0","group":"last"},"outcome":"rolled_back"}'
        assert (await server.send(request(REPORTS, told))).status == 204
        await found.page.wait_for_selector("main > section:first-child >> text=Halted since")
        assert await found.page.locator("#more-last[open]").count() == 1
        assert await found.page.evaluate("document.activeElement.id") == "next-last"
        said = found.page.locator("#said")
        assert await said.text_content() == "■ 1 group stands still: last"
        is_content(found, server)


async def test_without_the_server_it_says_that_it_is_not_current_and_comes_back(
    tmp_path: Path, browser: Browser
) -> None:
    async with serving(tmp_path) as server, looking(browser, server.port) as found:
        await found.page.wait_for_selector("text=Nobody waits")
        assert await found.page.locator("#lost").is_hidden()
        assert await server.stop() == 0
        await found.page.wait_for_selector("#lost:visible >> text=No connection")


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
async def test_hostile_names_stay_text(tmp_path: Path, browser: Browser, *, script: bool) -> None:
    await stored(tmp_path, troubled())
    async with (
        serving(tmp_path, GROUPS) as server,
        looking(browser, server.port, script=script) as found,
    ):
        await found.page.wait_for_selector("#group-edge li")
        if script:  # and once more, by its pieces
            assert (
                await server.ask("e2", "edge", headers={"Rebootmgr-Host": "<b>b"})
            ).status == 423
            await found.page.wait_for_selector("#group-edge li:nth-child(2)")
        shown = await found.page.locator("#group-edge li strong").all_text_contents()
        assert shown[0].strip().startswith("<img src=x onerror=alert(1)>")
        assert await found.page.locator("main img, main script, main b").count() == 0
        is_content(found, server)


@pytest.mark.parametrize("scheme", get_args(Scheme))
@pytest.mark.parametrize("width", [PHONE, DESK])
async def test_it_fits_and_axe_finds_nothing_serious(
    tmp_path: Path, browser: Browser, width: int, scheme: Scheme
) -> None:
    await stored(tmp_path, troubled())
    async with (
        serving(tmp_path, GROUPS) as server,
        looking(browser, server.port, width=width, scheme=scheme) as found,
    ):
        await found.page.wait_for_selector("#group-workers details")
        wide = await found.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width
        for element in await found.page.locator("main *, header *").all():
            box = await element.bounding_box()
            assert box is None or box["x"] + box["width"] <= width + 1
        violations = (await Axe().run(found.page)).response["violations"]
        serious = [one for one in violations if one["impact"] in SERIOUS]
        assert [(one["id"], one["nodes"][0]["html"]) for one in serious] == []
        paper = await found.page.evaluate(
            "getComputedStyle(document.body.parentElement).backgroundColor"
        )
        light = sum(map(int, paper.removeprefix("rgb(").removesuffix(")").split(", "))) > 3 * 128
        assert light is (scheme == "light")
        is_content(found, server)


async def test_it_is_used_by_keyboard_alone(tmp_path: Path, browser: Browser) -> None:
    await stored(tmp_path, troubled())
    async with serving(tmp_path, GROUPS) as server, looking(browser, server.port) as found:
        await found.page.wait_for_selector("#group-workers details")
        reached = []
        for _ in range(7):
            await found.page.keyboard.press("Tab")
            reached.append(await found.page.evaluate("document.activeElement.id || 'skip'"))
        chips = ["workers", "edge", "canary", "default", "empty"]
        assert reached == ["skip", *(f"chip-{name}" for name in chips), "next-workers"]
        outline = await found.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
        await found.page.keyboard.press("Enter")
        await found.page.wait_for_selector("#more-workers[open]")
        await found.page.focus("#chip-edge")
        await found.page.keyboard.press("Enter")
        assert await found.page.evaluate("location.hash") == "#group-edge"
        is_content(found, server)


async def test_without_javascript_it_shows_the_same_and_asks_for_nothing_more(
    tmp_path: Path, browser: Browser
) -> None:
    await stored(tmp_path, troubled())
    async with (
        serving(tmp_path, GROUPS) as server,
        looking(browser, server.port, script=False) as found,
    ):
        await found.page.wait_for_selector("#group-workers details")
        assert "worker-3" in str(await found.page.text_content("#group-workers"))
        assert await found.page.locator("noscript a").is_visible()
        paths = [url.rpartition("/")[2] for url in found.asked]
        assert set(paths) <= {"", "style.css", "icon.svg"}
        is_content(found, server)
