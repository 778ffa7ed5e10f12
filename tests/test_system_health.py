"""Test the system health information."""

from collections.abc import Callable
from typing import Any
from unittest.mock import MagicMock

import aiohttp
import pytest
from pytest_homeassistant_custom_component.common import get_system_health_info
from pytest_homeassistant_custom_component.test_util.aiohttp import AiohttpClientMocker

from custom_components.metaapi.api.endpoints import PROVISIONING_URL
from custom_components.metaapi.const import CONF_API_URL, DOMAIN
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component

from .conftest import (
    CONNECTED,
    DISCONNECTED,
    NO_CONNECTION,
    SCALP,
    SWING,
    FakeMonitor,
    make_entry,
    setup_entry,
)
from .flow_support import TEXTS, account

URL = "https://proxy.example/metaapi"


async def health(hass: HomeAssistant) -> dict[str, Any]:
    """Return the shown information; check that each line has its text."""
    assert await async_setup_component(hass, DOMAIN, {})
    assert await async_setup_component(hass, "system_health", {})
    info = await get_system_health_info(hass, DOMAIN)
    assert set(info) == set(TEXTS["system_health"]["info"])
    return {**info, "can_reach_server": await info["can_reach_server"]}


async def test_no_entry(
    hass: HomeAssistant, aioclient_mock: AiohttpClientMocker
) -> None:
    """MetaApi's server is checked even without an entry."""
    aioclient_mock.get(PROVISIONING_URL)

    assert await health(hass) == {
        "can_reach_server": "ok",
        "sockets_up": "0 / 0",
        "accounts_up": "0 / 0",
    }


async def test_numbers_of_all_entries(
    hass: HomeAssistant,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    aioclient_mock: AiohttpClientMocker,
) -> None:
    """Sockets and accounts are the totals of all loaded entries."""
    aioclient_mock.get(PROVISIONING_URL)
    gold = account(1)
    provisioning.accounts.return_value = [gold, SWING, SCALP]
    await setup_entry(hass, make_entry(gold, unique_id="one", data={CONF_API_URL: URL}))
    await setup_entry(hass, make_entry(SWING, SCALP, unique_id="two"))
    three = make_entry(account(2), unique_id="three")
    await setup_entry(hass, three)
    await hass.config_entries.async_unload(three.entry_id)
    first, second, third = monitors
    first.sockets, second.sockets, third.sockets = (1, 1), (2, 4), (7, 7)
    first.push(gold.account_id, NO_CONNECTION)
    second.push(SWING.account_id, CONNECTED)
    second.push(SCALP.account_id, DISCONNECTED)

    assert await health(hass) == {
        "can_reach_server": "ok",
        "sockets_up": "3 / 5",
        "accounts_up": "1 / 3",
    }


async def test_custom_server(
    hass: HomeAssistant,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    aioclient_mock: AiohttpClientMocker,
) -> None:
    """If all entries use a custom server, that one is checked."""
    aioclient_mock.get(URL)
    await setup_entry(hass, make_entry(SWING, data={CONF_API_URL: URL}))

    assert (await health(hass))["can_reach_server"] == "ok"
    assert [str(call[1]) for call in aioclient_mock.mock_calls] == [URL]


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (lambda: aiohttp.ClientConnectionError, "unreachable"),
        (lambda: TimeoutError, "timeout"),
    ],
)
async def test_not_reachable(
    hass: HomeAssistant,
    aioclient_mock: AiohttpClientMocker,
    error: Callable[[], type[Exception]],
    shown: str,
) -> None:
    """A server that does not answer is reported as unreachable."""
    aioclient_mock.get(PROVISIONING_URL, exc=error())

    assert (await health(hass))["can_reach_server"] == {
        "type": "failed",
        "error": shown,
    }
