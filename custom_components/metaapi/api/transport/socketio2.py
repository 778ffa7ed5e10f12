"""The Socket.IO 2.x dialect of python-socketio 5, and one socket that speaks it, used once.

The library keeps packets and namespaces. The dialect owns what differs: the server connects the namespace
unasked, and what is malformed is counted and costs nothing.

Protocol facts: the public description of the Socket.IO protocol 4, checked against `socket.io` 2.5.1 and
4.8.4 with `allowEIO3`.
"""

import asyncio
from collections.abc import Callable, Mapping
import logging
from typing import Any, Protocol, override

import orjson
import socketio
from socketio import packet as packets

from ..errors import CannotConnectError, HandshakeEndedError, NotConnectedError
from ..support import Repeat, SocketCounters
from ..timing import Timing

SOCKET_PATH = "ws"
"""Where MetaApi's servers take sockets (documentation, websocket API)."""

MAX_EARLY = 1000
"""Frames that are kept for whoever connects; they wait for one turn of the event loop, or for the `40`."""

_REPEATS_MAX = 256
"""Frames that are known again: the `status` of each account of a socket, and of a few terminals more."""

_REPEAT_SIZE_MAX = 1024
"""A longer frame is no `status`, in characters."""

_SAID_LIMIT = 200
"""How many characters of what a server said of a refusal are shown."""

_ENGINEIO_LOGGER = logging.getLogger("engineio.metaapi")
_SOCKETIO_LOGGER = logging.getLogger("socketio.metaapi")


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    """Keep what the library says of every single packet, at info, to those who debug."""
    return record.levelno > logging.INFO or logging.getLogger(record.name).isEnabledFor(
        logging.DEBUG
    )


_ENGINEIO_LOGGER.addFilter(_is_worth_a_line)
_SOCKETIO_LOGGER.addFilter(_is_worth_a_line)

type EventCallback = Callable[[str, Any], Repeat | None]


class Engine(Protocol):
    """The engine below: a client of python-engineio that speaks the older revision."""

    sid: str | None
    state: str
    closed: asyncio.Future[str]
    """Why the socket ended, once it did."""
    ended_by_server: bool
    on_event: Callable[[str], bool]
    """Called with each frame that begins with `42`; returns whether it held an event."""

    async def probe(self) -> None:
        """Return when a ping sent now is answered; raises NotConnectedError or ConnectionLostError."""

    def lose(self, reason: str) -> None:
        """End the socket here and now."""

    async def shut(self) -> None:
        """Close politely for a bounded time, then end the socket for certain."""


type EngineFactory = Callable[..., Engine]
"""Takes `counters`, `on_event`, `params`, and the library's own options."""


class Socket:
    """One socket: connect, use and close it once."""

    def __init__(
        self,
        make_engine: EngineFactory,
        on_event: EventCallback,
        *,
        timing: Timing,
        redact: Callable[[str], str] = str,
    ) -> None:
        """Prepare a socket; `on_event` gets an event's name and argument.

        It may return what to call, instead of itself, when the same frame comes again. `redact` takes secrets out of what the server says of a refusal.
        """
        self.counters = SocketCounters()
        self.redact = redact
        self._make_engine = make_engine
        self._on_event = on_event
        self._timing = timing
        self._client: _SocketIO2 | None = None
        self._early: list[str] = []
        self._repeats: dict[str, Repeat] = {}
        """What a frame led to, by its text."""

    async def connect(
        self,
        url: str,
        params: Mapping[str, str],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Open the socket and wait until its namespace is connected.

        Events that are faster than the caller are handed on after it, in order. `params` may hold the token. Raises HandshakeRefusedError with the HTTP status, or
        CannotConnectError.
        """
        client = _SocketIO2(self, self._make_engine, params)
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
                    await client.wait_ready()
            except TimeoutError:
                raise CannotConnectError(
                    "MetaApi did not finish the handshake in time"
                ) from None
        except BaseException:
            client.engine.lose("connect failed")
            await self.close()
            raise
        # after the caller, who goes on at once, has made the session known
        asyncio.get_running_loop().call_soon(self._release)

    @property
    def connected(self) -> bool:
        """Return whether the socket is open and its namespace connected."""
        return self._client is not None and self._client.usable

    async def emit(self, event: str, payload: Mapping[str, Any]) -> None:
        """Queue an event; raises NotConnectedError when the socket is not open."""
        if self._client is None or not self.connected:
            raise NotConnectedError("No socket to MetaApi is open")
        self.counters.sent += 1
        await self._client.emit(event, dict(payload))

    async def probe(self) -> None:
        """Send a ping and return when it is answered; raises ConnectionLostError if it never is."""
        await self._opened().engine.probe()

    async def wait_closed(self) -> str:
        """Return why the socket closed, once it did."""
        return await asyncio.shield(self._opened().engine.closed)

    async def close(self) -> None:
        """Close the socket; politely for a bounded time, then without asking. Never fails."""
        if self._client is not None:
            await self._client.engine.shut()

    def hold(self, frame: str) -> bool:
        """Keep a frame until whoever connects the socket knows that it is open."""
        if len(self._early) >= MAX_EARLY:
            self.counters.malformed += 1
            return False
        self._early.append(frame)
        return True

    def _release(self) -> None:
        """Hand on the events that came early, and from now on each one as it comes."""
        early, self._early = self._early, []
        if self._client is not None and self.connected:
            self._client.engine.on_event = self.dispatch
            for frame in early:
                self.dispatch(frame)

    def dispatch(self, frame: str) -> bool:
        """Hand the event of a `42…` frame on; return whether it held one, and count it.

        A `status` comes again and again: the same text need not be decoded, unless it may be news.
        """
        repeat = self._repeats.get(frame)
        if repeat is not None and repeat():
            self.counters.events += 1
            return True
        try:
            # an event may carry a number, to be acknowledged with; nobody here has a use for it
            event = orjson.loads(frame[2:].lstrip("0123456789"))
        except orjson.JSONDecodeError:
            event = None
        if not isinstance(event, list) or not event or not isinstance(event[0], str):
            self.counters.malformed += 1
            return False
        self.counters.events += 1
        try:
            repeat = self._on_event(event[0], event[1] if len(event) > 1 else None)
            if repeat is not None and len(frame) <= _REPEAT_SIZE_MAX:
                if len(self._repeats) >= _REPEATS_MAX:
                    self._repeats.clear()
                self._repeats[frame] = repeat
        except Exception:  # a fault of ours must not cost the socket
            _SOCKETIO_LOGGER.exception(
                "Error in the handler of %r", self.redact(event[0])[:_SAID_LIMIT]
            )
        return True

    def _opened(self) -> _SocketIO2:
        """Return the client below, once there is one."""
        if self._client is None:
            raise NotConnectedError("No socket to MetaApi is open")
        return self._client


class _SocketIO2(socketio.AsyncClient):
    """The Socket.IO 2.x dialect of the library's client."""

    def __init__(
        self, owner: Socket, make_engine: EngineFactory, params: Mapping[str, str]
    ) -> None:
        """Build the library's client around our engine."""
        self._make_engine = make_engine
        super().__init__(
            reconnection=False,
            handle_sigint=False,
            logger=_SOCKETIO_LOGGER,
            engineio_logger=_ENGINEIO_LOGGER,
            counters=owner.counters,
            on_event=owner.hold,
            params=params,
        )
        self._owner = owner
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._rejection: str | None = None

    @property
    def engine(self) -> Engine:
        """Return the engine below."""
        engine: Engine = self.eio
        return engine

    @property
    def usable(self) -> bool:
        """Return whether the socket is open and its namespace connected."""
        return self._ready.done() and self.engine.state == "connected"

    async def wait_ready(self) -> None:
        """Wait for the server's unasked `40`; raises CannotConnectError."""
        await asyncio.wait(
            (self._ready, self.engine.closed), return_when=asyncio.FIRST_COMPLETED
        )
        if self.engine.closed.done():
            reason = self._rejection or self.engine.closed.result()
            if not self.engine.ended_by_server:
                raise CannotConnectError(f"No socket to MetaApi: {reason}")
            raise HandshakeEndedError(f"MetaApi ended the handshake: {reason}")

    @override
    def _engineio_client_class(self) -> EngineFactory:
        """Use our engine."""
        return self._make_engine

    @override
    async def _handle_eio_connect(self) -> None:
        """Send no connect packet: a 2.x server connects the default namespace by itself."""
        self.sid = self.engine.sid

    @override
    async def _handle_eio_message(self, data: str) -> None:
        """Handle a Socket.IO packet that is not an ordinary event; what is malformed is only counted."""
        try:
            packet = self.packet_class(encoded_packet=data) if data else None
        except ValueError, TypeError, IndexError, RecursionError:
            packet = None
        if packet is None or packet.namespace not in (None, "/"):
            self._owner.counters.malformed += 1
        elif packet.packet_type == packets.CONNECT:
            await self._handle_connect("/", None)
        elif packet.packet_type == packets.DISCONNECT:
            self.engine.lose("the server disconnected the namespace")
        elif packet.packet_type == packets.CONNECT_ERROR:
            said = packet.data if isinstance(packet.data, str) else data[1:]
            self._rejection = f"error packet {self._owner.redact(said)[:_SAID_LIMIT]!r}"
            self.engine.lose(f"the server sent an {self._rejection}")
        else:
            self._owner.counters.malformed += 1

    @override
    async def _handle_connect(self, namespace: str, data: Any) -> None:
        """Note that the namespace is connected."""
        await super()._handle_connect(namespace, data)
        if not self._ready.done():
            self._ready.set_result(None)
