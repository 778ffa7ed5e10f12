"""Steps: build an automation in the editor and see it run."""

from playwright.async_api import Locator, expect

from scripts.demo_lib.accounts import DOWN, UP

from .guard import TEXTS
from .ui import pick
from .walk import Walk

CONNECTED: str = TEXTS["triggers"]["connected"]["name"]
DISCONNECTED: str = TEXTS["triggers"]["disconnected"]["name"]
IS_DISCONNECTED: str = TEXTS["conditions"]["is_disconnected"]["name"]
NAME = "Tell me what drops"
MESSAGE = "{{ state_attr(trigger.entity_id, 'friendly_name') }} has dropped"


async def build_an_automation(walk: Walk) -> None:
    """Build an automation with our trigger and condition that shows a notification."""
    page = walk.page
    adding = page.locator("add-automation-element-dialog")
    sidebar = page.locator("ha-automation-sidebar")
    async with walk.step("Look for a trigger", image="triggers"):
        await walk.go("/config/automation/dashboard")
        await page.get_by_role("button", name="Create automation").click()
        await page.get_by_text("Create new automation").click()
        await page.get_by_role("button", name="Add trigger").click()
        await adding.get_by_text("Services", exact=True).click()
        await adding.get_by_text(UP.name, exact=True).click()
        await expect(adding.get_by_text(CONNECTED)).to_be_visible()
    async with walk.step("Add the trigger"):
        await adding.get_by_text(DISCONNECTED).click()
        await expect(sidebar).to_contain_text("Trigger when")
        await sidebar.get_by_role("button", name="Add target").click()
        await pick(page, DOWN.name, section="Devices")
        await expect(sidebar.get_by_text("1 entity")).to_have_count(2)
    async with walk.step("Add a condition"):
        await page.get_by_role("button", name="Add condition").click()
        await adding.get_by_text("Services", exact=True).click()
        await adding.get_by_text(UP.name, exact=True).click()
        await adding.get_by_text(IS_DISCONNECTED).click()
        await expect(sidebar).to_contain_text("Condition passes if")
    async with walk.step("Add an action"):
        await page.get_by_role("button", name="Add action").click()
        await add_message(walk, sidebar, MESSAGE)
    async with walk.step("Save the automation"):
        await page.get_by_role("button", name="Save").click()
        dialog = page.locator("ha-dialog-automation-save")
        await dialog.locator("input").first.fill(NAME)
        await dialog.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("button", name="Traces")).to_be_visible()
        await expect(page.get_by_text(NAME, exact=True)).to_be_visible()


async def see_it_run(walk: Walk) -> None:
    """Drop a terminal and read the notification of the automation."""
    async with walk.step("See the automation run"):
        await walk.set_terminal(UP, up=False)
        await read_notification(walk, f"{UP.name} Terminal has dropped")
    async with walk.step("Dismiss the notification"):
        await walk.set_terminal(UP, up=True)
        await dismiss_notifications(walk)


async def add_message(walk: Walk, where: Locator, message: str) -> None:
    """Choose the action that shows a notification and enter its message."""
    adding = walk.page.locator("add-automation-element-dialog")
    await adding.locator("ha-input-search input").fill("persistent")
    await adding.get_by_text("Send a persistent notification").click()
    await where.locator("ha-selector-text input").first.fill(message)
    # A template turns the text field into a code editor
    await expect(where.locator(".cm-content").first).to_have_text(message)


async def read_notification(walk: Walk, text: str) -> None:
    """Open the notification drawer and wait for a notification."""
    page = walk.page
    drawer = page.locator("notification-drawer")
    await page.locator("ha-sidebar").get_by_text("Notifications").click()
    await expect(drawer.get_by_text(text)).to_be_visible()


async def dismiss_notifications(walk: Walk) -> None:
    """Dismiss all notifications, which also closes the drawer."""
    drawer = walk.page.locator("notification-drawer")
    await walk.home.act("persistent_notification", "dismiss_all")
    await expect(drawer.get_by_role("button")).to_have_count(0)
