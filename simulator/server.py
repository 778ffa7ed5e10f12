"""The simulator: its ports, and its start and end."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Self

from aiohttp import web

from . import control
from .account import SimAccount, plain_accounts
from .faults import Faults
from .framing import MAX_FRAME
from .ports import Port
from .records import Listener

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Simulator(Faults):
    """MetaApi in a box; keyword arguments beyond these are those of `Settings`."""

    def __init__(
        self,
        *,
        accounts: int | Iterable[SimAccount] = 1,
        token: str | None = None,
        port: int = 0,
        **settings: Any,
    ) -> None:
        """Make it; a number of accounts means accounts that are all well."""
        super().__init__(**settings)
        self._busy: set[asyncio.Task[Any]] = set()
        self._main = Port(self._base_app(), Listener(), port)
        self._ports = [self._main]
        self._timer: asyncio.Task[None] | None = None
        self.token = self.grant(token)
        for account in (
            plain_accounts(accounts) if isinstance(accounts, int) else accounts
        ):
            self.add_account(account)

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        await self.close()

    async def start(self) -> None:
        """Listen, and send statuses."""
        try:
            for port in self._ports:
                await port.open()
        except OSError:
            await self.close()
            raise
        self._rest.url = self.url
        self._timer = asyncio.get_running_loop().create_task(self._cloud.run())

    async def close(self) -> None:
        """Leave no task and no socket."""
        if self._timer is not None:
            self._timer.cancel()
            await asyncio.wait([self._timer])
        self._cloud.close()
        self._engine.close()
        # A handler that sleeps would outlive its connection.
        for task in self._busy:
            task.cancel()
        if self._busy:
            await asyncio.wait(self._busy)
        for port in self._ports:
            await port.end()

    # Ports.

    @property
    def url(self) -> str:
        """Return the base URL: REST, `/ws/` of any region, control API and page."""
        return self._main.listener.url

    async def listen(self, region: str, instance: int = 0) -> str:
        """Open the client API server of a region and zone; return its URL."""
        port = Port(self._socket_app(), Listener(region, instance), 0)
        self._ports.append(port)
        await port.open()
        return port.listener.url

    async def stop_listening(self, url: str | None = None) -> None:
        """Refuse connections to a server, and abort those that there are."""
        port = self._port(url)
        await port.close()
        for socket in self.sockets:
            if socket.listener is port.listener:
                socket.drop("server stopped")

    async def resume_listening(self, url: str | None = None) -> None:
        """Listen again, on the same port."""
        await self._port(url).open()

    def _port(self, url: str | None) -> Port:
        """Return the port of a URL, or the main one."""
        if url is None:
            return self._main
        return next(port for port in self._ports if port.listener.url == url)

    def _base_app(self) -> web.Application:
        """Return what the base URL serves."""
        app = self._socket_app()
        app.add_routes(self._rest.routes())
        app.add_routes(control.routes(self))
        return app

    def _socket_app(self) -> web.Application:
        """Return what a client API server serves."""

        @web.middleware
        async def booked(request: web.Request, handler: Handler) -> web.StreamResponse:
            task = asyncio.current_task()
            assert task is not None
            self._busy.add(task)
            try:
                return await handler(request)
            finally:
                self._busy.discard(task)

        app = web.Application(client_max_size=MAX_FRAME, middlewares=[booked])
        app.router.add_route("*", "/ws", self._engine.lost)
        app.router.add_route("*", "/ws/{tail:.*}", self._engine.handle)
        return app
