"""Control MetaApi's SDK 29.1.1 by lines of JSON: orders on stdin, reports on stdout.

It runs in the SDK's environment, so it imports nothing of the project.
"""

import asyncio
from importlib import import_module
import json
import sys
from typing import Any

from metaapi_cloud_sdk import MetaApi, SynchronizationListener
from metaapi_cloud_sdk.clients.metaapi.reconnect_listener import ReconnectListener


def report(event: str, **data: Any) -> None:
    """Send a report to the test."""
    sys.stdout.write(json.dumps({"event": event, **data}) + "\n")
    sys.stdout.flush()


class Listener(SynchronizationListener):  # type: ignore[misc]
    """Reports the SDK's events."""

    async def on_connected(self, instance_index: str, replicas: int) -> None:
        """Report that a terminal is connected."""
        report("connected", instance=instance_index, replicas=replicas)

    async def on_disconnected(self, instance_index: str) -> None:
        """Report that a terminal is disconnected."""
        report("disconnected", instance=instance_index)

    async def on_broker_connection_status_changed(
        self, instance_index: str, connected: bool
    ) -> None:
        """Report the broker connection."""
        report("broker", instance=instance_index, connected=connected)

    async def on_health_status(
        self, instance_index: str, status: dict[str, Any]
    ) -> None:
        """Report the health status."""
        report("health", instance=instance_index, status=status)


class Reconnects(ReconnectListener):  # type: ignore[misc]
    """Required: without such a listener the SDK does not subscribe again."""

    async def on_reconnected(self, region: str, instance_number: int) -> None:
        """Report that a socket is connected again."""
        report("reconnected", region=region, instance=instance_number)


def websocket_only() -> None:
    """Use only websockets, for which the SDK has no option."""
    # Imported dynamically, since the project's environment has another version's types.
    client: Any = import_module("socketio").AsyncClient
    connect = client.connect

    async def without_polling(self: Any, *args: Any, **kwargs: Any) -> Any:
        return await connect(self, *args, transports=["websocket"], **kwargs)

    client.connect = without_polling


async def act(api: Any, client: Any, order: dict[str, Any]) -> None:
    """Carry out an order."""
    account_id = order["account"]
    client.add_account_cache(account_id, {"london": account_id})
    if order["do"] == "follow":
        client.add_synchronization_listener(account_id, Listener())
        client.add_reconnect_listener(Reconnects(), account_id)
        client.ensure_subscribe(account_id, order["instance"])
    elif order["do"] == "subscribe":
        try:
            await client.subscribe(account_id, 0)
        except Exception as err:  # noqa: BLE001
            report(
                "raised",
                error=type(err).__name__,
                metadata=getattr(err, "metadata", None),
            )
        else:
            report("subscribed")
    elif order["do"] == "unsubscribe":
        await client.unsubscribe(account_id)
        report("unsubscribed")
    elif order["do"] == "read":
        account = await api.metatrader_account_api.get_account(account_id)
        report(
            "account",
            id=account.id,
            name=account.name,
            region=account.region,
            state=account.state,
            status=account.connection_status,
        )


async def main() -> None:
    """Carry out orders until stdin ends."""
    options = json.loads(sys.argv[1])
    if options["websocket"]:
        websocket_only()
    api = MetaApi(options["token"], {"requestTimeout": 10})
    client = api._metaapi_websocket_client
    client.set_url(options["url"])
    api.metatrader_account_api._metatrader_account_client._host = options["url"]
    accounts = (
        await api.metatrader_account_api.get_accounts_with_infinite_scroll_pagination()
    )
    report("accounts", names=[account.name for account in accounts])
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        await act(api, client, json.loads(line))
    await client.close()
    api.close()


asyncio.run(main())
