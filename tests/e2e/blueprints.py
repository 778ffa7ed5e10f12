"""Steps: each blueprint is imported, becomes an automation, and does what it promises."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from playwright.async_api import Locator, expect

from homeassistant.util.yaml import load_yaml
from scripts.demo_lib.accounts import DOWN, UP, DemoAccount
from scripts.demo_lib.progress import DemoError
from scripts.setup_env.steps import ROOT

from .automation import add_message, dismiss_notifications, read_notification
from .browser import TIMEOUT
from .dashboard import URL, section
from .phone import NAME as PHONE, Phone
from .ui import pick
from .walk import Walk
from .web import serving

FOLDER = ROOT / "blueprints" / "automation" / "metaapi"


@dataclass(frozen=True)
class Recipe:
    """How a blueprint is tried."""

    account: DemoAccount
    seconds: Mapping[str, int]
    see: Callable[[Walk, Phone, DemoAccount], Awaitable[None]]
    has_phone: bool = False
    hears_of_brokers: bool = False


async def _see_it_kept_connected(
    walk: Walk, phone: Phone, account: DemoAccount
) -> None:
    """See it come back though nobody but the automation brings it back."""
    await walk.set_terminal(account, up=False)
    await read_notification(walk, f"{account.name} is connected again.")
    await dismiss_notifications(walk)
    await walk.go(URL)
    await expect(section(walk, account.name)).to_contain_text("Connected")


async def _see_it_told(walk: Walk, phone: Phone, account: DemoAccount) -> None:
    """Hear that it dropped, press the button on the phone, hear that it is back."""
    await walk.set_terminal(account, up=False)
    await read_notification(walk, f"{account.name} is disconnected")
    await dismiss_notifications(walk)
    message = await phone.wait_for(f"{account.name} is disconnected")
    await phone.press(message, "Reconnect")
    await read_notification(walk, f"{account.name} is connected again.")
    await phone.wait_for(f"{account.name} is connected again.")


async def _hear_of_a_broker(walk: Walk, phone: Phone, account: DemoAccount) -> None:
    """Hear that it lost its broker though its terminal stayed, and that it is back."""
    await dismiss_notifications(walk)
    states = await walk.home.wait_for(account.has_broker, TIMEOUT / 1000)
    if not account.has_broker(states):
        raise DemoError(f"{account.name} has no broker to lose.")
    await walk.set_broker(account, up=False)
    await read_notification(walk, f"{account.name} has lost its broker.")
    await phone.wait_for(f"{account.name} has lost its broker.")
    await dismiss_notifications(walk)
    await walk.set_broker(account, up=True)
    await read_notification(walk, f"{account.name} has its broker again.")
    await phone.wait_for(f"{account.name} has its broker again.")


RECIPES = {
    "keep_connected": Recipe(
        account=UP,
        seconds={"First attempt": 1, "Second attempt": 30},
        see=_see_it_kept_connected,
    ),
    "tell_me": Recipe(
        account=DOWN,
        seconds={"Disconnected for": 1, "Lost for": 1},
        see=_see_it_told,
        has_phone=True,
        hears_of_brokers=True,
    ),
}


async def use_the_blueprints(walk: Walk) -> None:
    """Import them all; the web server stands in for GitHub."""
    if untried := {each.stem for each in FOLDER.iterdir()} ^ set(RECIPES):
        raise DemoError(f"Blueprints and recipes do not match: {sorted(untried)}")
    files = web.Application()
    files.router.add_static("/", FOLDER)
    async with serving(files) as url, Phone.registered(walk.home) as phone:
        for stem, recipe in RECIPES.items():
            blueprint: Any = load_yaml(str(FOLDER / f"{stem}.yaml"))
            name = blueprint["blueprint"]["name"]
            await _import(walk, f"{url}/{stem}.yaml", name)
            await _fill_in(walk, name, recipe)
            async with walk.step(f"See what '{name}' does"):
                await recipe.see(walk, phone, recipe.account)
            if recipe.hears_of_brokers:
                async with walk.step(f"Hear of a lost broker by '{name}'"):
                    await _hear_of_a_broker(walk, phone, recipe.account)


async def _import(walk: Walk, url: str, name: str) -> None:
    """Import a blueprint by its address."""
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


async def _fill_in(walk: Walk, name: str, recipe: Recipe) -> None:
    """Make an automation of a blueprint, with seconds where people have minutes."""
    page = walk.page
    async with walk.step(f"Make an automation of '{name}'"):
        await _listed(walk, name).click()
        await _row(walk, "Accounts").locator("ha-picker-field").click()
        await pick(page, recipe.account.name)
        if recipe.has_phone:
            await _row(walk, "Phones").locator("ha-picker-field").click()
            await pick(page, PHONE)
        if recipe.hears_of_brokers:
            await page.get_by_role("heading", name="Broker", exact=True).click()
            await _row(walk, "Broker sensors").locator("ha-picker-field").click()
            await pick(page, f"{recipe.account.name} Broker")
        for label, seconds in recipe.seconds.items():
            duration = _row(walk, label)
            await duration.locator("input[name=minutes]").fill("0")
            await duration.locator("input[name=seconds]").fill(str(seconds))
        also = _row(walk, "Also do")
        await also.get_by_role("button", name="Add action").click()
        await add_message(walk, also, "{{ message }}")
        # The day on which this runs may be one
        await page.get_by_role("heading", name="Quiet").click()
        weekend = _row(walk, "Quiet at weekends")
        await weekend.locator("ha-switch").click()
        await expect(weekend.locator("input[type=checkbox]")).not_to_be_checked()
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("button", name="Traces")).to_be_visible()


def _listed(walk: Walk, name: str) -> Locator:
    """Return a blueprint in the list of all."""
    return walk.page.locator("ha-data-table").get_by_text(name, exact=True)


def _row(walk: Walk, label: str) -> Locator:
    """Return the row of an input."""
    heading = walk.page.locator("[slot=heading]").get_by_text(label, exact=True)
    return walk.page.locator("blueprint-automation-editor ha-settings-row").filter(
        has=heading
    )
