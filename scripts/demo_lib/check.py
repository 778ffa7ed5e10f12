"""Check that the demo works."""

import re

from .accounts import DOWN, UP, DemoAccount
from .client import HomeAssistant
from .dashboard import URL_PATH
from .progress import DemoError, step, until
from .stage import Demo

OFF_TIMEOUT = 10.0
BUTTON_TIMEOUT = 30.0
AUTOMATION_TIMEOUT = 45.0


async def check(demo: Demo) -> None:
    """Press a button, break an account, and wait for the expected states."""
    hass, simulator = demo.home, demo.simulator
    if simulator is None:
        raise DemoError("The check needs a demo with a simulator.")
    async with step("Looking at the dashboard"):
        await _check_dashboard(hass)
    async with step(f"Pressing Reconnect of {DOWN.name}"):
        await hass.act("button", "press", entity_id=DOWN.button_id)
        await _check_terminal(hass, DOWN, "on", BUTTON_TIMEOUT)
    ids = await simulator.ids()
    async with step(f"Breaking {UP.name}, for the automation to repair"):
        await simulator.act(ids[UP.name], "terminal", up=False)
        await _check_terminal(hass, UP, "off", OFF_TIMEOUT)
        await _check_terminal(hass, UP, "on", AUTOMATION_TIMEOUT)
        await _check_notification(hass, f"{UP.name} dropped")


async def _check_dashboard(hass: HomeAssistant) -> None:
    """Check that the dashboard exists, and that the frontend loads its strategy."""
    dashboard = await hass.command("lovelace/config", url_path=URL_PATH)
    kind = dashboard["strategy"]["type"]
    page = await hass.ask("GET", "/", is_json=False)
    loaded = re.search(r'import\("(/metaapi/[^"]+)"\)', page)
    if loaded is None:
        raise DemoError(f"The frontend does not load {kind}.")
    await hass.ask("GET", loaded[1], is_json=False)


async def _check_terminal(
    hass: HomeAssistant, account: DemoAccount, wanted: str, timeout: float
) -> None:
    """Wait until the terminal sensor is on or off."""
    entity = account.terminal_id
    states = await hass.wait_for(lambda each: each.get(entity) == wanted, timeout)
    if states.get(entity) != wanted:
        raise DemoError(
            f"{account.name} should be {wanted} within {timeout:.0f} s, and is "
            f"{states.get(entity)} ({states.get(account.status_id)})"
        )


async def _check_notification(hass: HomeAssistant, title: str) -> None:
    """Wait for the automation's notification."""
    shown = await until(hass.notifications, lambda each: title in each, OFF_TIMEOUT)
    if "reconnected" not in shown.get(title, ""):
        raise DemoError(f"A notification {title!r} should report a success: {shown}")
