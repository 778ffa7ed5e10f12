"""Flood a client without Home Assistant on request, and print the cost for its process.

The clients read the same frames: a minimal client, MetaApi's own SDK, and ours.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from importlib import import_module
from itertools import batched
import json
import sys
import time
from typing import Any

import aiohttp

from .server import ACCOUNTS_PER_SOCKET, SOCKET, account_ids
from .turns import serve, tell

WARM_UP = 5_000


@asynccontextmanager
async def subscribed(
    url: str,
    count: int,
    read: Callable[[aiohttp.ClientWebSocketResponse], Coroutine[Any, Any, None]],
) -> AsyncIterator[None]:
    """Subscribe to some accounts, and read the sockets they need, with nothing but aiohttp."""
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        sockets = []
        for ids in batched(account_ids(count), ACCOUNTS_PER_SOCKET, strict=False):
            ws = await session.ws_connect(f"{url}/{SOCKET}")
            for one in ids:
                request = {"type": "subscribe", "accountId": one, "requestId": one}
                await ws.send_str(f"42{json.dumps(['request', request])}")
            sockets.append(ws)
            group.create_task(read(ws))
        yield
        for ws in sockets:
            await ws.close()


@asynccontextmanager
async def raw(url: str, on_away: Callable[[], None]) -> AsyncIterator[None]:
    """Decode every event with `orjson` and ignore it, except for the field that marks the end of a flood."""
    loads = import_module("orjson").loads

    async def read(ws: aiohttp.ClientWebSocketResponse) -> None:
        async for message in ws:
            if message.data.startswith("42"):
                event = loads(loads(message.data[2:])[1])
                if event.get("connected") is False:
                    on_away()

    async with subscribed(url, 1, read):
        yield


@asynccontextmanager
async def ours(url: str, on_away: Callable[[], None]) -> AsyncIterator[None]:
    """Watch the account with our complete client, from the socket to the state."""
    api: Any = import_module("custom_components.metaapi.api")
    (account_id,) = account_ids(1)
    on = asyncio.Event()

    def changed() -> None:
        """Check the field that marks the end of a flood."""
        broker = monitor.state(account_id).broker
        if broker:
            on.set()
        elif broker is False:
            on_away()

    async with aiohttp.ClientSession() as session:
        endpoints = api.Endpoints(api_url=url)
        monitor = api.Monitor(session, "bench", endpoints=endpoints)
        monitor.add_account(account_id)
        monitor.listen(account_id, changed)
        await on.wait()
        yield
        await monitor.close()


async def run(peer: str, server: str) -> None:
    """Measure floods of a client until the input ends."""
    # The SDK ignores the path of a URL
    url = server if peer == "sdk" else f"{server}/{peer}/1"
    away = asyncio.Semaphore(0)

    async def flood(frames: int) -> float:
        """Return the CPU time per frame, from the first frame to the last."""
        started = time.process_time()
        await session.post(f"{url}/flood", params={"frames": frames})
        await away.acquire()
        return (time.process_time() - started) / frames

    if peer == "sdk":
        connect = import_module(f"{__package__}.sdk").connect
    else:
        connect = {"raw": raw, "ours": ours}[peer]
    async with connect(url, away.release), aiohttp.ClientSession() as session:
        await flood(WARM_UP)
        tell(None)
        await serve({"flood": flood})


if __name__ == "__main__":
    asyncio.run(run(*sys.argv[1:]))
