"""The least client that can show a terminal in Home Assistant: raw aiohttp and `orjson` before minimal entities."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import ClientWebSocketResponse
import orjson

from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_component import DATA_INSTANCES

from .peer import subscribed
from .server import account_ids


class Account:
    """The entities of an account, which show the same as ours."""

    def __init__(self, hass: HomeAssistant, number: int) -> None:
        """Look up the entities; the terminal is on, and never lost."""

        def find(kind: str, key: str) -> Any:
            entity_id = f"{kind}.account_{number}_{key}"
            return hass.data[DATA_INSTANCES][kind].get_entity(entity_id)

        self._broker = find("binary_sensor", "broker")
        self._status = find("sensor", "status")
        terminal = find("binary_sensor", "terminal")
        terminal._attr_is_on = True  # noqa: SLF001
        terminal.async_write_ha_state()

    def show(self, broker: bool) -> None:
        """Write the states that a `status` changes."""
        if self._broker.is_on is not broker:
            self._broker._attr_is_on = broker  # noqa: SLF001
            self._broker.async_write_ha_state()
            status = "connected" if broker else "broker_disconnected"
            self._status._attr_native_value = status  # noqa: SLF001
            self._status.async_write_ha_state()


@asynccontextmanager
async def feed(hass: HomeAssistant, url: str, count: int) -> AsyncIterator[None]:
    """Subscribe to the accounts and update their entities."""
    ids = enumerate(account_ids(count))
    accounts = {account_id: Account(hass, number) for number, account_id in ids}

    async def read(ws: ClientWebSocketResponse) -> None:
        """Show every `status` of a socket."""
        async for message in ws:
            if message.data.startswith("42"):
                event = orjson.loads(orjson.loads(message.data[2:])[1])
                if event["type"] == "status":
                    accounts[event["accountId"]].show(event["connected"])

    async with subscribed(url, count, read):
        yield
