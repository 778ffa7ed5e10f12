"""Sockets that record what they receive: the client's channel, and a bare handshake."""

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
import json
from typing import Any, override

import aiohttp

from custom_components.metaapi.api import MetaApiError, RequestError, Timing
from custom_components.metaapi.api.transport.channel import (
    Channel,
    new_client_id,
    socket_headers,
    socket_params,
)
from custom_components.metaapi.api.transport.connection import make_socket
from custom_components.metaapi.api.transport.socketio2 import SOCKET_PATH

APPLICATION = "MetaApi"


@dataclass(frozen=True)
class ReceivedEvent:
    """An event that a socket received."""

    when: float
    name: str
    payload: dict[str, Any]

    @property
    def kind(self) -> str:
        """Return the type of a `synchronization`, or the name of another event."""
        if self.name != "synchronization":
            return self.name
        return str(self.payload.get("type"))

    @property
    def account_id(self) -> str:
        """Return the account of the event."""
        return str(self.payload.get("accountId", ""))

    @override
    def __str__(self) -> str:
        """Return the event's kind with the values of its flags."""
        flags = ", ".join(
            f"{key} {self.payload[key]}"
            for key in ("connected", "authenticated")
            if isinstance(self.payload.get(key), bool)
        )
        return f"`{self.kind}`" + (f" ({flags})" if flags else "")


class RecordingChannel(Channel):
    """A channel of the client that records what it receives."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        token: str,
        *,
        patience: float,
        instance: int | None = None,
    ) -> None:
        """Create a channel that is not open yet."""
        timing = Timing(response=patience, connect=min(patience, 60.0))
        super().__init__(
            make_socket(session, timing),
            token,
            application=APPLICATION,
            on_synchronization=lambda event: None,
            on_unauthorized=lambda: None,
            timing=timing,
            instance=instance,
        )
        self.received: list[ReceivedEvent] = []
        self.forms: Counter[str] = Counter()
        self._subscribed: set[str] = set()
        self._changed = asyncio.Event()
        self._secret = token

    async def open(self, url: str, protocol: str | None = "3") -> None:
        """Connect with a `protocol`, or without one, as the documentation's example does."""
        if protocol == "3":
            await self.connect(url)
        elif protocol is None:
            await self.connect(url, seed_page=True)
        else:
            client_id = new_client_id()
            params = socket_params(self._secret, client_id) | {"protocol": protocol}
            await self._socket.connect(url, params, socket_headers(client_id))

    async def subscribe(self, account_id: str) -> MetaApiError | None:
        """Subscribe an account; return the error, or None."""
        self._subscribed.add(account_id)
        try:
            await self.request("subscribe", account_id, sessionId=self.session_id)
        except MetaApiError as err:
            if isinstance(err, RequestError):
                self._subscribed.discard(account_id)
            return err
        return None

    async def leave(self) -> None:
        """Unsubscribe the accounts and close."""
        try:
            for account_id in self._subscribed if self.connected else ():
                with suppress(MetaApiError):
                    await self.request("unsubscribe", account_id, timeout=5.0)
        finally:
            await self.close()

    @override
    def _event(self, name: str, argument: object) -> None:
        """Record an event before the channel handles it."""
        self.forms["a string" if isinstance(argument, str) else "an object"] += 1
        payload = _json(argument) if isinstance(argument, str) else argument
        if isinstance(payload, dict):
            now = asyncio.get_running_loop().time()
            self.received.append(ReceivedEvent(now, name, payload))
            self._changed.set()
        super()._event(name, argument)

    def events(
        self, account_id: str, kind: str, since: float = 0.0
    ) -> list[ReceivedEvent]:
        """Return the events of a kind for an account."""
        wanted = (account_id, kind)
        return [
            event
            for event in self.received
            if (event.account_id, event.kind) == wanted and event.when >= since
        ]

    async def wait_for(
        self, account_id: str, kind: str, patience: float, since: float = 0.0
    ) -> list[ReceivedEvent]:
        """Wait for an event of a kind for an account, and return those received."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while not self.events(account_id, kind, since):
                    self._changed.clear()
                    await self._changed.wait()
        return self.events(account_id, kind, since)


def describe(error: MetaApiError) -> str:
    """Describe an error, with MetaApi's own text if there is one."""
    if isinstance(error, RequestError):
        details = f", details {error.details!r}" if error.details else ""
        extra = f", metadata {error.metadata!r}" if error.metadata else ""
        return f"`{error.name}`: {error.message}{details}{extra}"
    return f"{type(error).__name__}: {error}"


@dataclass
class Handshake:
    """A handshake without the client, which sends only the token, and its result."""

    session: aiohttp.ClientSession
    url: str
    token: str
    eio: int
    outcome: str = "nothing came"
    opened: dict[str, Any] | None = None
    frames: list[tuple[float, str]] = field(default_factory=list)

    async def shake(self, transport: str, patience: float) -> None:
        """Open a session by `websocket` or `polling`, and close it at once."""
        client_id = new_client_id()
        params = socket_params(self.token, client_id)
        params |= {"EIO": str(self.eio), "transport": transport}
        try:
            async with asyncio.timeout(patience):
                if transport == "polling":
                    await self._poll(f"{self.url}/{SOCKET_PATH}/", params)
                else:
                    await self._listen(params, socket_headers(client_id))
        except TimeoutError:
            self.outcome += ", and nothing more" if self.frames else ""
        except aiohttp.WSServerHandshakeError as err:
            self.outcome = f"HTTP {err.status}"
        except (aiohttp.ClientError, OSError) as err:
            self.outcome = type(err).__name__

    async def _listen(self, params: dict[str, str], headers: dict[str, str]) -> None:
        """Record the frames until the namespace is connected."""
        clock = asyncio.get_running_loop().time
        started = clock()
        async with self.session.ws_connect(
            f"{self.url}/{SOCKET_PATH}/", params=params, headers=headers
        ) as ws:
            async for message in ws:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    continue
                self.frames.append((clock() - started, message.data))
                if message.data[:1] == "0":
                    self.opened = _json(message.data[1:])
                    self.outcome = "an open packet"
                if message.data[:2] == "40":
                    break
            if ws.close_code is not None:
                self.outcome += f", then closed with code {ws.close_code}"

    async def _poll(self, url: str, params: dict[str, str]) -> None:
        """Open a long-polling session, and close it at once."""
        get = self.session.get(url, params=params, allow_redirects=False)
        async with get as response:
            body = (await response.content.read(4096)).decode(errors="replace")
        self.outcome = f"HTTP {response.status}"
        # Engine.IO 3 sends a length before the packet, and may send more packets after it
        start, end = body.find("{"), body.find("}")
        self.opened = _json(body[start : end + 1]) if response.ok else None
        if self.opened is None:
            self.outcome += " without an open packet" if response.ok else ""
            return
        self.outcome = f"an open packet, after {body[:start]!r}"
        params |= {"sid": str(self.opened.get("sid"))}
        goodbye = "1:1" if ":" in body[:start] else "1"
        for method, data in (("POST", goodbye), ("GET", None)):
            headers = {"Content-Type": "text/plain;charset=UTF-8"}
            async with self.session.request(
                method,
                url,
                params=params,
                data=data,
                headers=headers,
                allow_redirects=False,
            ):
                pass


def _json(text: str) -> dict[str, Any] | None:
    """Return a JSON object, or None if the text is none."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
