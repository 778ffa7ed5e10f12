"""One client's socket: an Engine.IO session and the default namespace on it."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from secrets import token_urlsafe
from typing import Any, NamedTuple, Protocol, override

from aiohttp import WSMsgType, web
from multidict import CIMultiDict

from . import framing
from .framing import FrameError, Packet
from .records import Listener, SimRequest
from .settings import Settings

MAX_QUEUE = 200_000
KEPT_FRAMES = 1_000
KEPT_LENGTH = 4_096
UPGRADE_TIMEOUT = 10.0
CLOSE_TIMEOUT = 2.0


class Owner(Protocol):
    """Who is told of what a socket does."""

    def on_event(self, socket: SimSocket, name: str, payload: Any) -> None:
        """Take an event from the client."""

    def on_leave(self, socket: SimSocket) -> None:
        """Forget a client whose namespace or socket is gone."""

    def on_close(self, socket: SimSocket) -> None:
        """Forget a socket."""


class _Close(NamedTuple):
    """The end of a queue: close the transport once all before it is sent."""

    code: int


class SimSocket:
    """One client's socket."""

    def __init__(
        self,
        settings: Settings,
        owner: Owner,
        listener: Listener,
        query: Mapping[str, str],
        headers: Mapping[str, str],
    ) -> None:
        """Make a session that has sent nothing yet."""
        self.sid = token_urlsafe(15)
        self.listener = listener
        self.query = dict(query)
        self.headers = CIMultiDict(headers)
        self._loop = asyncio.get_running_loop()
        self.opened_at = self._loop.time()
        self.closed_at: float | None = None
        self.close_reason: str | None = None
        self.closed = asyncio.Event()
        self.connected = False
        self.connects = 0
        self.upgraded = False
        self.bad_frames = 0
        self.pings = 0
        self.requests: deque[SimRequest] = deque(maxlen=100_000)
        self.frames: deque[str] = deque(maxlen=KEPT_FRAMES)
        self._settings = settings
        self._owner = owner
        self._outbox: deque[str | _Close] = deque()
        self._wake = asyncio.Event()
        self._thawed = asyncio.Event()
        self._thawed.set()
        self._closing = False
        self._probing = False
        self._polls: set[asyncio.BaseTransport] = set()
        self._transport: asyncio.BaseTransport | None = None
        self._timers: set[asyncio.TimerHandle] = set()
        self._deadline = 0.0
        self._watchdog: asyncio.TimerHandle | None = None

    @override
    def __repr__(self) -> str:
        """Name the socket without its query, which holds the token."""
        return f"<SimSocket {self.sid} {self.close_reason or 'open'}>"

    @property
    def token(self) -> str:
        """Return the token that the client sent."""
        return self.query.get("auth-token", "")

    @property
    def client_id(self) -> str:
        """Return what steers load balancing."""
        return self.headers.get("Client-Id") or self.query.get("clientId") or self.sid

    @property
    def as_text(self) -> bool:
        """Tell whether this client gets event payloads as JSON strings."""
        if self._settings.payload_form != "auto":
            return self._settings.payload_form == "string"
        protocol = self.query.get("protocol", "")
        return protocol.isascii() and protocol.isdigit() and int(protocol[:9]) >= 2

    @property
    def frozen(self) -> bool:
        """Tell whether nothing is read or sent."""
        return not self._thawed.is_set()

    # What is sent.

    def open(self, *, polling: bool, refusal: str | None = None) -> None:
        """Queue the first packets."""
        packet = self._settings.open_packet
        if packet == "auto":
            packet = framing.open_packet(
                self.sid,
                ["websocket"] if polling else [],
                self._settings.ping_interval,
                self._settings.ping_timeout,
            )
        if packet is not None:
            self.send(packet)
        if refusal is not None:
            self.send(refusal)
        elif self._settings.connect_packet is not None:
            self._connect()
        self._touch()
        self._watch()

    def send(self, frame: str) -> None:
        """Queue a raw frame."""
        if self.closed.is_set() or self._closing:
            return
        if not framing.encodable(frame):
            raise ValueError("a frame cannot hold a lone surrogate")
        if len(self._outbox) >= MAX_QUEUE:
            self.drop("too slow")
            return
        self._outbox.append(frame)
        self._wake.set()

    def emit(self, name: str, payload: Any) -> None:
        """Queue an event in the form that this client gets."""
        if name != "processingError" and self.as_text:
            payload = framing.dumps(payload)
        if self.connected:
            self.send(framing.event(name, payload))

    def disconnect(self) -> None:
        """Take the client off the namespace; the socket stays."""
        self.send("41")
        self._leave()

    def error(self, data: Any) -> None:
        """Send an error packet."""
        self.send(framing.error(data))

    def close(
        self, *, namespace: bool = True, packet: bool = True, code: int = 1000
    ) -> None:
        """Close as a server does: `41`, `1`, the websocket's own close; each may be left out."""
        if namespace and self.connected:
            self.disconnect()
        if packet:
            self.send("1")
        if not self._closing:
            self._closing = True
            self._outbox.append(_Close(code))
            self._wake.set()
            # A client that reads nothing must not keep the socket.
            self.call_later(2 * CLOSE_TIMEOUT, self.drop, "close timed out")

    def drop(self, reason: str = "dropped") -> None:
        """Abort the connection below."""
        for transport in (self._transport, *self._polls):
            if isinstance(transport, asyncio.WriteTransport):
                transport.abort()
        self._finish(reason)

    def freeze(self) -> None:
        """Read and send nothing from now on; TCP stays open."""
        self._thawed.clear()

    def unfreeze(self) -> None:
        """Catch up with all that was held back."""
        self._touch()
        self._thawed.set()

    def call_later(self, delay: float, call: Callable[..., None], *args: Any) -> None:
        """Call later, unless the socket is gone by then."""

        def run() -> None:
            self._timers.discard(handle)
            call(*args)

        handle = self._loop.call_later(delay, run)
        self._timers.add(handle)

    # The websocket transport.

    async def serve(
        self, ws: web.WebSocketResponse, transport: asyncio.BaseTransport
    ) -> None:
        """Serve a websocket until it ends."""
        self._transport = transport
        self._wake.set()
        writer = self._loop.create_task(self._write(ws))
        reason = "transport close"
        try:
            while not self.closed.is_set():
                message = await ws.receive()
                await self._thawed.wait()
                if message.type is WSMsgType.TEXT:
                    self._receive(message.data)
                elif message.type is WSMsgType.PING:
                    await ws.pong(message.data)
                elif message.type is WSMsgType.BINARY:
                    self.bad_frames += 1
                    reason = "parse error"
                    break
                elif message.type is not WSMsgType.PONG:
                    break
        except ConnectionError:
            reason = "transport error"
        finally:
            # A writer that is closing ends by itself, within CLOSE_TIMEOUT.
            if not self._closing or self.closed.is_set():
                writer.cancel()
            await asyncio.wait([writer])
            self._finish(reason)
            with suppress(ConnectionError):
                await ws.close()

    async def _write(self, ws: web.WebSocketResponse) -> None:
        """Send what is queued."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._outbox:
                await self._thawed.wait()
                if not self._outbox:
                    break
                item = self._outbox.popleft()
                try:
                    if isinstance(item, _Close):
                        await ws.close(code=item.code)
                        return
                    await ws.send_str(item)
                except ConnectionError:
                    return

    # The polling transport.

    async def poll(self, transport: asyncio.BaseTransport) -> str:
        """Wait for something to send, and return all of it."""
        self._polls.add(transport)
        try:
            while not (self._outbox or self._probing or self.closed.is_set()):
                self._wake.clear()
                await self._wake.wait()
            await self._thawed.wait()
        finally:
            self._polls.discard(transport)
        frames: list[str] = []
        while self._outbox:
            item = self._outbox.popleft()
            if isinstance(item, _Close):
                if "1" not in frames:
                    frames.append("1")
                self._finish("closed by the server")
                break
            frames.append(item)
        # Nothing to say: the client is upgrading, and waits for this answer with it.
        return framing.encode_payload(frames or ["6"])

    @property
    def polling(self) -> bool:
        """Tell whether the client holds a poll open."""
        return bool(self._polls)

    async def post(self, body: bytes) -> bool:
        """Take packets from a polling client; False if they are none."""
        await self._thawed.wait()
        try:
            frames = framing.decode_payload(body)
        except FrameError:
            self.bad_frames += 1
            self._finish("parse error")
            return False
        for frame in frames:
            self._receive(frame)
        return True

    async def upgrade(
        self, ws: web.WebSocketResponse, transport: asyncio.BaseTransport
    ) -> None:
        """Move a polling client to a websocket, once it has probed it."""
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(UPGRADE_TIMEOUT):
                probe = await ws.receive()
                await self._thawed.wait()
                if probe.type is WSMsgType.TEXT and probe.data == "2probe":
                    await ws.send_str("3probe")
                    self._probing = True
                    self._wake.set()
                    done = await ws.receive()
                    self.upgraded = done.type is WSMsgType.TEXT and done.data == "5"
        self._probing = False
        if self.upgraded and not self.closed.is_set():
            await self.serve(ws, transport)
        else:
            with suppress(ConnectionError):
                await ws.close()

    # What is received.

    def _receive(self, frame: str) -> None:
        """Take one Engine.IO packet."""
        self._touch()
        self.frames.append(frame[:KEPT_LENGTH])
        kind = frame[:1]
        if kind == "2":
            self.pings += 1
            self.send("3" + frame[1:])
        elif kind == "4":
            try:
                self._packet(framing.decode(frame[1:]))
            except FrameError:
                self.bad_frames += 1
        elif kind == "1":
            self.close(namespace=False, packet=False)
        elif kind not in ("0", "3", "5", "6"):
            self.bad_frames += 1
            self.close_reason = "parse error"
            self.close(namespace=False, packet=False)

    def _packet(self, packet: Packet) -> None:
        """Take one Socket.IO packet."""
        if packet.namespace != "/":
            if packet.kind == framing.CONNECT:
                self.send(framing.error("Invalid namespace", packet.namespace))
        elif packet.kind == framing.CONNECT:
            self._connect()
        elif packet.kind == framing.DISCONNECT:
            self._leave()
        elif packet.kind == framing.EVENT and self.connected:
            self._owner.on_event(
                self, packet.data[0], packet.data[1] if len(packet.data) > 1 else None
            )

    def _connect(self) -> None:
        """Put the client on the namespace; a client that asks again is put on it again."""
        self.connects += 1
        self.connected = True
        self.send(self._settings.connect_packet or "40")

    def _leave(self) -> None:
        """Take the client off the namespace."""
        if self.connected:
            self.connected = False
            self._owner.on_leave(self)

    # The end.

    def _touch(self) -> None:
        """Note that the client lives."""
        self._deadline = (
            self._loop.time()
            + self._settings.ping_interval
            + self._settings.ping_timeout
        )

    def _watch(self) -> None:
        """End a session whose client has not pinged for too long."""
        if self.frozen:
            self._touch()
        if self._loop.time() >= self._deadline:
            self.close_reason = "ping timeout"
            if self._transport is None:
                self._finish("ping timeout")
            else:
                self.close(namespace=False, packet=False)
            return
        self._watchdog = self._loop.call_at(self._deadline, self._watch)

    def _finish(self, reason: str) -> None:
        """Let go of everything, once."""
        if self.closed.is_set():
            return
        self.close_reason = self.close_reason or reason
        self.closed_at = self._loop.time()
        self.closed.set()
        self._leave()
        if self._watchdog is not None:
            self._watchdog.cancel()
        for handle in self._timers:
            handle.cancel()
        self._timers.clear()
        self._outbox.clear()
        self._thawed.set()
        self._wake.set()
        self._owner.on_close(self)
