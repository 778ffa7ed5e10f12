"""Steps: restart Home Assistant during an outage."""

from collections.abc import Awaitable, Callable
from pathlib import Path
import shutil

from playwright.async_api import Page, expect

from scripts.demo_lib.accounts import BROKER_DOWN, DOWN
from scripts.demo_lib.client import HomeAssistant
from scripts.demo_lib.progress import DemoError
from scripts.demo_lib.stage import START_TIMEOUT

from .browser import TIMEOUT
from .dashboard import URL, downtime_today, on_top
from .walk import Walk

SINCE = f"sensor.{DOWN.slug}_disconnected_since"
COMPILER = Path(__file__).with_name("statistics_now")

type Step = Callable[[Walk], Awaitable[None]]


def restart_amid_an_outage(*meanwhile: Step) -> Step:
    """Return steps that check that an outage continues after a restart, and is reported as over only when it is.

    After the restart it takes a minute until the terminal is known to be down; the steps in `meanwhile` run
    during that time.
    """

    async def go(walk: Walk) -> None:
        """Check what a phone, the dashboard, and a page that was left open show of the outage."""
        phone, home = walk.phone, walk.home
        async with walk.step("Be told of an outage before a restart"):
            phone.clear()
            await walk.set_terminal(DOWN, up=False)
            before = await phone.wait_for(f"{DOWN.name} is down")
            since = (await home.states())[SINCE]
            left_open = await walk.page.context.new_page()
            await left_open.goto(f"{home.url}{URL}")
            shown = left_open.locator("hui-markdown-card")
            await expect(shown).to_contain_text(DOWN.name)
        async with walk.step("Restart Home Assistant"):
            phone.clear()
            _add_compiler(walk)
            await walk.go("/config/dashboard")
            await restart(walk.page, home)
            await walk.guard.turn_on_logs()
        async with walk.step("See on the dashboard what was down before the restart"):
            await home.wait_for(BROKER_DOWN.is_on, TIMEOUT / 1000)
            await walk.set_terminal(BROKER_DOWN, up=False)
            await walk.go(URL)
            await expect(on_top(walk)).to_contain_text(DOWN.name)
            await expect(shown).to_contain_text(DOWN.name)
        for step in meanwhile:
            await step(walk)
        async with walk.step("Be told the same after the restart"):
            after = await phone.wait_for(f"{DOWN.name} is down")
            if _told(after) != _told(before):
                raise DemoError(f"Before the restart: {before}; after it: {after}")
            states = await home.states()
            if not DOWN.is_shown(states) or states[SINCE] != since:
                raise DemoError(f"It was down since {since}, and now: {states}")
            await walk.go(URL)
            await expect(on_top(walk)).to_contain_text(DOWN.name)
            await expect(shown).to_contain_text(DOWN.name)
        async with walk.step("Press the button of the message from before the restart"):
            if len(phone.messages) > 1:
                raise DemoError(f"The phone was told more: {phone.messages}")
            await phone.press(before, "Reconnect")
            back = await phone.wait_for(f"{DOWN.name} is back")
            if back["data"]["tag"] != before["data"]["tag"]:
                raise DemoError(f"{back} does not replace {before}")
            await expect(on_top(walk)).not_to_contain_text(DOWN.name)
            await expect(shown).not_to_contain_text(DOWN.name)
            await left_open.close()
        async with walk.step("See the downtime of an account"):
            await walk.set_terminal(BROKER_DOWN, up=True)
            await home.wait_for(BROKER_DOWN.is_on, TIMEOUT / 1000)
            await home.act("statistics_now", "compile")
            await walk.go(URL)
            hours = float((await home.states())[f"sensor.{BROKER_DOWN.slug}_downtime"])
            today = downtime_today(walk, BROKER_DOWN.name)
            await expect(today).to_have_text(f"{hours:.2f}")
            await today.scroll_into_view_if_needed()

    return go


async def restart(page: Page, home: HomeAssistant) -> None:
    """Restart Home Assistant from the settings menu, and wait until it is running again."""
    await page.get_by_role("button", name="Menu").last.click()
    await page.get_by_role("menuitem", name="Restart Home Assistant").click()
    choice = page.locator("dialog-restart")
    await choice.get_by_role("button", name="Restart Home Assistant").click()
    await page.locator("dialog-box").get_by_role("button", name="Restart").click()
    await home.wait_for_restart(START_TIMEOUT)
    # A reload removes Home Assistant's own message about the restart
    await page.reload()


def _add_compiler(walk: Walk) -> None:
    """Add a test integration that compiles statistics on request, for the next start."""
    shutil.copytree(COMPILER, walk.config / "custom_components" / COMPILER.name)
    with (walk.config / "configuration.yaml").open("a") as file:
        file.write(f"\n{COMPILER.name}:\n")


def _told(message: dict[str, object]) -> dict[str, object]:
    """Return the parts of a message that a user notices."""
    return {key: message[key] for key in ("title", "message", "data")}
