"""Engine.IO 3 of one client's socket: frames over websocket or polling, pings, closing."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from secrets import token_urlsafe
import socket
from typing import NamedTuple, Protocol

from aiohttp import WSMsgType, web

from . import framing
from .framing import FrameError
from .settings import Settings

MAX_QUEUE = 200_000
KEPT_FRAMES = 1_000
KEPT_LENGTH = 4_096
UPGRADE_TIMEOUT = 10.0
CLOSE_TIMEOUT = 2.0


class Receiver(Protocol):
    """Handles the messages of a transport."""

    def on_message(self, text: str) -> None:
        """Handle the text of a message; raise FrameError if it is not a packet."""

    def on_end(self) -> None:
        """Called once, when the transport has ended."""


class _Close(NamedTuple):
    """The last item of a queue: close the websocket after everything before it is sent."""

    code: int


class _Outbox:
    """Frames to send, in order."""

    def __init__(self) -> None:
        """Start empty."""
        self.items: deque[str | _Close] = deque()
        self.closing = False
        self.wake = asyncio.Event()
        self.thawed = asyncio.Event()
        self.thawed.set()

    def put(self, item: str | _Close) -> None:
        """Queue a frame or the close."""
        self.items.append(item)
        self.wake.set()

    def end(self) -> None:
        """Clear the queue, and wake all waiters."""
        self.items.clear()
        self.thawed.set()
        self.wake.set()


class Timers:
    """Scheduled calls that can be canceled together."""

    def __init__(self) -> None:
        """Start without calls."""
        self._handles: set[asyncio.TimerHandle] = set()

    def call_later(
        self, delay: float, call: Callable[..., None], *args: object
    ) -> None:
        """Schedule a call."""

        def run() -> None:
            self._handles.discard(handle)
            call(*args)

        handle = asyncio.get_running_loop().call_later(delay, run)
        self._handles.add(handle)

    def cancel(self) -> None:
        """Cancel all calls."""
        for handle in self._handles:
            handle.cancel()
        self._handles.clear()


@dataclass(slots=True, eq=False)
class Record:
    """What happened on a transport so far."""

    opened_at: float
    closed_at: float | None = None
    close_reason: str | None = None
    upgraded: bool = False
    bad_frames: int = 0
    pings: int = 0
    frames: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_FRAMES))


class Transport:
    """One Engine.IO session."""

    def __init__(self, settings: Settings, receiver: Receiver) -> None:
        """Create a session that has sent nothing yet."""
        self.sid = token_urlsafe(15)
        self.record = Record(asyncio.get_running_loop().time())
        self.closed = asyncio.Event()
        self.timers = Timers()
        self._settings = settings
        self._receiver = receiver
        self._outbox = _Outbox()
        self._probing = False
        self._polls: set[asyncio.BaseTransport] = set()
        self._websocket: asyncio.BaseTransport | None = None
        self._deadline = 0.0

    @property
    def frozen(self) -> bool:
        """Return whether reading and sending are stopped."""
        return not self._outbox.thawed.is_set()

    @property
    def polling(self) -> bool:
        """Return whether a poll of the client is open."""
        return bool(self._polls)

    # Sending.

    def open(self, *, polling: bool) -> None:
        """Queue the open packet, and start to expect pings."""
        packet = self._settings.wire.open_packet
        if packet == "auto":
            packet = framing.open_packet(
                self.sid,
                ["websocket"] if polling else [],
                self._settings.timing.ping_interval,
                self._settings.timing.ping_timeout,
            )
        if packet is not None:
            self.send(packet)
        self._restart_timeout()
        self._check_timeout()

    def send(self, frame: str) -> None:
        """Queue a raw frame."""
        if self.closed.is_set() or self._outbox.closing:
            return
        if not framing.encodable(frame):
            raise ValueError("a frame cannot hold a lone surrogate")
        if len(self._outbox.items) >= MAX_QUEUE:
            self.drop("too slow")
            return
        self._outbox.put(frame)

    def close(self, code: int = 1000) -> None:
        """Close the websocket after everything in the queue has been sent."""
        if not self._outbox.closing:
            self._outbox.closing = True
            self._outbox.put(_Close(code))
            # A client that does not read must not keep the socket open.
            self.timers.call_later(2 * CLOSE_TIMEOUT, self.drop, "close timed out")

    def drop(self, reason: str = "dropped") -> None:
        """Abort the TCP connection."""
        for transport in (self._websocket, *self._polls):
            if isinstance(transport, asyncio.WriteTransport):
                transport.abort()
        self._finish(reason)

    def freeze(self) -> None:
        """Stop reading and sending; TCP stays open."""
        self._outbox.thawed.clear()

    def unfreeze(self) -> None:
        """Read and send again, starting with what was held back."""
        self._restart_timeout()
        self._outbox.thawed.set()

    # The websocket transport.

    async def serve(
        self, ws: web.WebSocketResponse, transport: asyncio.BaseTransport
    ) -> None:
        """Serve a websocket until it ends."""
        self._websocket = transport
        self._outbox.wake.set()
        writer = asyncio.get_running_loop().create_task(self._write(ws))
        reason = "transport close"
        try:
            while not self.closed.is_set():
                message = await ws.receive()
                await self._outbox.thawed.wait()
                if message.type is WSMsgType.TEXT:
                    self._receive(message.data)
                elif message.type is WSMsgType.PING:
                    await ws.pong(message.data)
                elif message.type is WSMsgType.BINARY:
                    self.record.bad_frames += 1
                    reason = "parse error"
                    break
                elif message.type is not WSMsgType.PONG:
                    break
        except ConnectionError:
            reason = "transport error"
        finally:
            # A closing writer ends by itself within CLOSE_TIMEOUT.
            if not self._outbox.closing or self.closed.is_set():
                writer.cancel()
            await asyncio.wait([writer])
            self._finish(reason)
            with suppress(ConnectionError):
                await ws.close()

    async def _write(self, ws: web.WebSocketResponse) -> None:
        """Send the queued frames."""
        outbox = self._outbox
        try:
            while True:
                await outbox.wake.wait()
                outbox.wake.clear()
                self._cork(bool(self._settings.wire.greeting))
                while outbox.items:
                    await outbox.thawed.wait()
                    if not outbox.items:
                        break
                    item = outbox.items.popleft()
                    if isinstance(item, _Close):
                        await ws.close(code=item.code)
                        return
                    await ws.send_str(item)
                self._cork(False)
        except ConnectionError:
            return

    def _cork(self, corked: bool) -> None:
        """Make TCP collect what is written, or send it."""
        sock = self._websocket and self._websocket.get_extra_info("socket")
        if sock and not self.closed.is_set():
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, int(corked))

    # The polling transport.

    async def poll(self, transport: asyncio.BaseTransport) -> str:
        """Wait until there are frames to send, and return all of them."""
        outbox = self._outbox
        self._polls.add(transport)
        try:
            while not (outbox.items or self._probing or self.closed.is_set()):
                outbox.wake.clear()
                await outbox.wake.wait()
            await outbox.thawed.wait()
        finally:
            self._polls.discard(transport)
        frames: list[str] = []
        while outbox.items:
            item = outbox.items.popleft()
            if isinstance(item, _Close):
                if "1" not in frames:
                    frames.append("1")
                self._finish("closed by the server")
                break
            frames.append(item)
        # An upgrading client waits for this answer before it continues.
        return framing.encode_payload(frames or ["6"])

    async def post(self, body: bytes) -> bool:
        """Handle posted packets; return False if the body is invalid."""
        await self._outbox.thawed.wait()
        try:
            frames = framing.decode_payload(body)
        except FrameError:
            self.record.bad_frames += 1
            self._finish("parse error")
            return False
        for frame in frames:
            self._receive(frame)
        return True

    async def upgrade(
        self, ws: web.WebSocketResponse, transport: asyncio.BaseTransport
    ) -> None:
        """Move a polling client to a websocket after it has probed it."""
        record = self.record
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(UPGRADE_TIMEOUT):
                probe = await ws.receive()
                await self._outbox.thawed.wait()
                if probe.type is WSMsgType.TEXT and probe.data == "2probe":
                    await ws.send_str("3probe")
                    self._probing = True
                    self._outbox.wake.set()
                    done = await ws.receive()
                    record.upgraded = done.type is WSMsgType.TEXT and done.data == "5"
        self._probing = False
        if record.upgraded and not self.closed.is_set():
            await self.serve(ws, transport)
        else:
            with suppress(ConnectionError):
                await ws.close()

    # Receiving.

    def _receive(self, frame: str) -> None:
        """Handle one Engine.IO packet."""
        self._restart_timeout()
        self.record.frames.append(frame[:KEPT_LENGTH])
        kind = frame[:1]
        if kind == "2":
            self.record.pings += 1
            if self._settings.wire.answer_pings:
                self.send("3" + frame[1:])
        elif kind == "4":
            try:
                self._receiver.on_message(frame[1:])
            except FrameError:
                self.record.bad_frames += 1
        elif kind == "1":
            self.close()
        elif kind not in ("0", "3", "5", "6"):
            self.record.bad_frames += 1
            self.record.close_reason = "parse error"
            self.close()

    # Ending.

    def _restart_timeout(self) -> None:
        """Restart the ping timeout."""
        timing = self._settings.timing
        self._deadline = (
            asyncio.get_running_loop().time()
            + timing.ping_interval
            + timing.ping_timeout
        )

    def _check_timeout(self) -> None:
        """Close the session if the ping timeout is over."""
        if self.frozen:
            self._restart_timeout()
        left = self._deadline - asyncio.get_running_loop().time()
        if left > 0:
            self.timers.call_later(left, self._check_timeout)
            return
        self.record.close_reason = "ping timeout"
        if self._websocket is None:
            self._finish("ping timeout")
        else:
            self.close()

    def _finish(self, reason: str) -> None:
        """End the session, once."""
        if self.closed.is_set():
            return
        self.record.close_reason = self.record.close_reason or reason
        self.record.closed_at = asyncio.get_running_loop().time()
        self.closed.set()
        self._receiver.on_end()
        self.timers.cancel()
        self._outbox.end()
