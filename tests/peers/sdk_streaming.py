"""Run MetaApi's SDK 29.1.1 by its public API, for all accounts of its token.

Options are JSON in the first argument: the token, the ports of MetaApi's host names, the states of accounts. Reports are
lines of JSON on stdout, each with the monotonic time. It ends when stdin ends. It does not wait for accounts if
they may be undeployed. It runs in the SDK's environment, so it imports nothing of the project.
"""

import asyncio
import json
import sys
import time
from typing import Any

from metaapi_cloud_sdk import MetaApi, SynchronizationListener
from named_hosts import serve_from_loopback  # type: ignore[import-not-found]

SAMPLE = 0.02
"""How often to read the state that the SDK shows, in seconds."""


def report(event: str, **data: Any) -> None:
    """Send a report with the time."""
    line = {"event": event, "time": time.monotonic(), **data}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


class Listener(SynchronizationListener):  # type: ignore[misc]
    """Reports the SDK's events of one account."""

    def __init__(self, account_id: str) -> None:
        """Store the account's id."""
        super().__init__()
        self._account_id = account_id

    def _report(self, event: str, instance: str, **data: Any) -> None:
        """Report an event of the account."""
        report(event, account=self._account_id, instance=instance, **data)

    async def on_connected(self, instance_index: str, replicas: int) -> None:
        """Report that a terminal is connected."""
        self._report("connected", instance_index, replicas=replicas)

    async def on_disconnected(self, instance_index: str) -> None:
        """Report that a terminal is disconnected."""
        self._report("disconnected", instance_index)

    async def on_broker_connection_status_changed(
        self, instance_index: str, connected: bool
    ) -> None:
        """Report the broker connection."""
        self._report("broker", instance_index, connected=connected)

    async def on_health_status(
        self, instance_index: str, status: dict[str, Any]
    ) -> None:
        """Report the health status."""
        self._report("health", instance_index, status=status)


async def follow(account: Any, *, wait: bool) -> Any:
    """Connect to an account, as in the SDK's examples."""
    if wait:
        await account.wait_connected()
    connection = account.get_streaming_connection()
    connection.add_synchronization_listener(Listener(account.id))
    await connection.connect()
    if not wait:
        return connection
    await connection.wait_synchronized({"timeoutInSeconds": 60})
    state = connection.terminal_state
    report(
        "synchronized",
        account=account.id,
        connected=state.connected,
        broker=state.connected_to_broker,
        balance=state.account_information["balance"],
    )
    return connection


async def report_changes(connections: list[Any]) -> None:
    """Report the state that the SDK shows of each account whenever it changes."""
    shown: dict[str, tuple[bool, bool]] = {}
    while True:
        for connection in connections:
            state = connection.terminal_state
            now = (state.connected, state.connected_to_broker)
            account_id = connection.account.id
            if shown.get(account_id) != now:
                shown[account_id] = now
                report("shows", account=account_id, connected=now[0], broker=now[1])
        await asyncio.sleep(SAMPLE)


async def main() -> None:
    """Connect to all accounts, and report until stdin ends."""
    options = json.loads(sys.argv[1])
    serve_from_loopback(options["ports"])
    api = MetaApi(options["token"], {"application": "Peer"})
    accounts = (
        await api.metatrader_account_api.get_accounts_with_infinite_scroll_pagination(
            {"state": options["states"], "sortOrder": "asc"}
        )
    )
    report(
        "accounts",
        accounts=[
            {"id": each.id, "name": each.name, "status": each.connection_status}
            for each in accounts
        ],
    )
    wait = options["states"] == ["DEPLOYED"]
    connections = await asyncio.gather(*(follow(each, wait=wait) for each in accounts))
    report("ready")
    reporter = asyncio.create_task(report_changes(connections))
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while await reader.readline():
        for connection in connections:
            state = connection.terminal_state
            report(
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
