"""Sockets that write down what they hear: the client's own, and bare ones for what it never does."""

import asyncio
from collections import Counter
from collections.abc import Callable
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
class Heard:
    """One event of a socket."""

    when: float
    name: str
    payload: dict[str, Any]

    @property
    def kind(self) -> str:
        """Return what a `synchronization` is about, else the event's name."""
        if self.name != "synchronization":
            return self.name
        return str(self.payload.get("type"))

    @property
    def account_id(self) -> str:
        """Return whose event it is."""
        return str(self.payload.get("accountId", ""))


class Line(Channel):
    """A socket of the client's, that writes down what it hears."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        token: str,
        *,
        patience: float,
        instance: int | None = None,
    ) -> None:
        """Prepare a socket."""
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
        self.heard: list[Heard] = []
        self.forms: Counter[str] = Counter()
        self._news = asyncio.Event()
        self._secret = token

    async def open(self, url: str, protocol: str | None = "3") -> None:
        """Connect with a `protocol`; without one, as the documentation's example does."""
        if protocol == "3":
            await self.connect(url)
        elif protocol is None:
            await self.connect(url, seed_page=True)
        else:
            client_id = new_client_id()
            params = socket_params(self._secret, client_id) | {"protocol": protocol}
            await self._socket.connect(url, params, socket_headers(client_id))

    @override
    def _event(self, name: str, argument: object) -> None:
        """Write an event down before the client takes it."""
        self.forms["a string" if isinstance(argument, str) else "an object"] += 1
        payload = argument
        if isinstance(argument, str):
            try:
                payload = json.loads(argument)
            except ValueError:
                payload = None
        if isinstance(payload, dict):
            now = asyncio.get_running_loop().time()
            self.heard.append(Heard(now, name, payload))
            self._news.set()
        super()._event(name, argument)

    def events(self, account_id: str, kind: str, since: float = 0.0) -> list[Heard]:
        """Return the events of a kind about an account."""
        return [
            heard
            for heard in self.heard
            if heard.account_id == account_id
            and heard.kind == kind
            and heard.when >= since
        ]

    async def until[T](self, condition: Callable[[], T], patience: float) -> T:
        """Wait for what an event brings about, and return it, or what there is at the end."""
        try:
            async with asyncio.timeout(patience):
                while not (found := condition()):
                    self._news.clear()
                    await self._news.wait()
                return found
        except TimeoutError:
            return condition()


def describe(error: MetaApiError) -> str:
    """Say what an error was, in MetaApi's own words where it had some."""
    if isinstance(error, RequestError):
        details = f", details {error.details!r}" if error.details else ""
        extra = f", metadata {error.metadata!r}" if error.metadata else ""
        return f"`{error.name}`: {error.message}{details}{extra}"
    return f"{type(error).__name__}: {error}"


@dataclass
class Bare:
    """What a handshake by hand brought."""

    outcome: str
    opened: dict[str, Any] | None = None
    frames: list[tuple[float, str]] = field(default_factory=list)


async def bare_websocket(
    session: aiohttp.ClientSession, url: str, token: str, eio: int, patience: float
) -> Bare:
    """Open a websocket by hand, send nothing, and look at what comes until the namespace is connected."""
    clock = asyncio.get_running_loop().time
    client_id = new_client_id()
    query = {"EIO": str(eio), "transport": "websocket"}
    started = clock()
    bare = Bare("nothing came")
    try:
        async with (
            asyncio.timeout(patience),
            session.ws_connect(
                f"{url}/{SOCKET_PATH}/",
                params=query | socket_params(token, client_id),
                headers=socket_headers(client_id),
            ) as ws,
        ):
            async for message in ws:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    continue
                bare.frames.append((clock() - started, message.data))
                if message.data[:1] == "0":
                    bare.opened = _json(message.data[1:])
                    bare.outcome = "an open packet"
                if message.data[:2] == "40":
                    break
            if ws.close_code is not None:
                bare.outcome += f", then closed with code {ws.close_code}"
    except TimeoutError:
        bare.outcome += ", and nothing more"
    except aiohttp.WSServerHandshakeError as err:
        bare.outcome = f"HTTP {err.status}"
    except (aiohttp.ClientError, OSError) as err:
        bare.outcome = type(err).__name__
    return bare


async def bare_polling(
    session: aiohttp.ClientSession, url: str, token: str, eio: int, patience: float
) -> Bare:
    """Begin a long-polling session by hand, and end it at once."""
    query = {"EIO": str(eio), "transport": "polling"}
    params = query | socket_params(token, new_client_id())
    target = f"{url}/{SOCKET_PATH}/"
    try:
        async with asyncio.timeout(patience):
            async with session.get(
                target, params=params, allow_redirects=False
            ) as response:
                body = (await response.content.read(4096)).decode(errors="replace")
                if response.status != 200:
                    return Bare(f"HTTP {response.status}")
            # Engine.IO 3 has a length before the packet, and may have more packets after it
            start, end = body.find("{"), body.find("}")
            opened = _json(body[start : end + 1]) if start >= 0 else None
            if opened is None:
                return Bare("HTTP 200 without an open packet")
            if isinstance(sid := opened.get("sid"), str):
                goodbye = "1:1" if ":" in body[:start] else "1"
                for method, data in (("POST", goodbye), ("GET", None)):
                    async with session.request(
                        method,
                        target,
                        params=params | {"sid": sid},
                        data=data,
                        headers={"Content-Type": "text/plain;charset=UTF-8"},
                        allow_redirects=False,
                    ):
                        pass
            return Bare(f"an open packet, after {body[:start]!r}", opened)
    except TimeoutError:
        return Bare("nothing came")
    except (aiohttp.ClientError, OSError) as err:
        return Bare(type(err).__name__)


def _json(text: str) -> dict[str, Any] | None:
    """Return a JSON object, or nothing."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
