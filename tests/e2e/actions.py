"""Steps: perform the action in the developer tools."""

from playwright.async_api import expect

from scripts.demo_lib.accounts import UP

from .ui import pick
from .walk import Walk


async def use_the_action(walk: Walk) -> None:
    """Reconnect a device and read the response."""
    page = walk.page
    async with walk.step("Perform the action"):
        await walk.go("/config/tools/action")
        tool = page.locator("tools-action")
        await tool.locator("ha-service-picker ha-picker-field").click()
        await pick(page, "metaapi.reconnect")
        await page.get_by_role("button", name="Add target").click()
        await pick(page, UP.name, section="Devices")
        await page.get_by_role("button", name="Perform action").click()
        response = tool.locator(".cm-content")
        await expect(response).to_contain_text(f"name: {UP.name}")
        await expect(response).to_contain_text("outcome: authenticated")
        await response.scroll_into_view_if_needed()
