"""A server that sends frames as fast as they are read, so that what is measured is the client.

Engine.IO 3 (and 4, for the library that speaks nothing older), Socket.IO frames that were encoded
beforehand, and the one REST call that a set-up needs. Each path begins with a user and how many accounts
he has: `/ours/1000/ws/` is a socket of such a one. The SDK, which takes no path, gets `/ws/`.
"""

import asyncio
from collections.abc import Iterator
from functools import cache
from itertools import cycle, islice
import json
import random
import sys
import time
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from aiohttp import WSMsgType, web

HOST = "ps-mpa-1"
OPEN = '0{"sid":"bench","upgrades":[],"pingInterval":25000,"pingTimeout":5000}'
BURST = 500
"""Frames that are written at once, in a flood."""
BACKLOG = 1024 * 1024
"""No more than this waits to be read, in bytes."""
ACCOUNTS_PER_SOCKET = 100


@cache
def account_ids(count: int) -> list[str]:
    """Return the same ids in every process."""
    return [str(uuid5(NAMESPACE_URL, f"benchmark/{number}")) for number in range(count)]


def account_name(number: int) -> str:
    """Return what an account is called."""
    return f"Account {number}"


class Session:
    """One client's socket."""

    def __init__(self, request: web.Request, ws: web.WebSocketResponse) -> None:
        """Start without subscriptions."""
        assert request.transport is not None
        self.accounts: list[str] = []
        self.subscribed_at: list[float] = []
        self._ws = ws
        self._transport = request.transport
        self._as_text = "protocol" in request.query

    @property
    def served(self) -> list[str]:
        """Return whose events are sent: a peer that subscribes nothing is sent those of a full socket."""
        return self.accounts or account_ids(ACCOUNTS_PER_SOCKET)

    def event(self, name: str, payload: dict[str, Any]) -> bytes:
        """Return an event as the bytes of a websocket frame."""
        argument = _dumps(payload) if self._as_text else payload
        frame = f"42{_dumps([name, argument])}".encode()
        head = b"\x81" + (
            bytes([len(frame)])
            if len(frame) < 126
            else b"\x7e" + len(frame).to_bytes(2)
        )
        return head + frame

    def status(self, account_id: str, *, broker: bool = True) -> bytes:
        """Return the periodic sign of life of a terminal."""
        return self.event(
            "synchronization",
            {
                "type": "status",
                "accountId": account_id,
                "instanceIndex": 0,
                "host": HOST,
                "connected": broker,
                "authenticated": True,
                "healthStatus": {"rpcApiHealthy": True},
            },
        )

    def link(self, account_id: str, kind: str, **fields: Any) -> bytes:
        """Return an `authenticated` or a `disconnected`."""
        return self.event(
            "synchronization",
            {
                "type": kind,
                "accountId": account_id,
                "instanceIndex": 0,
                "host": HOST,
                **fields,
            },
        )

    def write(self, data: bytes) -> None:
        """Send frames."""
        self._transport.write(data)

    async def write_all(self, frames: Iterator[bytes]) -> None:
        """Send frames as fast as they are read."""
        while burst := b"".join(islice(frames, BURST)):
            while self._transport.get_write_buffer_size() > BACKLOG:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            self._transport.write(burst)

    def drop(self) -> None:
        """Break the connection."""
        self._transport.abort()

    async def serve(self) -> None:
        """Answer until the socket ends."""
        async for message in self._ws:
            if message.type is WSMsgType.TEXT:
                if message.data == "2":
                    await self._ws.send_str("3")
                elif message.data.startswith("40"):
                    await self._ws.send_str('40{"sid":"bench"}')
                elif message.data.startswith("42"):
                    self._answer(json.loads(message.data[2:])[1])

    def _answer(self, request: dict[str, Any]) -> None:
        """Take a request; a subscribe finds a terminal that is on."""
        account_id = request["accountId"]
        response = {
            "type": "response",
            "accountId": account_id,
            "requestId": request["requestId"],
        }
        self.write(self.event("response", response))
        if request["type"] == "subscribe":
            if account_id not in self.accounts:
                self.accounts.append(account_id)
            self.subscribed_at.append(time.monotonic())
            self.write(
                self.link(
                    account_id,
                    "authenticated",
                    replicas=1,
                    sessionId=request.get("sessionId"),
                )
                + self.status(account_id)
            )


class Server:
    """The sockets of all users, and what is done to them."""

    def __init__(self) -> None:
        """Start without sockets."""
        self._sessions: dict[tuple[str, str], list[Session]] = {}
        self._away_until = 0.0
        self._tried_at: list[float] = []

    def app(self) -> web.Application:
        """Return what is served."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/{user}/{count}/ws/", self.socket),
                web.get("/ws/", self.socket),
                web.get("/{user}/{count}/users/current/accounts", self.accounts),
                web.post("/{user}/{count}/flood", self.flood),
                web.post("/{user}/{count}/steady", self.steady),
                web.post("/{user}/{count}/flip", self.flip),
                web.post("/{user}/{count}/drop", self.drop),
                web.post("/{user}/{count}/log", self.log),
            ]
        )
        return app

    async def socket(self, request: web.Request) -> web.StreamResponse:
        """Serve a socket."""
        self._tried_at.append(time.monotonic())
        if time.monotonic() < self._away_until:
            raise web.HTTPServiceUnavailable
        ws = web.WebSocketResponse(compress=False)
        await ws.prepare(request)
        session = Session(request, ws)
        sessions = self._of(request)
        sessions.append(session)
        try:
            await ws.send_str(OPEN)
            if request.query["EIO"] == "3":
                await ws.send_str("40")
            await session.serve()
        finally:
            sessions.remove(session)
        return ws

    async def accounts(self, request: web.Request) -> web.Response:
        """List the accounts, in one page."""
        first_page = request.query.get("offset", "0") == "0"
        count = int(request.match_info["count"]) if first_page else 0
        return web.Response(text=_listing(count), content_type="application/json")

    async def flood(self, request: web.Request) -> web.Response:
        """Send `frames` frames over all sockets at once, and a broker that went away as the last of each.

        With `changing`, the brokers of so many accounts come and go with each of their frames, and the others send none.
        """
        sessions = self._served(request)
        share = int(request.query["frames"]) // len(sessions)
        changing = int(request.query.get("changing", 0)) // len(sessions)
        await asyncio.gather(
            *(
                session.write_all(_flood(session, share, changing))
                for session in sessions
            )
        )
        return web.Response()

    async def steady(self, request: web.Request) -> web.Response:
        """Send each account's status once a second, spread over it, for `seconds` seconds."""
        await self._hum(self._served(request), int(request.query["seconds"]))
        return web.Response()

    async def flip(self, request: web.Request) -> web.Response:
        """Take terminals away and give them back, while all others hum; answer when that was.

        Each of the `times` pairs of a moment and an account's number is that of an `authenticated`.
        """
        sessions = self._served(request)
        times, pause = int(request.query["times"]), float(request.query["pause"])
        terminals = cycle(
            [(one, account) for one in sessions for account in one.served]
        )
        hum = asyncio.create_task(self._hum(sessions, int(times * pause) + 1))
        ids = account_ids(int(request.match_info["count"]))
        numbers = {account_id: number for number, account_id in enumerate(ids)}
        told = []
        for session, account_id in islice(terminals, times):
            session.write(session.link(account_id, "disconnected"))
            await asyncio.sleep(pause / 2)
            frame = session.link(account_id, "authenticated", replicas=1)
            told.append((time.monotonic(), numbers[account_id]))
            session.write(frame)
            await asyncio.sleep(pause / 2)
        hum.cancel()
        return web.json_response(told)

    async def drop(self, request: web.Request) -> web.Response:
        """Break every socket at once, and let none come back for `seconds`; answer when that began."""
        self._away_until = time.monotonic() + float(request.query["seconds"])
        self._tried_at.clear()
        for session in self._of(request):
            session.drop()
        return web.json_response(time.monotonic())

    async def log(self, request: web.Request) -> web.Response:
        """Tell when since the last drop sockets were tried, and when their accounts subscribed."""
        subscribed_at = [
            when for session in self._of(request) for when in session.subscribed_at
        ]
        return web.json_response([self._tried_at, subscribed_at])

    async def _hum(self, sessions: list[Session], seconds: int) -> None:
        """Send each account's status once a second, evenly spread."""
        statuses = [
            (session, session.status(account_id))
            for session in sessions
            for account_id in session.served
        ]
        random.Random(0).shuffle(statuses)
        pause = 1 / len(statuses)
        due = time.monotonic()
        for session, frame in islice(cycle(statuses), len(statuses) * seconds):
            due += pause
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            session.write(frame)

    def _of(self, request: web.Request) -> list[Session]:
        """Return the sockets of a user."""
        user = (
            request.match_info.get("user", "sdk"),
            request.match_info.get("count", "1"),
        )
        return self._sessions.setdefault(user, [])

    def _served(self, request: web.Request) -> list[Session]:
        """Return the sockets that want events: those that subscribed, or all where none does."""
        sessions = self._of(request)
        return [session for session in sessions if session.accounts] or sessions


def _flood(session: Session, count: int, changing: int) -> Iterator[bytes]:
    """Yield the frames of a flood."""
    # the last ones, so that who is away at the end is the same; -0 are all
    served = session.served[-changing:]
    well = [session.status(account_id) for account_id in served]
    away = [session.status(account_id, broker=False) for account_id in served]
    yield from islice(cycle(away + well if changing else well), count)
    yield away[-1]


@cache
def _listing(count: int) -> str:
    """Return what REST says of the accounts."""
    return _dumps(
        [
            {
                "_id": account_id,
                "name": account_name(number),
                "login": str(90210 + number),
                "server": "Broker-Live",
                "version": 5,
                "type": "cloud-g2",
                "region": "london",
                "state": "DEPLOYED",
                "connectionStatus": "CONNECTED",
            }
            for number, account_id in enumerate(account_ids(count))
        ]
    )


def _dumps(value: Any) -> str:
    """Write JSON as `JSON.stringify` does."""
    return json.dumps(value, separators=(",", ":"))


async def main() -> None:
    """Serve until the input ends, after saying where."""
    runner = web.AppRunner(Server().app(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
