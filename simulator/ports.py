"""A listening port on loopback that can be closed and reopened."""

import asyncio
import logging
from ssl import SSLContext
from typing import override

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from .records import LISTENER, Listener

HOST = "127.0.0.1"


class _NoUrl(logging.Filter):
    """Removes the traceback of a malformed request, since it quotes the URL with the token."""

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        """Remove the traceback."""
        if record.exc_info and isinstance(record.exc_info[1], HttpProcessingError):
            record.exc_info = None
        return True


_LOGGER = logging.getLogger(__name__)
_LOGGER.addFilter(_NoUrl())


class Port:
    """One listening port that can be closed and reopened."""

    def __init__(
        self,
        app: web.Application,
        listener: Listener,
        port: int = 0,
        ssl: SSLContext | None = None,
    ) -> None:
        """Store the application to serve; port 0 picks a free port."""
        self.listener = listener
        app[LISTENER] = listener
        self._port = port
        self._ssl = ssl
        # No access log: it would contain the query, and so the token.
        self._runner = web.AppRunner(
            app, access_log=None, logger=_LOGGER, shutdown_timeout=0.1
        )
        self._site: web.TCPSite | None = None

    async def open(self) -> None:
        """Start listening."""
        if self._site is not None:
            return
        if self._runner.server is None:
            await self._runner.setup()
        self._site = web.TCPSite(self._runner, HOST, self._port, ssl_context=self._ssl)
        await self._site.start()
        self._port = self._runner.addresses[0][1]
        scheme = "http" if self._ssl is None else "https"
        self.listener.url = f"{scheme}://{HOST}:{self._port}"

    async def close(self) -> None:
        """Refuse new connections, and abort the open ones."""
        if self._site is not None:
            await self._site.stop()
            self._site = None
        if self._runner.server is not None:
            for connection in self._runner.server.connections:
                if isinstance(connection.transport, asyncio.WriteTransport):
                    connection.transport.abort()

    async def end(self) -> None:
        """Close permanently."""
        await self.close()
        await self._runner.cleanup()
