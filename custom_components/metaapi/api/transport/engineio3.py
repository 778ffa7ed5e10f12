"""The Engine.IO 3 dialect of python-engineio 4: URL, handshake, pings, read loop, and a close that always ends.

The library keeps packets, queue and write loop. In this revision of the protocol the client sends the pings.

Protocol facts: the public description of Engine.IO 3, checked against `socket.io` 2.5.1 and 4.8.4 with
`allowEIO3`.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from math import inf
from typing import Any, override
from urllib.parse import urlsplit

import aiohttp
import engineio
from engineio import packet
import orjson

from ..errors import (
    CannotConnectError,
    ConnectionLostError,
    HandshakeEndedError,
    HandshakeRefusedError,
    MetaApiError,
    NotConnectedError,
)
from ..support import SocketCounters
from ..timing import Timing

MAX_FRAME_SIZE = 4 * 1024 * 1024
"""A larger frame ends the socket, in bytes."""

_PING_INTERVAL_BOUNDS = (0.05, 3600.0)
"""In seconds; what is outside of them was not sent by a server of Engine.IO."""
_BATCH = 256
"""This many frames are handled in one turn of the event loop, then others get theirs."""
_STALL = 0.5
"""A timer that fires this late means that our own loop stood still, not that the server is gone."""
_NEVER = 86_400.0
"""The library ends a socket on which nothing was sent for long; that is for our pings to judge."""

_CLOSED_BY_US = "closed by us"
_SILENT = "the server stopped answering"
_BROKEN = "the connection broke"
_FLOOD = "the server sent a flood of frames that mean nothing"


class Heartbeat:
    """The pings of a socket, who waits for a pong, and whether the server is alive."""

    def __init__(
        self, send: Callable[[], None], counters: SocketCounters, timing: Timing
    ) -> None:
        """Prepare; `send` queues a ping, `counters` are those of the socket."""
        self.interval = 0.0
        """Seconds from one ping to the next."""
        self.timeout = 0.0
        """Seconds that a ping may be without its pong."""
        self._send = send
        self._counters = counters
        self._timing = timing
        self._clock = asyncio.get_running_loop().time
        self._pings = 0
        self._pongs = 0
        self._waiting_since = inf
        """Since when a pong is due."""
        self._rested = 0.0
        """For how long, since then, an unfinished frame was coming, behind which no pong can."""
        self._heard = 0.0
        """When bytes last came."""
        self._read = -1
        """How many frames had been read by then."""
        self._probe: tuple[int, asyncio.Future[None]] | None = None
        """The ping that a probe sent, and who waits for its pong."""
        self._next_probe: asyncio.Future[None] | None = None
        """Who came too late for that ping."""

    def heard(self) -> None:
        """Note that bytes came."""
        now = self._clock()
        frames = self._counters.frames
        if frames == self._read:  # those before them were not the end of a frame
            self._rested += now - max(self._heard, min(self._waiting_since, now))
        self._heard = now
        self._read = frames

    def ping(self) -> int:
        """Queue a ping and return its number; pongs come back in the same order."""
        if self._pongs == self._pings:
            self._wait_afresh()
        self._pings += 1
        self._send()
        return self._pings

    def pong(self) -> bool:
        """Handle a pong; return whether a ping asked for it."""
        if self._pongs >= self._pings:
            return False
        self._pongs += 1
        self._wait_afresh()
        if self._pongs == self._pings:
            self._waiting_since = inf
        if self._probe is not None and self._probe[0] == self._pongs:
            self._probe[1].set_result(None)
            self._probe = None
            if (waiting := self._next_probe) is not None:
                self._next_probe = None
                self._probe = (self.ping(), waiting)
        return True

    def probe(self) -> asyncio.Future[None]:
        """Return what the pong of a ping that is sent from now on completes.

        One such ping is under way at a time. A pong comes behind all that the server sent before it, so that
        of a ping sent earlier would prove nothing.
        """
        answered: asyncio.Future[None]
        if self._probe is None:
            answered = asyncio.get_running_loop().create_future()
            self._probe = (self.ping(), answered)
            return answered
        if self._next_probe is None:
            self._next_probe = asyncio.get_running_loop().create_future()
        return self._next_probe

    async def run(self) -> None:
        """Ping at the server's interval; return when a pong is overdue, whatever else came."""
        next_ping = self._clock() + self.interval
        while True:  # whatever ends the socket cancels this
            due = min(next_ping, self._deadline)
            await asyncio.sleep(max(0.0, due - self._clock()))
            now = self._clock()
            if now - due >= _STALL:
                self._wait_afresh()
            if self._pongs == self._pings:
                self._waiting_since = inf
            elif now >= self._deadline:
                return
            if now >= next_ping:
                self.ping()
                next_ping = now + self.interval

    @property
    def _deadline(self) -> float:
        """Return when the pong that is due is overdue."""
        rested = min(self._rested, self._timing.frame)
        return self._waiting_since + self.timeout + rested

    def _wait_afresh(self) -> None:
        """Give the server its whole time again."""
        self._waiting_since = self._clock()
        self._rested = 0.0


class Rate:
    """Counts what may happen so often in a time, and no more often."""

    def __init__(self, most: float, window: float) -> None:
        """Start with nothing; `window` is in seconds."""
        self._most = most
        self._window = window
        self._clock = asyncio.get_running_loop().time
        self._since = self._clock()
        self._count = 0

    def add(self) -> bool:
        """Count once; return whether that is too often."""
        self._count += 1
        if self._count <= self._most:
            return False
        now = self._clock()
        if now < self._since + self._window:
            return True
        self._since = now
        self._count = 0
        return False


class EngineIO3(engineio.AsyncClient):
    """The Engine.IO 3 dialect of the library's client."""

    ws: aiohttp.ClientWebSocketResponse | None

    def __init__(
        self,
        session: aiohttp.ClientSession,
        timing: Timing,
        *,
        counters: SocketCounters,
        on_event: Callable[[str], bool],
        params: Mapping[str, str],
        **options: Any,
    ) -> None:
        """Prepare a socket on a session of the caller's, which follows no redirect of an upgrade any more.

        `on_event` gets each frame that begins with `42`, and returns whether it held an event. `params`
        may hold the token: they go to aiohttp apart from the URL, which the library logs.
        """
        super().__init__(
            http_session=session,
            timestamp_requests=False,
            websocket_extra_options={
                "params": dict(params),
                "autoping": False,
                "max_msg_size": MAX_FRAME_SIZE,
                "timeout": aiohttp.ClientWSTimeout(ws_close=timing.close),
            },
            **options,
        )
        self.closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Why the socket ended, once it did."""
        self.ended_by_server = False
        """Whether it was the server that ended it."""
        self.on_event = on_event
        self._counters = counters
        self._timing = timing
        self._heartbeat = Heartbeat(self._send_ping, counters, timing)
        self._nonsense = Rate(timing.nonsense_most, timing.nonsense_window)
        self._connection: asyncio.Transport | None = None
        self._loops: list[asyncio.Task[None]] = []

    @override
    def __del__(self) -> None:
        """Leave the session to its owner; the library's finalizer tries to close it."""

    @override
    def _get_engineio_url(self, url: str, engineio_path: str, transport: str) -> str:
        """Return the socket's URL; a path of the base URL is kept, as a proxy may need it."""
        parts = urlsplit(url)
        scheme = "wss" if parts.scheme in ("https", "wss") else "ws"
        path = f"{parts.path.rstrip('/')}/{engineio_path.strip('/')}/"
        return f"{scheme}://{parts.netloc}{path}?transport={transport}&EIO=3"

    @override
    async def _connect_websocket(
        self, url: str, headers: dict[str, str], engineio_path: str
    ) -> bool:
        """Open the websocket, read the open packet, start the loops."""
        error: MetaApiError
        if _NO_REDIRECTS not in self.http.trace_configs:
            self.http.trace_configs.append(_NO_REDIRECTS)
        try:
            async with asyncio.timeout(self._timing.upgrade):
                ws = await self.http.ws_connect(
                    self._get_engineio_url(url, engineio_path, "websocket"),
                    headers=headers,
                    **self.websocket_extra_options,
                )
        except aiohttp.ClientResponseError as err:
            error = _refusal(err)
        except (
            aiohttp.ClientError,
            OSError,
            ValueError,
            TimeoutError,
            RuntimeError,  # the session was closed
        ) as err:
            error = CannotConnectError(f"No socket to MetaApi ({type(err).__name__})")
        else:
            self._adopt(ws)
            self._read_open(await self._first_message(ws))
            self.state = "connected"
            self.current_transport = "websocket"
            await self._trigger_event("connect", run_async=False)
            self._start(self._write_loop(), "write")
            self._start(self._read_loop_websocket(), "read")
            self._start(self._ping_loop(), "ping")
            return True
        # raised here, not above: the library's exception holds the URL with the token
        raise error

    def _adopt(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        """Keep a websocket, and be called for each of its bytes: a large frame may take long to come."""
        self.ws = ws
        connection = ws._response.connection  # noqa: SLF001
        assert connection is not None
        assert connection.protocol is not None
        self._connection = connection.transport
        connection.protocol._data_received_cb = self._heartbeat.heard  # noqa: SLF001

    async def _first_message(
        self, ws: aiohttp.ClientWebSocketResponse
    ) -> aiohttp.WSMessage:
        """Return what comes first; control frames of a proxy may come before it."""
        while not self._nonsense.add():
            message = await ws.receive()
            if message.type is aiohttp.WSMsgType.PING:
                with suppress(aiohttp.ClientError):  # gone: what comes next says so
                    await ws.pong(message.data)
            elif message.type is not aiohttp.WSMsgType.PONG:
                return message
        raise HandshakeEndedError(f"MetaApi ended the handshake: {_FLOOD}")

    def _start(self, loop: Any, name: str) -> None:
        """Run one of the socket's loops; when it ends, so does the socket."""
        task: asyncio.Task[None] = asyncio.create_task(
            loop, name=f"metaapi socket {name}"
        )
        self._loops.append(task)
        task.add_done_callback(self._loop_ended)

    def _loop_ended(self, task: asyncio.Task[None]) -> None:
        """Lose the socket with the first of its loops."""
        failure = None if task.cancelled() else task.exception()
        if self.state == "connected":
            self.lose(f"{_BROKEN} ({type(failure).__name__})" if failure else _BROKEN)

    def _read_open(self, message: aiohttp.WSMessage) -> None:
        """Take the session id and the ping times from the open packet."""
        if message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED):
            raise HandshakeEndedError(
                f"MetaApi ended the handshake: {_why_closed(message)}"
            )
        opened: Any = None
        if message.type is aiohttp.WSMsgType.TEXT and message.data[:1] == "0":
            with suppress(orjson.JSONDecodeError):
                opened = orjson.loads(message.data[1:])
        if isinstance(opened, dict):
            sid = opened.get("sid")
            interval = _seconds(opened.get("pingInterval"))
            timeout = _seconds(opened.get("pingTimeout"))
            low, high = _PING_INTERVAL_BOUNDS
            if isinstance(sid, str) and low <= interval <= high and 0 < timeout <= high:
                self.sid = sid
                self.ping_interval = self.ping_timeout = _NEVER
                most = self._timing.ping_most
                self._heartbeat.interval = min(interval, most)
                self._heartbeat.timeout = min(
                    max(timeout, self._timing.ping_timeout_least), most
                )
                if (self._heartbeat.interval, self._heartbeat.timeout) != (
                    interval,
                    timeout,
                ):
                    self._counters.malformed += 1
                return
        # raised here: an error of the parser's would quote what the server said
        raise CannotConnectError("What answered is not an Engine.IO 3 server")

    @override
    async def _read_loop_websocket(self) -> None:
        """Read frames until the socket ends."""
        assert self.ws is not None
        receive = self.ws.receive
        counters = self._counters
        while self.state == "connected":
            for _ in range(_BATCH):
                message = await receive()
                counters.frames += 1
                if message.type is not aiohttp.WSMsgType.TEXT:
                    await self._take_other(message)
                elif not (frame := message.data).startswith("42"):
                    await self._take(frame)
                elif self.on_event(frame):
                    if self.state == "connected":
                        continue
                    break
                if self._nonsense.add():
                    self.lose(_FLOOD)
                if self.state != "connected":
                    break
            await asyncio.sleep(0)

    async def _take_other(self, message: aiohttp.WSMessage) -> None:
        """Handle what is no text."""
        if message.type is aiohttp.WSMsgType.PING and self.ws is not None:
            await self.ws.pong(message.data)
        elif message.type in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.PONG):
            self._counters.malformed += 1
        else:
            self.lose(_why_closed(message))

    async def _take(self, frame: str) -> None:
        """Handle a frame that is not an ordinary event."""
        kind = frame[:1]
        if kind == "3" and self._heartbeat.pong():
            return
        if kind == "4":
            await self._trigger_event("message", frame[1:], run_async=False)
        elif kind == "1":
            self.lose("the server closed it")
        elif kind != "6":
            self._counters.malformed += 1

    async def _ping_loop(self) -> None:
        """Lose the socket when the server is silent."""
        await self._heartbeat.run()
        self.lose(_SILENT)

    def _send_ping(self) -> None:
        """Queue a ping."""
        self._counters.sent += 1
        self.queue.put_nowait(packet.Packet(packet.PING))

    async def probe(self) -> None:
        """Return when a ping sent now is answered; raises NotConnectedError or ConnectionLostError."""
        if self.state != "connected":
            raise NotConnectedError("No socket to MetaApi is open")
        answered = self._heartbeat.probe()
        await asyncio.wait((answered, self.closed), return_when=asyncio.FIRST_COMPLETED)
        if not answered.done():
            raise ConnectionLostError("The connection to MetaApi was lost")

    def lose(self, reason: str) -> None:
        """End the socket here and now; harmless when it has ended already."""
        self.state = "disconnected"
        for task in self._loops:
            task.cancel()
        if self.ws is not None:
            _abort(self.ws, self._connection)
        if not self.closed.done():
            self.ended_by_server = reason not in (_CLOSED_BY_US, _SILENT)
            self.closed.set_result(reason)

    async def shut(self) -> None:
        """Close politely for a bounded time, then end the socket and its loops for certain."""
        try:
            if self.state == "connected" and self.ws is not None:
                self.state = "disconnecting"
                for task in self._loops:
                    task.cancel()
                async with asyncio.timeout(self._timing.close):
                    await self._loops_end()
                    await self.ws.close()
        except TimeoutError, aiohttp.ClientError, OSError:
            pass
        finally:
            self.lose(_CLOSED_BY_US)
        await self._loops_end()

    async def _loops_end(self) -> None:
        """Wait for the loops, which were cancelled."""
        if tasks := [
            task for task in self._loops if task is not asyncio.current_task()
        ]:
            await asyncio.wait(tasks)


def _abort(
    ws: aiohttp.ClientWebSocketResponse, connection: asyncio.Transport | None
) -> None:
    """Free a websocket's connection at once; its public close can wait for a buffer nobody reads."""
    if connection is not None:
        connection.abort()
    ws._response.close()  # noqa: SLF001


def _why_closed(message: aiohttp.WSMessage) -> str:
    """Return why a websocket ended."""
    if message.type is aiohttp.WSMsgType.ERROR:
        return f"websocket error ({type(message.data).__name__})"
    if message.type is not aiohttp.WSMsgType.CLOSE:
        return _BROKEN
    code = f" (websocket code {message.data})" if message.data else ""
    return f"the server closed it{code}"


async def _refuse_redirect(
    session: aiohttp.ClientSession,
    context: object,
    params: aiohttp.TraceRequestRedirectParams,
) -> None:
    """Take a redirect of an upgrade for a refusal: only the user decides who gets the token."""
    if params.headers.get("Upgrade") == "websocket":
        params.response.close()
        raise HandshakeRefusedError(params.response.status)


_NO_REDIRECTS = aiohttp.TraceConfig()
"""Is called before a redirect is followed; `ws_connect` itself cannot be told not to."""
_NO_REDIRECTS.on_request_redirect.append(_refuse_redirect)
_NO_REDIRECTS.freeze()


def _refusal(err: aiohttp.ClientResponseError) -> MetaApiError:
    """Translate an answer that is no websocket."""
    if isinstance(err, aiohttp.WSServerHandshakeError) and err.status != 101:
        retry_after = err.headers.get("Retry-After") if err.headers else None
        return HandshakeRefusedError(err.status, retry_after)
    return CannotConnectError(f"No socket to MetaApi ({type(err).__name__})")


def _seconds(milliseconds: object) -> float:
    """Return milliseconds as seconds, and 0 for what is no number."""
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float):
        return 0.0
    return milliseconds / 1000
