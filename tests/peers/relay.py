"""A TCP relay between a client and a server that can be slow or drop all data."""

import asyncio
from contextlib import suppress
import socket
from typing import Self


class Relay:
    """Relays bytes in both directions; can limit the rate to the client, or drop everything."""

    def __init__(self, target: int) -> None:
        """Store the loopback port of the server."""
        self.port = 0
        self.bytes_per_second: int | None = None
        self.silent = False
        self._target = target
        self._server: asyncio.Server | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._writers: list[asyncio.StreamWriter] = []

    @property
    def url(self) -> str:
        """Return the base URL of the relay."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        """Start listening."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Abort all connections and stop listening."""
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Connect a client with the server."""
        far_reader, far_writer = await asyncio.open_connection(
            "127.0.0.1", self._target
        )
        # Small buffers, so that bytes wait at the sender
        for end in (writer, far_writer):
            end.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_RCVBUF, 16384
            )
        self._writers += [writer, far_writer]
        self._tasks += [
            asyncio.create_task(self._pump(reader, far_writer, towards_client=False)),
            asyncio.create_task(self._pump(far_reader, writer, towards_client=True)),
        ]

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        towards_client: bool,
    ) -> None:
        """Relay one direction."""
        with suppress(ConnectionError):
            while data := await reader.read(16384):
                if self.silent:
                    continue
                writer.write(data)
                await writer.drain()
                if towards_client and self.bytes_per_second:
                    await asyncio.sleep(len(data) / self.bytes_per_second)
            if not self.silent:
                writer.close()
