"""MetaApi's own SDK, which runs in an environment of its own: it needs an older library."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

from metaapi_cloud_sdk import MetaApi, SynchronizationListener
from metaapi_cloud_sdk.clients.metaapi.reconnect_listener import ReconnectListener
from yarl import URL

from benchmarks.server import account_ids

TOKEN = "e30.eyJfaWQiOiJiZW5jaCJ9.c2ln"


class Listener(SynchronizationListener):  # type: ignore[misc]
    """Looks at the one field that says when a flood ends."""

    def __init__(self, on_away: Callable[[], None]) -> None:
        """Start before the terminal is on."""
        super().__init__()
        self.on = asyncio.Event()
        self._on_away = on_away

    async def on_broker_connection_status_changed(
        self, instance_index: str, connected: bool
    ) -> None:
        """Take a status."""
        self.on.set()
        if not connected:
            self._on_away()


class Reconnects(ReconnectListener):  # type: ignore[misc]
    """Without one the SDK does not subscribe again."""

    async def on_reconnected(self, region: str, instance_number: int) -> None:
        """Do nothing."""


@asynccontextmanager
async def connect(
    url: str, accounts: int, on_away: Callable[[], None]
) -> AsyncIterator[None]:
    """Follow the accounts, and wait until all are on."""
    _websocket_only()
    api = MetaApi(TOKEN)
    client = api._metaapi_websocket_client  # noqa: SLF001
    # it takes nothing of the path
    client.set_url(str(URL(url).origin()))
    listeners = []
    for account_id in account_ids(accounts):
        listeners.append(Listener(on_away))
        client.add_account_cache(account_id, {"london": account_id})
        client.add_synchronization_listener(account_id, listeners[-1])
        client.add_reconnect_listener(Reconnects(), account_id)
        client.ensure_subscribe(account_id, 0)
    for listener in listeners:
        await listener.on.wait()
    yield
    await client.close()
    api.close()


def _websocket_only() -> None:
    """Take from Socket.IO's client what the SDK has no option for."""
    # its types are those of another version, which the project's own environment has
    client: Any = import_module("socketio").AsyncClient
    connect = client.connect

    async def without_polling(self: Any, *args: Any, **kwargs: Any) -> Any:
        return await connect(self, *args, transports=["websocket"], **kwargs)

    client.connect = without_polling
