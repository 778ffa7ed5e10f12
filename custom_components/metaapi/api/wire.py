"""Socket.IO 2.x over Engine.IO 3, as a thin dialect of python-socketio 5.

The library keeps packets, queue, write loop and namespaces. The dialect owns what differs or what the
library does not do well enough for a link that must not lie: the URL, the handshake and its errors, the
pings (in this revision the client sends them), the read loop, and a close that always ends.

Protocol facts: the public Engine.IO 3 and Socket.IO protocol 4 descriptions, checked against `socket.io`
2.5.1 and 4.8.4 with `allowEIO3`.
"""

import asyncio
from collections.abc import Callable, Mapping
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

from .endpoints import SOCKET_PATH
from .errors import (
    CannotConnectError,
    ConnectionLostError,
    HandshakeEndedError,
    HandshakeRefusedError,
    MetaApiError,
    NotConnectedError,
)
from .timing import Timing

MAX_FRAME_SIZE = 4 * 1024 * 1024
"""A larger frame ends the socket, in bytes."""

_PING_INTERVAL_BOUNDS = (0.05, 3600.0)
_STALL = 0.5
"""A timer that fires this late means that our own loop stood still, not that the server is gone."""

_ENGINEIO_LOGGER = logging.getLogger("engineio.metaapi")
_SOCKETIO_LOGGER = logging.getLogger("socketio.metaapi")

type EventCallback = Callable[[str, Any], None]


@dataclass(slots=True)
class WireCounters:
    """What went over one socket."""

    frames: int = 0
    events: int = 0
    malformed: int = 0


class Wire:
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
        self.counters = WireCounters()
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
        """Tell whether the socket is open."""
        return self._client is not None and self._client.engine.state == "connected"

    async def emit(self, event: str, payload: Mapping[str, Any]) -> None:
        """Queue an event; raises NotConnectedError when the socket is not open."""
        if self._client is None or not self.connected:
            raise NotConnectedError("No socket to MetaApi is open")
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

    def dispatch(self, frame: str) -> bool:
        """Hand the event of a `42…` frame on; return False when it holds none."""
        try:
            event = orjson.loads(frame[2:])
        except orjson.JSONDecodeError:
            return False
        if not isinstance(event, list) or not event or not isinstance(event[0], str):
            return False
        self.counters.events += 1
        try:
            self._on_event(event[0], event[1] if len(event) > 1 else None)
        except Exception:  # a fault of ours must not cost the socket
            _SOCKETIO_LOGGER.exception("Error in the handler of %s", event[0])
        return True


class _EngineIO3(engineio.AsyncClient):
    """The Engine.IO 3 dialect of the library's client."""

    wire: Wire
    ws: aiohttp.ClientWebSocketResponse | None

    def __init__(self, **kwargs: Any) -> None:
        """Add what the dialect keeps."""
        super().__init__(**kwargs)
        self.closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None
        self._ping_task: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[Any]] = []
        self._last_frame = 0.0
        self._pings = 0
        self._pongs = 0
        self._probes: list[tuple[int, asyncio.Future[None]]] = []

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
            self.ws = await self.http.ws_connect(
                self._get_engineio_url(url, engineio_path, "websocket"),
                headers=headers,
                **self.websocket_extra_options,
            )
        except aiohttp.WSServerHandshakeError as err:
            error = HandshakeRefusedError(err.status)
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as err:
            error = CannotConnectError(f"No socket to MetaApi ({type(err).__name__})")
        else:
            self._transport = self.ws._response.connection.transport  # noqa: SLF001
            self._read_open(await self.ws.receive())
            self.state = "connected"
            self.current_transport = "websocket"
            await self._trigger_event("connect", run_async=False)
            self.write_loop_task = self._start(self._write_loop(), "write")
            self.read_loop_task = self._start(self._read_loop_websocket(), "read")
            self._ping_task = self._start(self._ping_loop(), "ping")
            return True
        # raised here, not above: the library's exception holds the URL with the token
        raise error

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
        self.lose(
            f"the connection broke ({type(failure).__name__})"
            if failure
            else "it ended"
        )

    def _read_open(self, message: aiohttp.WSMessage) -> None:
        """Take the session id and the ping times from the open packet."""
        try:
            if message.type is not aiohttp.WSMsgType.TEXT or message.data[:1] != "0":
                raise ValueError("no open packet")
            opened = orjson.loads(message.data[1:])
            sid = opened["sid"]
            interval = float(opened["pingInterval"]) / 1000
            timeout = float(opened["pingTimeout"]) / 1000
            low, high = _PING_INTERVAL_BOUNDS
            if not (
                isinstance(sid, str) and low <= interval <= high and 0 < timeout <= high
            ):
                raise ValueError("no usable open packet")
        except ValueError, TypeError, KeyError:
            raise CannotConnectError(
                "What answered is not an Engine.IO 3 server"
            ) from None
        self.sid = sid
        self.upgrades = []
        self.ping_interval = interval
        self.ping_timeout = timeout

    @override
    async def _read_loop_websocket(self) -> None:
        """Read frames until the socket ends."""
        assert self.ws is not None
        receive = self.ws.receive
        clock = asyncio.get_running_loop().time
        counters = self.wire.counters
        while self.state == "connected":
            message = await receive()
            self._last_frame = clock()
            counters.frames += 1
            if message.type is aiohttp.WSMsgType.TEXT:
                frame: str = message.data
                if not (frame.startswith("42") and self.wire.dispatch(frame)):
                    await self._take(frame)
            elif message.type is aiohttp.WSMsgType.BINARY:
                counters.malformed += 1
            else:
                self.lose(_why_closed(self.ws, message))

    async def _take(self, frame: str) -> None:
        """Handle a frame that is not an ordinary event."""
        kind = frame[:1]
        if kind == "3":
            self._pongs += 1
            while self._probes and self._probes[0][0] <= self._pongs:
                _, probe = self._probes.pop(0)
                if not probe.done():
                    probe.set_result(None)
        elif kind == "4":
            await self._trigger_event("message", frame[1:], run_async=False)
        elif kind == "1":
            self.lose("the server closed it")
        elif kind == "2":
            self.queue.put_nowait(
                engineio_packet.Packet(engineio_packet.PONG, frame[1:])
            )
        elif kind != "6":
            self.wire.counters.malformed += 1

    async def _ping_loop(self) -> None:
        """Ping at the server's interval; a ping that is followed by nothing at all ends the socket."""
        clock = asyncio.get_running_loop().time
        next_ping = clock() + self.ping_interval
        sent = 0.0
        deadline = inf
        while self.state == "connected":
            due = min(next_ping, deadline)
            await asyncio.sleep(max(0.0, due - clock()))
            now = clock()
            if self._last_frame > sent:
                deadline = inf
            elif now >= deadline:
                if now - due < _STALL:
                    self.lose("the server stopped answering")
                    return
                deadline = now + self.ping_timeout
            if now >= next_ping:
                self._send_ping()
                next_ping = now + self.ping_interval
                if deadline == inf:
                    sent = now
                    deadline = now + self.ping_timeout

    def _send_ping(self) -> int:
        """Queue a ping and return its number; pongs come back in the same order."""
        self._pings += 1
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
                    task.remove_done_callback(self._loop_ended)
                    task.cancel()
                async with asyncio.timeout(patience):
                    await self._tasks_end()
                    await self.ws.close()
        except TimeoutError, aiohttp.ClientError, OSError:
            pass
        finally:
            self.lose("closed by us")
        await self._tasks_end()

    async def _tasks_end(self) -> None:
        """Wait for the loops, which were cancelled."""
        if tasks := [
            task for task in self._tasks if task is not asyncio.current_task()
        ]:
            await asyncio.wait(tasks)


class _SocketIO2(socketio.AsyncClient):
    """The Socket.IO 2.x dialect of the library's client."""

    def __init__(self, wire: Wire, **kwargs: Any) -> None:
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

    async def wait_ready(self, patience: float) -> None:
        """Wait for the server's unasked `40`; raises CannotConnectError."""
        await asyncio.wait(
            (self._ready, self.engine.closed),
            timeout=patience,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if self.engine.closed.done():
            raise HandshakeEndedError(
                f"MetaApi ended the handshake: {self._rejection or self.engine.closed.result()}"
            )
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
            self._rejection = (
                f"error packet {self.wire.redact(str(packet.data))[:200]!r}"
            )
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


def _why_closed(ws: aiohttp.ClientWebSocketResponse, message: aiohttp.WSMessage) -> str:
    """Say why a websocket ended."""
    if message.type is aiohttp.WSMsgType.ERROR:
        return f"websocket error ({type(message.data).__name__})"
    return f"the server closed it (websocket code {ws.close_code})"
