"""A real headless Chromium that looks at the lock server's page, and what it says meanwhile."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Literal

import pytest
from playwright.async_api import Browser, Page, async_playwright

NAMES: Final = ("chromium-headless-shell", "headless_shell", "chromium", "chromium-browser")
CHROMIUM: Final = next(filter(None, map(shutil.which, NAMES)), None)
needs_chromium: Final = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium: `packaging/prepare web` installs it"
)
PHONE: Final = 360
DESK: Final = 1920
Scheme = Literal["light", "dark"]


@dataclass
class Looking:
    """One who looks at the page. `complaints` are errors of the console, `asked` all requests."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Run it until the block ends; as root it does without its sandbox."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def looking(
    browser: Browser,
    port: int,
    *,
    width: int = DESK,
    scheme: Scheme = "light",
    script: bool = True,
) -> AsyncIterator[Looking]:
    """Open the page."""
    context = await browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
        java_script_enabled=script,
        reduced_motion="reduce",
    )
    page = await context.new_page()
    page.set_default_timeout(0)  # the whole test is bounded
    found = Looking(page)
    page.on(
        "console",
        lambda said: found.complaints.append(said.text) if said.type == "error" else None,
    )
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    page.on("request", lambda request: found.asked.append(request.url))
    await page.goto(f"http://127.0.0.1:{port}/")
    try:
        yield found
    finally:
        await context.close()
