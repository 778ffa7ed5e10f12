"""Count what an event passes on its way through the client. `scripts/trace --help` says more.

Each scene runs against the simulator of the tree that is traced.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from itertools import pairwise
from pathlib import Path
import sys
from types import FrameType
from typing import Any

import aiohttp

from .options import parse

CLIENT = "custom_components/metaapi"
SETTINGS = {
    "status_interval": 3600.0,
    "reconnect_delay": 0.05,
    "ping_interval": 3600.0,
    "ping_timeout": 3600.0,
}


type Counts = tuple[int, int, int]


class Stage:
    """One account of a simulator under watch, whose terminal is up."""

    def __init__(self, sim: Any, monitor: Any, root: str) -> None:
        """Listen to the account."""
        self.sim = sim
        self.monitor = monitor
        self.told = 0
        self._root = root
        self.id = sim.account.id
        monitor.add_account(self.id)
        monitor.listen(self.id, self._listen)

    def _listen(self) -> None:
        self.told += 1

    async def trace(self, act: Callable[[], Any], done: Callable[[], bool]) -> Counts:
        """Count the functions, files, and changes of file that an act passes until something is so."""
        calls: list[tuple[str, str]] = []

        def note(frame: FrameType, event: str, _: object) -> None:
            """Take a step of the interpreter."""
            code = frame.f_code
            if event == "call" and code.co_filename.startswith(self._root):
                place = code.co_filename.removeprefix(self._root)
                calls.append((place, f"{code.co_qualname}:{code.co_firstlineno}"))

        sys.setprofile(note)
        try:
            result = act()
            if asyncio.iscoroutine(result):
                await result
            await self.sim.wait_for(done, 60)
        finally:
            sys.setprofile(None)
        files = [place for place, _ in calls]
        changes = sum(one != other for one, other in pairwise(files))
        return len(set(calls)), len(set(files)), changes

    def emit(self, kind: str, **fields: Any) -> None:
        """Push an event about the account on its socket."""
        event = {
            "type": kind,
            "accountId": self.id,
            "instanceIndex": 0,
            "host": self.sim.account.hosts[0].name,
            **fields,
        }
        self.sim.sockets[0].emit("synchronization", event)


@asynccontextmanager
async def staged(tree: Path) -> AsyncIterator[Stage]:
    """Set the stage."""
    simulator: Any = import_module("simulator")
    client: Any = import_module("api.monitor")
    endpoints: Any = import_module("api.endpoints")
    async with (
        simulator.Simulator(accounts=1, **SETTINGS) as sim,
        aiohttp.ClientSession() as session,
    ):
        monitor = client.Monitor(
            session, sim.token, endpoints=endpoints.Endpoints(api_url=sim.url)
        )
        try:
            stage = Stage(sim, monitor, f"{tree / CLIENT}/")
            await sim.wait_for(lambda: monitor.state(stage.id).terminal, 10)
            stage.emit("status", connected=True, authenticated=True)
            await sim.wait_for(lambda: monitor.state(stage.id).broker, 10)
            yield stage
        finally:
            await monitor.close()


async def unchanged_status(stage: Stage) -> Counts:
    """A `status` that says nothing new."""

    async def push() -> None:
        stage.emit("status", connected=True, authenticated=True)
        await asyncio.sleep(0.1)

    return await stage.trace(push, lambda: True)


async def status_with_news(stage: Stage) -> Counts:
    """A `status` with news, from the socket to the listener."""
    before = stage.told
    return await stage.trace(
        lambda: stage.emit("status", connected=False, authenticated=True),
        lambda: stage.told > before,
    )


async def authenticated(stage: Stage) -> Counts:
    """An `authenticated` of a terminal that was off, from the socket to the listener."""
    stage.emit("disconnected")
    await stage.sim.wait_for(lambda: not stage.monitor.state(stage.id).terminal, 10)
    before = stage.told
    return await stage.trace(
        lambda: stage.emit("authenticated"), lambda: stage.told > before
    )


async def loss_and_return(stage: Stage) -> Counts:
    """A loss and return of our network, until the account is subscribed again."""
    sim = stage.sim
    count = len(sim.requests_of("subscribe"))

    def back() -> bool:
        return len(sim.requests_of("subscribe")) > count and bool(
            sim.subscribed(stage.id)
        )

    return await stage.trace(sim.drop_sockets, back)


async def reconnect(stage: Stage) -> Counts:
    """A `reconnect` that works, from the call to its result."""
    return await stage.trace(
        lambda: stage.monitor.reconnect(stage.id, 60), lambda: True
    )


SCENES: dict[str, Callable[[Stage], Awaitable[Counts]]] = {
    "unchanged `status`": unchanged_status,
    "`status` with news": status_with_news,
    "`authenticated`": authenticated,
    "loss and return of our network": loss_and_return,
    "a reconnect": reconnect,
}


async def run(tree: Path) -> None:
    """Trace each scene of a checkout on a stage of its own and print a table."""
    sys.path[:0] = [str(tree), str(tree / CLIENT)]
    print("| scene | functions | files | changes of file |")
    print("| --- | --- | --- | --- |")
    for name, scene in SCENES.items():
        async with staged(tree) as stage:
            await asyncio.sleep(2)
            print(f"| {name} | {' | '.join(map(str, await scene(stage)))} |")


if __name__ == "__main__":
    asyncio.run(run(parse()))
