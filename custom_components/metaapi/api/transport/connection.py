"""One connection to a zone, kept open: connect, serve, back off, again."""

import asyncio
from collections.abc import Mapping
import contextlib
from dataclasses import asdict
from datetime import UTC, datetime
import logging
import random
from typing import Any, Protocol

import aiohttp

from ..endpoints import (
    Zone,
)
from ..errors import (
    CannotConnectError,
    HandshakeEndedError,
    HandshakeRefusedError,
    MetaApiError,
    NotConnectedError,
    read_retry_after,
)
from ..terminal.rules import HANDSHAKE, Retry
from ..timing import Timing
from .channel import Channel
from .socketio2 import SocketCounters

_LOGGER = logging.getLogger(__name__)

_SHORT_LIFE = 5.0
_SUSPICIOUS = 3
"""So many sockets in a row that live for less than these seconds may mean a refused token."""


class ConnectionListener(Protocol):
    """Who hears of a connection."""

    def connection_up(self, connection: Connection) -> None:
        """Hear that a socket is open, with a new session id."""

    def connection_down(self, connection: Connection, reason: str) -> None:
        """Hear that the socket is gone."""

    def connection_event(
        self, connection: Connection, event: Mapping[str, Any]
    ) -> None:
        """Take a `synchronization` event."""

    def connection_unauthorized(self, connection: Connection, *, said: bool) -> None:
        """Hear that MetaApi refuses the token: it said so, or closes every socket at once."""


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
        self.attempts = 0
        """Connects tried since the last back-off reset."""
        self.connects = 0
        self.losses = 0
        self.last_error: MetaApiError | None = None
        """Why the last connect that failed did so."""
        self.last_loss: str | None = None
        """Why the last open socket closed."""
        self.opened_at: float | None = None
        self._session = session
        self._token = token
        self._listener = listener
        self._application = application
        self._timing = timing
        self._channel: Channel | None = None
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._short_lives = 0
        self._proven = False
        self._connecting: asyncio.Timeout | None = None
        self._connect_started = 0.0
        self._pause = 0.0
        self._pause_ends: float | None = None
        self._counters = SocketCounters()
        self._unexpected = 0
        self._clock = asyncio.get_running_loop().time
        self._down_since = self._clock()

    @property
    def connected(self) -> bool:
        """Tell whether the socket is open."""
        return self._channel is not None

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
        state, details = "connecting", dict[str, float]()
        if self.opened_at is not None:
            state, details = "open", {"open_for": now - self.opened_at}
        elif self._pause_ends is not None:
            state = "backing off"
            details = {"pause": self._pause, "next_attempt_in": self._pause_ends - now}
        elif self._task is None or self._task.done():
            state = "closed"
        unexpected = self._unexpected
        if self._channel is not None:
            unexpected += self._channel.unexpected
        error = self.last_error
        return {
            "zone": self.zone.name,
            "region": self.zone.region,
            "state": state,
            **{name: round(seconds, 1) for name, seconds in details.items()},
            "attempts_since_reset": self.attempts,
            "connects": self.connects,
            "losses": self.losses,
            "last_loss": self.last_loss,
            "last_error": error and f"{type(error).__name__}: {error}",
            **asdict(self._counters + self.counters),
            "unexpected": unexpected,
        }

    def start(self) -> None:
        """Start to connect."""
        self._task = asyncio.create_task(
            self._run(), name=f"metaapi socket {self.zone.name}"
        )

    def wake(self) -> None:
        """Connect now, because a person asks: cut a pause short, but not one after a refusal."""
        self.attempts = 0
        self._wake.set()
        if (
            self._connecting is not None
            and self._clock() >= self._connect_started + self._timing.connect_hung
        ):
            self._connecting.reschedule(self._clock())

    def prove(self) -> None:
        """Hear that the socket serves its purpose: its loss starts the back-off afresh."""
        self._proven = True

    def stop(self) -> None:
        """Start to end the loop, without waiting for it."""
        if self._task is not None:
            self._task.cancel()

    async def request(
        self, kind: str, account_id: str, *, timeout: float | None = None, **fields: str
    ) -> Mapping[str, Any]:
        """Send a request; see `Channel.request`."""
        if self._channel is None:
            raise NotConnectedError("No socket to MetaApi is open")
        return await self._channel.request(kind, account_id, timeout=timeout, **fields)

    async def probe(self) -> None:
        """Return when the server answered a ping sent now; raises ConnectionLostError."""
        if self._channel is None:
            raise NotConnectedError("No socket to MetaApi is open")
        await self._channel.probe()

    async def close(self) -> None:
        """Close the socket and end the loop, whatever it is doing."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait((self._task,))
        self._task = None

    async def _run(self) -> None:
        """Keep the socket open until cancelled."""
        while True:
            floor = 0.0
            started = self._clock()
            try:
                await self._serve()
            except HandshakeRefusedError as err:
                self.last_error = err
                self._short_lives = 0
                if HANDSHAKE.get(err.status) is Retry.LATER:
                    floor = max(
                        read_retry_after(err.retry_after, datetime.now(UTC)) or 0.0,
                        self._timing.refused_floor,
                    )
                if err.status == 401:
                    self._listener.connection_unauthorized(self, said=True)
            except HandshakeEndedError as err:
                self.last_error = err
                self._lived(0.0)
            except CannotConnectError as err:
                self.last_error = err
                self._short_lives = 0
            except Exception as err:  # noqa: BLE001 - whatever it is, the loop must not end
                # without its text, which may hold the URL
                _LOGGER.error(
                    "Unexpected %s on the socket to %s",
                    type(err).__name__,
                    self.zone.name,
                )
            else:
                self._lived(self._clock() - started)
            await self._back_off(floor)

    def _lived(self, seconds: float) -> None:
        """Suspect the token when one socket after the other is closed as soon as it is open."""
        self._short_lives = self._short_lives + 1 if seconds < _SHORT_LIFE else 0
        if self._short_lives >= _SUSPICIOUS:
            self._short_lives = 0
            self._listener.connection_unauthorized(self, said=False)

    async def _serve(self) -> None:
        """Connect once and stay until the socket is gone."""
        channel = Channel(
            self._session,
            self._token,
            application=self._application,
            on_synchronization=self._event,
            on_unauthorized=lambda: self._listener.connection_unauthorized(
                self, said=True
            ),
            timing=self._timing,
            instance=self.zone.instance,
        )
        self.attempts += 1
        await self._connect(channel)
        self._channel = channel
        self._proven = False
        self.connects += 1
        self.opened_at = opened_at = self._clock()
        reason = "closed by us"
        try:
            self._listener.connection_up(self)
            reason = self.last_loss = await channel.wait_closed()
            self.losses += 1
        finally:
            self._channel = None
            self.opened_at = None
            self._counters += channel.counters
            self._unexpected += channel.unexpected
            now = self._clock()
            if now >= opened_at + self._timing.backoff_reset or (
                self._proven and now >= opened_at + self._timing.backoff_proven
            ):
                self.attempts = 0
                self._down_since = now
            channel.fail_pending()
            try:
                self._listener.connection_down(self, reason)
            finally:
                await channel.close()

    async def _connect(self, channel: Channel) -> None:
        """Open a socket; a person who asks need not wait for one that hangs."""
        self._connect_started = self._clock()
        try:
            async with asyncio.timeout(None) as self._connecting:
                await channel.connect(self.zone.url)
        except TimeoutError:
            raise CannotConnectError("The connect hung, and somebody asked") from None
        finally:
            self._connecting = None

    async def _back_off(self, floor: float) -> None:
        """Pause with full jitter, or for the whole floor after a refusal."""
        longest = min(
            self._timing.backoff_first * 2.0 ** min(max(self.attempts - 1, 0), 30),
            self._timing.backoff_max,
        )
        if self._clock() < self._down_since + self._timing.backoff_patience:
            longest = min(longest, self._timing.backoff_short)
        self._pause = floor + random.uniform(0, longest)
        self._pause_ends = self._clock() + self._pause
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

    def _event(self, event: Mapping[str, Any]) -> None:
        """Hand a `synchronization` event on."""
        self._listener.connection_event(self, event)
