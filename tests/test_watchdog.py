"""The heartbeat of docs/watchdog.md, against a small server on loopback."""

from aiohttp import web
from freezegun.api import FrozenDateTimeFactory
import pytest
from pytest_homeassistant_custom_component.common import async_fire_time_changed

from homeassistant.components import automation
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component

from .conftest import FakeMonitor
from .test_readme import ROOT, blocks


@pytest.mark.usefixtures("socket_enabled")
async def test_heartbeat(
    hass: HomeAssistant, monitor: FakeMonitor, freezer: FrozenDateTimeFactory
) -> None:
    """The sign comes each minute while MetaApi is seen, and stops when it is not."""
    # At the turn of a minute, firing the time would pass a sign or two
    freezer.move_to("2026-03-02T12:00:30+00:00")
    signs: list[str] = []

    async def take(request: web.Request) -> web.Response:
        signs.append(request.path_qs)
        return web.json_response({"ok": True})

    app = web.Application()
    app.router.add_get("/api/push/{key}", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()

    command, heartbeat = blocks(ROOT / "docs" / "watchdog.md")
    url = command["rest_command"]["metaapi_heartbeat"]["url"]
    here = f"http://127.0.0.1:{runner.addresses[0][1]}"
    command["rest_command"]["metaapi_heartbeat"]["url"] = url.replace(
        "https://kuma.example.org", here
    )
    assert await async_setup_component(hass, "rest_command", command)
    assert await async_setup_component(
        hass, automation.DOMAIN, {automation.DOMAIN: heartbeat}
    )

    async def minutes(count: int) -> int:
        signs.clear()
        for _ in range(count):
            freezer.tick(60)
            async_fire_time_changed(hass)
            await hass.async_block_till_done()
        return len(signs)

    assert await minutes(5) == 5
    assert signs[0] == "/api/push/your-key?status=up"
    monitor.push_link(False)
    assert await minutes(5) == 0
    monitor.push_link(True)
    assert await minutes(5) == 5
    await hass.services.async_call(
        automation.DOMAIN, "turn_off", {"entity_id": "all"}, blocking=True
    )
    await runner.cleanup()
