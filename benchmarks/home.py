"""A Home Assistant with a number of accounts, put under the loads that it is told.

It is started the way `hass` starts it, on a folder of its own, but without the integrations that every
home has, so that what is left is ours.
"""

import argparse
import asyncio
from bisect import bisect
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from dataclasses import replace
from functools import partial
import gc
from importlib import import_module
import json
import logging
from pathlib import Path
import time
import tracemalloc
from typing import Any, override

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
from .peers import COUNTS, sockets_for
from .sampler import sampled
from .server import account_ids, account_name
from .turns import serve, tell

ROOT = Path(__file__).parent
BEAT = 0.001
FLIP = 0.01
"""A terminal goes away and comes back every so many seconds."""
TERMINAL = "_terminal"
BROKER = "_broker"


class Home:
    """A Home Assistant under load."""

    def __init__(
        self, hass: HomeAssistant, server: str, accounts: int, domain: str | None
    ) -> None:
        """Take a running one."""
        self.hass = hass
        self._url = f"{server}/home-{domain}/{accounts}"
        self._accounts = accounts
        self._session = aiohttp.ClientSession()

    async def add(self, domain: str) -> dict[str, float]:
        """Add an entry; return the CPU time until it was set up.

        The garbage collector runs once, at the end: a thousand accounts are about where a full collection
        falls due, and it would be chance which integration is charged with it.
        """
        entry = ConfigEntry(
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
                    title=account_name(number),
                    unique_id=account_id,
                )
                for number, account_id in enumerate(account_ids(self._accounts))
            ],
        )
        gc.collect()
        gc.disable()
        started = time.process_time()
        await self.hass.config_entries.async_add(entry)
        await self.hass.async_block_till_done()
        gc.collect()
        setup = time.process_time() - started
        gc.enable()
        return {"setup": setup}

    def fed(self) -> AbstractAsyncContextManager[None]:
        """Let the least of all clients feed the entities."""
        return feed(self.hass, self._url, self._accounts)

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

    async def post(self, what: str, **params: Any) -> Any:
        """Make the server do something."""
        async with self._session.post(f"{self._url}/{what}", params=params) as response:
            text = await response.text()
            return json.loads(text) if text else None

    async def idle(self, seconds: int) -> dict[str, float]:
        """Return the CPU time of a second without any event."""
        started = time.process_time()
        await asyncio.sleep(seconds)
        return {"idle": (time.process_time() - started) / seconds}

    async def steady(self, seconds: int) -> dict[str, float]:
        """Return the CPU time of a second with a status for every account."""
        started = time.process_time()
        await self.post("steady", seconds=seconds)
        return {"steady": (time.process_time() - started) / seconds}

    async def changes(self, frames: int, of: int | None = None) -> dict[str, float]:
        """Return the CPU time of one event that changes two entities of an account: of any, or one of so many."""
        # a broker of each socket goes away at the end, as it did the last time
        expected = frames + sockets_for(self._accounts) - self.count(STATE_OFF, BROKER)
        with self._changes(BROKER) as changed:
            started = time.process_time()
            await self.post("flood", frames=frames, changing=of or self._accounts)
            while len(changed) < expected:  # noqa: ASYNC110
                await asyncio.sleep(BEAT)
        return {"change": (time.process_time() - started) / frames}

    async def latency(self, times: int) -> dict[str, Any]:
        """Return when each `authenticated` was sent and its state was there, while all accounts have a status."""
        with self._changes(TERMINAL) as changed:
            told = await self.post("flip", times=times, pause=FLIP)
            while len(changed) < 2 * times:  # noqa: ASYNC110
                await asyncio.sleep(BEAT)
        written: dict[str, list[float]] = defaultdict(list)
        for entity_id, value, when in changed:
            if value == STATE_ON:
                written[entity_id].append(when)
        sent: dict[str, list[float]] = defaultdict(list)
        for when, number in told:
            sent[f"binary_sensor.account_{number}{TERMINAL}"].append(when)
        return {
            "pairs": [
                (before, after)
                for entity_id, moments in sent.items()
                for before, after in zip(moments, written[entity_id], strict=True)
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
        with longest_block() as block:
            lost_at = await self.post("drop", seconds=seconds)
            while self.count(STATE_UNAVAILABLE) < self._accounts:  # noqa: ASYNC110
                await asyncio.sleep(BEAT)
            await self.all_on()
            back_at = time.monotonic()
        attempts, subscribes = await self.post("log")
        return {
            "back": back_at - lost_at - seconds,
            "block": block(),
            "attempts": busiest(attempts),
            "subscribes": busiest(subscribes),
        }

    async def close(self) -> None:
        """End Home Assistant as a person would, so that it keeps what it knows."""
        await self._session.close()
        await self.hass.async_stop()


class BlockingCalls(logging.Handler):
    """Counts what Home Assistant found to block its event loop."""

    found = 0

    @override
    def emit(self, record: logging.LogRecord) -> None:
        """Take a line of the log."""
        self.found += "blocking call" in record.getMessage()


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


async def start(folder: Path) -> HomeAssistant:
    """Start Home Assistant."""
    (folder / "configuration.yaml").touch()
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


async def run(options: argparse.Namespace) -> None:
    """Do what the command line says, and then what the input does."""
    custom_components.__path__.append(str(ROOT / "custom_components"))
    blocking_calls = BlockingCalls()
    logging.getLogger().addHandler(blocking_calls)
    if options.memory:
        tracemalloc.start()
    started = time.process_time()
    hass = await start(options.folder)
    result = {"start": time.process_time() - started}
    home = Home(hass, options.server, options.accounts, options.domain)
    async with AsyncExitStack() as stack:
        samples = stack.enter_context(sampled(options.profile))
        if options.domain:
            gc.collect()
            before = tracemalloc.get_traced_memory()[0]
            result |= await home.add(
                "empty" if options.domain == "raw" else options.domain
            )
            if options.domain == "raw":
                await stack.enter_async_context(home.fed())
            if options.domain != "empty":
                await home.all_on()
            # what is measured from now on is not charged with what the set-up left
            gc.collect()

        async def memory(_: int) -> dict[str, Any]:
            """Return what was allocated since the entry was added."""
            gc.collect()
            return {"memory": tracemalloc.get_traced_memory()[0] - before}

        tell(result)
        await serve(
            {
                "memory": memory,
                "idle": home.idle,
                "steady": home.steady,
                "latency": home.latency,
                "changes": home.changes,
                "few changes": partial(home.changes, of=COUNTS[0]),
                "loss": home.loss,
            }
        )
    await home.close()
    tell({"blocking_calls": blocking_calls.found, "profile": samples.lines()})


def main() -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("server")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--accounts", type=int, default=1)
    parser.add_argument("--domain", choices=("metaapi", "empty", "raw"))
    parser.add_argument(
        "--blind", type=float, help="seconds without a socket until all is unavailable"
    )
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    if options.blind:
        # not at the top: importing it is a part of a start
        metaapi: Any = import_module("custom_components.metaapi")
        metaapi.TIMING = replace(metaapi.TIMING, blind=options.blind)
    asyncio.run(run(options))


if __name__ == "__main__":
    main()
