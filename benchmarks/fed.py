"""The least that can show a terminal in Home Assistant: raw aiohttp and `orjson` before entities that know nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson

from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_component import DATA_INSTANCES

from .peers import ACCOUNTS_PER_SOCKET, SOCKET
from .server import account_ids

_STATUS = {True: "connected", False: "broker_disconnected"}


class Account:
    """The entities of an account."""

    def __init__(self, hass: HomeAssistant, number: int) -> None:
        """Find them."""
        components = hass.data[DATA_INSTANCES]
        name = f"account_{number}"
        self._terminal: Any = components["binary_sensor"].get_entity(
            f"binary_sensor.{name}_terminal"
        )
        self._broker: Any = components["binary_sensor"].get_entity(
            f"binary_sensor.{name}_broker"
        )
        self._status: Any = components["sensor"].get_entity(f"sensor.{name}_status")

    def show(self, event: dict[str, Any]) -> None:
        """Write the states that an event changes, the same as ours."""
        match event["type"]:
            case "status":
                self._show(True, event["connected"], _STATUS[event["connected"]])
            case "authenticated":
                self._show(True, None, "connected")
            case "disconnected":
                self._show(False, None, "disconnected")

    def _show(self, terminal: bool, broker: bool | None, status: str) -> None:
        """Write the states that are other ones."""
        if self._terminal.is_on is not terminal:
            self._terminal._attr_is_on = terminal  # noqa: SLF001
            self._terminal.async_write_ha_state()
        if self._broker.is_on is not broker:
            self._broker._attr_is_on = broker  # noqa: SLF001
            self._broker.async_write_ha_state()
        if self._status.native_value != status:
            self._status._attr_native_value = status  # noqa: SLF001
            self._status.async_write_ha_state()


@asynccontextmanager
async def feed(hass: HomeAssistant, url: str, count: int) -> AsyncIterator[None]:
    """Subscribe the accounts, and feed their entities."""
    ids = account_ids(count)
    accounts = {one: Account(hass, number) for number, one in enumerate(ids)}
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        sockets = []
        for first in range(0, count, ACCOUNTS_PER_SOCKET):
            ws = await session.ws_connect(f"{url}/{SOCKET}&EIO=3")
            for account_id in ids[first : first + ACCOUNTS_PER_SOCKET]:
                request = {
                    "type": "subscribe",
                    "accountId": account_id,
                    "requestId": account_id,
                }
                text = orjson.dumps(["request", request]).decode()
                await ws.send_str(f"42{text}")
            sockets.append(ws)
            group.create_task(_read(ws, accounts))
        yield
        for ws in sockets:
            await ws.close()


async def _read(
    ws: aiohttp.ClientWebSocketResponse, accounts: dict[str, Account]
) -> None:
    """Show every event."""
    async for message in ws:
        if message.data.startswith("42"):
            name, argument = orjson.loads(message.data[2:])
            if name == "synchronization":
                event = orjson.loads(argument)
                accounts[event["accountId"]].show(event)
