"""Steps: the dashboard is put up as its documentation says, and used."""

import re

from playwright.async_api import Locator, expect

from scripts.demo_lib.accounts import BROKER_DOWN, DOWN, UNDEPLOYED, UP, DemoAccount
from scripts.demo_lib.dashboard import TEMPLATE
from scripts.demo_lib.progress import DemoError, until

from .ui import copy_all, paste_over, write_code
from .walk import Walk

TITLE = "Trading"
URL = f"/dashboard-{TITLE.lower()}/accounts"
MINUTE = 1 / 60  # hours


async def paste_the_dashboard(walk: Walk) -> None:
    """Have the template write it, and paste what it wrote."""
    page = walk.page
    async with walk.step("Write the dashboard"):
        await walk.go("/config/tools/template")
        tool = page.locator("tools-template")
        await write_code(page, tool.locator("ha-code-editor"), TEMPLATE.read_text())
        rendered = tool.locator("pre.rendered")
        await expect(rendered).to_contain_text(f"- entity: {UP.status_id}")
        await copy_all(page, rendered)
    async with walk.step("Make a dashboard"):
        await walk.go("/config/lovelace/dashboards")
        await page.get_by_role("button", name="Add dashboard").click()
        await page.get_by_text("New dashboard from scratch").click()
        dialog = page.locator("dialog-lovelace-dashboard-detail")
        await dialog.locator("input[name=title]").fill(TITLE)
        await dialog.get_by_role("button", name="Create").click()
        await page.locator("ha-sidebar").get_by_text(TITLE).click()
        await page.get_by_role("button", name="Edit dashboard").click()
        await page.locator("hui-root .action-items ha-dropdown ha-icon-button").click()
        await page.get_by_text("Raw configuration editor").click()
        editor = page.locator("hui-editor")
        await paste_over(page, editor)
        await editor.get_by_role("button", name="Save").click()
        await expect(editor.locator(".save-button")).to_have_text("Saved")
    async with walk.step("See the dashboard"):
        await walk.go(URL)
        for account, status in (
            (UP, "Connected"),
            (DOWN, "Connected"),
            (BROKER_DOWN, "Broker disconnected"),
            (UNDEPLOYED, "Not deployed"),
        ):
            await expect(tile(walk, account.name)).to_contain_text(status)


async def reconnect_on_the_dashboard(walk: Walk) -> None:
    """See an account drop, and bring it back."""
    down = walk.page.locator("hui-entity-filter-card")
    async with walk.step("See an account down", image="dashboard-down", height=560):
        await walk.set_terminal(DOWN, up=False)
        await expect(tile(walk, DOWN.name)).to_contain_text("Terminal disconnected")
        await expect(down).to_contain_text(DOWN.name)
        await expect(down).to_contain_text(BROKER_DOWN.name)
        await expect(down).not_to_contain_text(UP.name)
    async with walk.step("Reconnect it", image="dashboard-up", height=495):
        await reconnect_tile(walk, DOWN.name).click()
        await expect(tile(walk, DOWN.name)).to_contain_text("Connected")
        await expect(down).not_to_contain_text(DOWN.name)


async def be_asked_first(walk: Walk) -> None:
    """Press the button of an account that is well, and think better of it."""
    page = walk.page
    async with walk.step("Be asked before a connected account is reconnected"):
        await reconnect_tile(walk, UP.name).click()
        dialog = page.locator("dialog-box")
        await expect(dialog).to_contain_text(f"{UP.name} is connected.")
        await dialog.get_by_role("button", name="Cancel").click()
        await expect(dialog).to_be_hidden()
        await expect(tile(walk, UP.name)).to_contain_text("Connected")


async def be_told_why_not(walk: Walk) -> None:
    """Press a button that cannot do what it says."""
    async with walk.step("Be told why an account does not come back"):
        await reconnect_tile(walk, UNDEPLOYED.name).click()
        await walk.guard.expect_toast(f"{UNDEPLOYED.name}: not deployed")


async def see_the_downtime(walk: Walk) -> None:
    """Have the last account that is down come back, and see for how long it was."""
    async with walk.step("See the downtime"):
        await _be_down_for_a_minute(walk, BROKER_DOWN)
        await walk.go(URL)
        await walk.set_broker(BROKER_DOWN, up=True)
        await expect(tile(walk, BROKER_DOWN.name)).to_contain_text("Connected")
        await expect(walk.page.locator("hui-markdown-card")).to_contain_text("None.")
        today = tile(walk, f"{BROKER_DOWN.name} today")
        await expect(today).to_contain_text(re.compile("[1-9]"))


async def _be_down_for_a_minute(walk: Walk, account: DemoAccount) -> None:
    """Wait until so much is counted: the frontend rounds down to whole minutes."""
    counter = f"sensor.{account.slug}_down_today"

    async def count() -> float:
        await walk.home.act("homeassistant", "update_entity", entity_id=counter)
        states = await walk.home.states()
        return float(states[counter])

    hours = await until(count, lambda hours: hours >= MINUTE, 2 * 60)
    if hours < MINUTE:
        raise DemoError(f"{account.name} is down, but only {hours} h were counted.")


def tile(walk: Walk, name: str) -> Locator:
    """Return the tile of an account that is shown, of those for different statuses."""
    return walk.page.locator("hui-tile-card:visible").filter(
        has=walk.page.get_by_text(name, exact=True)
    )


def reconnect_tile(walk: Walk, name: str) -> Locator:
    """Return the tile beside that of an account."""
    return walk.page.locator(
        f".card:has-text('{name}') ~ .card:has-text('Reconnect') hui-tile-card:visible"
    ).first
