"""Count the clicks and minutes that the README takes from an empty Home Assistant to dashboard, alarm and repair."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
import shutil
import time
from urllib.parse import quote

from aiohttp import web
from playwright.async_api import Error, Locator, Page, expect

from scripts.demo_lib.accounts import DOWN
from scripts.demo_lib.client import HomeAssistant
from scripts.demo_lib.home import INTEGRATION
from scripts.demo_lib.options import Options
from scripts.demo_lib.progress import DemoError, step
from scripts.demo_lib.stage import START_TIMEOUT, Demo, bare

from .blueprints import FOLDER
from .browser import SIZE, log_in, open_page
from .dashboard import PHONE, URL
from .phone import NAME as PHONE_NAME, Phone
from .ui import Flow
from .web import serving

VIEWS = {"desktop": SIZE, "phone": PHONE}

SECONDS_A_CLICK = 5
SECONDS_A_PASTE = 10
GOAL = 10
"""Minutes."""


@dataclass
class Row:
    """The effort for one part."""

    title: str
    clicks: int = 0
    pastes: int = 0
    waited: float = 0.0

    @property
    def minutes(self) -> float:
        """Return the estimated minutes for a user, including the time to find what to click and to wait."""
        hand = self.clicks * SECONDS_A_CLICK + self.pastes * SECONDS_A_PASTE
        return (hand + self.waited) / 60


class Hand:
    """Clicks and pastes like a user, and counts both."""

    def __init__(self, page: Page, home: HomeAssistant, folder: Path) -> None:
        """Start without any clicks."""
        self.page = page
        self.home = home
        self.rows: list[Row] = []
        self._folder = folder

    @asynccontextmanager
    async def part(self, title: str) -> AsyncIterator[None]:
        """Start a new part, to which all clicks now count."""
        self.rows.append(Row(title))
        began = time.monotonic()
        try:
            async with step(title):
                yield
        except (Error, AssertionError) as err:
            failure = self._folder / "failure.png"
            await self.page.screenshot(path=failure)
            raise DemoError(
                f"{title}: {err}\nWhat there was to see: {failure}"
            ) from err
        self.rows[-1].waited = time.monotonic() - began
        await self.page.screenshot(path=self._folder / f"{len(self.rows)}.png")

    async def click(self, target: Locator) -> None:
        """Click an element and count it."""
        await target.click()
        self.rows[-1].clicks += 1

    async def click_button(self, name: str, *, within: Locator | None = None) -> None:
        """Click the button with this name."""
        await self.click((within or self.page).get_by_role("button", name=name))

    async def paste(self, target: Locator, text: str) -> None:
        """Paste a text into a field; the click into the field is included."""
        await target.fill(text)
        self.rows[-1].pastes += 1

    async def follow(self, redirect: str) -> None:
        """Follow a badge of the README: one click on it and one to confirm at my.home-assistant.io."""
        await self.page.goto(f"{self.home.url}/_my_redirect/{redirect}")
        self.rows[-1].clicks += 2

    async def open_settings(self) -> None:
        """Open the settings; on a phone the menu button must be clicked first."""
        if self.page.viewport_size == PHONE:
            await self.click(self.page.locator("ha-menu-button"))
        sidebar = self.page.locator("ha-sidebar")
        await self.click(sidebar.get_by_text("Settings", exact=True))


async def count(folder: Path) -> None:
    """Count on a desktop and on a phone, and print a table."""
    counted: dict[str, list[Row]] = {}
    for name, size in VIEWS.items():
        shots = folder / name
        shots.mkdir(exist_ok=True)
        async with (
            bare(Options(port=0, empty=True)) as demo,
            open_page(size) as page,
            # The user already has the app
            Phone.registered(demo.home) as phone,
        ):
            hand = Hand(page, demo.home, shots)
            await log_in(page, demo.home.url)
            await _walk(demo, hand, phone)
            counted[name] = hand.rows
    print(_table(counted))


async def _walk(demo: Demo, hand: Hand, phone: Phone) -> None:
    """Follow the README from *Install* to the end of *What next*."""
    assert demo.simulator
    shutil.copytree(
        INTEGRATION,
        demo.config / "custom_components" / INTEGRATION.name,
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    async with hand.part("Restart once after the download"):
        await _restart(hand)
    async with hand.part("Add the integration, choose accounts"):
        await _add_the_integration(hand, demo.simulator.token, demo.simulator.url)
    async with hand.part("A dashboard"):
        await _add_the_dashboard(hand)
    files = web.Application()
    files.router.add_static("/", FOLDER)
    async with serving(files) as url:
        (file,) = FOLDER.iterdir()
        async with hand.part("An alarm that also repairs"):
            await _add_the_alarm(hand, f"{url}/{file.name}")
    async with hand.part("A test"):
        await hand.click(hand.page.locator("ha-dropdown").get_by_role("button").last)
        await hand.click(hand.page.get_by_role("menuitem", name="Run actions"))
        await phone.wait_for("Test of your MetaApi alarm")


async def _restart(hand: Hand) -> None:
    """Restart Home Assistant from its settings."""
    page = hand.page
    await hand.open_settings()
    await hand.click(page.get_by_role("button", name="Menu").last)
    await hand.click(page.get_by_role("menuitem", name="Restart Home Assistant"))
    await hand.click_button(
        "Restart Home Assistant", within=page.locator("dialog-restart")
    )
    await hand.click_button("Restart", within=page.locator("dialog-box"))
    await hand.home.wait_for_restart(START_TIMEOUT)


async def _add_the_integration(hand: Hand, token: str, api_url: str) -> None:
    """Follow the badge, paste the token, and accept the proposed accounts."""
    flow = Flow(hand.page)
    await hand.follow("config_flow_start?domain=metaapi")
    await hand.click_button("OK", within=hand.page.locator("dialog-box"))
    await flow.expect_title("Connect to MetaApi")
    await hand.paste(flow.root.locator("input[name=token]"), token)
    # Not counted: only necessary because a simulator replaces MetaApi
    await flow.open_section("Advanced")
    await flow.fill("api_url", api_url)
    footer = flow.root.locator("ha-dialog-footer")
    await hand.click_button("Submit", within=footer)
    await flow.expect_title("Choose accounts")
    await hand.click_button("Submit", within=footer)
    await flow.expect_title("Name and assign")
    await hand.click_button("Skip and finish", within=footer)
    await flow.expect_gone()


async def _add_the_dashboard(hand: Hand) -> None:
    """Add the dashboard from the list in Home Assistant."""
    page = hand.page
    await hand.follow("lovelace_dashboards")
    await hand.click_button("Add dashboard")
    await hand.click(page.locator("dashboard-card").filter(has_text="MetaApi"))
    dialog = page.locator("dialog-lovelace-dashboard-detail")
    await hand.click_button("Create", within=dialog)
    await expect(dialog.get_by_role("button", name="Create")).to_be_hidden()
    # Not counted: only checks that the dashboard works
    await page.goto(f"{hand.home.url}{URL}")
    heading = page.locator("hui-heading-card").get_by_text(DOWN.name, exact=True)
    await expect(heading).to_be_visible()


async def _add_the_alarm(hand: Hand, url: str) -> None:
    """Import the blueprint, and create an automation from it for all accounts and the phone."""
    page = hand.page
    await hand.follow(f"blueprint_import?blueprint_url={quote(url, safe='')}")
    dialog = page.locator("ha-dialog-import-blueprint")
    await hand.click_button("Preview", within=dialog)
    await hand.click_button("Import blueprint", within=dialog)
    row = page.locator("ha-data-table").get_by_role("row")
    await hand.click(row.get_by_text("Watch my terminals", exact=True))
    for label, device in (("Accounts", "MetaApi"), ("Phones", PHONE_NAME)):
        heading = page.locator("[slot=heading]").get_by_text(label, exact=True)
        field = page.locator("ha-settings-row").filter(has=heading)
        await hand.click(field.locator("ha-picker-field"))
        box = page.locator("ha-picker-combo-box")
        # Each account also shows the name of the integration, below its own
        title = page.locator("[slot=headline]").get_by_text(device, exact=True)
        await hand.click(box.locator("ha-combo-box-item").filter(has=title))
        await expect(box).to_have_count(0)
    await hand.click_button("Save")
    await page.wait_for_url(lambda url: not url.endswith("/new"))
    await expect(page.locator("blueprint-automation-editor")).to_contain_text("MetaApi")


def _table(counted: dict[str, list[Row]]) -> str:
    """Return the counts as a table, with the minutes for a user."""
    lines = []
    for name, rows in counted.items():
        total = Row("In all")
        for row in rows:
            total.clicks += row.clicks
            total.pastes += row.pastes
            total.waited += row.waited
        lines.append(f"\n{name:36}clicks  pasted  waited  minutes")
        lines += [
            f"  {row.title:34}{row.clicks:6}{row.pastes:8}{row.waited:6.0f} s{row.minutes:9.1f}"
            for row in (*rows, total)
        ]
    return "\n".join(
        [
            *lines,
            f"\nMinutes: {SECONDS_A_CLICK} s for each click, {SECONDS_A_PASTE} s for each text that is pasted, and the time for which",
            f"the machine was waited for, the script's own clicks included. The goal is {GOAL} minutes. Not counted:",
            "the download itself, and making the token at MetaApi.",
        ]
    )
