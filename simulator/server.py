"""The simulator's public class: its ports, start and stop, and the methods of its parts."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from functools import update_wrapper
from ssl import SSLContext
from typing import Any, Concatenate, Self, Unpack

from aiohttp import web

from . import control
from .access import Access
from .account import SimAccount, plain_accounts
from .box import Box
from .cloud import Cloud
from .framing import MAX_FRAME
from .limits import Limit
from .ports import Port
from .records import Handshake, Listener, RestCall
from .rest import Rest, RestFault
from .session import SimRequest, SimSocket
from .settings import Api, Options, Quotas, Settings, Timing, Wire
from .sockets import Sockets
from .tokens import SimToken
from .upstream import Upstream

POLL = 0.005

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _by[Part, **P, R](
    part: Callable[[Box], Part], method: Callable[Concatenate[Part, P], R]
) -> Callable[Concatenate[Simulator, P], R]:
    """Return a method of a part as a method of the simulator."""

    def call(self: Simulator, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return method(part(self.box), *args, **kwargs)

    update_wrapper(call, method)
    return call


def _access(box: Box) -> Access:
    return box.access


def _rest(box: Box) -> Rest:
    return box.rest


def _sockets(box: Box) -> Sockets:
    return box.sockets


def _upstream(box: Box) -> Upstream:
    return box.upstream


class Simulator:
    """A simulated MetaApi; further keyword arguments are settings."""

    # With slots, assigning a misspelled setting fails instead of adding an unused attribute.
    __slots__ = ("_busy", "_main", "_ports", "_timer", "box", "token")

    def __init__(
        self,
        *,
        accounts: int | Iterable[SimAccount] = 1,
        token: str | None = None,
        port: int = 0,
        **settings: Unpack[Options],
    ) -> None:
        """Create the parts; a number of accounts creates accounts that are all up."""
        self.box = Box(Settings(**settings))
        self._busy: set[asyncio.Task[Any]] = set()
        app = self._base_app()
        app.add_routes(control.routes(self.box))
        self._ports: list[Port] = []
        self._main = Port(app, Listener(), port)
        self._add(self._main)
        self._timer: asyncio.Task[None] | None = None
        self.token = self.grant(token)
        for account in (
            plain_accounts(accounts) if isinstance(accounts, int) else accounts
        ):
            self.add_account(account)

    async def __aenter__(self) -> Self:
        """Start serving."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop serving."""
        await self.close()

    async def start(self) -> None:
        """Start listening and sending statuses."""
        try:
            for port in self._ports:
                await port.open()
        except OSError:
            await self.close()
            raise
        self.box.rest.url = self.url
        self._timer = asyncio.get_running_loop().create_task(self.box.cloud.run())

    async def close(self) -> None:
        """Stop all tasks and close all sockets."""
        if self._timer is not None:
            self._timer.cancel()
            await asyncio.wait([self._timer])
        self.box.cloud.close()
        self.box.engine.close()
        # A sleeping handler would outlive its connection.
        for task in self._busy:
            task.cancel()
        if self._busy:
            await asyncio.wait(self._busy)
        for port in self._ports:
            await port.end()

    # Settings.

    @property
    def timing(self) -> Timing:
        """Return the intervals, delays and timeouts."""
        return self.box.settings.timing

    @property
    def wire(self) -> Wire:
        """Return the settings of what servers send on a socket."""
        return self.box.settings.wire

    @property
    def api(self) -> Api:
        """Return the settings of the REST API."""
        return self.box.settings.api

    @property
    def quotas(self) -> Quotas:
        """Return the limits on subscribed accounts."""
        return self.box.settings.quotas

    # State.

    @property
    def url(self) -> str:
        """Return the base URL: REST, `/ws/` of any region, control API and page."""
        return self._main.listener.url

    @property
    def accounts(self) -> dict[str, SimAccount]:
        """Return the accounts by id."""
        return self._cloud.accounts

    @property
    def account(self) -> SimAccount:
        """Return the first account, for tests that need only one."""
        return next(iter(self._cloud.accounts.values()))

    @property
    def tokens(self) -> dict[str, SimToken]:
        """Return the known tokens and their permissions."""
        return self._cloud.tokens

    @property
    def sockets(self) -> list[SimSocket]:
        """Return the open sockets, oldest first."""
        return self.box.sockets.all()

    @property
    def past_sockets(self) -> deque[SimSocket]:
        """Return the closed sockets."""
        return self.box.engine.past

    @property
    def handshakes(self) -> deque[Handshake]:
        """Return every attempt to open a socket, refused ones included."""
        return self.box.engine.handshakes

    @property
    def requests(self) -> deque[SimRequest]:
        """Return every request on any socket."""
        return self._cloud.requests

    @property
    def rest_calls(self) -> deque[RestCall]:
        """Return every call of the REST API."""
        return self.box.rest.calls

    @property
    def frozen(self) -> bool:
        """Return whether the servers are frozen."""
        return self.box.engine.frozen

    @property
    def limit(self) -> Limit | None:
        """Return the subscription limit on demand."""
        return self._cloud.limits.demanded

    @property
    def rest_fault(self) -> RestFault | None:
        """Return the REST error on demand."""
        return self.box.rest.fault

    @property
    def _cloud(self) -> Cloud:
        """Return the accounts and their subscriptions."""
        return self.box.cloud

    def requests_of(
        self, type: str | None = None, account_id: str | None = None
    ) -> list[SimRequest]:
        """Return the requests, filtered by type and account."""
        return [
            each
            for each in self.requests
            if type in (None, each.type) and account_id in (None, each.account_id)
        ]

    async def wait_for[T](self, condition: Callable[[], T], timeout: float = 30.0) -> T:
        """Wait until a condition is true and return its value; raise TimeoutError otherwise."""
        async with asyncio.timeout(timeout):
            # Polled, since the condition may depend on anything.
            while not (result := condition()):  # noqa: ASYNC110
                await asyncio.sleep(POLL)
        return result

    # Control: the methods of the parts.

    add_account = _by(_upstream, Upstream.add_account)
    delete_account = _by(_upstream, Upstream.delete_account)
    rename = _by(_upstream, Upstream.rename)
    move = _by(_upstream, Upstream.move)
    set_state = _by(_upstream, Upstream.set_state)
    deploy = _by(_upstream, Upstream.deploy)
    undeploy = _by(_upstream, Upstream.undeploy)
    set_rest = _by(_upstream, Upstream.set_rest)
    set_terminal = _by(_upstream, Upstream.set_terminal)
    set_broker = _by(_upstream, Upstream.set_broker)
    set_silent = _by(_upstream, Upstream.set_silent)
    set_status_authenticated = _by(_upstream, Upstream.set_status_authenticated)
    inject_event = _by(_upstream, Upstream.inject_event)
    set_reconnect_mode = _by(_upstream, Upstream.set_reconnect_mode)
    set_subscribe_mode = _by(_upstream, Upstream.set_subscribe_mode)
    refuse_requests = _by(_upstream, Upstream.refuse_requests)
    mute_requests = _by(_upstream, Upstream.mute_requests)
    accept_requests = _by(_upstream, Upstream.accept_requests)
    limit_subscriptions = _by(_upstream, Upstream.limit_subscriptions)

    subscribed = _by(_sockets, Sockets.subscribed)
    pick = _by(_sockets, Sockets.pick)
    drop_sockets = _by(_sockets, Sockets.drop_sockets)
    close_sockets = _by(_sockets, Sockets.close_sockets)
    disconnect_sockets = _by(_sockets, Sockets.disconnect_sockets)
    send_error_packet = _by(_sockets, Sockets.send_error_packet)
    inject = _by(_sockets, Sockets.inject)
    freeze = _by(_sockets, Sockets.freeze)
    unfreeze = _by(_sockets, Sockets.unfreeze)
    refuse_sockets = _by(_sockets, Sockets.refuse_sockets)

    grant = _by(_access, Access.grant)
    revoke = _by(_access, Access.revoke)
    restore = _by(_access, Access.restore)
    fail_rest = _by(_rest, Rest.fail)

    # Ports.

    async def listen(
        self,
        region: str | None = None,
        instance: int | None = 0,
        *,
        ssl: SSLContext | None = None,
    ) -> str:
        """Open another server, over TLS if `ssl` is given; return its URL.

        It is the client API's server of a region and zone, or with `instance` None of a whole
        region. Without a region it serves what the base URL does, except the control API.
        """
        if region is None:
            port = Port(self._base_app(), Listener(), ssl=ssl)
        else:
            port = Port(self._client_app(), Listener(region, instance), ssl=ssl)
        self._add(port)
        await port.open()
        return port.listener.url

    async def stop_listening(self, url: str | None = None) -> None:
        """Refuse connections to a server, and abort the open ones."""
        port = self._port(url)
        await port.close()
        for socket in self.sockets:
            if socket.listener is port.listener:
                socket.drop("server stopped")

    async def resume_listening(self, url: str | None = None) -> None:
        """Listen again, on the same port."""
        await self._port(url).open()

    def _port(self, url: str | None) -> Port:
        """Return the port with a URL, or the main port."""
        if url is None:
            return self._main
        return next(port for port in self._ports if port.listener.url == url)

    def _add(self, port: Port) -> None:
        """Register a port, so that it closes with the simulator and can be found by its URL."""
        self._ports.append(port)
        self.box.sockets.listeners.append(port.listener)

    def _base_app(self) -> web.Application:
        """Return the application of the base URL, without the control API."""
        app = self._client_app()
        app.add_routes(self.box.rest.routes())
        return app

    def _client_app(self) -> web.Application:
        """Return the application of a client API server."""

        @web.middleware
        async def tracked(request: web.Request, handler: Handler) -> web.StreamResponse:
            task = asyncio.current_task()
            assert task is not None
            self._busy.add(task)
            try:
                return await handler(request)
            finally:
                self._busy.discard(task)

        app = web.Application(client_max_size=MAX_FRAME, middlewares=[tracked])
        app.router.add_route("*", "/ws", self.box.engine.handle_without_slash)
        app.router.add_route("*", "/ws/{tail:.*}", self.box.engine.handle)
        app.add_routes(self.box.rest.client_routes())
        return app
