"""The parts of python-engineio 4.13 to 4.15 that the client uses, including private ones."""

import asyncio
from collections.abc import Awaitable, Callable
import logging
from typing import Any

import aiohttp

from . import packet as packet

class AsyncClient:
    """An Engine.IO client; only the members that a dialect overrides or reads."""

    current_transport: str | None
    http: aiohttp.ClientSession
    ping_interval: float | None
    ping_timeout: float | None
    queue: asyncio.Queue[packet.Packet | None]
    sid: str | None
    state: str
    websocket_extra_options: dict[str, Any]
    ws: aiohttp.ClientWebSocketResponse | None

    def __init__(
        self,
        logger: bool | logging.Logger = ...,
        json: Any = ...,
        request_timeout: float = ...,
        http_session: aiohttp.ClientSession | None = ...,
        ssl_verify: bool = ...,
        handle_sigint: bool = ...,
        websocket_extra_options: dict[str, Any] | None = ...,
        timestamp_requests: bool = ...,
    ) -> None: ...
    def __del__(self) -> None: ...
    async def connect(
        self,
        url: str,
        headers: dict[str, str] | None = ...,
        transports: list[str] | None = ...,
        engineio_path: str = ...,
    ) -> bool | None: ...
    def on(
        self, event: str, handler: Callable[..., Awaitable[Any]] | None = ...
    ) -> Any: ...
    # Private: a test compares these signatures with the library's.
    async def _connect_websocket(
        self, url: str, headers: dict[str, str], engineio_path: str
    ) -> bool | None: ...
    def _get_engineio_url(
        self, url: str, engineio_path: str, transport: str
    ) -> str: ...
    async def _read_loop_websocket(self) -> None: ...
    async def _trigger_event(
        self, event: str, *args: Any, run_async: bool = ...
    ) -> Any: ...
    async def _write_loop(self) -> None: ...
