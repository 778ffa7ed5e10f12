"""Steps: what users do wrong, leave open, or may not do, and how they continue."""

from typing import Any

from playwright.async_api import expect

from scripts.demo_lib.accounts import DOWN, UP

from .setup import INTEGRATION, add_an_account
from .token import DAY, EXPIRES_SOON
from .ui import Flow
from .walk import Walk

FLOWS = "/api/config/config_entries/flow"
ENTRIES = "/api/config/config_entries/entry"
STRANGER = "0b54c1a2-0000-4000-8000-00000000abcd"
LOGIN = "90210"


async def connect_with_little_permission(walk: Walk) -> None:
    """Use tokens that lack a permission: one that is required, and one that is optional."""
    flow = Flow(walk.page)
    listing = await grant(walk, streaming=False)
    streaming = await grant(walk, provisioning=False)
    async with walk.step("Be told that a token may not stream"):
        await walk.go("/config/integrations/dashboard/add?domain=metaapi")
        await walk.page.get_by_role("button", name="OK", exact=True).click()
        await flow.expect_title("Connect to MetaApi")
        await flow.open_section("Advanced")
        await flow.fill("api_url", walk.simulator.url)
        await flow.fill("token", listing)
        await flow.submit()
        await expect(flow.root).to_contain_text("metaapi-real-time-streaming-api")
        await expect(flow.root).to_contain_text("without which nothing can be watched")
    async with walk.step("Be told that a token may not list accounts"):
        await flow.fill("token", streaming)
        await flow.submit()
        await flow.expect_title("Choose accounts")
        await expect(flow.root).to_contain_text("This token may not list accounts")
    async with walk.step("Type a login in place of the ID"):
        await type_an_id(walk, LOGIN)
        await flow.submit()
        await expect(flow.root).to_contain_text(f"“{LOGIN}” looks like the login")
    async with walk.step("Type the ID of an account that is not in the region"):
        await take_out(walk, LOGIN)
        await type_an_id(walk, STRANGER)
        await flow.fill("region", "new-york")
        await flow.submit()
        await expect(flow.root).to_contain_text("in the region new-york")
    async with walk.step("Paste the address of the account's page"):
        await take_out(walk, STRANGER)
        account_id = (await walk.simulator.ids())[UP.name]
        await type_an_id(walk, f"https://app.metaapi.cloud/accounts/{account_id}")
        await flow.fill("region", "london")
        await flow.submit()
        await flow.expect_title("Name and assign")
        await flow.finish("Skip and finish")
    (entry,) = await entries(walk)
    await walk.home.ask("DELETE", f"{ENTRIES}/{entry['entry_id']}")


async def add_an_account_beside_an_outage(walk: Walk) -> None:
    """Add an account while another is down, and check that nothing changes for that one."""
    page = walk.page
    await walk.set_terminal(DOWN, up=False)
    await walk.home.wait_for(
        lambda states: states.get(DOWN.terminal_id) == "off", timeout=30
    )
    before = await shown(walk)
    await add_an_account(walk)
    async with walk.step("See the outage of another account go on meanwhile"):
        after = await shown(walk)
        assert after == before, (before, after)
        devices = await walk.home.command("config/device_registry/list")
        found = next(each for each in devices if each["name"] == DOWN.name)
        await walk.go(f"/config/devices/device/{found['id']}")
        sensors = page.locator("ha-device-entities-card").filter(has_text="Sensors")
        await expect(sensors).to_contain_text("Disconnected")
    await walk.set_terminal(DOWN, up=True)
    await walk.home.wait_for(DOWN.is_on, timeout=30)


async def leave_forms_open(walk: Walk) -> None:
    """Open the repair of an expiring token and the form to change the token, and leave both unfinished."""
    page, flow = walk.page, Flow(walk.page)
    (entry,) = await entries(walk)
    form = {"handler": "metaapi", "entry_id": entry["entry_id"]}
    opened = await walk.home.post(FLOWS, form)
    token = await walk.renew_token(3 * DAY)
    changed = {"token": token, "advanced": {"api_url": walk.simulator.url}}
    answer = await walk.home.post(f"{FLOWS}/{opened['flow_id']}", changed)
    assert answer["reason"] == "reconfigure_successful", answer
    async with walk.step("Leave the repair of the token open"):
        await walk.go("/config/repairs")
        await page.get_by_text(EXPIRES_SOON).click()
        await flow.expect_title("Replace the token of MetaApi")
    # This flow is started outside the page and never finished
    await walk.home.post(FLOWS, form)
    await walk.go(INTEGRATION)


async def grant(walk: Walk, **permissions: Any) -> str:
    """Return another token of the same user, which must not be shown either."""
    answer = await walk.simulator.post("/simulator/tokens/grant", permissions)
    token: str = answer["token"]
    walk.guard.keep_secret(token)
    return token


async def entries(walk: Walk) -> list[dict[str, Any]]:
    """Return the entries of the integration."""
    found: list[dict[str, Any]] = await walk.home.command(
        "config_entries/get", domain="metaapi"
    )
    return found


async def shown(walk: Walk) -> dict[str, Any]:
    """Return all states of the account that is down, except its increasing downtime."""
    states = await walk.home.get("/api/states")
    return {
        each["entity_id"]: (each["state"], each["last_changed"], each["last_updated"])
        for each in states
        if f".{DOWN.slug}_" in each["entity_id"]
        and not each["entity_id"].endswith("_downtime")
    }


async def type_an_id(walk: Walk, text: str) -> None:
    """Enter an ID into the account list that is not among its options."""
    page, flow = walk.page, Flow(walk.page)
    await flow.root.get_by_role("button", name="Accounts", exact=True).click()
    box = page.locator("ha-picker-combo-box")
    await box.locator("input").fill(text)
    await box.locator("ha-combo-box-item").filter(has_text=text).first.click()
    await expect(flow.root.locator("ha-input-chip")).to_have_count(1)


async def take_out(walk: Walk, text: str) -> None:
    """Remove the entered ID again."""
    chip = Flow(walk.page).root.locator("ha-input-chip").filter(has_text=text)
    await chip.locator(".trailing").click()
    await expect(chip).to_have_count(0)
