"""Support for the tests of faults: simulator, proxies, client, and a record of what is shown."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
import logging
import socket
from typing import Any, override

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from api.endpoints import Endpoints, Zone
from api.model import ReconnectResult
from api.monitor import Monitor
from api.terminal.terminal import AccountState
from api.timing import Timing
from api.transport.connection import Connection

from simulator import SimAccount, Simulator, cloud
from tests.api.loopback import own_connections
from tests.api.virtual_loop import current_loop

from .proxy import HOST, Proxy

NAME = "metaapi.test"
"""The servers' host name, which the client has to resolve."""

OURS = ("api", "custom_components", "socketio", "engineio", "aiohttp.client", "asyncio")
"""Loggers that write to a user's log."""

# How often the simulator checks for a changed interval; no test here changes it.
cloud.STEP = 60.0


def longest_pause(timing: Timing, attempts: int, since: float) -> float:
    """Return the longest pause after this many attempts and seconds."""
    longest = min(timing.backoff_first * 2.0 ** (attempts - 1), timing.backoff_max)
    return (
        min(longest, timing.backoff_short)
        if since < timing.backoff_patience
        else longest
    )


def most_attempts(timing: Timing, seconds: float) -> int:
    """Return how many connects there are at most, if pauses are two thirds of their average."""
    attempts = 1
    passed = 0.0
    while passed < seconds:
        passed += longest_pause(timing, attempts, passed) / 3
        attempts += 1
    return attempts


REFUSED_FIRST_HOUR = 25
"""How many connects may be refused in the first hour of refusals."""


type Shown = bool | str | None


def shown(state: AccountState) -> Shown:
    """Return what a user sees of a terminal."""
    return state.terminal if state.available else "unavailable"


class Names(AbstractResolver):
    """Resolves any name to this machine, unless it is broken."""

    def __init__(self) -> None:
        """Start working."""
        self.broken = False

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return this machine's address for any name."""
        if self.broken:
            raise OSError(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [
            ResolveResult(
                hostname=host,
                host=HOST,
                port=port,
                family=socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    @override
    async def close(self) -> None:
        """Do nothing."""


class Log(logging.Handler):
    """Keeps the lines of a user's log."""

    def __init__(self) -> None:
        """Start without lines."""
        super().__init__(logging.INFO)
        self.lines: list[str] = []

    @override
    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        if record.name.startswith(OURS):
            self.lines.append(f"{record.name}: {record.getMessage()}")


@contextmanager
def logging_at_info() -> Iterator[Log]:
    """Log at the level of a user who wants to see details."""
    log = Log()
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.INFO)
    root.addHandler(log)
    try:
        yield log
    finally:
        root.removeHandler(log)
        root.setLevel(level)


class WatchedMonitor(Monitor):
    """A monitor that records the events it receives."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Start without events."""
        self.heard: dict[str, list[tuple[float, str]]] = defaultdict(list)
        super().__init__(*args, **kwargs)

    def first_event(self, account_id: str, since: float) -> float:
        """Return the time of a terminal's first event after a time."""
        return next(when for when, _ in self.heard[account_id] if when >= since)

    @override
    def connection_event(
        self, connection: Connection, event: Mapping[str, Any]
    ) -> None:
        """Record an event and handle it."""
        place = self._pool.route(connection, str(event.get("accountId")))
        if place is not None:
            heard = self.heard[place.account.account_id]
            heard.append((self._clock(), str(event.get("type"))))
        super().connection_event(connection, event)


@dataclass
class Rig:
    """A client that watches the simulator's accounts through proxies."""

    sim: Simulator
    proxies: dict[str, Proxy]
    """By zone; the one with an empty name serves REST, and everything if there are no zones."""
    names: Names
    session: aiohttp.ClientSession
    monitor: WatchedMonitor
    log: Log
    seen: dict[str, list[tuple[float, AccountState]]] = field(default_factory=dict)
    """The shown values of each account with their times."""
    attempts: list[tuple[float, int]] = field(default_factory=list)
    """The time and the port of each attempt of the client to connect."""

    @property
    def now(self) -> float:
        """Return the loop's time."""
        return current_loop().time()

    @property
    def proxy(self) -> Proxy:
        """Return the only proxy of a rig without zones."""
        return self.proxies[""]

    def add(self, account_id: str, region: str = "", **facts: Any) -> None:
        """Watch an account, and record its states."""
        self.monitor.add_account(account_id, region, **facts)
        seen = self.seen.setdefault(account_id, [])

        def note() -> None:
            seen.append((self.now, self.monitor.state(account_id)))

        note()
        self.monitor.listen(account_id, note)

    def shown(self, account_id: str) -> Shown:
        """Return what a user sees of an account."""
        return shown(self.monitor.state(account_id))

    def timeline(self, account_id: str) -> list[tuple[float, Shown]]:
        """Return the changes of what was shown of a terminal, with their times."""
        changes: list[tuple[float, Shown]] = []
        for when, state in self.seen[account_id]:
            if not changes or changes[-1][1] != shown(state):
                changes.append((when, shown(state)))
        return changes

    def first_shown(
        self, account_id: str, values: tuple[Shown, ...], since: float
    ) -> float | None:
        """Return when one of some values was first shown after a time."""
        before: Shown = None
        for when, state in self.seen[account_id]:
            if when <= since:
                before = shown(state)
            elif shown(state) in values:
                return since if before in values else when
        return since if before in values else None

    def event_since(self, account_id: str, since: float) -> bool:
        """Return whether there was an event of a terminal after a time."""
        heard = self.monitor.heard[account_id]
        return bool(heard) and heard[-1][0] > since

    def reconnect(
        self, account_id: str, timeout: float
    ) -> Coroutine[Any, Any, ReconnectResult]:
        """Reconnect an account."""
        return self.monitor.reconnect(account_id, timeout)

    async def until(
        self, condition: Callable[[], Any], within: float, what: str = ""
    ) -> float:
        """Wait for a condition; return how long it took, to a tenth of a second."""
        started = self.now
        while not condition():
            if self.now > started + within:
                raise AssertionError(f"not within {within:.0f} s: {what or condition}")
            await asyncio.sleep(0.1)
        return self.now - started

    def sockets(self) -> list[Connection]:
        """Return the client's sockets."""
        return list(self.monitor._pool)


@asynccontextmanager
async def rigged(
    accounts: int | list[SimAccount] = 1,
    *,
    regions: tuple[str, ...] = (),
    timing: Timing | None = None,
    **settings: Any,
) -> AsyncIterator[Rig]:
    """Run simulator, proxies and client; each region has two zones with a proxy each."""
    loop = current_loop()
    names = Names()
    attempts: list[tuple[float, int]] = []

    async def begin(_: object, context: Any, params: Any) -> None:
        context.url = params.url

    async def connect(_: object, context: Any, __: object) -> None:
        # aiohttp repeats a request by itself if a server closes a connection without an answer
        if context.url.path.endswith("/ws/"):
            attempts.append((loop.time(), context.url.port))

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(begin)
    trace.on_connection_create_start.append(connect)
    trace.on_connection_reuseconn.append(connect)
    connector = aiohttp.TCPConnector(resolver=names, use_dns_cache=False)
    proxies: dict[str, Proxy] = {}
    overrides: dict[str, tuple[Zone, ...]] = {}
    with logging_at_info() as log:
        async with Simulator(accounts=accounts, **settings) as sim:
            try:
                proxies[""] = Proxy(sim.url, host=NAME)
                await proxies[""].listen()
                for region in regions:
                    zones = []
                    for instance in (0, 1):
                        target = await sim.listen(region, instance)
                        proxy = Proxy(target, host=NAME)
                        await proxy.listen()
                        zone = Zone(proxy.url, region, instance)
                        proxies[zone.name] = proxy
                        zones.append(zone)
                    overrides[region] = tuple(zones)
                async with aiohttp.ClientSession(
                    connector=connector, trace_configs=[trace]
                ) as session:
                    monitor = WatchedMonitor(
                        session,
                        sim.token,
                        endpoints=Endpoints(
                            api_url=proxies[""].url, overrides=overrides
                        ),
                        timing=timing,
                    )
                    rig = Rig(
                        sim, proxies, names, session, monitor, log, attempts=attempts
                    )
                    try:
                        yield rig
                    finally:
                        await monitor.close()
            finally:
                for proxy in proxies.values():
                    await proxy.__aexit__()


@dataclass(frozen=True, slots=True)
class Left:
    """What a client has not released."""

    tasks: list[str]
    sockets: int
    timers: int

    def __bool__(self) -> bool:
        """Return whether anything is left."""
        return bool(self.tasks or self.sockets or self.timers)


class Census:
    """Counts tasks, sockets and timers that a closed client has left."""

    def __init__(self, proxies: Mapping[str, Proxy]) -> None:
        """Count what exists before the client."""
        self._ports = {proxy.port for proxy in proxies.values()}
        self._tasks = asyncio.all_tasks()

    def take(self) -> Left:
        """Count what the client has left; simulator and proxy only have tasks for open connections."""
        tasks = [
            f"{task.get_name()}: {task.get_coro()}"
            for task in asyncio.all_tasks() - self._tasks
            if not task.get_name().startswith("fault proxy") and is_clients(task)
        ]
        sockets = sum(remote in self._ports for _, remote in own_connections().values())
        timers = sum(
            not handle.cancelled() and is_api(handle._callback)
            for handle in current_loop()._scheduled  # type: ignore[attr-defined]
        )
        return Left(tasks, sockets, timers)


def is_clients(task: asyncio.Task[Any]) -> bool:
    """Return whether a task belongs to the client, by its name or code."""
    code = getattr(task.get_coro(), "cr_code", None)
    where = code.co_filename if code is not None else ""
    return task.get_name().startswith("metaapi") or not any(
        part in where for part in ("/simulator/", "/tests/", "web_protocol", "streams")
    )


def is_api(callback: object) -> bool:
    """Return whether a callback belongs to the client."""
    module = getattr(callback, "__module__", "") or ""
    return module.startswith(("api.", "custom_components."))
