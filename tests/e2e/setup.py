"""Steps: add the integration, then one more account."""

from playwright.async_api import expect

from scripts.demo_lib.accounts import BROKER_DOWN, DOWN, UNDEPLOYED, UP

from . import browser
from .ui import Flow
from .walk import Walk

STATES = {
    "Sensors": "/Disconnected since Unknown Downtime \\S+ Status Connected Terminal Connected/",
    "Diagnostic": "Broker Connected",
}
INTEGRATION = "/config/integrations/integration/metaapi"


async def log_in(walk: Walk) -> None:
    """Log in on the first page."""
    async with walk.step("Log in"):
        await browser.log_in(walk.page, walk.home.url)


async def add_the_integration(walk: Walk) -> None:
    """Find the integration by name, enter a token, and choose accounts."""
    page, flow = walk.page, Flow(walk.page)
    async with walk.step("Find the integration"):
        await walk.go("/config/integrations/dashboard")
        await page.get_by_role("button", name="Add integration").click()
        await page.get_by_placeholder("Search for a brand name").fill("MetaApi")
        found = page.locator("dialog-add-integration").get_by_text(
            "MetaApi", exact=True
        )
        await expect(found).to_be_visible()
    async with walk.step("Enter the token"):
        await found.click()
        await flow.expect_title("Connect to MetaApi")
        await flow.fill("token", walk.token)
        await flow.open_section("Advanced")
        await flow.fill("api_url", walk.simulator.url)
    async with walk.step("Choose accounts"):
        await flow.submit()
        await flow.expect_title("Choose accounts")
        chips = flow.root.locator("ha-input-chip")
        await expect(chips).to_have_count(3)
        await chips.filter(has_text=BROKER_DOWN.name).locator(".trailing").click()
        await flow.root.get_by_role("button", name="Accounts", exact=True).click()
        item = page.locator("ha-picker-combo-box").get_by_text(UNDEPLOYED.name)
        await item.click()
        await expect(chips.filter(has_text=UNDEPLOYED.name)).to_be_visible()
        await expect(chips).to_have_count(3)
    async with walk.step("Finish"):
        await flow.submit()
        await flow.expect_title("Name and assign")
        await expect(flow.root.locator(".device")).to_have_count(4)
        await flow.finish("Skip and finish")
        await expect(page.get_by_role("button", name="Add account")).to_be_visible()
        for account in (UP, DOWN, UNDEPLOYED):
            await expect(
                page.get_by_text(account.name, exact=True).first
            ).to_be_attached()


async def look_at_the_device(walk: Walk) -> None:
    """Check what an account's device shows."""
    page = walk.page
    async with walk.step("Look at the page of an account", image="device"):
        devices = await walk.home.command("config/device_registry/list")
        found = next(each for each in devices if each["name"] == UP.name)
        await walk.go(f"/config/devices/device/{found['id']}")
        entities = page.locator("ha-device-entities-card")
        for title, shown in STATES.items():
            card = entities.filter(has_text=title)
            await expect(card).to_match_aria_snapshot(f"- list: {shown}")
        await expect(entities.filter(has_text="Controls")).to_contain_text("Reconnect")
        info = page.locator("ha-device-info-card")
        await expect(info).to_contain_text("MetaTrader 5 · ")
        hub = info.get_by_role("link", name="MetaApi")
        await expect(hub.first).to_have_attribute(
            "href", f"/config/devices/device/{found['via_device_id']}"
        )
        account = (await walk.simulator.ids())[UP.name]
        visit = page.get_by_role("link", name="Visit")
        await expect(visit).to_have_attribute(
            "href", f"https://app.metaapi.cloud/accounts/{account}"
        )


async def add_an_account(walk: Walk) -> None:
    """Add the account that was left out."""
    page, flow = walk.page, Flow(walk.page)
    async with walk.step("Add another account"):
        await walk.go(INTEGRATION)
        await page.get_by_role("button", name="Add account").click()
        await flow.expect_title("Add an account")
        await expect(flow.root).to_contain_text(BROKER_DOWN.name)
        await flow.submit()
        await flow.finish("Finish")
        await expect(page.get_by_text(BROKER_DOWN.name, exact=True)).to_have_count(2)
