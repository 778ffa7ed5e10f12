"""Steps: import the blueprint, create an automation from it, and check what it does."""

from typing import Any

from aiohttp import web
from playwright.async_api import Locator, expect

from homeassistant.util.yaml import load_yaml
from scripts.demo_lib.accounts import DOWN
from scripts.demo_lib.progress import DemoError
from scripts.setup_env.steps import ROOT

from .automation import add_message, dismiss_notifications, read_notification
from .browser import TIMEOUT
from .phone import NAME as PHONE
from .ui import pick
from .walk import Walk
from .web import serving

FOLDER = ROOT / "blueprints" / "automation" / "metaapi"
SECONDS = {"Disconnected for": 1, "Broker lost for": 1}


async def use_the_blueprints(walk: Walk) -> None:
    """Import the blueprint from a local web server in place of GitHub, and use it."""
    (file,) = FOLDER.iterdir()
    files = web.Application()
    files.router.add_static("/", FOLDER)
    async with serving(files) as url:
        blueprint: Any = load_yaml(str(file))
        name = blueprint["blueprint"]["name"]
        await _import(walk, f"{url}/{file.name}", name)
        await _fill_in(walk, name)
        async with walk.step("Send a test message"):
            await _test(walk)
        async with walk.step(
            "Be told of a terminal that drops, press the button, be told again"
        ):
            await _be_told(walk)
        async with walk.step("Be told of a lost broker"):
            await _be_told_of_a_broker(walk)


async def _test(walk: Walk) -> None:
    """Run the automation manually and check that the phone and Home Assistant show its test message."""
    states = await walk.home.states()
    (automation,) = [one for one in states if one.startswith("automation.watch_my")]
    await walk.home.act("automation", "trigger", entity_id=automation)
    await walk.phone.wait_for("Test of your MetaApi alarm")
    await read_notification(walk, "Test of your MetaApi alarm")
    await dismiss_notifications(walk)


async def _be_told(walk: Walk) -> None:
    """Check that the phone and Home Assistant report an outage, and that Home Assistant removes it at the end."""
    await walk.set_terminal(DOWN, up=False)
    message = await walk.phone.wait_for(f"{DOWN.name} is down")
    await read_notification(walk, f"{DOWN.name} is down")
    await walk.phone.press(message, "Reconnect")
    await walk.phone.wait_for(f"{DOWN.name} is back")
    drawer = walk.page.locator("notification-drawer")
    await expect(drawer.get_by_text(f"{DOWN.name} is down")).to_have_count(0)
    await dismiss_notifications(walk)


async def _be_told_of_a_broker(walk: Walk) -> None:
    """Check that the phone reports a lost broker and its return while the terminal stays on."""
    states = await walk.home.wait_for(DOWN.has_broker, TIMEOUT / 1000)
    if not DOWN.has_broker(states):
        raise DemoError(f"{DOWN.name} has no broker to lose.")
    await walk.set_broker(DOWN, up=False)
    await walk.phone.wait_for(f"{DOWN.name} has lost its broker")
    await walk.set_broker(DOWN, up=True)
    await walk.phone.wait_for(f"{DOWN.name} has its broker again")
    await dismiss_notifications(walk)


async def _import(walk: Walk, url: str, name: str) -> None:
    """Import a blueprint by its URL."""
    page = walk.page
    async with walk.step(f"Import '{name}'"):
        await walk.go("/config/blueprint/dashboard")
        await page.get_by_role("button", name="Import blueprint").click()
        dialog = page.locator("ha-dialog-import-blueprint")
        await dialog.locator("input").fill(url)
        await dialog.get_by_role("button", name="Preview").click()
        await expect(dialog).to_contain_text(name)
        await dialog.get_by_role("button", name="Import blueprint").click()
        await expect(_listed(walk, name)).to_be_visible()


async def _fill_in(walk: Walk, name: str) -> None:
    """Create an automation from the blueprint, with seconds in place of minutes."""
    page = walk.page
    async with walk.step(f"Make an automation of '{name}'"):
        await _listed(walk, name).click()
        await _row(walk, "Accounts").locator("ha-picker-field").click()
        await pick(page, DOWN.name)
        await _row(walk, "Phones").locator("ha-picker-field").click()
        await pick(page, PHONE)
        also = _row(walk, "Also do")
        await also.get_by_role("button", name="Add action").click()
        await add_message(walk, also, "{{ message }}")
        await page.get_by_role("heading", name="What to report").click()
        for label, seconds in SECONDS.items():
            duration = _row(walk, label)
            await duration.locator("input[name=minutes]").fill("0")
            await duration.locator("input[name=seconds]").fill(str(seconds))
        # This may run at a weekend
        await page.get_by_role("heading", name="Quiet times").click()
        weekend = _row(walk, "Quiet on weekends")
        await weekend.locator("ha-switch").click()
        await expect(weekend.locator("input[type=checkbox]")).not_to_be_checked()
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("button", name="Traces")).to_be_visible()


def _listed(walk: Walk, name: str) -> Locator:
    """Return the imported blueprint in the list, which also shows the copy that the demo installed."""
    rows = walk.page.locator("ha-data-table").get_by_role("row")
    return rows.filter(has_text="127.0.0.1/").get_by_text(name, exact=True)


def _row(walk: Walk, label: str) -> Locator:
    """Return the row of a blueprint input."""
    heading = walk.page.locator("[slot=heading]").get_by_text(label, exact=True)
    return walk.page.locator("blueprint-automation-editor ha-settings-row").filter(
        has=heading
    )
