"""The least that can be done: aiohttp's websocket and `orjson`, and nothing with the result."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import orjson

from . import SOCKET, sockets_for


@asynccontextmanager
async def connect(
    url: str, accounts: int, on_away: Callable[[], None]
) -> AsyncIterator[None]:
    """Open as many sockets as so many accounts need."""
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        sockets = [
            await session.ws_connect(f"{url}/{SOCKET}&EIO=3")
            for _ in range(sockets_for(accounts))
        ]
        for ws in sockets:
            group.create_task(_read(ws, on_away))
        yield
        for ws in sockets:
            await ws.close()


async def _read(
    ws: aiohttp.ClientWebSocketResponse, on_away: Callable[[], None]
) -> None:
    """Decode every event, and look at the one field that says when a flood ends."""
    async for message in ws:
        if message.data.startswith("42"):
            event = orjson.loads(orjson.loads(message.data[2:])[1])
            if event["connected"] is False:
                on_away()
