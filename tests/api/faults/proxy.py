"""A proxy on loopback between client and simulator that causes faults on demand.

It parses the client's request, and the server's WebSocket frames as far as necessary to truncate, delay or
inject data at the right place.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
import socket
import struct
from typing import Self
from urllib.parse import urlsplit

HOST = "127.0.0.1"

_REASONS = {
    401: "Unauthorized",
    403: "Forbidden",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """The proxy's own answer to an upgrade request."""

    status: int
    retry_after: str | None = None

    def encode(self) -> bytes:
        """Return the answer as bytes."""
        head = [
            f"HTTP/1.1 {self.status} {_REASONS.get(self.status, 'Refused')}",
            "Content-Length: 0",
            "Connection: close",
        ]
        if self.retry_after is not None:
            head.append(f"Retry-After: {self.retry_after}")
        return "\r\n".join([*head, "", ""]).encode()


class Proxy:
    """A listening port in front of one server."""

    def __init__(self, target: str, *, host: str = HOST) -> None:
        """Store the server's base URL; `host` is the host name in the URL for clients."""
        self.port = 0
        self.answer: Answer | None = None
        """If set, the answer to upgrades, which do not reach the server then."""
        self.handshake_delay = 0.0
        """The delay of the answer to an upgrade."""
        self.hang = False
        """Whether connections are accepted and not answered."""
        self.reorder: Callable[[bytes], bool] | None = None
        """Returns whether a text frame is held back until the next one has been sent."""
        self.reordered = 0
        self.cut_frames = False
        """Whether to truncate the next frame of every connection, and to close the connection."""
        self.upgrades: list[float] = []
        """The loop's time of each request for an upgrade."""
        self.refusals: list[tuple[float, int]] = []
        """The time and the status of each own answer to an upgrade."""
        self.changed: Callable[[], None] = lambda: None
        """Called when a websocket opens or closes."""
        self.connections: set[ProxiedConnection] = set()
        self.websockets: list[ProxiedConnection] = []
        """Every connection that became a websocket, including closed ones."""
        self._host = host
        self.target = urlsplit(target).port
        self._server: asyncio.Server | None = None
        self._up_stalled = self._down_stalled = False

    @property
    def url(self) -> str:
        """Return the base URL of the proxy."""
        return f"http://{self._host}:{self.port}"

    async def __aenter__(self) -> Self:
        """Start listening."""
        await self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop permanently."""
        await self.refuse()
        tasks = [connection.task for connection in self.connections]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    # -- connections ---------------------------------------------------------------------------

    async def listen(self) -> None:
        """Accept connections, always on the same port."""
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, HOST, self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Refuse new connections; the existing ones stay."""
        if self._server is not None:
            self._server.close()
            self._server = None
            # Serve accepted connections, so that they can be dropped
            await asyncio.sleep(0)

    async def _accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Serve one connection."""
        task = asyncio.current_task()
        assert task is not None
        connection = ProxiedConnection(self, task, reader, writer)
        connection.stall(up=self._up_stalled, down=self._down_stalled)
        self.connections.add(connection)
        try:
            await connection.serve(self.target)
        finally:
            connection.end()
            self.connections.discard(connection)

    # -- faults --------------------------------------------------------------------------------

    def drop(self) -> int:
        """Reset every connection; return how many."""
        return self._each(lambda connection: connection.reset())

    def stall(self, *, up: bool = False, down: bool = False) -> None:
        """Stall the data to or from the server, on existing and new connections."""
        self._up_stalled, self._down_stalled = up, down
        self._each(lambda connection: connection.stall(up=up, down=down))

    def half_open(self) -> int:
        """Abort the server's side of each connection, and swallow what the client sends."""
        return self._each(lambda connection: connection.lose_server())

    def inject(self, data: bytes) -> int:
        """Send bytes to the clients between two frames."""
        return self._each(lambda connection: connection.inject(data))

    def _each(self, act: Callable[[ProxiedConnection], None]) -> int:
        """Call a function for each connection."""
        connections = list(self.connections)
        for connection in connections:
            act(connection)
        return len(connections)


class ProxiedConnection:
    """A client's connection, and the one to the server that belongs to it."""

    def __init__(
        self,
        proxy: Proxy,
        task: asyncio.Task[None],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Store a client's connection."""
        self.task = task
        self.opened_at: float | None = None
        self.ended_at: float | None = None
        self.server_gone = False
        self._proxy = proxy
        self._reader = reader
        self._writer = writer
        self._far_writer: asyncio.StreamWriter | None = None
        self._clock = asyncio.get_running_loop().time
        self._up = asyncio.Event()
        self._down = asyncio.Event()
        self._held: bytes | None = None

    async def serve(self, target: int | None) -> None:
        """Relay one request, and then everything that follows."""
        proxy = self._proxy
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError, ConnectionError:
            return
        upgrade = b"\r\nupgrade: websocket" in head.lower()
        if upgrade:
            proxy.upgrades.append(self._clock())
        await self._up.wait()
        if proxy.hang:
            await self._wait_for_client_to_go()
            return
        if upgrade and proxy.answer is not None:
            proxy.refusals.append((self._clock(), proxy.answer.status))
            self._writer.write(proxy.answer.encode())
            await self._close_client()
            return
        if not upgrade:  # One request per connection, so nothing is left to parse
            head = head[:-2] + b"Connection: close\r\n\r\n"
        try:
            far_reader, self._far_writer = await asyncio.open_connection(HOST, target)
        except ConnectionError:
            return
        self._far_writer.write(head)
        async with asyncio.TaskGroup() as group:
            pumps = (
                group.create_task(self._pump_up(), name="fault proxy up"),
                group.create_task(
                    self._pump_down(far_reader, upgrade=upgrade),
                    name="fault proxy down",
                ),
            )
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in pumps:
                pump.cancel()
        await self._close_client()

    async def _wait_for_client_to_go(self) -> None:
        """Read and ignore data until the client closes."""
        with suppress(ConnectionError):
            while await self._reader.read(65536):
                pass

    async def _close_client(self) -> None:
        """Close the client's side after everything is written."""
        with suppress(ConnectionError):
            await self._writer.drain()
            self._writer.close()
            await self._writer.wait_closed()

    async def _pump_up(self) -> None:
        """Relay the client's data."""
        with suppress(ConnectionError):
            while data := await self._reader.read(65536):
                await self._up.wait()
                if self._far_writer is not None and not self.server_gone:
                    self._far_writer.write(data)
                    await self._far_writer.drain()

    async def _pump_down(self, reader: asyncio.StreamReader, *, upgrade: bool) -> None:
        """Relay the server's data, by frames once it is a WebSocket."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            if upgrade and self._proxy.handshake_delay:
                await asyncio.sleep(self._proxy.handshake_delay)
            await self._write(head)
            if head.startswith(b"HTTP/1.1 101"):
                self.opened_at = self._clock()
                self._proxy.websockets.append(self)
                self._proxy.changed()
                while True:
                    await self._relay_frame(await _read_frame(reader))
            while data := await reader.read(65536):
                await self._write(data)
        if self.server_gone:
            await asyncio.get_running_loop().create_future()

    async def _relay_frame(self, frame: bytes) -> None:
        """Relay one frame of the server, or apply a fault to it."""
        proxy = self._proxy
        await self._down.wait()
        if proxy.cut_frames:
            self._writer.write(frame[: max(1, len(frame) // 2)])
            raise ConnectionResetError
        if self._held is not None and _is_text(frame):
            held, self._held = self._held, None
            proxy.reordered += 1
            await self._write(frame + held)
        elif proxy.reorder is not None and _is_text(frame) and proxy.reorder(frame):
            self._held = frame
        else:
            await self._write(frame)

    async def _write(self, data: bytes) -> None:
        """Write to the client, unless that is stalled."""
        await self._down.wait()
        self._writer.write(data)
        await self._writer.drain()

    def inject(self, data: bytes) -> None:
        """Write our own bytes to the client, between two frames."""
        if self.opened_at is not None and not self._writer.is_closing():
            self._writer.write(data)

    def stall(self, *, up: bool, down: bool) -> None:
        """Stall or release each direction."""
        for gate, held in ((self._up, up), (self._down, down)):
            if held:
                gate.clear()
            else:
                gate.set()

    def lose_server(self) -> None:
        """Abort the server's side without closing the client's."""
        self.server_gone = True
        self._note_end()
        if self._far_writer is not None:
            self._far_writer.transport.abort()

    def reset(self) -> None:
        """Abort both sides; the client gets a reset."""
        self._note_end()
        with suppress(OSError):
            self._writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
        self._writer.transport.abort()
        self.task.cancel()

    def end(self) -> None:
        """Close everything."""
        self._note_end()
        self._writer.transport.abort()
        if self._far_writer is not None:
            self._far_writer.transport.abort()

    def _note_end(self) -> None:
        """Record when the connection ended."""
        if self.ended_at is None:
            self.ended_at = self._clock()
            self._proxy.changed()


async def _read_frame(reader: asyncio.StreamReader) -> bytes:
    """Read one frame of a server, which has no mask."""
    head = await reader.readexactly(2)
    length = head[1] & 0x7F
    more = b""
    if length == 126:
        more = await reader.readexactly(2)
    elif length == 127:
        more = await reader.readexactly(8)
    if more:
        length = int.from_bytes(more)
    return head + more + await reader.readexactly(length)


def _is_text(frame: bytes) -> bool:
    """Return whether a frame is a text frame."""
    return frame[0] & 0x0F == 1


def text_frame(text: str) -> bytes:
    """Return a text as a server's frame."""
    body = text.encode()
    if len(body) < 126:
        return bytes([0x81, len(body)]) + body
    if len(body) < 65536:
        return bytes([0x81, 126]) + len(body).to_bytes(2) + body
    return bytes([0x81, 127]) + len(body).to_bytes(8) + body


def contains(*words: str) -> Callable[[bytes], bool]:
    """Return a function that returns whether a frame contains all of some words."""
    wanted = [word.encode() for word in words]
    return lambda frame: all(word in frame for word in wanted)


def live(proxies: Iterator[Proxy]) -> list[ProxiedConnection]:
    """Return every connection that is an open WebSocket."""
    return [
        connection
        for proxy in proxies
        for connection in proxy.connections
        if connection.opened_at is not None and connection.ended_at is None
    ]
