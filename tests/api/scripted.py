"""Scripted MetaApi servers: a test defines the answers and their times, on a `WarpLoop`."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
import json
from typing import Any

import aiohttp
from api.endpoints import Endpoints, Zone
from api.model import ReconnectResult
from api.monitor import Monitor
from api.timing import Timing

from .raw import CONNECTED, TEXT, Peer, Raw, opening, upgrade
from .virtual_loop import current_loop

ACCOUNT = "865d3a4d-3803-486d-bdf3-a85679d9fad2"
REGION = "london"
HOST = "ps-mpa-1"

type Answer = Callable[[Request], None]


@dataclass
class Request:
    """A client's request."""

    when: float
    """Seconds since the start of the script."""
    zone: str
    kind: str
    payload: dict[str, Any]
    peer: Peer = field(repr=False)

    def accept(self) -> None:
        """Answer with a `response`."""
        fields = ("requestId", "accountId")
        answer = {"type": "response"} | {name: self.payload[name] for name in fields}
        self.peer.send(f'42["response",{json.dumps(answer)}]')

    def refuse(self, error: str, **fields: Any) -> None:
        """Answer with a `processingError`."""
        answer = {
            "id": 1,
            "error": error,
            "requestId": self.payload["requestId"],
            "message": f"{error} of {self.zone}",
            **fields,
        }
        self.peer.send(f'42["processingError",{json.dumps(answer)}]')


def accept(request: Request) -> None:
    """Answer with a `response`."""
    request.accept()


def ignore(request: Request) -> None:
    """Never answer."""


def refuse(error: str, **fields: Any) -> Answer:
    """Answer with a `processingError`."""
    return lambda request: request.refuse(error, **fields)


def later(seconds: float, answer: Answer) -> Answer:
    """Answer after some seconds."""

    def wait(request: Request) -> None:
        current_loop().call_later(seconds, answer, request)

    return wait


class Script:
    """Zones a and b of a region, and the seed page's server, which is called global."""

    def __init__(self) -> None:
        """Accept subscribes, and ignore all other requests."""
        self.requests: list[Request] = []
        self.answers: dict[tuple[str, str], Answer] = {}
        """Answers by zone and type of request; other requests are ignored, except `subscribe`."""
        self.pings: Counter[str] = Counter()
        self.servers = {zone: Raw(self._serve(zone)) for zone in ("a", "b", "global")}
        self.shown: list[tuple[float, bool | str | None]] = []
        self._peers: dict[str, Peer] = {}
        self._timers: list[asyncio.TimerHandle] = []
        self.started = current_loop().time()
        self.monitor: Monitor

    @property
    def now(self) -> float:
        """Return the seconds since the start."""
        return current_loop().time() - self.started

    def _serve(self, zone: str) -> Callable[[Peer], Any]:
        async def serve(peer: Peer) -> None:
            await upgrade(peer)
            peer.send(opening())
            peer.send(CONNECTED)
            self._peers[zone] = peer
            while True:
                opcode, payload = await peer.receive()
                text = payload.decode() if opcode == TEXT else ""
                if text == "2":
                    self.pings[zone] += 1
                    peer.send("3")
                elif text.startswith("42"):
                    _, asked = json.loads(text[2:])
                    request = Request(self.now, zone, asked["type"], asked, peer)
                    self.requests.append(request)
                    usual = accept if request.kind == "subscribe" else ignore
                    self.answers.get((zone, request.kind), usual)(request)

        return serve

    def asked(self, kind: str) -> list[tuple[str, float]]:
        """Return the places and the times of a type of request, to a tenth of a second."""
        return [
            (each.zone, round(each.when, 1))
            for each in self.requests
            if each.kind == kind
        ]

    def emit(self, zone: str, kind: str, **fields: Any) -> None:
        """Send an event of the account."""
        event = {"type": kind, "accountId": ACCOUNT, **fields}
        self._peers[zone].send(f'42["synchronization",{json.dumps(event)}]')

    def show(self, zone: str, kind: str, host: str = HOST, **fields: Any) -> None:
        """Send an event of the account as current servers do."""
        instance = {"a": 0, "b": 1}.get(zone)
        if instance is not None:
            fields["instanceIndex"] = instance
        self.emit(zone, kind, host=host, **fields)

    def status(self, zone: str = "a", host: str = HOST) -> None:
        """Send the status of a terminal that is up."""
        self.show(zone, "status", host, connected=True, authenticated=True)

    def at(
        self, when: float, act: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> None:
        """Call a function at a time of the script."""
        loop = current_loop()
        timer = loop.call_at(self.started + when, lambda: act(*args, **kwargs))
        self._timers.append(timer)

    def stop(self) -> None:
        """Call no function any more."""
        for timer in self._timers:
            timer.cancel()

    def cut(self, zone: str) -> None:
        """Reset the connections of a zone."""
        self._peers[zone].reset()

    def add(self) -> None:
        """Watch the account."""
        self.monitor.add_account(ACCOUNT, REGION)

        def note() -> None:
            state = self.monitor.state(ACCOUNT)
            value = state.terminal if state.available else "unavailable"
            if not self.shown or self.shown[-1][1] != value:
                self.shown.append((round(self.now, 1), value))

        note()
        self.monitor.listen(ACCOUNT, note)

    async def reconnect(self, timeout: float = 60.0) -> ReconnectResult:
        """Reconnect the account."""
        return await self.monitor.reconnect(ACCOUNT, timeout)


@asynccontextmanager
async def scripted(
    timing: Timing | None = None, *, zones: str = "ab"
) -> AsyncIterator[Script]:
    """Run the servers and a monitor."""
    script = Script()
    async with (
        script.servers["a"] as a,
        script.servers["b"] as b,
        script.servers["global"] as seed_page,
        aiohttp.ClientSession() as session,
    ):
        both = (Zone(a.url, REGION, 0), Zone(b.url, REGION, 1))
        script.monitor = Monitor(
            session,
            "e30.e30.c2ln",
            endpoints=Endpoints(
                api_url=seed_page.url, overrides={REGION: both[: len(zones)]}
            ),
            timing=timing,
        )
        try:
            yield script
        finally:
            script.stop()
            await script.monitor.close()
