"""Measure how long a browser takes to draw the dashboard with many accounts."""

from pathlib import Path
import time

from playwright.async_api import Page, expect

from scripts.demo_lib.dashboard import URL_PATH, add_dashboards
from scripts.demo_lib.options import Options
from scripts.demo_lib.progress import DemoError, step
from scripts.demo_lib.stage import bare

from .browser import TIMEOUT, log_in, open_page

LOADS = 3


async def draw(number: int, folder: Path) -> None:
    """Print how long the dashboard takes until the last account is drawn, and how long an account's own page takes."""
    async with bare(Options(port=0)) as demo, open_page() as page:
        home, simulator = demo.home, demo.simulator
        assert simulator
        async with step(f"Adding {number} accounts"):
            for count in range(len(await simulator.ids()), number):
                name = f"Account {count + 1}"
                await simulator.post("/simulator/accounts", {"name": name})
            await home.add_integration(simulator.token, simulator.url)
            await add_dashboards(home, demo.config)
            states = await home.wait_for(
                lambda states: _connected(states) >= number - 2, TIMEOUT / 1000
            )
            if _connected(states) < number - 2:
                raise DemoError(f"Only {_connected(states)} accounts are connected.")
        await log_in(page, home.url)
        for _ in range(LOADS):
            await _draw(page, f"{home.url}/{URL_PATH}", number)
        await page.screenshot(path=folder / f"{number}-accounts.png")


async def _draw(page: Page, url: str, number: int) -> None:
    """Open the dashboard in a blank tab, then the page of an account."""
    await page.goto("about:blank")
    began = time.monotonic()
    await page.goto(url)
    rows = page.locator("hui-entities-card hui-generic-entity-row")
    await expect(rows).to_have_count(number)
    await expect(page.locator("hui-markdown-card ha-alert").first).to_be_visible()
    drawn = time.monotonic()
    await rows.first.click()
    await expect(page.locator("hui-statistic-card").first).to_be_visible()
    opened = time.monotonic()
    print(
        f"  {number} accounts drawn {drawn - began:.1f} s after the page was opened; "
        f"the page of one of them {opened - drawn:.1f} s after a click"
    )


def _connected(states: dict[str, str]) -> int:
    """Return the number of connected accounts; of the demo's accounts two never are."""
    return sum(
        state == "connected" and one.endswith("_status")
        for one, state in states.items()
    )
