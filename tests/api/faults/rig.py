"""What the runs have in common: simulator, proxies, client, and who writes down what is shown when."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
import logging
import socket
from typing import Any, override

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from api.endpoints import Endpoints, Zone
from api.monitor import Monitor
from api.terminal.terminal import AccountState
from api.timing import Timing
from api.transport.connection import Connection

from simulator import SimAccount, Simulator, cloud
from tests.api.loopback import own_connections
from tests.api.virtual_loop import current_loop

from .proxy import HOST, Proxy

NAME = "metaapi.test"
"""What the client calls the servers; it has to ask for their address."""

OURS = ("api", "custom_components", "socketio", "engineio", "aiohttp.client", "asyncio")
"""Loggers that would write into a user's log."""

# The simulator looks up from its sleep so often, for tests that change its pace; nobody does here.
cloud.STEP = 60.0


def longest_pause(timing: Timing, attempts: int, since: float) -> float:
    """Return the longest pause after so many attempts and so many seconds."""
    longest = min(timing.backoff_first * 2.0 ** (attempts - 1), timing.backoff_max)
    return (
        min(longest, timing.backoff_short)
        if since < timing.backoff_patience
        else longest
    )


def most_attempts(timing: Timing, seconds: float) -> int:
    """Return how many connects full jitter makes in a time, were its pauses two thirds of what they are on average."""
    attempts = 1
    passed = 0.0
    while passed < seconds:
        passed += longest_pause(timing, attempts, passed) / 3
        attempts += 1
    return attempts


REFUSED_FIRST_HOUR = 25
"""Connects that may be refused in the first hour of refusals."""


type Shown = bool | str | None


def shown(state: AccountState) -> Shown:
    """Return what a user sees of a terminal."""
    return state.terminal if state.available else "unavailable"


class Names(AbstractResolver):
    """Knows one address, unless it is broken."""

    def __init__(self) -> None:
        """Start well."""
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
        """Have nothing to close."""


class Log(logging.Handler):
    """Counts what would stand in a log."""

    def __init__(self) -> None:
        """Start with nothing."""
        super().__init__(logging.INFO)
        self.lines: list[str] = []

    @override
    def emit(self, record: logging.LogRecord) -> None:
        """Take a record."""
        if record.name.startswith(OURS):
            self.lines.append(f"{record.name}: {record.getMessage()}")


@contextmanager
def logging_at_info() -> Iterator[Log]:
    """Log as Home Assistant does for a user who wants to see what goes on."""
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
    """A monitor that writes down which events it hears."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Start with nothing heard."""
        self.heard: dict[str, list[tuple[float, str]]] = defaultdict(list)
        super().__init__(*args, **kwargs)

    def first_heard(self, account_id: str, since: float) -> float:
        """Return when a terminal gave its first sign of life after a moment."""
        return next(when for when, _ in self.heard[account_id] if when >= since)

    @override
    def connection_event(
        self, connection: Connection, event: Mapping[str, Any]
    ) -> None:
        """Write an event down and take it."""
        place = self._pool.route(connection, str(event.get("accountId")))
        if place is not None:
            heard = self.heard[place.account.account_id]
            heard.append((self._clock(), str(event.get("type"))))
        super().connection_event(connection, event)


@dataclass
class Rig:
    """A client that watches accounts of a simulator through proxies."""

    sim: Simulator
    proxies: dict[str, Proxy]
    """By zone; the one without a name serves REST and everything where there are no zones."""
    names: Names
    session: aiohttp.ClientSession
    monitor: WatchedMonitor
    log: Log
    seen: dict[str, list[tuple[float, AccountState]]] = field(default_factory=dict)
    """What was shown from when on, for each account."""
    attempts: list[tuple[float, int]] = field(default_factory=list)
    """When the client connected for a socket, or tried to, and to which port."""

    @property
    def now(self) -> float:
        """Return the clock."""
        return current_loop().time()

    @property
    def proxy(self) -> Proxy:
        """Return the one proxy of a rig without zones."""
        return self.proxies[""]

    def add(self, account_id: str, region: str = "", **facts: Any) -> None:
        """Watch an account, and write down what is shown of it."""
        self.monitor.add_account(account_id, region, **facts)
        seen = self.seen.setdefault(account_id, [])

        def note() -> None:
            seen.append((self.now, self.monitor.state(account_id)))

        note()
        self.monitor.listen(account_id, note)

    def shown(self, account_id: str) -> Shown:
        """Return what is shown of an account."""
        return shown(self.monitor.state(account_id))

    def timeline(self, account_id: str) -> list[tuple[float, Shown]]:
        """Return what was shown of a terminal from when on, one entry a change."""
        changes: list[tuple[float, Shown]] = []
        for when, state in self.seen[account_id]:
            if not changes or changes[-1][1] != shown(state):
                changes.append((when, shown(state)))
        return changes

    def first_shown(
        self, account_id: str, values: tuple[Shown, ...], since: float
    ) -> float | None:
        """Return when one of some values was shown first, from a moment on."""
        before: Shown = None
        for when, state in self.seen[account_id]:
            if when <= since:
                before = shown(state)
            elif shown(state) in values:
                return since if before in values else when
        return since if before in values else None

    def heard_since(self, account_id: str, since: float) -> bool:
        """Return whether a terminal gave a sign of life after a moment."""
        heard = self.monitor.heard[account_id]
        return bool(heard) and heard[-1][0] > since

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
    """Run simulator, proxies and client; with regions, each has two zones, each behind its proxy."""
    loop = current_loop()
    names = Names()
    attempts: list[tuple[float, int]] = []

    async def begin(_: object, context: Any, params: Any) -> None:
        context.url = params.url

    async def connect(_: object, context: Any, __: object) -> None:
        # aiohttp tries once more by itself, where a server ends a connection without an answer
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
    """What a client has not given back."""

    tasks: list[str]
    sockets: int
    timers: int

    def __bool__(self) -> bool:
        """Return whether anything is left."""
        return bool(self.tasks or self.sockets or self.timers)


class Census:
    """Counts tasks, sockets and timers of a client that ought to have none any more."""

    def __init__(self, proxies: Mapping[str, Proxy]) -> None:
        """Count what is there before the client is."""
        self._ports = {proxy.port for proxy in proxies.values()}
        self._tasks = asyncio.all_tasks()

    def take(self) -> Left:
        """Count what there is of the client; tasks of simulator and proxy serve connections it left open."""
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
    """Return whether a task is the client's, by its name or the code that it runs."""
    code = getattr(task.get_coro(), "cr_code", None)
    where = code.co_filename if code is not None else ""
    return task.get_name().startswith("metaapi") or not any(
        part in where for part in ("/simulator/", "/tests/", "web_protocol", "streams")
    )


def is_api(callback: object) -> bool:
    """Return whether a callback is one of the client's."""
    module = getattr(callback, "__module__", "") or ""
    return module.startswith(("api.", "custom_components."))
