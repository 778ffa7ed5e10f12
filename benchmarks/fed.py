"""The least that can show a terminal in Home Assistant: raw aiohttp and `orjson` before entities that know nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson

from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_component import DATA_INSTANCES
from homeassistant.util import dt as dt_util

from .server import ACCOUNTS_PER_SOCKET, SOCKET, account_ids

STATUS = {True: "connected", False: "broker_disconnected"}


class Account:
    """The entities of an account, which show the same as ours."""

    def __init__(self, hass: HomeAssistant, number: int) -> None:
        """Find them."""

        def find(kind: str, key: str) -> Any:
            entity_id = f"{kind}.account_{number}_{key}"
            return hass.data[DATA_INSTANCES][kind].get_entity(entity_id)

        self._terminal = find("binary_sensor", "terminal")
        self._broker = find("binary_sensor", "broker")
        self._status = find("sensor", "status")
        self._since = find("sensor", "disconnected_since")
        self._downtime = find("sensor", "downtime")

    def show(self, event: dict[str, Any]) -> None:
        """Write the states that an event changes."""
        match event["type"]:
            case "status":
                self._show(True, event["connected"], STATUS[event["connected"]])
            case "authenticated":
                self._show(True, None, "connected")
            case "disconnected":
                self._show(False, None, "disconnected")

    def _show(self, terminal: bool, broker: bool | None, status: str) -> None:
        """Write the states that are other ones."""
        if self._terminal.is_on is not terminal:
            now = dt_util.utcnow()
            if terminal and (since := self._since.native_value):
                lasted = (now - since).total_seconds() / 3600
                before = self._downtime.native_value or 0.0
                _write(self._downtime, "native_value", round(before + lasted, 4))
            _write(self._since, "native_value", None if terminal else now)
            _write(self._terminal, "is_on", terminal)
        if self._broker.is_on is not broker:
            _write(self._broker, "is_on", broker)
        if self._status.native_value != status:
            _write(self._status, "native_value", status)


def _write(entity: Any, name: str, value: object) -> None:
    """Write the state of an entity."""
    setattr(entity, f"_attr_{name}", value)
    entity.async_write_ha_state()


@asynccontextmanager
async def feed(hass: HomeAssistant, url: str, count: int) -> AsyncIterator[None]:
    """Subscribe the accounts, and feed their entities."""
    ids = account_ids(count)
    accounts = {one: Account(hass, number) for number, one in enumerate(ids)}

    async def read(ws: aiohttp.ClientWebSocketResponse) -> None:
        """Show every event."""
        async for message in ws:
            if message.data.startswith("42"):
                name, argument = orjson.loads(message.data[2:])
                if name == "synchronization":
                    event = orjson.loads(argument)
                    accounts[event["accountId"]].show(event)

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
