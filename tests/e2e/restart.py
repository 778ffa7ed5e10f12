"""Steps: Home Assistant is restarted amid an outage."""

from playwright.async_api import expect

from scripts.demo_lib.accounts import DOWN
from scripts.demo_lib.progress import DemoError
from scripts.demo_lib.stage import START_TIMEOUT

from .browser import TIMEOUT
from .dashboard import URL, on_top
from .phone import Phone
from .walk import Walk

SINCE = f"sensor.{DOWN.slug}_disconnected_since"


async def restart_amid_an_outage(walk: Walk, phone: Phone) -> None:
    """See that the outage goes on as it was, and is told as over only when it is."""
    page = walk.page
    left_open = await page.context.new_page()
    async with walk.step("Be told of an outage before a restart"):
        phone.clear()
        await walk.set_terminal(DOWN, up=False)
        before = await phone.wait_for(f"{DOWN.name} is down")
        since = (await walk.home.states())[SINCE]
        await left_open.goto(f"{walk.home.url}{URL}")
        shown = left_open.locator("hui-markdown-card").filter(has_text=DOWN.name)
        await expect(shown).to_be_visible()
    async with walk.step("Restart Home Assistant"):
        phone.clear()
        await walk.go("/config/dashboard")
        await restart(walk)
        await walk.guard.turn_on_logs()
    async with walk.step("Be told the same after the restart"):
        after = await phone.wait_for(f"{DOWN.name} is down")
        if told := [
            key
            for key in after
            if key != "registration_info" and after[key] != before[key]
        ]:
            raise DemoError(f"Before the restart: {before}; after it: {after} ({told})")
        states = await walk.home.wait_for(
            lambda states: states.get(DOWN.status_id) == "disconnected", TIMEOUT / 1000
        )
        if (states[SINCE], states[DOWN.terminal_id]) != (since, "off"):
            raise DemoError(f"It was down since {since}, and now: {states}")
        await walk.go(URL)
        await expect(on_top(walk)).to_contain_text(DOWN.name)
        # A page that nobody reloaded
        await expect(shown).to_be_visible()
    async with walk.step("Press the button of the message from before the restart"):
        if len(phone.messages) != 1:
            raise DemoError(f"The phone should have one message: {phone.messages}")
        await phone.press(before, "Reconnect")
        back = await phone.wait_for(f"{DOWN.name} is back")
        if back["data"]["tag"] != before["data"]["tag"]:
            raise DemoError(f"{back} does not replace {before}")
        await expect(on_top(walk)).not_to_contain_text(DOWN.name)
        await expect(left_open.locator("hui-markdown-card")).not_to_contain_text(
            DOWN.name
        )
    await left_open.close()


async def restart(walk: Walk) -> None:
    """Restart it from the menu of the settings, and wait until it is there again."""
    page = walk.page
    await page.get_by_role("button", name="Menu").last.click()
    await page.get_by_role("menuitem", name="Restart Home Assistant").click()
    choice = page.locator("dialog-restart")
    await choice.get_by_role("button", name="Restart Home Assistant").click()
    await page.locator("dialog-box").get_by_role("button", name="Restart").click()
    await walk.home.wait_for_restart(START_TIMEOUT)
    # Home Assistant has told of the restart itself
    await page.reload()
