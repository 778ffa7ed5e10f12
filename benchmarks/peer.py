"""Flood a client without Home Assistant on request, and print the cost for its process.

The clients read the same frames: a minimal client, MetaApi's own SDK, and ours.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import import_module
import sys
import time
from typing import Any

import aiohttp

from .server import SOCKET, account_ids
from .turns import serve, tell

WARM_UP = 5_000


@asynccontextmanager
async def raw(
    url: str, _account_id: str, on_away: Callable[[], None]
) -> AsyncIterator[None]:
    """Decode every event with `orjson` and ignore it, except for the field that marks the end of a flood."""
    loads = import_module("orjson").loads

    async def read() -> None:
        async for message in ws:
            if message.data.startswith("42"):
                event = loads(loads(message.data[2:])[1])
                if event["connected"] is False:
                    on_away()

    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{url}/{SOCKET}") as ws,
        asyncio.TaskGroup() as group,
    ):
        group.create_task(read())
        yield
        await ws.close()


@asynccontextmanager
async def ours(
    url: str, account_id: str, on_away: Callable[[], None]
) -> AsyncIterator[None]:
    """Watch the account with our complete client, from the socket to the state."""
    api: Any = import_module("custom_components.metaapi.api")
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
    url = f"{server}/{peer}/1"
    away = asyncio.Semaphore(0)

    async def flood(frames: int) -> dict[str, Any]:
        """Return the CPU time per frame, from the first frame to the last."""
        started = time.process_time()
        await session.post(f"{url}/flood", params={"frames": frames})
        await away.acquire()
        return {"cost": (time.process_time() - started) / frames}

    if peer == "sdk":
        connect = import_module(f"{__package__}.sdk").connect
    else:
        connect = {"raw": raw, "ours": ours}[peer]
    (account_id,) = account_ids(1)
    async with (
        connect(url, account_id, away.release),
        aiohttp.ClientSession() as session,
    ):
        await flood(WARM_UP)
        tell({})
        await serve({"flood": flood})
    tell({})


if __name__ == "__main__":
    asyncio.run(run(*sys.argv[1:]))
