"""The smallest client that can show a terminal in Home Assistant: aiohttp and `orjson` with minimal entities."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson

from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_component import DATA_INSTANCES

from .server import ACCOUNTS_PER_SOCKET, SOCKET, account_ids


class Account:
    """The entities of an account, which show the same as ours."""

    def __init__(self, hass: HomeAssistant, number: int) -> None:
        """Look up the entities."""

        def find(kind: str, key: str) -> Any:
            entity_id = f"{kind}.account_{number}_{key}"
            return hass.data[DATA_INSTANCES][kind].get_entity(entity_id)

        self._terminal = find("binary_sensor", "terminal")
        self._broker = find("binary_sensor", "broker")
        self._status = find("sensor", "status")

    def show(self, broker: bool) -> None:
        """Write the states that a `status` changes; terminals are never lost here."""
        if not self._terminal.is_on:
            self._terminal._attr_is_on = True  # noqa: SLF001
            self._terminal.async_write_ha_state()
        if self._broker.is_on is not broker:
            self._broker._attr_is_on = broker  # noqa: SLF001
            self._broker.async_write_ha_state()
        status = "connected" if broker else "broker_disconnected"
        if self._status.native_value != status:
            self._status._attr_native_value = status  # noqa: SLF001
            self._status.async_write_ha_state()


@asynccontextmanager
async def feed(hass: HomeAssistant, url: str, count: int) -> AsyncIterator[None]:
    """Subscribe to the accounts and update their entities."""
    ids = account_ids(count)
    accounts = {one: Account(hass, number) for number, one in enumerate(ids)}

    async def read(ws: aiohttp.ClientWebSocketResponse) -> None:
        """Show every `status` of a socket."""
        async for message in ws:
            if message.data.startswith("42"):
                name, argument = orjson.loads(message.data[2:])
                if name == "synchronization":
                    event = orjson.loads(argument)
                    if event["type"] == "status":
                        accounts[event["accountId"]].show(event["connected"])

    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        sockets = []
        for first in range(0, count, ACCOUNTS_PER_SOCKET):
            ws = await session.ws_connect(f"{url}/{SOCKET}")
            for one in ids[first : first + ACCOUNTS_PER_SOCKET]:
                request = {"type": "subscribe", "accountId": one, "requestId": one}
                await ws.send_str(f"42{orjson.dumps(['request', request]).decode()}")
            sockets.append(ws)
            group.create_task(read(ws))
        yield
        for ws in sockets:
            await ws.close()
