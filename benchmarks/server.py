"""A MetaApi server that sends pre-encoded frames as fast as they are read, so that only the client is measured.

Each path begins with a user, who ends with the number of accounts: `/ours/1000/ws/` is a socket of such a user. The
SDK, which ignores the path, uses `/ws/`. Payloads are JSON in a string, as today's servers send them.
"""

import asyncio
from collections import defaultdict
from functools import cache
from itertools import cycle, islice
import json
import random
import time
from typing import Any

from aiohttp import WSMsgType, web

from .turns import in_front, serve, tell

OPEN = '0{"sid":"bench","upgrades":[],"pingInterval":25000,"pingTimeout":5000}'
ACCOUNTS_PER_SOCKET = 100
SOCKET = "ws/?transport=websocket&auth-token=bench&protocol=3&EIO=3"


@cache
def account_ids(count: int) -> list[str]:
    """Return account IDs, which are the same in every process and end with the account's number."""
    return [f"5c7e1a90-3b1f-4d2e-8f6a-{number:012}" for number in range(count)]


class Session:
    """One client's socket."""

    def __init__(self, request: web.Request, ws: web.WebSocketResponse) -> None:
        """Start without subscriptions."""
        assert request.transport is not None
        self.accounts: dict[str, None] = {}
        self.down: set[str] = set()
        """Accounts whose terminal is down, so that a subscribe does not authenticate it."""
        self.subscribed_at: list[float] = []
        self.write = request.transport.write
        self.drop = request.transport.abort
        self._ws = ws

    def event(
        self, account_id: str, kind: str, name: str = "synchronization", **fields: Any
    ) -> bytes:
        """Return an event, encoded as a WebSocket frame."""
        about = {"accountId": account_id, "instanceIndex": 0, "host": "ps-mpa-1"}
        payload = {"type": kind, **about, **fields}
        frame = f"42{_dumps([name, _dumps(payload)])}".encode()
        assert 126 <= len(frame) < 2**16
        return b"\x81\x7e" + len(frame).to_bytes(2) + frame

    def status(self, account_id: str, *, broker: bool = True) -> bytes:
        """Return the periodic `status` of a terminal."""
        return self.event(
            account_id,
            "status",
            connected=broker,
            authenticated=True,
            healthStatus={"rpcApiHealthy": True},
        )

    async def serve(self) -> None:
        """Answer requests until the socket is closed."""
        await self._ws.send_str(OPEN)
        await self._ws.send_str("40")
        async for message in self._ws:
            if message.type is not WSMsgType.TEXT:
                continue
            if message.data == "2":
                await self._ws.send_str("3")
            elif message.data.startswith("42"):
                self._answer(json.loads(message.data[2:])[1])

    def _answer(self, request: dict[str, Any]) -> None:
        """Answer a request; a subscribe also sends `authenticated` unless the terminal is down."""
        account_id, request_id = request["accountId"], request["requestId"]
        self.write(self.event(account_id, "response", "response", requestId=request_id))
        if request["type"] == "subscribe":
            self.accounts[account_id] = None
            self.subscribed_at.append(time.monotonic())
            if account_id not in self.down:
                self.come_back(account_id, request.get("sessionId"))

    def come_back(self, account_id: str, session_id: str | None = None) -> None:
        """Send that a terminal is on."""
        on = self.event(account_id, "authenticated", replicas=1, sessionId=session_id)
        self.write(on + self.status(account_id))


class Server:
    """The sockets of all users, and the commands that act on them."""

    def __init__(self) -> None:
        """Start without sockets."""
        self.sessions: dict[str, list[Session]] = defaultdict(list)
        """Sockets by user."""
        self._away_until = 0.0
        self._tried_at: list[float] = []

    async def start(self) -> str:
        """Start serving; return the URL."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/{user:.*}ws/", self.socket),
                web.get("/{user:.*}users/current/accounts", self.accounts),
                web.post(r"/{user:(.*/)?}{command:\w+}", self.command),
            ]
        )
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    async def socket(self, request: web.Request) -> web.StreamResponse:
        """Serve a socket."""
        self._tried_at.append(time.monotonic())
        if time.monotonic() < self._away_until:
            raise web.HTTPServiceUnavailable
        ws = web.WebSocketResponse(compress=False)
        await ws.prepare(request)
        session = Session(request, ws)
        sessions = self.sessions[request.match_info["user"]]
        sessions.append(session)
        try:
            await session.serve()
        finally:
            sessions.remove(session)
        return ws

    async def accounts(self, request: web.Request) -> web.Response:
        """List all accounts on one page."""
        count = int(request.match_info["user"].split("/")[1])
        if request.query.get("offset", "0") != "0":
            count = 0
        return web.Response(text=_listing(count), content_type="application/json")

    async def command(self, request: web.Request) -> web.Response:
        """Run a client's command on its own sockets, except those without accounts."""
        user, command = request.match_info["user"], request.match_info["command"]
        sessions = [session for session in self.sessions[user] if session.accounts]
        amounts = {name: float(value) for name, value in request.query.items()}
        return web.json_response(await getattr(self, command)(sessions, **amounts))

    async def flood(
        self, sessions: list[Session], frames: float, changing: float = 0
    ) -> None:
        """Send frames over all sockets at once; the last frame of each socket says that a broker went away.

        With `changing`, the other frames alternate between brokers that went away and that came back; otherwise
        all brokers are connected.
        """
        for session in sessions:
            well = [session.status(one) for one in session.accounts]
            away = [session.status(one, broker=False) for one in session.accounts]
            share = int(frames) // len(sessions)
            most = b"".join(islice(cycle(away + well if changing else well), share))
            session.write(most + away[-1])

    async def hum(self, sessions: list[Session], seconds: float) -> None:
        """Send each account's status once a second, evenly distributed over time."""
        statuses = [
            (one, one.status(each)) for one in sessions for each in one.accounts
        ]
        random.Random(0).shuffle(statuses)
        due = time.monotonic()
        for session, frame in islice(cycle(statuses), int(len(statuses) * seconds)):
            due += 1 / len(statuses)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            session.write(frame)

    async def flip(
        self, sessions: list[Session], times: float, pause: float
    ) -> list[tuple[str, float]]:
        """Drop and restore terminals while all others send `status`; return when each `authenticated` was sent."""
        sent = []
        terminals = cycle([(one, each) for one in sessions for each in one.accounts])
        hum = asyncio.create_task(self.hum(sessions, times * pause + 1))
        with in_front():
            for session, account_id in islice(terminals, int(times)):
                session.write(session.event(account_id, "disconnected"))
                await asyncio.sleep(pause / 2)
                frame = session.event(account_id, "authenticated", replicas=1)
                sent.append((account_id, time.monotonic()))
                session.write(frame)
                await asyncio.sleep(pause / 2)
        hum.cancel()
        return sent

    async def drop(self, sessions: list[Session], seconds: float) -> float:
        """Close every socket and refuse new ones for some seconds; return the start time."""
        self._away_until = time.monotonic() + seconds
        self._tried_at.clear()
        for session in sessions:
            session.drop()
        return time.monotonic()

    async def log(self, sessions: list[Session]) -> list[list[float]]:
        """Return when sockets were opened, or tried to, since the last drop, and when accounts subscribed."""
        subscribed_at = [when for session in sessions for when in session.subscribed_at]
        return [self._tried_at, subscribed_at]


@cache
def _listing(count: int) -> str:
    """Return the REST response that lists the accounts."""
    account = {
        "server": "Broker-Live",
        "version": 5,
        "type": "cloud-g2",
        "region": "london",
        "state": "DEPLOYED",
        "connectionStatus": "CONNECTED",
    }
    return _dumps(
        [
            {"_id": each, "name": f"Account {number}", "login": str(number), **account}
            for number, each in enumerate(account_ids(count))
        ]
    )


def _dumps(value: Any) -> str:
    """Return JSON in the format of `JSON.stringify`."""
    return json.dumps(value, separators=(",", ":"))


async def main() -> None:
    """Print the URL, then serve until the input ends."""
    tell(await Server().start())
    await serve({})


if __name__ == "__main__":
    asyncio.run(main())
