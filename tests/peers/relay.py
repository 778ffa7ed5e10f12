"""A line between a client and a server that can be slow, or fall silent."""

import asyncio
from contextlib import suppress
import socket
from typing import Self


class Relay:
    """Pass bytes on, both ways; towards the client only so fast, or nothing at all."""

    def __init__(self, target: int) -> None:
        """Prepare a line to a loopback port."""
        self.port = 0
        self.bytes_per_second: int | None = None
        self.silent = False
        self._target = target
        self._server: asyncio.Server | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._writers: list[asyncio.StreamWriter] = []

    @property
    def url(self) -> str:
        """Return the base URL of this end."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        """Listen."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Cut the line."""
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
        """Join a client with the server."""
        far_reader, far_writer = await asyncio.open_connection(
            "127.0.0.1", self._target
        )
        # small, so that bytes wait at the sender and not here
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
        """Pass on what one side says."""
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
