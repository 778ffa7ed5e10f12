"""A Home Assistant with some accounts that runs the loads it is told to run.

It is started as `hass` starts it, in its own folder, but without the default integrations, so that only the
cost of ours remains.
"""

import asyncio
from bisect import bisect
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from cProfile import Profile
from functools import partial
import gc
from importlib import import_module
from io import StringIO
import json
from pathlib import Path
from pstats import Stats
import sys
import time
import tracemalloc
from typing import Any

import aiohttp

import custom_components
from homeassistant import bootstrap
from homeassistant.config_entries import SOURCE_USER, ConfigEntry, ConfigSubentryData
from homeassistant.const import (
    EVENT_STATE_CHANGED,
    STATE_OFF,
    STATE_ON,
    STATE_UNAVAILABLE,
)
from homeassistant.core import Event, EventStateChangedData, HomeAssistant, callback
from homeassistant.runner import RuntimeConfig

from .fed import feed
from .server import account_ids, sockets_for
from .turns import Load, in_front, serve, tell

BEAT = 0.001
FLIP = 0.008
"""Seconds between two terminals that go away and come back."""
TERMINAL = "_terminal"
BROKER = "_broker"


async def start(folder: Path, configuration: str = "") -> HomeAssistant:
    """Start Home Assistant."""
    custom_components.__path__.append(str(Path(__file__).parent / "custom_components"))
    (folder / "configuration.yaml").write_text(configuration)
    # Not with `unittest.mock`: Home Assistant skips some of its detection if `unittest` is imported
    bootstrap.DEFAULT_INTEGRATIONS = {"network"}
    bootstrap.CRITICAL_INTEGRATIONS = set()
    hass = await bootstrap.async_setup_hass(
        RuntimeConfig(config_dir=str(folder), skip_pip=True)
    )
    assert hass is not None
    await hass.async_start()
    await hass.async_block_till_done()
    return hass


class Home:
    """A Home Assistant under load."""

    def __init__(self, hass: HomeAssistant, url: str, accounts: int) -> None:
        """Store a running Home Assistant."""
        self.hass = hass
        self._url = url
        self._accounts = accounts
        self._session = aiohttp.ClientSession()

    async def add(self, domain: str) -> None:
        """Add a config entry and wait until it is set up."""
        self._entry = ConfigEntry(
            domain=domain,
            title=domain,
            unique_id=None,
            data={"token": "bench", "api_url": self._url},
            options={},
            source=SOURCE_USER,
            version=1,
            minor_version=1,
            discovery_keys={},  # type: ignore[arg-type]
            subentries_data=[
                ConfigSubentryData(
                    data={"account_id": account_id, "region": "london"},
                    subentry_type="account",
                    title=f"Account {number}",
                    unique_id=account_id,
                )
                for number, account_id in enumerate(account_ids(self._accounts))
            ],
        )
        await self.hass.config_entries.async_add(self._entry)
        await self.hass.async_block_till_done()

    async def all_on(self) -> None:
        """Wait until every terminal is on."""
        while self.count(STATE_ON) < self._accounts:  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    def count(self, value: str, kind: str = TERMINAL) -> int:
        """Return the number of entities of a kind that have a state."""
        return sum(
            state.state == value and state.entity_id.endswith(kind)
            for state in self.hass.states.async_all("binary_sensor")
        )

    async def post(self, command: str, **amounts: float) -> Any:
        """Send a command to the server, and return its response."""
        url = f"{self._url}/{command}"
        async with self._session.post(url, params=amounts) as response:
            return await response.json()

    async def hum(self, seconds: int) -> dict[str, Any]:
        """Send a status per second for every account, for profiling."""
        await self.post("hum", seconds=seconds)
        return {}

    async def unchanged(self, frames: int) -> dict[str, Any]:
        """Measure the CPU time of a status that changes nothing."""
        # Brokers that are off turn on, and the last broker of each socket turns off at the end
        away = self.count(STATE_OFF, BROKER)
        return await self._flood(frames, 0, away + sockets_for(self._accounts))

    async def changes(self, frames: int) -> dict[str, Any]:
        """Measure the CPU time of an event that changes two entities of an account."""
        away = self.count(STATE_OFF, BROKER)
        changes = frames + sockets_for(self._accounts) - away
        return await self._flood(frames, 1, changes)

    async def _flood(self, frames: int, changing: int, changes: int) -> dict[str, Any]:
        """Measure the CPU time per frame, until the brokers have changed `changes` times."""
        with self._changes(BROKER) as changed:
            started = time.process_time()
            await self.post("flood", frames=frames, changing=changing)
            while len(changed) < changes:  # noqa: ASYNC110
                await asyncio.sleep(BEAT)
        return {"cost": (time.process_time() - started) / frames}

    async def latency(self, times: int) -> dict[str, Any]:
        """Return when each `authenticated` was sent and when its state was written, while all accounts send `status`."""
        with self._changes(TERMINAL) as changed, in_front():
            told = await self.post("flip", times=times, pause=FLIP)
            while len(changed) < 2 * times:  # noqa: ASYNC110
                await asyncio.sleep(BEAT)
        written: dict[str, list[float]] = defaultdict(list)
        for entity_id, value, when in changed:
            if value == STATE_ON:
                written[entity_id].append(when)
        sent: dict[str, list[float]] = defaultdict(list)
        for when, account_id in told:
            number = account_ids(self._accounts).index(account_id)
            sent[f"binary_sensor.account_{number}{TERMINAL}"].append(when)
        return {
            "pairs": [
                pair
                for entity_id, moments in sent.items()
                for pair in zip(moments, written[entity_id], strict=True)
            ]
        }

    @contextmanager
    def _changes(self, kind: str) -> Iterator[list[tuple[str, str, float]]]:
        """Record the changes of entities of a kind: entity, state and time."""
        changed: list[tuple[str, str, float]] = []

        @callback
        def note(event: Event[EventStateChangedData]) -> None:
            """Record a change."""
            state = event.data["new_state"]
            if state is not None and state.entity_id.endswith(kind):
                changed.append((state.entity_id, state.state, time.monotonic()))

        stop = self.hass.bus.async_listen(EVENT_STATE_CHANGED, note)
        yield changed
        stop()

    async def loss(self, seconds: int) -> dict[str, Any]:
        """Measure losing all sockets until everything is unavailable, and the recovery."""
        with longest_block() as block, self._changes(TERMINAL) as changed:
            lost_at = await self.post("drop", seconds=seconds)
            while self.count(STATE_UNAVAILABLE) < self._accounts:  # noqa: ASYNC110
                await asyncio.sleep(BEAT)
            spread = changed[-1][2] - changed[0][2]
            await self.all_on()
            back_at = time.monotonic()
        attempts, subscribes = await self.post("log")
        loss = {
            "back": back_at - lost_at - seconds,
            "block": block(),
            "spread": spread,
            "attempts": busiest(attempts),
            "subscribes": busiest(subscribes),
        }
        return {"loss": loss}

    async def listing(self, _: int) -> dict[str, Any]:
        """Measure the longest block of the event loop while all accounts are listed."""
        with longest_block() as block:
            await self._entry.runtime_data.facts.async_read()
        return {"block": block()}

    async def diagnostics(self, _: int) -> dict[str, Any]:
        """Measure the longest block of the event loop during the diagnostics of the entry."""
        module = import_module("custom_components.metaapi.diagnostics")
        with longest_block() as block:
            await module.async_get_config_entry_diagnostics(self.hass, self._entry)
        return {"block": block()}

    async def close(self) -> None:
        """Stop Home Assistant normally, so that it writes its data."""
        await self._session.close()
        await self.hass.async_stop()


def busiest(moments: list[float], span: float = 0.1) -> float:
    """Return the largest share of the moments that falls within a tenth of a second."""
    moments.sort()
    most = max(bisect(moments, when + span) - at for at, when in enumerate(moments))
    return most / len(moments)


@contextmanager
def longest_block() -> Iterator[Callable[[], float]]:
    """Measure the longest time for which the event loop does not run its timers.

    It is measured in CPU time, because real time would include the work of other processes.
    """
    # A full collection would otherwise run at some point, which takes a tenth of a second
    gc.collect()
    loop = asyncio.get_running_loop()
    longest, last = 0.0, time.thread_time()

    handle: asyncio.Handle

    def beat() -> None:
        """Compare the time with that of the last call."""
        nonlocal longest, last, handle
        now = time.thread_time()
        longest, last = max(longest, now - last), now
        handle = loop.call_later(BEAT, beat)

    handle = loop.call_soon(beat)
    yield lambda: max(longest, time.thread_time() - last)
    handle.cancel()


async def run(
    server: str,
    folder: str,
    accounts: int,
    domain: str | None = None,
    blind: float | None = None,
    memory: bool = False,
) -> None:
    """Start Home Assistant as the command line says, then run the loads that arrive on standard input.

    An entry of `domain` is added; without a domain, the folder has an entry from its last run. `blind` is the
    number of seconds without a socket after which entities become unavailable.
    """
    if memory:
        tracemalloc.start()
    started = time.process_time()
    hass = await start(Path(folder))
    result = {"start": time.process_time() - started}
    url = f"{server}/home-{domain}/{accounts}"
    home = Home(hass, url, accounts)
    if blind:
        # Not at the top: the import is part of the measured start
        metaapi: Any = import_module("custom_components.metaapi")
        metaapi.TIMING = metaapi.TIMING._replace(blind=blind)
    async with AsyncExitStack() as stack:
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        if domain:
            # One collection at the end: a thousand accounts roughly trigger a full one, and chance would decide
            # which integration pays for it
            gc.disable()
            started = time.process_time()
            await home.add("metaapi" if domain == "metaapi" else "empty")
            gc.collect()
            result["setup"] = time.process_time() - started
            gc.enable()
        if domain == "raw":
            await stack.enter_async_context(feed(hass, url, accounts))
        if domain in {"raw", "metaapi"}:
            await home.all_on()
        gc.collect()

        async def measure(_: int) -> dict[str, Any]:
            """Return the memory allocated since before the entry was added."""
            gc.collect()
            return {"memory": tracemalloc.get_traced_memory()[0] - before}

        async def profiled(load: Load, amount: int) -> dict[str, Any]:
            """Return the profile of a load."""
            text = StringIO()
            with Profile() as profile:
                await load(amount)
            Stats(profile, stream=text).sort_stats("tottime").print_stats(25)
            return {"profile": text.getvalue()}

        loads: dict[str, Load] = {
            "memory": measure,
            "unchanged": home.unchanged,
            "changes": home.changes,
            "latency": home.latency,
            "loss": home.loss,
            "listing": home.listing,
            "diagnostics": home.diagnostics,
            "profiled changes": partial(profiled, home.changes),
            "profiled hum": partial(profiled, home.hum),
        }
        tell(result)
        await serve(loads)
    await home.close()
    tell({})


if __name__ == "__main__":
    asyncio.run(run(**json.loads(sys.argv[1])))
