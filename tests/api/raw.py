"""A WebSocket server written by hand, so that it can do wrong what no library would."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from contextlib import suppress
import hashlib
import json
import socket
import ssl
from typing import Any, Self

from .loopback import eventually

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10

CONNECTED = "40"


def opening(interval: float = 25.0, timeout: float = 5.0, **changes: Any) -> str:
    """Return an open packet; a change to None takes a field out."""
    fields = {
        "sid": "abc",
        "upgrades": [],
        "pingInterval": int(interval * 1000),
        "pingTimeout": int(timeout * 1000),
    }
    fields = {
        key: value for key, value in (fields | changes).items() if value is not None
    }
    return "0" + json.dumps(fields)


class Peer:
    """The server's side of one connection."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Take a connection."""
        self.reader = reader
        self.writer = writer
        self.target = ""
        self.headers: dict[str, str] = {}
        self.texts: list[str] = []
        self.close_code: int | None = None
        self.gone = False

    async def read_request(self) -> None:
        """Read the upgrade request."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.splitlines()
        self.target = first.split()[1]
        self.headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }

    def answer(self, status: str, *headers: str, body: str = "") -> None:
        """Answer the upgrade request with an HTTP status."""
        lines = [
            f"HTTP/1.1 {status}",
            f"Content-Length: {len(body)}",
            *headers,
            "",
            body,
        ]
        self.writer.write("\r\n".join(lines).encode())

    def switch(self) -> None:
        """Answer the upgrade request with a WebSocket."""
        magic = (
            self.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        )
        accept = base64.b64encode(hashlib.sha1(magic.encode()).digest()).decode()
        lines = [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {accept}",
        ]
        self.writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())

    def send(self, text: str) -> None:
        """Send a text frame."""
        self.send_frame(TEXT, text.encode())

    def send_frame(
        self, opcode: int, payload: bytes = b"", *, last: bool = True
    ) -> None:
        """Send any frame."""
        self.writer.write(frame(opcode, payload, last=last))

    async def receive(self) -> tuple[int, bytes]:
        """Return the next frame's opcode and payload."""
        first, second = await self.reader.readexactly(2)
        size = second & 0x7F
        if size > 125:
            size = int.from_bytes(
                await self.reader.readexactly(2 if size == 126 else 8)
            )
        mask = await self.reader.readexactly(4)
        payload = await self.reader.readexactly(size)
        return first & 0x0F, bytes(
            byte ^ mask[index % 4] for index, byte in enumerate(payload)
        )

    async def serve(self, *, pong: bool = True) -> None:
        """Answer pings and keep the other texts, until the client is gone."""
        while True:
            try:
                opcode, payload = await self.receive()
            except asyncio.IncompleteReadError, ConnectionError:
                return
            if opcode == TEXT:
                text = payload.decode()
                self.texts.append(text)
                if text == "2" and pong:
                    self.send("3")
            elif opcode == CLOSE:
                self.close_code = int.from_bytes(payload[:2])
                self.send_frame(CLOSE, payload)
                return

    @property
    def pings(self) -> int:
        """Return how many pings arrived."""
        return self.texts.count("2")

    async def hold(self) -> None:
        """Neither read nor write any more: what a frozen server does."""
        transport = self.writer.transport
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        await asyncio.Event().wait()

    def reset(self) -> None:
        """Cut the connection without a goodbye."""
        self.writer.transport.abort()


def frame(opcode: int, payload: bytes = b"", *, last: bool = True) -> bytes:
    """Return a server's frame."""
    size = len(payload)
    if size < 126:
        length = bytes([size])
    elif size < 65536:
        length = b"\x7e" + size.to_bytes(2)
    else:
        length = b"\x7f" + size.to_bytes(8)
    return bytes([(0x80 if last else 0) | opcode]) + length + payload


type Script = Callable[[Peer], Awaitable[None]]


class Raw:
    """A server that runs a script with each client."""

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None) -> None:
        """Prepare a server on a free loopback port."""
        self._script = script
        self._tls = tls
        self._tasks: list[asyncio.Task[None]] = []
        self._server: asyncio.Server | None = None
        self.peers: list[Peer] = []
        self.port = 0
        self.stage = ""
        """Where a script is, if it says so."""

    @property
    def url(self) -> str:
        """Return the base URL."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    async def peer(self, number: int = 1) -> Peer:
        """Return a client's connection, once it came."""
        await eventually(lambda: len(self.peers) >= number)
        return self.peers[number - 1]

    async def __aenter__(self) -> Self:
        """Listen."""
        listener = socket.socket(proto=socket.IPPROTO_TCP)
        # small, so that a client's send buffer is soon full
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        listener.bind(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        self._server = await asyncio.start_server(
            self._run, sock=listener, ssl=self._tls
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Cut what is left, and stop listening."""
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        for peer in self.peers:
            peer.reset()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _run(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Run the script with a client, then hang up."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.append(task)
        peer = Peer(reader, writer)
        self.peers.append(peer)
        with suppress(
            ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError
        ):
            await self._script(peer)
            await writer.drain()
        peer.gone = True
        with suppress(ConnectionError):
            writer.close()


async def upgrade(peer: Peer) -> None:
    """Take the upgrade request and switch."""
    await peer.read_request()
    peer.switch()


def engine(interval: float = 25.0, timeout: float = 5.0) -> Script:
    """Return the script of a server that works."""

    async def script(peer: Peer) -> None:
        await upgrade(peer)
        peer.send(opening(interval, timeout))
        peer.send(CONNECTED)
        await peer.serve()

    return script
