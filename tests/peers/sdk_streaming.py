"""Drives MetaApi's SDK 29.1.1 by its public API alone, on every account that its token shows.

Options are JSON in the first argument: the token, the ports of MetaApi's names, the states of accounts. What happens goes out as
lines of JSON, each with the clock that all processes share. The end of stdin ends it. Accounts that may not be
deployed are not waited for. It runs in the SDK's own environment, so it imports nothing of the project.
"""

import asyncio
import json
import sys
import time
from typing import Any

from metaapi_cloud_sdk import MetaApi, SynchronizationListener
from named_hosts import serve_from_loopback  # type: ignore[import-not-found]

SAMPLE = 0.02
"""How often it is looked at what the SDK shows, in seconds."""


def say(event: str, **data: Any) -> None:
    """Report what has happened, and when."""
    line = {"event": event, "time": time.monotonic(), **data}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


class Listener(SynchronizationListener):  # type: ignore[misc]
    """Reports what the SDK tells its user of one account."""

    def __init__(self, account_id: str) -> None:
        """Take the account's id."""
        super().__init__()
        self._account_id = account_id

    def _say(self, event: str, instance: str, **data: Any) -> None:
        """Report an event of the account."""
        say(event, account=self._account_id, instance=instance, **data)

    async def on_connected(self, instance_index: str, replicas: int) -> None:
        """Report that a terminal is there."""
        self._say("connected", instance_index, replicas=replicas)

    async def on_disconnected(self, instance_index: str) -> None:
        """Report that it has gone."""
        self._say("disconnected", instance_index)

    async def on_broker_connection_status_changed(
        self, instance_index: str, connected: bool
    ) -> None:
        """Report its link to the broker."""
        self._say("broker", instance_index, connected=connected)

    async def on_health_status(
        self, instance_index: str, status: dict[str, Any]
    ) -> None:
        """Report its health."""
        self._say("health", instance_index, status=status)


async def follow(account: Any, *, wait: bool) -> Any:
    """Connect to one account, as the SDK's own examples do."""
    if wait:
        await account.wait_connected()
    connection = account.get_streaming_connection()
    connection.add_synchronization_listener(Listener(account.id))
    await connection.connect()
    if not wait:
        return connection
    await connection.wait_synchronized({"timeoutInSeconds": 60})
    state = connection.terminal_state
    say(
        "synchronized",
        account=account.id,
        connected=state.connected,
        broker=state.connected_to_broker,
        balance=state.account_information["balance"],
    )
    return connection


async def report_changes(connections: list[Any]) -> None:
    """Report what the SDK shows of each account whenever that has changed."""
    shown: dict[str, tuple[bool, bool]] = {}
    while True:
        for connection in connections:
            state = connection.terminal_state
            now = (state.connected, state.connected_to_broker)
            account_id = connection.account.id
            if shown.get(account_id) != now:
                shown[account_id] = now
                say("shows", account=account_id, connected=now[0], broker=now[1])
        await asyncio.sleep(SAMPLE)


async def main() -> None:
    """Follow all accounts until stdin ends."""
    options = json.loads(sys.argv[1])
    serve_from_loopback(options["ports"])
    api = MetaApi(options["token"], {"application": "Peer"})
    accounts = (
        await api.metatrader_account_api.get_accounts_with_infinite_scroll_pagination(
            {"state": options["states"], "sortOrder": "asc"}
        )
    )
    say(
        "accounts",
        accounts=[
            {"id": each.id, "name": each.name, "status": each.connection_status}
            for each in accounts
        ],
    )
    wait = options["states"] == ["DEPLOYED"]
    connections = await asyncio.gather(*(follow(each, wait=wait) for each in accounts))
    say("ready")
    reporter = asyncio.create_task(report_changes(connections))
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while await reader.readline():
        for connection in connections:
            state = connection.terminal_state
            say(
                "state",
                account=connection.account.id,
                connected=state.connected,
                broker=state.connected_to_broker,
            )
    reporter.cancel()
    for connection in connections:
        await connection.close()
    api.close()


asyncio.run(main())
