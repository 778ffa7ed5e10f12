"""One connection to a zone, kept open: connect, serve, back off, again."""

import asyncio
from collections.abc import Callable, Mapping
import contextlib
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
import logging
import random
from typing import Any, Protocol

import aiohttp

from ..endpoints import Zone
from ..errors import (
    CannotConnectError,
    HandshakeEndedError,
    HandshakeRefusedError,
    MetaApiError,
    NotConnectedError,
    read_retry_after,
)
from ..support import Repeat, SocketCounters
from ..timing import Timing
from .channel import Channel, SocketFactory
from .engineio3 import EngineIO3
from .socketio2 import Socket

_LOGGER = logging.getLogger(__name__)

REFUSALS = frozenset((401, 403, 404, 429))
"""HTTP statuses of a handshake that have a floor; every other failure to connect is a matter of back-off.

Even these may pass by themselves, so the first floors are short.
"""

_SHORT_LIFE = 5.0
"""Seconds."""
_SUSPICIOUS = 3
"""This many short lives in a row may mean a refused token."""


def make_socket(session: aiohttp.ClientSession, timing: Timing) -> SocketFactory:
    """Return what makes a socket of both dialects for a channel, on a session of the caller's."""
    return partial(Socket, partial(EngineIO3, session, timing), timing=timing)


def make_channel(
    session: aiohttp.ClientSession,
    token: str,
    *,
    application: str,
    on_synchronization: Callable[[Mapping[str, Any]], Repeat | None],
    on_unauthorized: Callable[[], None],
    timing: Timing,
    instance: int | None = None,
) -> Channel:
    """Return a channel that is not open yet; see `Channel`."""
    return Channel(
        make_socket(session, timing),
        token,
        application=application,
        on_synchronization=on_synchronization,
        on_unauthorized=on_unauthorized,
        timing=timing,
        instance=instance,
    )


class ConnectionState(StrEnum):
    """What a connection is doing."""

    CLOSED = "closed"
    CONNECTING = "connecting"
    OPEN = "open"
    BACKING_OFF = "backing off"


class ConnectionListener(Protocol):
    """Who is told about a connection."""

    def connection_up(self, connection: Connection) -> None:
        """Called when a socket is open, with a new session id."""

    def connection_down(self, connection: Connection, reason: str) -> None:
        """Called when the socket is gone."""

    def connection_event(
        self, connection: Connection, event: Mapping[str, Any]
    ) -> Repeat | None:
        """Called with each `synchronization` event; returns what to call when the same comes again, if that may do."""

    def connection_unauthorized(self, connection: Connection, *, said: bool) -> None:
        """Called when MetaApi refuses the token: it said so, or closes every socket at once."""


class BackOff:
    """The pauses between connects."""

    def __init__(self, timing: Timing) -> None:
        """Start without a failure."""
        self.attempts = 0
        """Connects tried since the last reset."""
        self._timing = timing
        self._clock = asyncio.get_running_loop().time
        self._down_since = self._counts_from = self._clock()
        """When the outage began, and the next pause: with the connect that fails, or with the loss."""
        self._refusals = 0
        self._proven = False
        self._wake = asyncio.Event()
        self._pause = 0.0
        self._pause_ends: float | None = None

    def wake(self) -> None:
        """End a pause, because a person asks, but not one after a refusal."""
        self.attempts = 0
        self._wake.set()

    def attempt(self) -> None:
        """Note that a connect begins."""
        self.attempts += 1
        self._proven = False
        self._counts_from = self._clock()

    def prove(self) -> None:
        """Note that the socket serves its purpose."""
        self._proven = True

    def lost(self, opened_at: float) -> None:
        """Start afresh after a socket that was open for long, or for less when it was proven."""
        self._counts_from = now = self._clock()
        lived = now - opened_at
        if lived < self._timing.backoff_proven:
            return
        self._down_since = now
        if self._proven or lived >= self._timing.backoff_reset:
            self.attempts = 0
            self._refusals = 0

    def refuse(self, recommended: float) -> float:
        """Return the floor of the pause after a refusal, in seconds; `recommended` is what the server asks for."""
        floor = min(
            self._timing.refused_first * 2.0 ** min(self._refusals, 30),
            self._timing.refused_floor,
        )
        self._refusals += 1
        return max(floor, recommended)

    async def pause(self, floor: float) -> None:
        """Pause with full jitter, or for the whole floor, in seconds, after a refusal."""
        now = self._clock()
        longest = min(
            self._timing.backoff_first * 2.0 ** min(max(self.attempts - 1, 0), 30),
            self._timing.backoff_max,
        )
        if now < self._down_since + self._timing.backoff_patience:
            longest = min(longest, self._timing.backoff_short)
        # a connect that hung was a pause in itself; what is left keeps those apart who hung together
        least = min(self._timing.backoff_first, longest)
        longest = max(longest - (now - self._counts_from), least)
        self._pause = floor + random.uniform(0, longest)
        self._pause_ends = now + self._pause
        try:
            if floor:
                await asyncio.sleep(self._pause)
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause):
                    await self._wake.wait()
            self._wake.clear()
        finally:
            self._pause_ends = None

    def times(self, now: float) -> dict[str, float]:
        """Return the pause and when it ends, in seconds from `now`, while there is one."""
        if self._pause_ends is None:
            return {}
        return {"pause": self._pause, "next_attempt_in": self._pause_ends - now}


class ShortLives:
    """Counts sockets in a row that live so shortly that the token may be refused."""

    def __init__(self) -> None:
        """Start with none."""
        self._count = 0

    def add(self, seconds: float) -> bool:
        """Note how long a socket lived; return whether that is suspicious."""
        self._count = self._count + 1 if seconds < _SHORT_LIFE else 0
        if self._count < _SUSPICIOUS:
            return False
        self._count = 0
        return True

    def clear(self) -> None:
        """Start again: what happened was something else."""
        self._count = 0


@dataclass(slots=True)
class Statistics:
    """What a connection went through, for a person."""

    connects: int = 0
    losses: int = 0
    last_loss: str | None = None
    """Why the last open socket closed."""
    last_error: MetaApiError | None = None
    """Why the last connect that failed did so."""
    counters: SocketCounters = field(default_factory=SocketCounters)
    """What went over sockets that are gone."""
    unexpected: int = 0

    def add(self, channel: Channel) -> None:
        """Keep what went over a socket that is gone."""
        self.counters += channel.counters
        self.unexpected += channel.unexpected

    def diagnostics(self, channel: Channel | None) -> dict[str, Any]:
        """Return all of it, with what went over the open socket."""
        counters, unexpected = self.counters, self.unexpected
        if channel is not None:
            counters += channel.counters
            unexpected += channel.unexpected
        error = self.last_error
        return {
            "connects": self.connects,
            "losses": self.losses,
            "last_loss": self.last_loss,
            "last_error": error and f"{type(error).__name__}: {error}",
            **asdict(counters),
            "unexpected": unexpected,
        }


class Connection:
    """A socket to one zone that is kept open: connect, serve, back off, again."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        zone: Zone,
        token: str,
        listener: ConnectionListener,
        *,
        application: str,
        timing: Timing,
    ) -> None:
        """Prepare the loop; `start` runs it."""
        self.zone = zone
        self.statistics = Statistics()
        self.back_off = BackOff(timing)
        self._timing = timing
        self._listener = listener
        self._make_channel = partial(
            make_channel,
            session,
            token,
            application=application,
            on_synchronization=self._event,
            on_unauthorized=self._unauthorized,
            timing=timing,
            instance=zone.instance,
        )
        self._state = ConnectionState.CLOSED
        self._since = 0.0
        """When the state began."""
        self._channel: Channel | None = None
        """The open socket, if there is one."""
        self._task: asyncio.Task[None] | None = None
        self._connecting: asyncio.Timeout | None = None
        self._cut_short = False
        """Whether the last connect was given up for a person: the next one has all its time."""
        self._short_lives = ShortLives()
        self._clock = asyncio.get_running_loop().time

    @property
    def state(self) -> ConnectionState:
        """Return what the connection is doing."""
        return self._state

    @property
    def connected(self) -> bool:
        """Return whether the socket is open."""
        return self._state is ConnectionState.OPEN

    @property
    def opened_at(self) -> float | None:
        """Return when the open socket opened."""
        return self._since if self.connected else None

    @property
    def session_id(self) -> str:
        """Return the session id of the open socket, or nothing."""
        return self._channel.session_id if self._channel is not None else ""

    @property
    def counters(self) -> SocketCounters:
        """Return what went over the open socket."""
        return self._channel.counters if self._channel is not None else SocketCounters()

    def diagnostics(self, now: float) -> dict[str, Any]:
        """Return how the socket does and did, for a person; seconds count back or ahead from `now`."""
        times = self.back_off.times(now)
        if self.connected:
            times = {"open_for": now - self._since}
        return {
            "zone": self.zone.name,
            "region": self.zone.region,
            "state": self._state.value,
            **{name: round(seconds, 1) for name, seconds in times.items()},
            "attempts_since_reset": self.back_off.attempts,
            **self.statistics.diagnostics(self._channel),
        }

    def start(self) -> None:
        """Start to connect."""
        self._enter(ConnectionState.CONNECTING)
        self._task = asyncio.create_task(
            self._run(), name=f"metaapi socket {self.zone.name}"
        )

    def wake(self) -> None:
        """Connect now, because a person asks: end a pause, but not one after a refusal."""
        self.back_off.wake()
        if (
            self._connecting is not None
            and not self._cut_short
            and self._clock() >= self._since + self._timing.connect_hung
        ):
            self._connecting.reschedule(self._clock())

    def prove(self) -> None:
        """Note that the socket serves its purpose: its loss starts the back-off afresh."""
        self.back_off.prove()

    def stop(self) -> None:
        """Start to end the loop, without waiting for it."""
        if self._task is not None:
            self._task.cancel()

    async def request(
        self, kind: str, account_id: str, *, timeout: float | None = None, **fields: str
    ) -> Mapping[str, Any]:
        """Send a request; see `Channel.request`."""
        return await self._open_channel().request(
            kind, account_id, timeout=timeout, **fields
        )

    async def probe(self) -> None:
        """Return when the server answered a ping sent now; raises ConnectionLostError."""
        await self._open_channel().probe()

    async def close(self) -> None:
        """Close the socket and end the loop, whatever it is doing."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait((self._task,))
        self._task = None
        self._enter(ConnectionState.CLOSED)

    def _enter(self, state: ConnectionState) -> None:
        """Change the state."""
        self._state = state
        self._since = self._clock()

    def _open_channel(self) -> Channel:
        """Return the open socket; raises NotConnectedError."""
        if self._channel is None:
            raise NotConnectedError("No socket to MetaApi is open")
        return self._channel

    async def _run(self) -> None:
        """Keep the socket open until cancelled."""
        try:
            while True:
                floor = await self._serve_once()
                self._enter(ConnectionState.BACKING_OFF)
                await self.back_off.pause(floor)
        finally:
            self._enter(ConnectionState.CLOSED)

    async def _serve_once(self) -> float:
        """Connect once and serve; return the floor of the pause that follows, in seconds."""
        self._enter(ConnectionState.CONNECTING)
        started = self._clock()
        try:
            await self._serve()
        except HandshakeRefusedError as err:
            self.statistics.last_error = err
            self._short_lives.clear()
            if err.status == 401:
                self._unauthorized()
            if err.status in REFUSALS:
                recommended = read_retry_after(err.retry_after, datetime.now(UTC))
                return self.back_off.refuse(recommended or 0.0)
        except HandshakeEndedError as err:
            self.statistics.last_error = err
            self._lived(0.0)
        except CannotConnectError as err:
            self.statistics.last_error = err
            self._short_lives.clear()
        except Exception as err:  # noqa: BLE001 - whatever it is, the loop must not end
            # without its text, which may hold the URL
            _LOGGER.error(
                "Unexpected %s on the socket to %s", type(err).__name__, self.zone.name
            )
        else:
            self._lived(self._clock() - started)
        return 0.0

    def _lived(self, seconds: float) -> None:
        """Suspect the token when one socket after the other is closed as soon as it is open."""
        if self._short_lives.add(seconds):
            self._listener.connection_unauthorized(self, said=False)

    async def _serve(self) -> None:
        """Connect once and stay until the socket is gone."""
        channel = self._make_channel()
        self.back_off.attempt()
        await self._connect(channel)
        self._channel = channel
        self._enter(ConnectionState.OPEN)
        opened_at = self._since
        self.statistics.connects += 1
        reason = "closed by us"
        try:
            self._listener.connection_up(self)
            reason = self.statistics.last_loss = await channel.wait_closed()
            self.statistics.losses += 1
        finally:
            self._channel = None
            self._enter(ConnectionState.BACKING_OFF)
            self.statistics.add(channel)
            self.back_off.lost(opened_at)
            channel.fail_pending()
            try:
                self._listener.connection_down(self, reason)
            finally:
                await channel.close()

    async def _connect(self, channel: Channel) -> None:
        """Open a socket; a person who asks need not wait for one that hangs."""
        cut_short = False
        try:
            async with asyncio.timeout(None) as self._connecting:
                await channel.connect(self.zone.url)
        except TimeoutError:
            cut_short = True
            raise CannotConnectError("The connect hung, and somebody asked") from None
        finally:
            self._connecting = None
            self._cut_short = cut_short

    def _event(self, event: Mapping[str, Any]) -> Repeat | None:
        """Hand a `synchronization` event on."""
        return self._listener.connection_event(self, event)

    def _unauthorized(self) -> None:
        """Hand on that MetaApi refused the token in words."""
        self._listener.connection_unauthorized(self, said=True)
