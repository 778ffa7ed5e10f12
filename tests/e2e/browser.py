"""A real browser for Home Assistant's frontend."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
import os
from pathlib import Path
import re
import shutil
import subprocess

from playwright.async_api import (
    Page,
    Route,
    ViewportSize,
    async_playwright,
    expect,
)

from scripts.demo_lib.client import PASSWORD, USER
from scripts.demo_lib.progress import DemoError
from scripts.setup_env.steps import environ

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
OTHER_ICONS = re.compile(r"/api/brands/integration/(?!metaapi/)")
ICON = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24">
<rect x="3" y="3" width="18" height="18" rx="5" fill="#9e9e9e"/></svg>"""
SIZE: ViewportSize = {"width": 1280, "height": 800}
TIMEOUT = 45_000.0


@asynccontextmanager
async def open_page(size: ViewportSize = SIZE) -> AsyncIterator[Page]:
    """Open a browser window with a fresh profile."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=find_chromium(), args=FLAGS
        )
        context = await browser.new_context(
            viewport=size, locale="en-GB", color_scheme="light"
        )
        page = await context.new_page()
        page.set_default_timeout(TIMEOUT)
        expect.set_options(timeout=TIMEOUT)
        # Home Assistant downloads icons of other integrations, but the machine may be offline
        await page.route(OTHER_ICONS, _fulfil_icon)
        yield page
        await browser.close()


async def _fulfil_icon(route: Route) -> None:
    await route.fulfill(body=ICON, content_type="image/svg+xml")


def find_chromium() -> Path:
    """Return the installed Chromium; install it with apt-get if allowed."""
    if not (found := _on_path()) and shutil.which("apt-get") and os.geteuid() == 0:
        print("  Installing chromium with apt-get ...", flush=True)
        for args in (
            ["update"],
            ["install", "--yes", "--no-install-recommends", "chromium"],
        ):
            subprocess.run(
                ["apt-get", "--quiet=2", *args],
                env=environ({"DEBIAN_FRONTEND": "noninteractive"}),
                stdout=subprocess.DEVNULL,
                check=False,
            )
        found = _on_path()
    if not found:
        raise DemoError(
            "A browser is missing: install chromium (apt-get install chromium)."
        )
    return Path(found)


def _on_path() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


async def log_in(page: Page, url: str) -> None:
    """Log in with the user name and password of the demo."""
    await page.goto(url)
    await page.locator("input[name=username]").fill(USER)
    await page.locator("input[name=password]").fill(PASSWORD)
    await page.get_by_role("button", name="Log in").click()
    await page.locator("home-assistant-main").wait_for()
