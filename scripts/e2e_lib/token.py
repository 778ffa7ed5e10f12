"""Steps: tokens that are refused, and tokens that expire."""

from playwright.async_api import expect

from scripts.demo_lib.accounts import UP

from .dashboard import URL, tile
from .setup import INTEGRATION
from .ui import Flow
from .walk import Walk

YEAR = 365 * 24 * 3600


async def replace_a_refused_token(walk: Walk) -> None:
    """Be asked for a new token, and enter it."""
    page, flow = walk.page, Flow(walk.page)
    async with walk.step("Be asked for a new token"):
        await walk.go(INTEGRATION)
        revoked = {"token": walk.token, "drop": True}
        await walk.simulator.post("/simulator/tokens/revoke", revoked)
        await page.get_by_role("button", name="Reconfigure").click()
        await flow.expect_title("New token for MetaApi")
        await expect(flow.root).to_contain_text(UP.name)
    async with walk.step("Enter the new token"):
        await flow.fill("token", await walk.renew_token(YEAR))
        await flow.submit()
        await expect(flow.root).to_contain_text("The new token is in use.")
        await flow.finish("Close")
    async with walk.step("See the accounts back"):
        await walk.go(URL)
        await expect(tile(walk, UP.name)).to_contain_text("Connected")
