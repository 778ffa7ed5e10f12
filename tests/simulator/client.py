"""A websocket client that speaks Engine.IO 3 without a library."""

import asyncio
from itertools import count
import json
import os
from typing import Any

import aiohttp

from simulator import Simulator

DEADLINE = 5.0
_ids = count(1)


def open_files() -> int:
    """Return how many files and sockets this process has open."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


class Client:
    """One socket; every wait has a timeout."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        """Take an open websocket."""
        self.ws = ws
        self.opened: dict[str, Any] = {}

    async def frame(self, timeout: float = DEADLINE) -> str:
        """Return the next frame; raise ConnectionError if the socket has ended."""
        async with asyncio.timeout(timeout):
            message = await self.ws.receive()
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise ConnectionError(message.type.name)
        text: str = message.data
        return text

    async def maybe_frame(self, timeout: float) -> str | None:
        """Return the next frame, or None if there is none in time."""
        try:
            return await self.frame(timeout)
        except TimeoutError:
            return None

    async def start(self) -> None:
        """Read the open packet and the `40`."""
        opened = await self.frame()
        assert opened[0] == "0"
        self.opened = json.loads(opened[1:])
        assert await self.frame() == "40"

    async def event(self, timeout: float = DEADLINE) -> tuple[str, Any]:
        """Return the name and the argument of the next event, decoded if it is text."""
        while not (frame := await self.frame(timeout)).startswith("42"):
            pass
        name, payload = json.loads(frame[2:])
        return name, json.loads(payload) if isinstance(payload, str) else payload

    async def until(self, kind: str, timeout: float = DEADLINE) -> dict[str, Any]:
        """Return the next event with this name, or of this type of synchronization."""
        async with asyncio.timeout(timeout):
            while True:
                name, payload = await self.event(timeout)
                if kind in (name, payload.get("type")):
                    found: dict[str, Any] = payload
                    return found

    async def collect(self, seconds: float) -> list[tuple[str, Any]]:
        """Return the events within some seconds."""
        events = []
        try:
            async with asyncio.timeout(seconds):
                while True:
                    events.append(await self.event(60))
        except TimeoutError:
            return events

    async def send(self, payload: Any) -> None:
        """Send a payload as a request."""
        await self.ws.send_str("42" + json.dumps(["request", payload]))

    async def request(self, kind: str, account_id: str, **fields: Any) -> str:
        """Send a request; return its id."""
        request_id = f"r{next(_ids)}"
        await self.send(
            {"type": kind, "accountId": account_id, "requestId": request_id} | fields
        )
        return request_id

    async def subscribe(self, account_id: str, **fields: Any) -> dict[str, Any]:
        """Subscribe to an account that is up; return its `authenticated`."""
        request_id = await self.request("subscribe", account_id, **fields)
        assert (await self.until("response"))["requestId"] == request_id
        return await self.until("authenticated")

    async def ended(self, timeout: float = DEADLINE) -> list[str]:
        """Return the frames until the end of the socket."""
        frames = []
        try:
            while True:
                frames.append(await self.frame(timeout))
        except ConnectionError:
            return frames


class Clients:
    """Opens clients."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        """Take a session, which closes them all."""
        self.session = session

    async def raw(
        self,
        sim: Simulator,
        *,
        url: str | None = None,
        token: str | None = None,
        path: str = "/ws/",
        headers: dict[str, str] | None = None,
        **query: str,
    ) -> Client:
        """Open a websocket without reading from it."""
        params = {
            "EIO": "3",
            "transport": "websocket",
            "auth-token": token or sim.token,
        } | query
        ws = await self.session.ws_connect(
            (url or sim.url) + path, params=params, headers=headers, max_msg_size=0
        )
        return Client(ws)

    async def __call__(self, sim: Simulator, **options: Any) -> Client:
        """Open a socket and wait for its namespace."""
        client = await self.raw(sim, **options)
        await client.start()
        return client
