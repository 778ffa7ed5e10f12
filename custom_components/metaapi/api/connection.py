"""One socket to MetaApi: requests matched to answers, and the loop that keeps it open."""

import asyncio
from collections.abc import Callable, Mapping
import contextlib
from dataclasses import asdict
from datetime import UTC, datetime
import logging
import random
import secrets
from typing import Any, Protocol

import aiohttp
import orjson

from .endpoints import (
    Zone,
    new_client_id,
    seed_page_params,
    socket_headers,
    socket_params,
)
from .errors import (
    CannotConnectError,
    ConnectionLostError,
    HandshakeEndedError,
    HandshakeRefusedError,
    MetaApiError,
    NoResponseError,
    NotConnectedError,
    TerminalTimeoutError,
    TooManyPendingError,
    UnauthorizedError,
    from_name,
    read_retry_after,
)
from .policy import HANDSHAKE, Retry
from .timing import Timing
from .token import redact, redact_all
from .wire import Wire, WireCounters

_LOGGER = logging.getLogger(__name__)

MAX_PENDING = 1000
"""Requests that may wait for an answer on one socket."""

_DEPTH = 8
"""How deep an error is read: MetaApi's details are a list of objects."""

_SHORT_LIFE = 5.0
_SUSPICIOUS = 3
"""So many sockets in a row that live for less than these seconds may mean a refused token."""


def new_request_id() -> str:
    """Return a new request id: 32 random characters (SDK behaviour)."""
    return secrets.token_hex(16)


class Channel:
    """One open socket, with requests matched to their answers by `requestId`."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        token: str,
        *,
        application: str,
        on_synchronization: Callable[[Mapping[str, Any]], None],
        on_unauthorized: Callable[[], None],
        timing: Timing,
        instance: int | None = None,
    ) -> None:
        """Prepare a socket; `instance` goes into every request (SDK behaviour)."""
        self.session_id = secrets.token_urlsafe(24)
        self.unexpected = 0
        """Answers nobody waits for, and events that cannot be read."""
        self._token = token
        self._application = application
        self._instance = instance
        self._on_synchronization = on_synchronization
        self._on_unauthorized = on_unauthorized
        self._timing = timing
        self._pending: dict[str, asyncio.Future[Mapping[str, Any]]] = {}
        self._wire = Wire(session, self._event, timing=timing, redact=self._redact)

    @property
    def connected(self) -> bool:
        """Tell whether the socket is open."""
        return self._wire.connected

    @property
    def counters(self) -> WireCounters:
        """Return what went over the socket."""
        return self._wire.counters

    async def connect(self, url: str, *, seed_page: bool = False) -> None:
        """Open the socket; raises HandshakeRefusedError or CannotConnectError.

        With `seed_page`, the URL's query is that of the documentation's example of `reconnect`.
        """
        if seed_page:
            await self._wire.connect(url, seed_page_params(self._token))
            return
        client_id = new_client_id()
        await self._wire.connect(
            url, socket_params(self._token, client_id), socket_headers(client_id)
        )

    async def request(
        self, kind: str, account_id: str, *, timeout: float | None = None, **fields: str
    ) -> Mapping[str, Any]:
        """Send a request and return MetaApi's `response`.

        `timeout` is in seconds. Raises a RequestError when MetaApi answers with `processingError`,
        NoResponseError, ConnectionLostError, NotConnectedError or TooManyPendingError.
        Source: documentation, websocket API; `instanceIndex` and `sessionId`: SDK behaviour.
        """
        if len(self._pending) >= MAX_PENDING:
            raise TooManyPendingError("Too many requests wait for an answer")
        request_id = new_request_id()
        payload: dict[str, Any] = {
            "type": kind,
            "accountId": account_id,
            "requestId": request_id,
            "application": self._application,
            **fields,
        }
        if self._instance is not None:
            payload["instanceIndex"] = self._instance
        answer: asyncio.Future[Mapping[str, Any]] = (
            asyncio.get_running_loop().create_future()
        )
        self._pending[request_id] = answer
        try:
            await self._wire.emit("request", payload)
            async with asyncio.timeout(
                self._timing.response if timeout is None else timeout
            ):
                return await answer
        except TimeoutError:
            raise NoResponseError(
                f"MetaApi did not answer the {kind} request in time"
            ) from None
        finally:
            del self._pending[request_id]

    async def probe(self) -> None:
        """Return when the server answered a ping sent now; raises ConnectionLostError."""
        await self._wire.probe()

    async def wait_closed(self) -> str:
        """Return why the socket closed, once it did."""
        return self._redact(await self._wire.wait_closed())

    def fail_pending(self) -> None:
        """Tell everybody who waits for an answer that none will come."""
        for answer in self._pending.values():
            if not answer.done():
                answer.set_exception(
                    ConnectionLostError("The connection to MetaApi was lost")
                )

    async def close(self) -> None:
        """Close the socket."""
        self.fail_pending()
        await self._wire.close()

    def _redact(self, text: str) -> str:
        """Take the token out of a text."""
        return redact(text, self._token)

    def _event(self, name: str, argument: object) -> None:
        """Take one event of the socket; what cannot be read is counted."""
        if isinstance(argument, str):  # the form that newer protocols use
            try:
                argument = orjson.loads(argument)
            except orjson.JSONDecodeError:
                argument = None
        if not isinstance(argument, dict):
            self.unexpected += 1
        elif name == "synchronization":
            self._on_synchronization(argument)
        elif name == "response":
            self._answer(argument, None)
        elif name == "processingError":
            # a server may repeat what it was sent, in any of its fields
            said = redact_all(argument, self._token, _DEPTH)
            error = from_name(
                said.get("error"),
                said.get("message"),
                said.get("details"),
                said.get("metadata"),
            )
            self._answer(said, error)
            if isinstance(error, UnauthorizedError):
                self._on_unauthorized()
        else:
            self.unexpected += 1

    def _answer(self, payload: Mapping[str, Any], error: MetaApiError | None) -> None:
        """Hand an answer to the request that waits for it."""
        request_id = payload.get("requestId")
        answer = self._pending.get(request_id) if isinstance(request_id, str) else None
        if answer is None or answer.done():
            self.unexpected += 1
        elif error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(payload)


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
        self._counters = WireCounters()
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
    def counters(self) -> WireCounters:
        """Return what went over the open socket."""
        return self._channel.counters if self._channel is not None else WireCounters()

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


async def try_subscribe(
    session: aiohttp.ClientSession,
    token: str,
    zone: Zone,
    account_id: str,
    *,
    application: str,
    timing: Timing | None = None,
) -> None:
    """Judge a token and an account id by a subscribe on a socket that is closed again.

    For tokens that may not use the provisioning API. A terminal that is away is no error here. Raises
    HandshakeRefusedError, CannotConnectError, UnauthorizedError, ForbiddenError, NotFoundError,
    ValidationError, TooManyRequestsError, or another MetaApiError.
    """
    timing = timing or Timing()
    channel = Channel(
        session,
        token,
        application=application,
        on_synchronization=lambda event: None,
        on_unauthorized=lambda: None,
        timing=timing,
        instance=zone.instance,
    )
    try:
        await channel.connect(zone.url)
        with contextlib.suppress(TerminalTimeoutError):
            await channel.request(
                "subscribe",
                account_id,
                timeout=timing.try_response,
                sessionId=channel.session_id,
            )
            with contextlib.suppress(MetaApiError):
                await channel.request("unsubscribe", account_id, timeout=timing.close)
    finally:
        await channel.close()
