"""The parts of python-socketio 5.16 to 5.18 that we use, including private ones."""

from collections.abc import Callable, Mapping
import logging
from typing import Any

import aiohttp

from . import exceptions as exceptions, packet as packet

class AsyncClient:
    """A Socket.IO client; only the members that a dialect overrides or reads."""

    eio: Any
    namespaces: dict[str, str | None]
    packet_class: type[packet.Packet]
    sid: str | None

    def __init__(
        self,
        reconnection: bool = ...,
        *,
        logger: bool | logging.Logger = ...,
        handle_sigint: bool = ...,
        engineio_logger: bool | logging.Logger = ...,
        http_session: aiohttp.ClientSession | None = ...,
        timestamp_requests: bool = ...,
        websocket_extra_options: Mapping[str, Any] | None = ...,
        **engineio_options: Any,
    ) -> None: ...
    async def connect(
        self,
        url: str,
        headers: Mapping[str, str] = ...,
        auth: Any = ...,
        transports: list[str] | None = ...,
        namespaces: list[str] | None = ...,
        socketio_path: str = ...,
        wait: bool = ...,
        wait_timeout: float = ...,
        retry: bool = ...,
    ) -> None: ...
    async def emit(
        self,
        event: str,
        data: Any = ...,
        namespace: str | None = ...,
        callback: Any = ...,
    ) -> None: ...
    # Private: a test compares these signatures with the library's.
    def _engineio_client_class(self) -> Callable[..., Any]: ...
    async def _handle_connect(self, namespace: str, data: Any) -> None: ...
    async def _handle_eio_connect(self) -> None: ...
    async def _handle_eio_message(self, data: str) -> None: ...
