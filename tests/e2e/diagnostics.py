"""Steps: download the diagnostics."""

import asyncio
import json

from playwright.async_api import expect

from scripts.demo_lib.progress import DemoError

from .setup import INTEGRATION
from .walk import Walk


async def download_the_diagnostics(walk: Walk) -> None:
    """Download the file from the entry's menu, and check that it contains no private data."""
    page = walk.page
    async with walk.step("Download the diagnostics"):
        await walk.go(INTEGRATION)
        entry = page.locator("ha-config-entry-row").first
        await entry.get_by_role("button", name="Menu").first.click()
        item = entry.get_by_role("menuitem", name="Download diagnostics")
        await expect(item).to_be_visible()
        async with page.expect_download() as downloading:
            await item.click()
        path = await (await downloading.value).path()
        text = await asyncio.to_thread(path.read_text)
        _check(walk, text, await walk.simulator.ids())


def _check(walk: Walk, text: str, ids: dict[str, str]) -> None:
    """Raise an error if the file is empty or contains private data."""
    content = json.loads(text)["data"]
    walk.guard.find_secret("The diagnostics file", text)
    secrets = (*ids, *ids.values())
    if found := [secret for secret in secrets if secret in json.dumps(content)]:
        raise DemoError(f"The diagnostics file holds {found}")
    if len(content["accounts"]) != len(ids):
        raise DemoError(f"The diagnostics file lacks accounts: {content}")
