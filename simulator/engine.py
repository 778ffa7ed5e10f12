"""The endpoint `/ws/`: Engine.IO 3 over websocket and polling, with engine.io's refusals."""

import asyncio
from collections import deque

from aiohttp import web
from multidict import CIMultiDict

from . import framing
from .records import LISTENER, Handshake, Listener
from .session import Owner, SimSocket
from .settings import Settings
from .sticky import STICKY_ID, restore_request
from .tokens import SimToken
from .transport import CLOSE_TIMEOUT

# engine.io closes a websocket on an unknown path after this many seconds.
DESTROY_UPGRADE_AFTER = 1.0

_ERRORS = (
    "Transport unknown",
    "Session ID unknown",
    "Bad handshake method",
    "Bad request",
    "Forbidden",
)


class Engine:
    """The sessions on all ports of a simulator."""

    def __init__(
        self, settings: Settings, owner: Owner, tokens: dict[str, SimToken]
    ) -> None:
        """Start without sessions."""
        self.sessions: dict[str, SimSocket] = {}
        self.past: deque[SimSocket] = deque(maxlen=10_000)
        self.handshakes: deque[Handshake] = deque(maxlen=100_000)
        self._sticky: dict[tuple[str, str], SimSocket] = {}
        self._settings = settings
        self._owner = owner
        self._tokens = tokens
        self._thawed = asyncio.Event()
        self._thawed.set()

    @property
    def frozen(self) -> bool:
        """Return whether new sockets are left unanswered."""
        return not self._thawed.is_set()

    def freeze(self, listener: Listener | None = None) -> None:
        """Stop answering on open and new sockets, of one server or of all."""
        (listener.thawed if listener else self._thawed).clear()
        for session in self._sessions_of(listener):
            session.freeze()

    def unfreeze(self, listener: Listener | None = None) -> None:
        """Answer again, starting with what was received meanwhile."""
        for session in self._sessions_of(listener):
            session.unfreeze()
        (listener.thawed if listener else self._thawed).set()

    def _sessions_of(self, listener: Listener | None) -> list[SimSocket]:
        """Return all open sockets, or those of one server."""
        return [
            each for each in self.sessions.values() if listener in (None, each.listener)
        ]

    def forget(self, session: SimSocket) -> None:
        """Move a closed session to `past`."""
        if self.sessions.pop(session.sid, None):
            self.past.append(session)

    def close(self) -> None:
        """Abort all open sessions."""
        for session in list(self.sessions.values()):
            session.drop("simulator closed")
        for session in self._sticky.values():
            session.leave()

    async def handle_without_slash(self, request: web.Request) -> web.StreamResponse:
        """Serve the path without its trailing slash, which engine.io does not answer."""
        if not _is_upgrade(request):
            raise web.HTTPNotFound
        await asyncio.sleep(DESTROY_UPGRADE_AFTER)
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one HTTP request or websocket of a session."""
        await self._thawed.wait()
        await request.app[LISTENER].thawed.wait()
        if self._settings.timing.handshake_delay and "sid" not in request.query:
            await asyncio.sleep(self._settings.timing.handshake_delay)
        transport = request.query.get("transport")
        if transport not in ("websocket", "polling"):
            return _engine_error(0)
        if (transport == "websocket") != _is_upgrade(request):
            return _engine_error(3)
        if "sid" in request.query:
            session = self.sessions.get(request.query["sid"])
            if session is None or session.listener is not request.app[LISTENER]:
                return _engine_error(1)
            return await self._serve_polling(session, request)
        if request.method != "GET":
            return _engine_error(2)
        if self._settings.wire.refuse_status is not None:
            return self._refuse_on_demand(request, self._settings.wire.refuse_status)
        if self._settings.wire.bad_token == "http401" and not self._is_authorized(
            request
        ):
            self._record(request, 401)
            return web.json_response(
                {
                    "id": 1,
                    "error": "UnauthorizedError",
                    "message": "Invalid auth-token",
                },
                status=401,
            )
        return await self._open_session(request, polling=transport == "polling")

    async def _open_session(
        self, request: web.Request, *, polling: bool
    ) -> web.StreamResponse:
        """Open a new session."""
        self._record(request, 200 if polling else 101)
        ws = None if polling else await _websocket(request)
        session = self._resumed(request)
        if session is None:
            session = SimSocket(
                self._settings,
                self._owner,
                request.app[LISTENER],
                request.query,
                request.headers,
                self.forget,
            )
            if session.sticky is not None:
                self._remember(session)
        self.sessions[session.sid] = session
        refusal = None
        if self._settings.wire.bad_token == "error_packet" and not self._is_authorized(
            request
        ):
            refusal = framing.error("Authentication error")
        session.open(polling=polling, refusal=refusal)
        if self._settings.wire.bad_token == "close" and not self._is_authorized(
            request
        ):
            session.close(packet=False)
        if ws is None:
            return await self._poll(session, request)
        assert request.transport is not None
        await session.transport.serve(ws, request.transport)
        return ws

    def _remember(self, session: SimSocket) -> None:
        """Allow a client to resume this socket, and no earlier one with the same id."""
        key = (session.token, session.query[STICKY_ID])
        earlier = self._sticky.get(key)
        if earlier is not None and earlier.closed.is_set():
            earlier.leave()
        self._sticky[key] = session

    def _resumed(self, request: web.Request) -> SimSocket | None:
        """Return the socket that a client asks to resume, if its lifetime has not expired."""
        query = request.query
        token = query.get("auth-token", "")
        session = self._sticky.get((token, query.get(STICKY_ID, "")))
        if (
            session is None
            or not session.connected
            or session.listener is not request.app[LISTENER]
            or restore_request(query) is None
        ):
            return None
        session.resume(query, request.headers)
        self.past.remove(session)
        return session

    async def _serve_polling(
        self, session: SimSocket, request: web.Request
    ) -> web.StreamResponse:
        """Serve a request of an existing polling session."""
        if _is_upgrade(request):
            if session.upgraded:
                return _engine_error(3)
            ws = await _websocket(request)
            assert request.transport is not None
            await session.transport.upgrade(ws, request.transport)
            return ws
        if session.upgraded:
            return _engine_error(3)
        if request.method == "POST":
            if not await session.transport.post(await request.read()):
                return _engine_error(3)
            return web.Response(text="ok", content_type="text/html")
        if session.polling:
            session.drop("overlap from client")
            return _engine_error(3)
        return await self._poll(session, request)

    async def _poll(self, session: SimSocket, request: web.Request) -> web.Response:
        """Answer a poll."""
        assert request.transport is not None
        return web.Response(text=await session.transport.poll(request.transport))

    def _is_authorized(self, request: web.Request) -> bool:
        """Return whether the client's token is accepted."""
        token = self._tokens.get(request.query.get("auth-token", ""))
        return token is not None and not token.revoked

    def _refuse_on_demand(self, request: web.Request, status: int) -> web.Response:
        """Refuse a socket as the settings demand."""
        self._record(request, status)
        headers = {}
        if self._settings.wire.refuse_retry_after is not None:
            headers["Retry-After"] = str(round(self._settings.wire.refuse_retry_after))
        if self._settings.wire.refuse_location is not None:
            headers["Location"] = self._settings.wire.refuse_location
        return web.json_response({"message": "refused"}, status=status, headers=headers)

    def _record(self, request: web.Request, status: int) -> None:
        """Record an attempt to open a socket."""
        self.handshakes.append(
            Handshake(
                asyncio.get_running_loop().time(),
                request.app[LISTENER],
                status,
                dict(request.query),
                CIMultiDict(request.headers),
            )
        )


async def _websocket(request: web.Request) -> web.WebSocketResponse:
    """Accept a websocket."""
    # The session handles pings and closes: aiohttp would answer them while it is frozen.
    ws = web.WebSocketResponse(
        timeout=CLOSE_TIMEOUT,
        autoping=False,
        autoclose=False,
        compress=False,
        max_msg_size=framing.MAX_FRAME,
    )
    await ws.prepare(request)
    return ws


def _is_upgrade(request: web.Request) -> bool:
    """Return whether a request asks for a websocket."""
    return request.headers.get("Upgrade", "").lower() == "websocket"


def _engine_error(code: int) -> web.Response:
    """Refuse a request with engine.io's error body."""
    return web.json_response(
        {"code": code, "message": _ERRORS[code]}, status=403 if code == 4 else 400
    )
