"""A fault proxy: a line on loopback between client and simulator that goes wrong when told to.

It reads the client's request, and of what the server sends as much WebSocket as it needs to cut, hold or
inject at the right place. It stops by itself with its `async with`.
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
    """What the proxy itself answers to an upgrade request."""

    status: int
    retry_after: str | None = None

    def encode(self) -> bytes:
        """Return the answer as it goes over the line."""
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
        """Prepare a line to a base URL; `host` is the name that clients are told."""
        self.port = 0
        self.answer: Answer | None = None
        """Where set, upgrades are answered by it and do not reach the server."""
        self.handshake_delay = 0.0
        """How long the answer to an upgrade takes."""
        self.hang = False
        """Whether whoever comes is let in and then hears nothing."""
        self.reorder: Callable[[bytes], bool] | None = None
        """Which text frame is held until the next one has passed."""
        self.reordered = 0
        self.cut_frames = False
        """Whether the next frame of every line is cut in its middle, and the line ended."""
        self.upgrades: list[float] = []
        """When each upgrade was asked for, by the clock of the loop."""
        self.refusals: list[tuple[float, int]] = []
        """When it answered an upgrade itself, and with which status."""
        self.changed: Callable[[], None] = lambda: None
        """Who hears of each websocket that opens or ends."""
        self.lines: set[Line] = set()
        self.websockets: list[Line] = []
        """Every line that became a websocket, the ended ones included."""
        self._host = host
        self.target = urlsplit(target).port
        self._server: asyncio.Server | None = None
        self._up_stalled = self._down_stalled = False

    @property
    def url(self) -> str:
        """Return the base URL of this end."""
        return f"http://{self._host}:{self.port}"

    async def __aenter__(self) -> Self:
        """Listen."""
        await self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop for good."""
        await self.refuse()
        tasks = [line.task for line in self.lines]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    # -- who comes -----------------------------------------------------------------------------

    async def listen(self) -> None:
        """Take connections, always on the same port."""
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, HOST, self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Refuse connections; those that there are stay."""
        if self._server is not None:
            self._server.close()
            self._server = None
            # what was taken but not served yet gets its turn, and can be dropped
            await asyncio.sleep(0)

    async def _accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Serve one connection."""
        task = asyncio.current_task()
        assert task is not None
        line = Line(self, task, reader, writer)
        line.stall(up=self._up_stalled, down=self._down_stalled)
        self.lines.add(line)
        try:
            await line.serve(self.target)
        finally:
            line.end()
            self.lines.discard(line)

    # -- what goes wrong -----------------------------------------------------------------------

    def drop(self) -> int:
        """Reset every connection; return how many there were."""
        return self._each(lambda line: line.reset())

    def stall(self, *, up: bool = False, down: bool = False) -> None:
        """Hold what goes to the server, or what comes from it, on these lines and later ones."""
        self._up_stalled, self._down_stalled = up, down
        self._each(lambda line: line.stall(up=up, down=down))

    def half_open(self) -> int:
        """Let the server be gone without a word: what the client sends is swallowed."""
        return self._each(lambda line: line.lose_server())

    def inject(self, data: bytes) -> int:
        """Send bytes to the clients between two frames."""
        return self._each(lambda line: line.inject(data))

    def _each(self, act: Callable[[Line], None]) -> int:
        """Do something to each line."""
        lines = list(self.lines)
        for line in lines:
            act(line)
        return len(lines)


class Line:
    """One client's connection, and the one to the server that belongs to it."""

    def __init__(
        self,
        proxy: Proxy,
        task: asyncio.Task[None],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Take a connection of a client."""
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
        """Pass one request on, and then whatever follows."""
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
            await self._goodbye()
            return
        if not upgrade:  # one request a connection: nothing is left to look at
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
        await self._goodbye()

    async def _wait_for_client_to_go(self) -> None:
        """Read and forget."""
        with suppress(ConnectionError):
            while await self._reader.read(65536):
                pass

    async def _goodbye(self) -> None:
        """End the client's side once all is written."""
        with suppress(ConnectionError):
            await self._writer.drain()
            self._writer.close()
            await self._writer.wait_closed()

    async def _pump_up(self) -> None:
        """Pass what the client says."""
        with suppress(ConnectionError):
            while data := await self._reader.read(65536):
                await self._up.wait()
                if self._far_writer is not None and not self.server_gone:
                    self._far_writer.write(data)
                    await self._far_writer.drain()

    async def _pump_down(self, reader: asyncio.StreamReader, *, upgrade: bool) -> None:
        """Pass what the server says, frame by frame once it is a websocket."""
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
                    await self._pass(await _read_frame(reader))
            while data := await reader.read(65536):
                await self._write(data)
        if self.server_gone:
            await asyncio.get_running_loop().create_future()

    async def _pass(self, frame: bytes) -> None:
        """Pass one frame of the server's, or do to it what was asked for."""
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
        """Write towards the client, unless that is stalled."""
        await self._down.wait()
        self._writer.write(data)
        await self._writer.drain()

    def inject(self, data: bytes) -> None:
        """Write bytes of our own towards the client; frames are written whole, so it is between two."""
        if self.opened_at is not None and not self._writer.is_closing():
            self._writer.write(data)

    def stall(self, *, up: bool, down: bool) -> None:
        """Hold or release each direction."""
        for gate, held in ((self._up, up), (self._down, down)):
            if held:
                gate.clear()
            else:
                gate.set()

    def lose_server(self) -> None:
        """Abort the server's side and tell the client nothing."""
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
        """Leave nothing open."""
        self._note_end()
        self._writer.transport.abort()
        if self._far_writer is not None:
            self._far_writer.transport.abort()

    def _note_end(self) -> None:
        """Write down when the line was of no more use."""
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
    """Return whether a frame is a text."""
    return frame[0] & 0x0F == 1


def text_frame(text: str) -> bytes:
    """Return a text as a server's frame."""
    body = text.encode()
    if len(body) < 126:
        return bytes([0x81, len(body)]) + body
    if len(body) < 65536:
        return bytes([0x81, 126]) + len(body).to_bytes(2) + body
    return bytes([0x81, 127]) + len(body).to_bytes(8) + body


def says(*words: str) -> Callable[[bytes], bool]:
    """Return whether a frame holds all of some words."""
    wanted = [word.encode() for word in words]
    return lambda frame: all(word in frame for word in wanted)


def live(proxies: Iterator[Proxy]) -> list[Line]:
    """Return every line that is a websocket now."""
    return [
        line
        for proxy in proxies
        for line in proxy.lines
        if line.opened_at is not None and line.ended_at is None
    ]
