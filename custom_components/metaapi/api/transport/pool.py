"""The sockets in use: which zone's, how full, and whose account is on which."""

import asyncio
from collections.abc import Callable, Iterator
from math import inf
from typing import Any

from ..endpoints import Zone
from ..support import Listeners
from ..timing import Timing
from .connection import Connection

ACCOUNTS_PER_SOCKET = 100
"""SDK behavior; not documented as a limit of the server."""


class Pool[RouteT]:
    """Opens a socket when the first account needs it, and names those that nobody needs.

    A route is whatever its owner needs to know of an account on a socket.
    """

    def __init__(self, make: Callable[[Zone], Connection]) -> None:
        """Start without sockets; `make` builds one."""
        self._make = make
        self._routes: dict[Connection, dict[str, RouteT]] = {}
        self._locked_until: dict[Connection, float] = {}

    def __iter__(self) -> Iterator[Connection]:
        """Iterate over the sockets in use."""
        return iter(tuple(self._routes))

    def __len__(self) -> int:
        """Return how many sockets are in use."""
        return len(self._routes)

    @property
    def any_open(self) -> bool:
        """Return whether any socket is open."""
        return any(connection.connected for connection in self._routes)

    def route(self, connection: Connection, account_id: str) -> RouteT | None:
        """Return whose events an account id of this socket means."""
        routes = self._routes.get(connection)
        return routes.get(account_id) if routes is not None else None

    def routes(self, connection: Connection) -> tuple[RouteT, ...]:
        """Return every account of a socket."""
        return tuple(self._routes.get(connection, {}).values())

    def take(
        self, zone: Zone, account_id: str, route: RouteT, now: float
    ) -> Connection:
        """Put an account on a socket with room, a new one if need be."""
        for connection, routes in self._routes.items():
            if (
                connection.zone == zone
                and len(routes) < ACCOUNTS_PER_SOCKET
                and account_id not in routes
                and self._locked_until.get(connection, now) <= now
            ):
                routes[account_id] = route
                return connection
        connection = self._make(zone)
        self._routes[connection] = {account_id: route}
        connection.start()
        return connection

    def lock(self, connection: Connection, until: float) -> None:
        """Put no further account on a socket for a while."""
        self._locked_until[connection] = until

    def release(self, connection: Connection, account_id: str) -> bool:
        """Take an account off a socket; return whether nobody needs the socket any more."""
        routes = self._routes.get(connection)
        if routes is None:
            return False
        routes.pop(account_id, None)
        if routes:
            return False
        del self._routes[connection]
        self._locked_until.pop(connection, None)
        return True

    def clear(self) -> list[Connection]:
        """Forget all sockets and return them."""
        connections = list(self._routes)
        self._routes.clear()
        self._locked_until.clear()
        return connections


class Link:
    """Knows whether the link is up, and tells listeners."""

    def __init__(self, sockets: Pool[Any], timing: Timing) -> None:
        """Start undecided."""
        self.connected: bool | None = None
        """None while that is not decided yet, or no account needs a socket."""
        self.listeners = Listeners()
        self._sockets = sockets
        self._timing = timing
        self._lost_at: float | None = None
        """Since when no socket is open; None while one is, or none was needed yet."""
        self._opened = asyncio.Event()
        self.due = inf
        """When the clock is looked at, by the alarm."""

    @property
    def deadline(self) -> float:
        """Return when the clock alone can change something."""
        if self._lost_at is None or self.connected is False or not len(self._sockets):
            return inf
        return self._lost_at + self._timing.blind

    def tick(self, now: float) -> None:
        """Let the clock decide what is due; a token that is refused was told already."""
        if now >= self.deadline:
            self.show(now, token_refused=False)

    def expect_socket(self, now: float) -> None:
        """Note that a socket is needed: without one, patience starts to run."""
        if self._lost_at is None and not self._sockets.any_open:
            self._lost_at = now

    def socket_up(self) -> None:
        """Handle a socket that opened."""
        self._lost_at = None
        self._opened.set()
        self._opened.clear()

    def socket_down(self, now: float) -> None:
        """Handle a socket that is gone."""
        if not self._sockets.any_open:
            self._lost_at = now

    async def next_socket(self) -> None:
        """Return when the next socket has opened."""
        await self._opened.wait()

    def show(self, now: float, *, token_refused: bool) -> None:
        """Work out whether the link is up and tell listeners of a change; a refused token is news each time."""
        shown = self.connected
        if token_refused:
            shown = False
        elif self._sockets.any_open:
            shown = True
        elif not len(self._sockets):
            shown = None
        elif self._lost_at is not None and now >= self._lost_at + self._timing.blind:
            shown = False
        if shown is not self.connected or token_refused:
            self.connected = shown
            self.listeners.tell()
