"""A Home Assistant with a number of accounts, put under the loads that it is told.

It is started the way `hass` starts it, on a folder of its own, but without the integrations that every
home has, so that what is left is ours.
"""

import asyncio
from bisect import bisect
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from cProfile import Profile
from dataclasses import replace
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
"""A terminal goes away and comes back every so many seconds."""
TERMINAL = "_terminal"
BROKER = "_broker"


async def start(folder: Path, configuration: str = "") -> HomeAssistant:
    """Start Home Assistant."""
    custom_components.__path__.append(str(Path(__file__).parent / "custom_components"))
    (folder / "configuration.yaml").write_text(configuration)
    # by hand: with `unittest` in the process, Home Assistant would leave out a part of its detection
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
        """Take a running one."""
        self.hass = hass
        self._url = url
        self._accounts = accounts
        self._session = aiohttp.ClientSession()

    async def add(self, domain: str) -> None:
        """Add an entry, and wait until it is set up."""
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
        """Return when every terminal is on."""
        while self.count(STATE_ON) < self._accounts:  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    def count(self, value: str, kind: str = TERMINAL) -> int:
        """Return how many entities of a kind have a state."""
        return sum(
            state.state == value and state.entity_id.endswith(kind)
            for state in self.hass.states.async_all("binary_sensor")
        )

    async def post(self, command: str, **amounts: float) -> Any:
        """Make the server do something."""
        url = f"{self._url}/{command}"
        async with self._session.post(url, params=amounts) as response:
            return await response.json()

    async def hum(self, seconds: int) -> dict[str, Any]:
        """Send a status a second for every account, to be profiled."""
        await self.post("hum", seconds=seconds)
        return {}

    async def unchanged(self, frames: int) -> dict[str, Any]:
        """Return the CPU time of a status that changes nothing."""
        # the brokers that are away at the end, as they were the last time
        away = self.count(STATE_OFF, BROKER)
        return await self._flood(frames, 0, away + sockets_for(self._accounts))

    async def changes(self, frames: int) -> dict[str, Any]:
        """Return the CPU time of an event that changes two entities of an account."""
        away = self.count(STATE_OFF, BROKER)
        changes = frames + sockets_for(self._accounts) - away
        return await self._flood(frames, 1, changes)

    async def _flood(self, frames: int, changing: int, changes: int) -> dict[str, Any]:
        """Return the CPU time of a frame, until brokers have changed so often."""
        with self._changes(BROKER) as changed:
            started = time.process_time()
            await self.post("flood", frames=frames, changing=changing)
            while len(changed) < changes:  # noqa: ASYNC110
                await asyncio.sleep(BEAT)
        return {"cost": (time.process_time() - started) / frames}

    async def latency(self, times: int) -> dict[str, Any]:
        """Return when each `authenticated` was sent and its state was there, while all accounts have a status."""
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
        """Note which entities of a kind change meanwhile, to what, and when."""
        changed: list[tuple[str, str, float]] = []

        @callback
        def note(event: Event[EventStateChangedData]) -> None:
            """Note one."""
            state = event.data["new_state"]
            if state is not None and state.entity_id.endswith(kind):
                changed.append((state.entity_id, state.state, time.monotonic()))

        stop = self.hass.bus.async_listen(EVENT_STATE_CHANGED, note)
        yield changed
        stop()

    async def loss(self, seconds: int) -> dict[str, Any]:
        """Lose all sockets until nothing is in sight any more, and wait until all is back."""
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
        """Return the longest block of a listing of all accounts."""
        with longest_block() as block:
            await self._entry.runtime_data.facts.async_read()
        return {"block": block()}

    async def diagnostics(self, _: int) -> dict[str, Any]:
        """Return the longest block of the diagnostics of the entry."""
        module = import_module("custom_components.metaapi.diagnostics")
        with longest_block() as block:
            await module.async_get_config_entry_diagnostics(self.hass, self._entry)
        return {"block": block()}

    async def close(self) -> None:
        """End Home Assistant as a person would, so that it keeps what it knows."""
        await self._session.close()
        await self.hass.async_stop()


def busiest(moments: list[float], span: float = 0.1) -> float:
    """Return the share of what happened that fell into the fullest tenth of a second."""
    moments.sort()
    most = max(bisect(moments, when + span) - at for at, when in enumerate(moments))
    return most / len(moments)


@contextmanager
def longest_block() -> Iterator[Callable[[], float]]:
    """Watch for how long the event loop works without a look at its timers.

    In CPU time, as on a machine that others use as well the clock would also count their work.
    """
    # a full one falls due now and then, whatever runs, and takes a tenth of a second
    gc.collect()
    loop = asyncio.get_running_loop()
    longest, last = 0.0, time.thread_time()

    handle: asyncio.Handle

    def beat() -> None:
        """Compare with the last time."""
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
    """Do what the command line says, and then what the input does.

    A domain is added; without one, the folder knows what to start. `blind` is after how many seconds without
    a socket all is unavailable.
    """
    if memory:
        tracemalloc.start()
    started = time.process_time()
    hass = await start(Path(folder))
    result = {"start": time.process_time() - started}
    url = f"{server}/home-{domain}/{accounts}"
    home = Home(hass, url, accounts)
    if blind:
        # not at the top: importing it is a part of a start
        metaapi: Any = import_module("custom_components.metaapi")
        metaapi.TIMING = replace(metaapi.TIMING, blind=blind)
    async with AsyncExitStack() as stack:
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        if domain:
            # One collection, at the end: a thousand accounts are about where a full one falls due, and it would
            # be chance which integration is charged with it
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
            """Return what was allocated since the entry was added."""
            gc.collect()
            return {"memory": tracemalloc.get_traced_memory()[0] - before}

        async def profiled(load: Load, amount: int) -> dict[str, Any]:
            """Return where the time of a load went."""
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
