"""A client with MetaApi's own SDK, in its own environment because it needs an older library."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partialmethod
from importlib import import_module
from typing import Any

from metaapi_cloud_sdk import MetaApi, SynchronizationListener
from metaapi_cloud_sdk.clients.metaapi.reconnect_listener import ReconnectListener

from .server import account_ids


class Listener(SynchronizationListener, ReconnectListener):  # type: ignore[misc]
    """A listener that checks the field that marks the end of a flood."""

    def __init__(self, on_away: Callable[[], None]) -> None:
        """Start with the terminal off."""
        super().__init__()
        self.on = asyncio.Event()
        self._on_away = on_away

    async def on_broker_connection_status_changed(
        self, instance_index: str, connected: bool
    ) -> None:
        """Handle a `status`."""
        self.on.set()
        if not connected:
            self._on_away()

    async def on_reconnected(self, region: str, instance_number: int) -> None:
        """Do nothing: without such a listener the SDK does not subscribe again."""


@asynccontextmanager
async def connect(url: str, on_away: Callable[[], None]) -> AsyncIterator[None]:
    """Subscribe to the account and wait until it is on."""
    # The SDK has no option for the transport, and its type hints are for another version
    socketio: Any = import_module("socketio").AsyncClient
    socketio.connect = partialmethod(socketio.connect, transports=["websocket"])
    api = MetaApi("e30.eyJfaWQiOiJiZW5jaCJ9.c2ln")
    client = api._metaapi_websocket_client  # noqa: SLF001
    client.set_url(url)
    listener = Listener(on_away)
    (account_id,) = account_ids(1)
    client.add_account_cache(account_id, {"london": account_id})
    client.add_synchronization_listener(account_id, listener)
    client.add_reconnect_listener(listener, account_id)
    client.ensure_subscribe(account_id, 0)
    await listener.on.wait()
    yield
    await client.close()
    api.close()
