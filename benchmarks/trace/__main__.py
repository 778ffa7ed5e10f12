"""Count what an event passes on its way through the client. `scripts/trace --help` says more.

Each scene runs against the simulator of the tree that is traced.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
import itertools
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


@dataclass
class Trace:
    """What was called, in order."""

    root: str
    calls: list[tuple[str, str]] = field(default_factory=list)
    """File and function."""

    def note(self, frame: FrameType, event: str, _: object) -> None:
        """Take a step of the interpreter."""
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(self.root):
            place = code.co_filename.removeprefix(self.root)
            self.calls.append((place, f"{code.co_qualname}:{code.co_firstlineno}"))

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count what is called meanwhile."""
        sys.setprofile(self.note)
        try:
            yield
        finally:
            sys.setprofile(None)

    @property
    def counts(self) -> tuple[int, int, int]:
        """Return how many functions, files, and changes of file there were."""
        files = [place for place, _ in self.calls]
        changes = sum(one != other for one, other in itertools.pairwise(files))
        return len(set(self.calls)), len(set(files)), changes


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

    async def trace(
        self, act: Callable[[], Any], done: Callable[[], bool]
    ) -> tuple[int, int, int]:
        """Count what an act passes until something is so."""
        trace = Trace(self._root)
        with trace.running():
            result = act()
            if asyncio.iscoroutine(result):
                await result
            await self.sim.wait_for(done, 60)
        return trace.counts

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


async def unchanged_status(stage: Stage) -> tuple[int, int, int]:
    """A `status` that says nothing new."""

    async def push() -> None:
        stage.emit("status", connected=True, authenticated=True)
        await asyncio.sleep(0.1)

    return await stage.trace(push, lambda: True)


async def status_with_news(stage: Stage) -> tuple[int, int, int]:
    """A `status` with news, from the socket to the listener."""
    before = stage.told
    return await stage.trace(
        lambda: stage.emit("status", connected=False, authenticated=True),
        lambda: stage.told > before,
    )


async def authenticated(stage: Stage) -> tuple[int, int, int]:
    """An `authenticated` of a terminal that was off, from the socket to the listener."""
    stage.emit("disconnected")
    await stage.sim.wait_for(lambda: not stage.monitor.state(stage.id).terminal, 10)
    before = stage.told
    return await stage.trace(
        lambda: stage.emit("authenticated"), lambda: stage.told > before
    )


async def loss_and_return(stage: Stage) -> tuple[int, int, int]:
    """A loss and return of our network, until the account is subscribed again."""
    sim = stage.sim
    count = len(sim.requests_of("subscribe"))

    def back() -> bool:
        return len(sim.requests_of("subscribe")) > count and bool(
            sim.subscribed(stage.id)
        )

    return await stage.trace(sim.drop_sockets, back)


async def reconnect(stage: Stage) -> tuple[int, int, int]:
    """A `reconnect` that works, from the call to its result."""
    return await stage.trace(
        lambda: stage.monitor.reconnect(stage.id, 60), lambda: True
    )


SCENES: dict[str, Callable[[Stage], Awaitable[tuple[int, int, int]]]] = {
    "unchanged `status`": unchanged_status,
    "`status` with news": status_with_news,
    "`authenticated`": authenticated,
    "loss and return of our network": loss_and_return,
    "a reconnect": reconnect,
}


async def run(tree: Path) -> None:
    """Trace each scene on a stage of its own and print a table."""
    print("| scene | functions | files | changes of file |")
    print("| --- | --- | --- | --- |")
    for name, scene in SCENES.items():
        async with staged(tree) as stage:
            await asyncio.sleep(2)
            functions, files, changes = await scene(stage)
        print(f"| {name} | {functions} | {files} | {changes} |")


def main() -> int:
    """Trace the checkout that was asked for."""
    tree = parse()
    sys.path[:0] = [str(tree), str(tree / CLIENT)]
    asyncio.run(run(tree))
    return 0


if __name__ == "__main__":
    sys.exit(main())
