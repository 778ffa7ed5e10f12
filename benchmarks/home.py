"""A Home Assistant with some accounts that runs the loads it is told to run.

It is started as `hass` starts it, in its own folder, but without the default integrations, so that only the
cost of ours remains.
"""

import asyncio
from bisect import bisect
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
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
from typing import Any, NamedTuple

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
from homeassistant.helpers.aiohttp_client import async_get_clientsession
from homeassistant.runner import RuntimeConfig

from .fed import feed
from .server import ACCOUNTS_PER_SOCKET, account_ids
from .turns import SETTLE, Load, in_front, serve, tell

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


type Interval = tuple[float, float]
"""When something began and ended."""


class Block(NamedTuple):
    """CPU time during which the event loop ran no timer, in seconds."""

    whole: float
    own: float
    """Without Python's garbage collector."""


@contextmanager
def collections(clock: Callable[[], float]) -> Iterator[list[Interval]]:
    """Record when Python's garbage collector runs."""
    found: list[Interval] = []
    began = 0.0

    def note(phase: str, _: dict[str, int]) -> None:
        """Record a collection at its end."""
        nonlocal began
        if phase == "start":
            began = clock()
        else:
            found.append((began, clock()))

    gc.callbacks.append(note)
    yield found
    gc.callbacks.remove(note)


class Home:
    """A Home Assistant under load."""

    def __init__(self, hass: HomeAssistant, url: str, accounts: int) -> None:
        """Store a running Home Assistant."""
        self.hass = hass
        self._url = url
        self._accounts = accounts

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

    def count(self, value: str, kind: str) -> int:
        """Return the number of entities of a kind that have a state."""
        return sum(
            state.state == value and state.entity_id.endswith(kind)
            for state in self.hass.states.async_all("binary_sensor")
        )

    async def all_on(self, kind: str = TERMINAL) -> None:
        """Wait until every account's entity of a kind is on."""
        while self.count(STATE_ON, kind) < self._accounts:  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    @contextmanager
    def _changes(self, kind: str, *values: str) -> Iterator[list[tuple[str, float]]]:
        """Record which entities of a kind change to some values, and when."""
        changes: list[tuple[str, float]] = []

        @callback
        def note(event: Event[EventStateChangedData]) -> None:
            """Record a change."""
            state = event.data["new_state"]
            assert state is not None
            if state.entity_id.endswith(kind) and state.state in values:
                changes.append((state.entity_id, time.monotonic()))

        stop = self.hass.bus.async_listen(EVENT_STATE_CHANGED, note)
        yield changes
        stop()

    async def post(self, command: str, **amounts: float) -> Any:
        """Send a command to the server, and return its response."""
        url = f"{self._url}/{command}"
        session = async_get_clientsession(self.hass)
        async with session.post(url, params=amounts) as response:
            return await response.json()

    async def hum(self, seconds: int) -> None:
        """Send a status per second for every account, for profiling."""
        await self.post("hum", seconds=seconds)

    async def flood(self, frames: int, changing: int) -> float:
        """Return the CPU time of a status that changes nothing, or two entities of an account."""
        # The last broker of each socket turns off at the end, and on again in the next flood
        off = self.count(STATE_OFF, BROKER)
        expected = -(-self._accounts // ACCOUNTS_PER_SOCKET)
        expected += frames - off if changing else off
        with self._changes(BROKER, STATE_ON, STATE_OFF) as changes:
            started = time.process_time()
            await self.post("flood", frames=frames, changing=changing)
            while len(changes) < expected:  # noqa: ASYNC110
                await asyncio.sleep(BEAT)
        return (time.process_time() - started) / frames

    async def latency(self, times: int) -> tuple[list[Interval], list[Interval]]:
        """Return when each `authenticated` was sent and its state written, while all accounts send `status`.

        The second list tells when the garbage collector ran.
        """
        with (
            self._changes(TERMINAL, STATE_ON) as changes,
            in_front(),
            collections(time.monotonic) as collected,
        ):
            sent = await self.post("flip", times=times, pause=FLIP)
            while len(changes) < times:  # noqa: ASYNC110
                await asyncio.sleep(BEAT)
        moments = sorted(
            (f"binary_sensor.account_{int(account_id[-12:])}{TERMINAL}", when)
            for account_id, when in sent
        )
        pairs = zip(moments, sorted(changes), strict=True)
        return [(when, written) for (_, when), (_, written) in pairs], collected

    async def loss(self, seconds: int) -> dict[str, float]:
        """Measure losing all sockets until everything is unavailable, and the recovery."""
        async with blocks_of_loop() as blocks:
            with self._changes(TERMINAL, STATE_UNAVAILABLE) as changes:
                lost_at = await self.post("drop", seconds=seconds)
                while len(changes) < self._accounts:  # noqa: ASYNC110
                    await asyncio.sleep(BEAT)
            await self.all_on()
            back_at = time.monotonic()
        attempts, subscribes = await self.post("log")
        return {
            "back": back_at - lost_at - seconds,
            "block": max(block.whole for block in blocks),
            "own block": max(block.own for block in blocks),
            "spread": changes[-1][1] - changes[0][1],
            "attempts": busiest(attempts),
            "subscribes": busiest(subscribes),
        }

    async def listing(self, _: int) -> float:
        """Return the longest block of the event loop while all accounts are listed."""
        async with blocks_of_loop() as blocks:
            await self._entry.runtime_data.facts.async_read()
        return max(block.whole for block in blocks)

    async def diagnostics(self, _: int) -> float:
        """Return the longest block of the event loop during the diagnostics of the entry."""
        module = import_module("custom_components.metaapi.diagnostics")
        async with blocks_of_loop() as blocks:
            await module.async_get_config_entry_diagnostics(self.hass, self._entry)
        return max(block.whole for block in blocks)


def busiest(moments: list[float], span: float = 0.1) -> float:
    """Return the largest share of the moments that falls within a tenth of a second."""
    moments.sort()
    most = max(bisect(moments, when + span) - at for at, when in enumerate(moments))
    return most / len(moments)


@asynccontextmanager
async def blocks_of_loop() -> AsyncIterator[list[Block]]:
    """Record for how long the event loop does not run its timers.

    It is measured in CPU time, because real time would include the work of other processes.
    """
    # A full collection would otherwise run at some point, which takes a tenth of a second
    gc.collect()
    blocks: list[Block] = []

    async def beat() -> None:
        """Record the CPU time between two timers."""
        while True:
            before = time.thread_time()
            await asyncio.sleep(BEAT)
            whole = time.thread_time() - before
            blocks.append(
                Block(whole, whole - sum(end - began for began, end in collected))
            )
            collected.clear()

    with collections(time.thread_time) as collected:
        task = asyncio.create_task(beat())
        await asyncio.sleep(0)
        yield blocks
        # What ran until now is recorded as well
        await asyncio.sleep(2 * BEAT)
        task.cancel()


async def profiled(load: Load, amount: int) -> str:
    """Return the profile of a load."""
    text = StringIO()
    with Profile() as profile:
        await load(amount)
    Stats(profile, stream=text).sort_stats("tottime").print_stats(25)
    return text.getvalue()


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
            await home.all_on(BROKER)
        if memory:
            await asyncio.sleep(SETTLE)
        gc.collect()
        result["memory"] = tracemalloc.get_traced_memory()[0] - before

        loads: dict[str, Load] = {
            "unchanged": partial(home.flood, changing=0),
            "changes": partial(home.flood, changing=1),
            "latency": home.latency,
            "loss": home.loss,
            "listing": home.listing,
            "diagnostics": home.diagnostics,
            "hum": home.hum,
        }
        for name, load in [*loads.items()]:
            loads[f"profiled {name}"] = partial(profiled, load)
        tell(result)
        await serve(loads)
    # Home Assistant writes its data
    await hass.async_stop()


if __name__ == "__main__":
    asyncio.run(run(**json.loads(sys.argv[1])))
