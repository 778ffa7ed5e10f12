"""Steps: add the dashboard by clicks and use it."""

from playwright.async_api import Locator, ViewportSize, expect

from scripts.demo_lib.accounts import BROKER_DOWN, DOWN, UNDEPLOYED, UP

from .browser import SIZE
from .walk import Walk

TITLE = "Trading accounts"
URL = "/trading-accounts/accounts"
PHONE: ViewportSize = {"width": 390, "height": 844}


async def add_the_dashboard(walk: Walk) -> None:
    """Add the dashboard from the list in Home Assistant."""
    page = walk.page
    async with walk.step("Add the dashboard"):
        await walk.go("/config/lovelace/dashboards")
        await page.get_by_role("button", name="Add dashboard").click()
        await page.locator("dashboard-card").filter(has_text="MetaApi").click()
        dialog = page.locator("dialog-lovelace-dashboard-detail")
        await dialog.get_by_role("button", name="Create").click()
        await page.locator("ha-sidebar").get_by_text(TITLE).click()
    async with walk.step("See the dashboard"):
        for account, status in (
            (UP, "Connected"),
            (DOWN, "Connected"),
            (BROKER_DOWN, "Broker disconnected"),
            (UNDEPLOYED, "Not deployed"),
        ):
            await expect(section(walk, account.name)).to_contain_text(status)
        await walk.go(URL)
        await expect(section(walk, UP.name)).to_contain_text("Connected")
        # Home Assistant compiles statistics every five minutes
        await expect(downtime_today(walk, BROKER_DOWN.name)).to_have_text("")


async def reconnect_on_the_dashboard(walk: Walk) -> None:
    """Drop an account, then reconnect it with its button."""
    down = on_top(walk)
    async with walk.step("See an account down"):
        await walk.set_terminal(DOWN, up=False)
        await expect(section(walk, DOWN.name)).to_contain_text("Disconnected")
        await expect(down).to_contain_text(DOWN.name)
        await expect(down).to_contain_text(BROKER_DOWN.name)
        await expect(down).not_to_contain_text(UP.name)
    async with walk.step("Reconnect it"):
        await (
            walk.page.locator("hui-tile-card:visible")
            .filter(has_text=f"Reconnect {DOWN.name}")
            .click()
        )
        await expect(section(walk, DOWN.name)).to_contain_text("Connected")
        await expect(down).not_to_contain_text(DOWN.name)


async def be_asked_first(walk: Walk) -> None:
    """Press the button of a connected account, then cancel."""
    page = walk.page
    async with walk.step("Be asked before a connected account is reconnected"):
        await section(walk, UP.name).locator("ha-control-button:visible").click()
        dialog = page.locator("dialog-box")
        await expect(dialog).to_contain_text("Open positions stay open")
        await dialog.get_by_role("button", name="Cancel").click()
        await expect(dialog).to_be_hidden()
        await expect(section(walk, UP.name)).to_contain_text("Connected")


async def find_no_button(walk: Walk) -> None:
    """Check that the dashboard has no reconnect button for an account that is not deployed."""
    async with walk.step("Find no button where a reconnect cannot help"):
        undeployed = section(walk, UNDEPLOYED.name)
        await expect(undeployed).to_contain_text("Not deployed")
        await expect(undeployed.locator("ha-control-button:visible")).to_have_count(0)


async def be_told_why_not(walk: Walk) -> None:
    """Press the button on the device page, where it always exists."""
    async with walk.step("Be told why an account does not come back"):
        devices = await walk.home.command("config/device_registry/list")
        found = next(each for each in devices if each["name"] == UNDEPLOYED.name)
        await walk.go(f"/config/devices/device/{found['id']}")
        await walk.page.get_by_role("button", name="Press").click()
        await walk.guard.expect_toast(f"{UNDEPLOYED.name}: not deployed")


async def look_at_it_on_a_phone(walk: Walk) -> None:
    """Check that a phone shows what is down without scrolling."""
    page = walk.page
    await page.set_viewport_size(PHONE)
    async with walk.step("Look at the dashboard on a phone", image="dashboard-phone"):
        await expect(on_top(walk).get_by_text(BROKER_DOWN.name)).to_be_in_viewport()
        button = page.locator("hui-tile-card:visible").filter(
            has_text=f"Reconnect {BROKER_DOWN.name}"
        )
        await expect(button).to_be_in_viewport()
    await page.set_viewport_size(SIZE)


def on_top(walk: Walk) -> Locator:
    """Return the card at the top with everything that is down or out of sight."""
    return walk.page.locator("hui-markdown-card")


def section(walk: Walk, name: str) -> Locator:
    """Return the section of an account."""
    heading = walk.page.locator("hui-heading-card").get_by_text(name, exact=True)
    return walk.page.locator("hui-section").filter(has=heading)


def downtime_today(walk: Walk, name: str) -> Locator:
    """Return the element with today's hours of downtime of an account."""
    cards = section(walk, f"Downtime · {name}").locator("hui-statistic-card")
    return cards.filter(has_text="Today").locator(".value")
