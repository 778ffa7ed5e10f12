"""python-socketio 5 as its manual uses it; it speaks Engine.IO 4 only, so the server does as well."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import import_module
import json
from typing import Any

from yarl import URL

from . import sockets_for


@asynccontextmanager
async def connect(
    url: str, accounts: int, on_away: Callable[[], None]
) -> AsyncIterator[None]:
    """Open as many sockets as so many accounts need."""

    async def on_synchronization(data: str) -> None:
        """Decode an event, and look at the one field that says when a flood ends."""
        if json.loads(data)["connected"] is False:
            on_away()

    # our stub of the library names no more than we use
    make: Any = import_module("socketio").AsyncClient
    clients = [make() for _ in range(sockets_for(accounts))]
    for client in clients:
        client.on("synchronization", on_synchronization)
        await client.connect(
            f"{url}?auth-token=bench&protocol=3",
            transports=["websocket"],
            # it takes nothing of the path
            socketio_path=f"{URL(url).path}/ws",
        )
    yield
    for client in clients:
        await client.disconnect()
