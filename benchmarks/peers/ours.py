"""The client of this project, whole: from the socket to the state of each account."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp

from benchmarks.server import account_ids
from custom_components.metaapi.api import Endpoints, Monitor, Timing


@asynccontextmanager
async def connect(
    url: str, accounts: int, on_away: Callable[[], None]
) -> AsyncIterator[None]:
    """Watch the accounts, and wait until all are on."""
    async with aiohttp.ClientSession() as session:
        monitor = Monitor(
            session,
            "bench",
            endpoints=Endpoints(api_url=url),
            timing=Timing(jitter_per_account=0.0),
        )
        waiting = set(account_ids(accounts))
        all_on = asyncio.Event()

        def listener(account_id: str) -> Callable[[], None]:
            """Return what is called when an account changes."""

            def changed() -> None:
                broker = monitor.state(account_id).broker
                if broker is False:
                    on_away()
                elif broker:
                    waiting.discard(account_id)
                    if not waiting:
                        all_on.set()

            return changed

        for account_id in account_ids(accounts):
            monitor.add_account(account_id)
            monitor.listen(account_id, listener(account_id))
        await all_on.wait()
        yield
        await monitor.close()
