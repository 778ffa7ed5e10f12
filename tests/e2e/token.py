"""Steps: replace a refused token, and one that expires soon."""

from playwright.async_api import expect

from scripts.demo_lib.accounts import UP

from .dashboard import URL, section
from .setup import INTEGRATION
from .ui import Flow
from .walk import Walk

DAY = 24 * 3600
CONFIRMED = 105
"""Seconds; a user is asked only after REST refused the token twice, a minute apart."""
EXPIRES_SOON = "The token of MetaApi expires soon"


async def replace_a_refused_token(walk: Walk) -> None:
    """Wait for the request for a new token, and enter one that expires soon."""
    page, flow = walk.page, Flow(walk.page)
    async with walk.step("Be asked for a new token"):
        await walk.go(INTEGRATION)
        revoked = {"token": walk.token, "drop": True}
        await walk.simulator.post("/simulator/tokens/revoke", revoked)
        asked = page.get_by_role("button", name="Reconfigure")
        await asked.click(timeout=CONFIRMED * 1000)
        await flow.expect_title("New token for MetaApi")
        await expect(flow.root).to_contain_text(UP.name)
    async with walk.step("Enter the new token"):
        await flow.fill("token", await walk.renew_token(3 * DAY))
        await flow.submit()
        await expect(flow.root).to_contain_text("The new token is in use.")
        await flow.finish("Close")
    async with walk.step("See the accounts back"):
        await walk.go(URL)
        await expect(section(walk, UP.name)).to_contain_text("Connected")


async def replace_a_token_in_time(walk: Walk) -> None:
    """Open the repair issue of the expiring token, and enter one that lasts longer."""
    page, flow = walk.page, Flow(walk.page)
    async with walk.step("Be told that the token expires soon"):
        await walk.go("/config/repairs")
        await page.get_by_text(EXPIRES_SOON).click()
        await flow.expect_title("Replace the token of MetaApi")
    async with walk.step("Repair it with a token that lasts"):
        await flow.fill("token", await walk.renew_token(365 * DAY))
        await flow.submit()
        await expect(flow.root).to_contain_text("The new token is in use.")
        await flow.finish("Close")
        await expect(page.get_by_text("no repairs pending")).to_be_visible()
        await expect(page.get_by_text(EXPIRES_SOON)).to_have_count(0)
