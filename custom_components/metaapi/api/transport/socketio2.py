"""Socket.IO 2.x over Engine.IO 3, as a thin dialect of python-socketio 5.

The library keeps packets, queue, write loop and namespaces. The dialect owns what differs or what the
library does not do well enough for a link that must not lie: the URL, the handshake and its errors, the
pings (in this revision the client sends them), the read loop, and a close that always ends.

Protocol facts: the public Engine.IO 3 and Socket.IO protocol 4 descriptions, checked against `socket.io`
2.5.1 and 4.8.4 with `allowEIO3`.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
import logging
from math import inf
from typing import Any, override
from urllib.parse import urlsplit

import aiohttp
import engineio
from engineio import packet as engineio_packet
import orjson
import socketio
from socketio import packet as socketio_packet

from ..endpoints import SOCKET_PATH
from ..errors import (
    CannotConnectError,
    ConnectionLostError,
    HandshakeEndedError,
    HandshakeRefusedError,
    MetaApiError,
    NotConnectedError,
)
from ..timing import Timing

MAX_FRAME_SIZE = 4 * 1024 * 1024
"""A larger frame ends the socket, in bytes."""

_PING_INTERVAL_BOUNDS = (0.05, 3600.0)
_STALL = 0.5
"""A timer that fires this late means that our own loop stood still, not that the server is gone."""
_NEVER = 86_400.0
"""The library ends a socket on which nothing was sent for long; that is for our pings to judge."""
_SAID_LIMIT = 200
"""How much of what a server said of a refusal is told on."""

_CLOSED_BY_US = "closed by us"
_SILENT = "the server stopped answering"
_BROKEN = "the connection broke"

_ENGINEIO_LOGGER = logging.getLogger("engineio.metaapi")
_SOCKETIO_LOGGER = logging.getLogger("socketio.metaapi")


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    """Keep what the library says of every single packet, at info, to those who debug."""
    return record.levelno > logging.INFO or logging.getLogger(record.name).isEnabledFor(
        logging.DEBUG
    )


_ENGINEIO_LOGGER.addFilter(_is_worth_a_line)
_SOCKETIO_LOGGER.addFilter(_is_worth_a_line)

type EventCallback = Callable[[str, Any], None]


@dataclass(slots=True)
class SocketCounters:
    """What went over one socket."""

    frames: int = 0
    """Frames that came in."""
    sent: int = 0
    """Requests and pings that went out."""
    events: int = 0
    malformed: int = 0

    def __add__(self, other: SocketCounters) -> SocketCounters:
        """Return what went over two sockets."""
        return SocketCounters(
            self.frames + other.frames,
            self.sent + other.sent,
            self.events + other.events,
            self.malformed + other.malformed,
        )


class Socket:
    """One socket: connect, use and close it once."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        on_event: EventCallback,
        *,
        timing: Timing | None = None,
        redact: Callable[[str], str] = str,
    ) -> None:
        """Prepare a socket on a session of the caller's; `on_event` gets an event's name and argument.

        `redact` takes secrets out of what the server says of a refusal.
        """
        self.counters = SocketCounters()
        self._session = session
        self._on_event = on_event
        self._timing = timing or Timing()
        self.redact = redact
        self._client: _SocketIO2 | None = None

    async def connect(
        self,
        url: str,
        params: Mapping[str, str],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Open the socket and wait until its namespace is connected.

        `params` may hold the token: they go to aiohttp apart from the URL, which the library logs.
        Raises HandshakeRefusedError with the HTTP status, or CannotConnectError.
        """
        client = _SocketIO2(
            self,
            reconnection=False,
            handle_sigint=False,
            logger=_SOCKETIO_LOGGER,
            engineio_logger=_ENGINEIO_LOGGER,
            http_session=self._session,
            timestamp_requests=False,
            websocket_extra_options={
                "params": dict(params),
                "max_msg_size": MAX_FRAME_SIZE,
                "timeout": aiohttp.ClientWSTimeout(ws_close=self._timing.close),
            },
        )
        self._client = client
        try:
            try:
                async with asyncio.timeout(self._timing.connect):
                    await client.connect(
                        url,
                        headers=dict(headers or {}),
                        transports=["websocket"],
                        namespaces=["/"],
                        socketio_path=SOCKET_PATH,
                        wait=False,
                    )
                    await client.wait_ready(self._timing.namespace)
            except TimeoutError:
                raise CannotConnectError(
                    "MetaApi did not finish the handshake in time"
                ) from None
        except BaseException:
            client.engine.lose("connect failed")
            await self.close()
            raise

    @property
    def connected(self) -> bool:
        """Tell whether the socket is open and its namespace connected."""
        return self._client is not None and self._client.usable

    async def emit(self, event: str, payload: Mapping[str, Any]) -> None:
        """Queue an event; raises NotConnectedError when the socket is not open."""
        if self._client is None or not self.connected:
            raise NotConnectedError("No socket to MetaApi is open")
        self.counters.sent += 1
        await self._client.emit(event, dict(payload))

    async def probe(self) -> None:
        """Send a ping and return when it is answered; raises ConnectionLostError if it never is."""
        if self._client is None:
            raise NotConnectedError("No socket to MetaApi is open")
        await self._client.engine.probe()

    async def wait_closed(self) -> str:
        """Return why the socket closed, once it did."""
        if self._client is None:
            raise NotConnectedError("No socket to MetaApi is open")
        return await asyncio.shield(self._client.engine.closed)

    async def close(self) -> None:
        """Close the socket; politely for a bounded time, then without asking. Never fails."""
        if self._client is not None:
            await self._client.engine.shut(self._timing.close)

    def dispatch(self, frame: str) -> None:
        """Hand the event of a `42…` frame on; a frame that holds none is counted."""
        try:
            # an event may carry a number, to be acknowledged with; nobody here has a use for it
            event = orjson.loads(frame[2:].lstrip("0123456789"))
        except orjson.JSONDecodeError:
            event = None
        if not isinstance(event, list) or not event or not isinstance(event[0], str):
            self.counters.malformed += 1
            return
        self.counters.events += 1
        try:
            self._on_event(event[0], event[1] if len(event) > 1 else None)
        except Exception:  # a fault of ours must not cost the socket
            _SOCKETIO_LOGGER.exception(
                "Error in the handler of %r", self.redact(event[0])[:_SAID_LIMIT]
            )


class _EngineIO3(engineio.AsyncClient):
    """The Engine.IO 3 dialect of the library's client."""

    wire: Socket
    ws: aiohttp.ClientWebSocketResponse | None

    def __init__(self, **kwargs: Any) -> None:
        """Add what the dialect keeps."""
        super().__init__(**kwargs)
        self.closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None
        self._tasks: list[asyncio.Task[Any]] = []
        self._clock = asyncio.get_running_loop().time
        self._interval = 0.0
        self._patience = 0.0
        self._last_heard = 0.0
        self._pings = 0
        self._pongs = 0
        self._probes: list[tuple[int, asyncio.Future[None]]] = []

    @override
    def __del__(self) -> None:
        """Leave the session to its owner; the library's finalizer tries to close it."""

    @override
    def _get_engineio_url(self, url: str, engineio_path: str, transport: str) -> str:
        """Return the socket's URL; a path of the base URL is kept, as a proxy may need it."""
        parts = urlsplit(url)
        scheme = "wss" if parts.scheme in ("https", "wss") else "ws"
        path = f"{parts.path.rstrip('/')}/{engineio_path.strip('/')}/"
        return f"{scheme}://{parts.netloc}{path}?transport={transport}&EIO=3"

    @override
    async def _connect_websocket(
        self, url: str, headers: dict[str, str], engineio_path: str
    ) -> bool:
        """Open the websocket, read the open packet, start the loops."""
        error: MetaApiError
        try:
            ws = await self.http.ws_connect(
                self._get_engineio_url(url, engineio_path, "websocket"),
                headers=headers,
                **self.websocket_extra_options,
            )
        except aiohttp.ClientResponseError as err:
            error = _refusal(err)
        except (
            aiohttp.ClientError,
            OSError,
            ValueError,
            TimeoutError,
            RuntimeError,  # the session was closed
        ) as err:
            error = CannotConnectError(f"No socket to MetaApi ({type(err).__name__})")
        else:
            self._adopt(ws)
            self._read_open(await ws.receive())
            self.state = "connected"
            self.current_transport = "websocket"
            await self._trigger_event("connect", run_async=False)
            self.write_loop_task = self._start(self._write_loop(), "write")
            self.read_loop_task = self._start(self._read_loop_websocket(), "read")
            self._start(self._ping_loop(), "ping")
            return True
        # raised here, not above: the library's exception holds the URL with the token
        raise error

    def _adopt(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        """Keep a websocket, and hear of each of its bytes: a large frame may take long to come."""
        self.ws = ws
        connection = ws._response.connection  # noqa: SLF001
        assert connection is not None
        assert connection.protocol is not None
        self._transport = connection.transport
        connection.protocol._data_received_cb = self._heard  # noqa: SLF001
        if history := ws._response.history:  # noqa: SLF001
            raise HandshakeRefusedError(history[0].status)

    def _heard(self) -> None:
        """Note that the server is alive."""
        self._last_heard = self._clock()

    def _start(self, loop: Any, name: str) -> asyncio.Task[None]:
        """Run one of the socket's loops; when it ends, so does the socket."""
        task: asyncio.Task[None] = asyncio.create_task(
            loop, name=f"metaapi socket {name}"
        )
        self._tasks.append(task)
        task.add_done_callback(self._loop_ended)
        return task

    def _loop_ended(self, task: asyncio.Task[None]) -> None:
        """Lose the socket with the first of its loops."""
        failure = None if task.cancelled() else task.exception()
        if self.state == "connected":
            self.lose(f"{_BROKEN} ({type(failure).__name__})" if failure else _BROKEN)

    def _read_open(self, message: aiohttp.WSMessage) -> None:
        """Take the session id and the ping times from the open packet."""
        if message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED):
            raise HandshakeEndedError(
                f"MetaApi ended the handshake: {_why_closed(message)}"
            )
        opened: Any = None
        if message.type is aiohttp.WSMsgType.TEXT and message.data[:1] == "0":
            with suppress(orjson.JSONDecodeError):
                opened = orjson.loads(message.data[1:])
        if isinstance(opened, dict):
            sid = opened.get("sid")
            interval = _seconds(opened.get("pingInterval"))
            timeout = _seconds(opened.get("pingTimeout"))
            low, high = _PING_INTERVAL_BOUNDS
            if isinstance(sid, str) and low <= interval <= high and 0 < timeout <= high:
                self.sid = sid
                self.upgrades = []
                self.ping_interval = self.ping_timeout = _NEVER
                self._interval = interval
                self._patience = timeout
                return
        # raised here: an error of the parser's would quote what the server said
        raise CannotConnectError("What answered is not an Engine.IO 3 server")

    @override
    async def _read_loop_websocket(self) -> None:
        """Read frames until the socket ends."""
        assert self.ws is not None
        receive = self.ws.receive
        counters = self.wire.counters
        while self.state == "connected":
            message = await receive()
            counters.frames += 1
            if message.type is aiohttp.WSMsgType.TEXT:
                frame: str = message.data
                if frame.startswith("42"):
                    self.wire.dispatch(frame)
                else:
                    await self._take(frame)
            elif message.type is aiohttp.WSMsgType.BINARY:
                counters.malformed += 1
            else:
                self.lose(_why_closed(message))

    async def _take(self, frame: str) -> None:
        """Handle a frame that is not an ordinary event."""
        kind = frame[:1]
        if kind == "3" and self._pongs < self._pings:
            self._pongs += 1
            while self._probes and self._probes[0][0] <= self._pongs:
                _, probe = self._probes.pop(0)
                probe.set_result(None)
        elif kind == "4":
            await self._trigger_event("message", frame[1:], run_async=False)
        elif kind == "1":
            self.lose("the server closed it")
        elif kind != "6":
            self.wire.counters.malformed += 1

    async def _ping_loop(self) -> None:
        """Ping at the server's interval; a ping that is followed by nothing at all ends the socket."""
        next_ping = self._clock() + self._interval
        sent = 0.0
        deadline = inf
        while True:  # whatever ends the socket cancels this
            due = min(next_ping, deadline)
            await asyncio.sleep(max(0.0, due - self._clock()))
            now = self._clock()
            if self._last_heard > sent:
                deadline = inf
            elif now >= deadline:
                if now - due < _STALL:
                    self.lose(_SILENT)
                    return
                deadline = now + self._patience
            if now >= next_ping:
                self._send_ping()
                next_ping = now + self._interval
                if deadline == inf:
                    sent = now
                    deadline = now + self._patience

    def _send_ping(self) -> int:
        """Queue a ping and return its number; pongs come back in the same order."""
        self._pings += 1
        self.wire.counters.sent += 1
        self.queue.put_nowait(engineio_packet.Packet(engineio_packet.PING))
        return self._pings

    async def probe(self) -> None:
        """Send a ping of its own and wait for its pong."""
        if self.state != "connected":
            raise NotConnectedError("No socket to MetaApi is open")
        probe = asyncio.get_running_loop().create_future()
        self._probes.append((self._send_ping(), probe))
        await asyncio.wait((probe, self.closed), return_when=asyncio.FIRST_COMPLETED)
        if not probe.done():
            raise ConnectionLostError("The connection to MetaApi was lost")

    def lose(self, reason: str) -> None:
        """End the socket here and now; harmless when it has ended already."""
        self.state = "disconnected"
        for task in self._tasks:
            task.cancel()
        if self.ws is not None:
            _abort(self.ws, self._transport)
        if not self.closed.done():
            self.closed.set_result(reason)

    async def shut(self, patience: float) -> None:
        """Say goodbye for a bounded time, then end the socket and its loops for certain."""
        try:
            if self.state == "connected" and self.ws is not None:
                self.state = "disconnecting"
                for task in self._tasks:
                    task.cancel()
                async with asyncio.timeout(patience):
                    await self._tasks_end()
                    await self.ws.close()
        except TimeoutError, aiohttp.ClientError, OSError:
            pass
        finally:
            self.lose(_CLOSED_BY_US)
        await self._tasks_end()

    async def _tasks_end(self) -> None:
        """Wait for the loops, which were cancelled."""
        if tasks := [
            task for task in self._tasks if task is not asyncio.current_task()
        ]:
            await asyncio.wait(tasks)


class _SocketIO2(socketio.AsyncClient):
    """The Socket.IO 2.x dialect of the library's client."""

    def __init__(self, wire: Socket, **kwargs: Any) -> None:
        """Build the library's client around our engine."""
        super().__init__(**kwargs)
        self.wire = wire
        self.engine.wire = wire
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._rejection: str | None = None

    @property
    def engine(self) -> _EngineIO3:
        """Return the engine below."""
        engine: _EngineIO3 = self.eio
        return engine

    @property
    def usable(self) -> bool:
        """Tell whether the socket is open and its namespace connected."""
        return self._ready.done() and self.engine.state == "connected"

    async def wait_ready(self, patience: float) -> None:
        """Wait for the server's unasked `40`; raises CannotConnectError."""
        await asyncio.wait(
            (self._ready, self.engine.closed),
            timeout=patience,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if self.engine.closed.done():
            reason = self._rejection or self.engine.closed.result()
            if reason in (_CLOSED_BY_US, _SILENT):
                raise CannotConnectError(f"No socket to MetaApi: {reason}")
            raise HandshakeEndedError(f"MetaApi ended the handshake: {reason}")
        if not self._ready.done():
            raise CannotConnectError("MetaApi did not connect the namespace in time")

    @override
    def _engineio_client_class(self) -> type[_EngineIO3]:
        """Use our engine."""
        return _EngineIO3

    @override
    async def _handle_eio_connect(self) -> None:
        """Send no connect packet: a 2.x server connects the default namespace by itself."""
        self.sid = self.engine.sid

    @override
    async def _handle_eio_message(self, data: str) -> None:
        """Take a Socket.IO packet that is not an ordinary event; what is malformed is only counted."""
        try:
            packet = self.packet_class(encoded_packet=data) if data else None
        except ValueError, TypeError, IndexError, RecursionError:
            packet = None
        if packet is None or packet.namespace not in (None, "/"):
            self.wire.counters.malformed += 1
        elif packet.packet_type == socketio_packet.CONNECT:
            await self._handle_connect("/", None)
        elif packet.packet_type == socketio_packet.DISCONNECT:
            self.engine.lose("the server disconnected the namespace")
        elif packet.packet_type == socketio_packet.CONNECT_ERROR:
            said = packet.data if isinstance(packet.data, str) else data[1:]
            self._rejection = f"error packet {self.wire.redact(said)[:_SAID_LIMIT]!r}"
            self.engine.lose(f"the server sent an {self._rejection}")
        else:
            self.wire.counters.malformed += 1

    @override
    async def _handle_connect(self, namespace: str, data: Any) -> None:
        """Note that the namespace is connected."""
        await super()._handle_connect(namespace, data)
        if not self._ready.done():
            self._ready.set_result(None)


def _abort(
    ws: aiohttp.ClientWebSocketResponse, transport: asyncio.Transport | None
) -> None:
    """Free a websocket's connection at once; its public close can wait for a buffer nobody reads."""
    if transport is not None:
        transport.abort()
    ws._response.close()  # noqa: SLF001


def _why_closed(message: aiohttp.WSMessage) -> str:
    """Say why a websocket ended."""
    if message.type is aiohttp.WSMsgType.ERROR:
        return f"websocket error ({type(message.data).__name__})"
    if message.type is not aiohttp.WSMsgType.CLOSE:
        return _BROKEN
    code = f" (websocket code {message.data})" if message.data else ""
    return f"the server closed it{code}"


def _refusal(err: aiohttp.ClientResponseError) -> MetaApiError:
    """Translate an answer that is no websocket; a redirect is one, whatever came of it."""
    if err.history:
        return HandshakeRefusedError(err.history[0].status)
    if isinstance(err, aiohttp.WSServerHandshakeError) and err.status != 101:
        retry_after = err.headers.get("Retry-After") if err.headers else None
        return HandshakeRefusedError(err.status, retry_after)
    return CannotConnectError(f"No socket to MetaApi ({type(err).__name__})")


def _seconds(milliseconds: object) -> float:
    """Return milliseconds as seconds, and 0 for what is no number."""
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float):
        return 0.0
    return milliseconds / 1000
