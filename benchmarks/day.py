"""Benchmark of a day: many accounts with ten outages each, in a Home Assistant with its recorder."""

import asyncio
from collections import defaultdict
from functools import cache
import gc
from math import inf
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
from .home import BROKER, Home, start
from .server import Server, Session
from .turns import tell

ACCOUNTS = 1000
DAY = 24 * 3600
OUTAGES = 10
"""Outages of each account in a day; the first of them, with a tenth of the day, is measured and multiplied."""
SLOT = DAY / OUTAGES
MEAN = 300
"""Average duration of an outage in seconds; most are shorter."""
HUM = 50
"""Seconds between two `status` events of an account; MetaApi sends more, but each costs the same."""
MINUTE = 59.9
AT_ONCE = 1
"""Seconds before and after a change within which a written state belongs to it."""
SHOWN = ("_terminal", "_broker", "_status")

type Writes = list[tuple[str, float, bool]]


def record_writes(hass: HomeAssistant) -> Writes:
    """Record which states are written, when, and whether that changed what is shown of an account."""
    writes: Writes = []

    @callback
    def note(event: Event[Any]) -> None:
        """Record a written state, whether or not it changed."""
        entity_id, new = event.data["entity_id"], event.data["new_state"]
        old = event.data.get("old_state")
        # Not where only the attributes of a state changed
        changed = entity_id.endswith(SHOWN) and old and new and old.state != new.state
        writes.append((entity_id, event.time_fired_timestamp, bool(changed)))

    hass.bus.async_listen(EVENT_STATE_CHANGED, note)
    hass.bus.async_listen(EVENT_STATE_REPORTED, note, callback(lambda _: True))
    return writes


def too_often(writes: Writes) -> int:
    """Return how many states were written less than a minute after the previous one, except around changes."""
    changes: dict[str, list[float]] = defaultdict(list)
    for entity_id, when, changed in writes:
        if changed:
            changes[_account_of(entity_id)].append(when)
    count = 0
    last: dict[str, float] = {}
    for entity_id, when, _ in writes:
        moments = changes[_account_of(entity_id)]
        if all(abs(when - moment) >= AT_ONCE for moment in moments):
            count += when - last.get(entity_id, -inf) < MINUTE
            last[entity_id] = when
    return count


def _account_of(entity_id: str) -> str:
    """Return the number of an entity's account."""
    return "".join(filter(str.isdigit, entity_id))


async def spend(sessions: list[Session]) -> None:
    """Play an outage of every terminal, while all others send `status`."""
    rng = random.Random(0)
    plan = []
    for session in sessions:
        for account in session.accounts:
            lost = rng.random() / 2 * SLOT
            lasts = min(rng.expovariate(1 / MEAN), SLOT / 2 - 1)
            plan.append((lost, account, False, session))
            plan.append((lost + lasts, account, True, session))

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
    for when, account, back, session in sorted(plan, key=lambda event: event[0]):
        await asyncio.sleep(max(0.0, began + when - time.monotonic()))
        if back:
            session.down.remove(account)
            session.come_back(account)
        else:
            session.down.add(account)
            session.write(session.event(account, "disconnected"))
    await asyncio.sleep(began + SLOT - time.monotonic())
    humming.cancel()


def count_rows(folder: Path) -> tuple[int, int]:
    """Return the number of the recorder's rows of states and events, and of statistics."""
    with sqlite3.connect(folder / "home-assistant_v2.db") as database:
        states, events, long, short = (
            database.execute(f"select count(*) from {table}").fetchone()[0]  # noqa: S608
            for table in ("states", "events", "statistics", "statistics_short_term")
        )
    return states + events, long + short


async def run() -> None:
    """Measure a part of the day, and print the cost of the whole day."""
    folder = Path(sys.argv[1])
    server = Server()
    url = await server.start()
    hass = await start(folder, "recorder:\n")
    recorder = get_instance(hass)
    home = Home(hass, f"{url}/day/{ACCOUNTS}", ACCOUNTS)
    await home.add("metaapi")
    await home.all_on(BROKER)
    Clock.backlog = lambda: recorder.backlog
    await asyncio.sleep(60)
    await recorder.async_block_till_done()
    before, writes = count_rows(folder), record_writes(hass)
    gc.collect()
    process, loop = time.process_time(), time.thread_time()
    await spend(server.sessions[f"day/{ACCOUNTS}/"])
    await recorder.async_block_till_done()
    process, loop = time.process_time() - process, time.thread_time() - loop
    after = count_rows(folder)
    Clock.backlog = None
    part = {
        "loop": loop,
        "recorder": process - loop,
        "writes": len(writes),
        "rows": after[0] - before[0],
        "statistics rows": after[1] - before[1],
    }
    day = {name: value * OUTAGES for name, value in part.items()}
    tell({**day, "too often": too_often(writes)})
    await hass.async_stop()
