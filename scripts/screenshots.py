"""Write the screenshots of `docs/images`: the demo, in a real browser."""

import argparse
from pathlib import Path
import re
import sys

from playwright.async_api import Error, Locator, Page, expect

from .browser import TIMEOUT, log_in, open_page
from .demo_lib.accounts import DOWN, DemoAccount
from .demo_lib.options import Options
from .demo_lib.progress import DemoError, step
from .demo_lib.runner import run
from .demo_lib.stage import Demo, running
from .setup_env.steps import ROOT

IMAGES = ROOT / "docs" / "images"

BROKEN = "hui-error-card, hui-warning, ha-alert[alert-type=error], ha-toast"
RAW_KEY = re.compile(r"\b(component\.metaapi|ui\.[a-z]+\.[a-z]|entity\.[a-z_]+\.)")


def main() -> int:
    """Run; return 0 unless something went wrong."""
    parser = argparse.ArgumentParser(
        prog="scripts/screenshots",
        description="Write the screenshots of the documentation, from the demo.",
    )
    parser.add_argument(
        "--to", type=Path, default=IMAGES, help="folder (default: docs/images)"
    )
    folder = parser.parse_args().to
    folder.mkdir(parents=True, exist_ok=True)
    return run(take(folder))


async def take(folder: Path) -> None:
    """See an account down, reconnect it in the browser, see it up."""
    async with running(Options()) as demo, open_page() as page:
        try:
            await _take(demo, page, folder)
        except (Error, AssertionError) as err:
            await page.screenshot(path=folder / "failure.png")
            raise DemoError(f"{err}\nWhat there was: {folder / 'failure.png'}") from err


async def _take(demo: Demo, page: Page, folder: Path) -> None:
    section = page.locator("hui-section").filter(
        has=page.get_by_text(DOWN.name, exact=True)
    )
    async with step("Logging in"):
        await log_in(page, demo.home.url)
    async with step("Seeing an account down"):
        await expect(section).to_contain_text("Terminal disconnected")
        await shoot(page, folder / "dashboard-down.png")
    async with step("Pressing Reconnect, and seeing it up"):
        await tile(section, "Reconnect").click()
        for name in ("Terminal", "Broker", "Status"):
            await expect(tile(section, name)).to_contain_text(
                "Connected", timeout=TIMEOUT
            )
        await shoot(page, folder / "dashboard-up.png")
    async with step("Looking at its device page"):
        await page.goto(f"{demo.home.url}{await device_path(demo, DOWN)}")
        await expect(page.get_by_text("Pressed")).to_be_visible()
        await shoot(page, folder / "device.png")


def tile(section: Locator, name: str) -> Locator:
    """Return a tile of an account."""
    return section.locator("hui-tile-card").filter(
        has=section.page.get_by_text(name, exact=True)
    )


async def device_path(demo: Demo, account: DemoAccount) -> str:
    """Return where the page of an account's device is."""
    devices = await demo.home.command("config/device_registry/list")
    found = next(each for each in devices if each["name"] == account.name)
    return f"/config/devices/device/{found['id']}"


async def shoot(page: Page, path: Path) -> None:
    """Write what there is to see, if nothing in it is broken."""
    await page.mouse.move(0, 0)
    await expect(page.locator(BROKEN)).to_have_count(0)
    await expect(page.get_by_text(RAW_KEY)).to_have_count(0)
    await page.wait_for_load_state("networkidle")
    await page.screenshot(path=path, animations="disabled")


if __name__ == "__main__":
    sys.exit(main())
