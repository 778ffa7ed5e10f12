"""Benchmark of a day: many accounts with ten outages each, in a Home Assistant with its recorder."""

import asyncio
from collections import defaultdict
from functools import cache
import gc
from itertools import pairwise
from pathlib import Path
import random
import sqlite3
import sys
import time
from typing import Any

from homeassistant.const import EVENT_STATE_CHANGED, EVENT_STATE_REPORTED
from homeassistant.core import Event, HomeAssistant, callback
from homeassistant.helpers.recorder import get_instance

from .clock import Clock
from .home import Home, start
from .server import Server, Session, account_ids
from .turns import serve, tell

DAY = 24 * 3600
OUTAGES = 10
MEAN = 300
"""Average duration of an outage in seconds; most are shorter."""
HUM = 50
"""Seconds between two `status` events of an account; MetaApi sends more, but each costs the same."""
MINUTE = 59.9
AT_ONCE = 1
"""Seconds before and after a change within which a written state belongs to it."""
SHOWN = ("_terminal", "_broker", "_status")


class Written:
    """Records the states that are written, and when accounts changed."""

    def __init__(self, hass: HomeAssistant) -> None:
        """Start listening."""
        self.writes: dict[str, list[float]] = defaultdict(list)
        self._changes: dict[str, list[float]] = defaultdict(list)
        """Times at which the terminal, broker or status of an account changed, by account."""

        @callback
        def note(event: Event[Any]) -> None:
            """Record a written state, whether or not it changed."""
            self.writes[event.data["entity_id"]].append(event.time_fired_timestamp)

        @callback
        def changed(event: Event[Any]) -> None:
            """Record a change of a state itself, not only of its attributes."""
            entity_id, old, new = event.data.values()
            if entity_id.endswith(SHOWN) and old and new and old.state != new.state:
                account = _account_of(entity_id)
                self._changes[account].append(event.time_fired_timestamp)

        hass.bus.async_listen(EVENT_STATE_CHANGED, note)
        hass.bus.async_listen(EVENT_STATE_CHANGED, changed)
        hass.bus.async_listen(EVENT_STATE_REPORTED, note, callback(lambda _: True))

    def too_often(self) -> int:
        """Return how many states were written less than a minute after the previous one, except around changes."""
        count = 0
        for entity_id, writes in self.writes.items():
            changes = self._changes[_account_of(entity_id)]
            others = [
                write
                for write in writes
                if not any(abs(write - change) < AT_ONCE for change in changes)
            ]
            count += sum(now - before < MINUTE for before, now in pairwise(others))
        return count


def _account_of(entity_id: str) -> str:
    """Return the number of an entity's account."""
    return "".join(filter(str.isdigit, entity_id))


async def spend(sessions: list[Session], accounts: list[str], outages: int) -> None:
    """Play the outages of every terminal, while all others send `status`."""
    rng = random.Random(0)
    slot = DAY / OUTAGES
    plan = []
    for account in accounts:
        for number in range(outages):
            lost = (number + rng.random() / 2) * slot
            lasts = min(rng.expovariate(1 / MEAN), slot / 2 - 1)
            plan += [(lost, account, False), (lost + lasts, account, True)]

    async def hum() -> None:
        """Send the status of each account periodically, one socket after another."""
        status = cache(sessions[0].status)
        while True:
            for session in sessions:
                up = session.accounts.keys() - session.down
                session.write(b"".join(map(status, up)))
                await asyncio.sleep(HUM / len(sessions))

    humming = asyncio.create_task(hum())
    began = time.monotonic()
    for when, account, back in sorted(plan):
        await asyncio.sleep(max(0.0, began + when - time.monotonic()))
        session = next(one for one in sessions if account in one.accounts)
        if back:
            session.down.remove(account)
            session.come_back(account)
        else:
            session.down.add(account)
            session.write(session.event(account, "disconnected"))
    await asyncio.sleep(began + outages * slot - time.monotonic())
    humming.cancel()


def rows(folder: Path) -> dict[str, int]:
    """Return the number of rows in each of the recorder's tables."""
    with sqlite3.connect(folder / "home-assistant_v2.db") as database:
        return {
            table: database.execute(f"select count(*) from {table}").fetchone()[0]  # noqa: S608
            for table in ("states", "events", "statistics", "statistics_short_term")
        }


async def run() -> None:
    """Run some of the day's outages, and print the cost extrapolated to the whole day."""
    folder, count, outages = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    server = Server()
    url = await server.start()
    hass = await start(folder, "recorder:\n")
    recorder = get_instance(hass)
    home = Home(hass, f"{url}/day/{count}", count)
    await home.add("metaapi")
    await home.all_on()
    Clock.backlog = lambda: recorder.backlog
    await asyncio.sleep(60)
    await recorder.async_block_till_done()
    before, written = rows(folder), Written(hass)
    gc.collect()
    began = time.process_time(), time.thread_time()
    await spend(server.sessions["day", str(count)], account_ids(count), outages)
    await recorder.async_block_till_done()
    loop = time.thread_time() - began[1]
    day = {
        "loop": loop,
        "recorder": time.process_time() - began[0] - loop,
        "writes": sum(map(len, written.writes.values())),
        **{table: now - before[table] for table, now in rows(folder).items()},
    }
    Clock.backlog = None
    day = {name: value * OUTAGES / outages for name, value in day.items()}
    tell({"day": {**day, "too often": written.too_often()}})
    await serve({})
    await home.close()
    tell({})
