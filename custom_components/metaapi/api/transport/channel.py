"""Requests on one open socket, matched to their answers."""

import asyncio
from collections.abc import Callable, Mapping
import random
import secrets
from typing import Any, Protocol

import orjson

from ..errors import (
    ConnectionLostError,
    MetaApiError,
    NoResponseError,
    TooManyPendingError,
    UnauthorizedError,
    from_name,
)
from ..support import Repeat, SocketCounters
from ..timing import Timing
from ..token import clean, redact

MAX_PENDING = 1000
"""Requests that may wait for an answer on one socket."""

_DEPTH = 8
"""How deep an error is read: MetaApi's details are a list of objects."""


PROTOCOL = "3"


class Socket(Protocol):
    """The socket below a channel: it is connected, used and closed once."""

    @property
    def counters(self) -> SocketCounters:
        """What went over the socket."""

    @property
    def connected(self) -> bool:
        """Whether the socket is open and its namespace connected."""

    async def connect(
        self,
        url: str,
        params: Mapping[str, str],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Open the socket; raises HandshakeRefusedError or CannotConnectError."""

    async def emit(self, event: str, payload: Mapping[str, Any]) -> None:
        """Queue an event; raises NotConnectedError."""

    async def probe(self) -> None:
        """Send a ping and return when it is answered; raises ConnectionLostError."""

    async def wait_closed(self) -> str:
        """Return why the socket closed, once it did."""

    async def close(self) -> None:
        """Close the socket; never fails."""


class SocketFactory(Protocol):
    """What makes the socket of a channel."""

    def __call__(
        self,
        on_event: Callable[[str, Any], Repeat | None],
        *,
        redact: Callable[[str], str],
    ) -> Socket:
        """Return a socket that hands on its events, and redacts what it shows of a server's words."""


def new_client_id() -> str:
    """Return a new client id: a random decimal between 0 and 1, as text (SDK behavior)."""
    return f"{random.random():.17f}"


def socket_params(token: str, client_id: str) -> dict[str, str]:
    """Return the query of a socket's URL, as today's clients send it (SDK behavior)."""
    return {"auth-token": token, "clientId": client_id, "protocol": PROTOCOL}


def socket_headers(client_id: str) -> dict[str, str]:
    """Return the headers of a socket's upgrade request (SDK behavior)."""
    return {"Client-Id": client_id}


def seed_page_params(token: str) -> dict[str, str]:
    """Return the query that the documentation's own example of `reconnect` sends."""
    return {"auth-token": token}


def new_request_id() -> str:
    """Return a new request id: 32 random characters (SDK behavior)."""
    return secrets.token_hex(16)


class Channel:
    """One open socket, with requests matched to their answers by `requestId`."""

    def __init__(
        self,
        make_socket: SocketFactory,
        token: str,
        *,
        application: str,
        on_synchronization: Callable[[Mapping[str, Any]], Repeat | None],
        on_unauthorized: Callable[[], None],
        timing: Timing,
        instance: int | None = None,
    ) -> None:
        """Make a socket; `instance` goes into every request (SDK behavior)."""
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
        self._socket = make_socket(self._event, redact=self._redact)

    @property
    def connected(self) -> bool:
        """Return whether the socket is open."""
        return self._socket.connected

    @property
    def counters(self) -> SocketCounters:
        """Return what went over the socket."""
        return self._socket.counters

    async def connect(self, url: str, *, seed_page: bool = False) -> None:
        """Open the socket; raises HandshakeRefusedError or CannotConnectError.

        With `seed_page`, the URL's query is that of the documentation's example of `reconnect`.
        """
        if seed_page:
            await self._socket.connect(url, seed_page_params(self._token))
            return
        client_id = new_client_id()
        await self._socket.connect(
            url, socket_params(self._token, client_id), socket_headers(client_id)
        )

    async def request(
        self, kind: str, account_id: str, *, timeout: float | None = None, **fields: str
    ) -> Mapping[str, Any]:
        """Send a request and return MetaApi's `response`.

        `timeout` is in seconds. Raises a RequestError when MetaApi answers with `processingError`,
        NoResponseError, ConnectionLostError, NotConnectedError or TooManyPendingError.
        Source: documentation, websocket API; `instanceIndex` and `sessionId`: SDK behavior.
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
            await self._socket.emit("request", payload)
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
        await self._socket.probe()

    async def wait_closed(self) -> str:
        """Return why the socket closed, once it did."""
        return self._redact(await self._socket.wait_closed())

    def fail_pending(self) -> None:
        """End the wait of everybody who waits for an answer: none will come."""
        for answer in self._pending.values():
            if not answer.done():
                answer.set_exception(
                    ConnectionLostError("The connection to MetaApi was lost")
                )

    async def close(self) -> None:
        """Close the socket."""
        self.fail_pending()
        await self._socket.close()

    def _redact(self, text: str) -> str:
        """Take the token out of a text."""
        return redact(text, self._token)

    def _event(self, name: str, argument: object) -> Repeat | None:
        """Take one event of the socket; what cannot be read is counted."""
        if isinstance(argument, str):  # the form that newer protocols use
            try:
                argument = orjson.loads(argument)
            except orjson.JSONDecodeError:
                argument = None
        if not isinstance(argument, dict):
            self.unexpected += 1
        elif name == "synchronization":
            return self._on_synchronization(argument)
        elif name == "response":
            self._answer(argument, None)
        elif name == "processingError":
            # a server may repeat what it was sent, in any of its fields
            said = clean(argument, self._token, _DEPTH)
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
        return None

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
