"""The sockets in use: which zone's, how full, and whose account is on which."""

from collections.abc import Callable, Iterator

from .connection import Connection
from .endpoints import Zone
from .watch import Watch

ACCOUNTS_PER_SOCKET = 100
"""SDK behaviour; not documented as a limit of the server."""

type Route = tuple[Watch, str]
"""An account under watch, and the name of the place where this socket shows it."""


class Sockets:
    """Opens a socket when the first account needs it, and names those that nobody needs."""

    def __init__(self, make: Callable[[Zone], Connection]) -> None:
        """Start without sockets; `make` builds one."""
        self._make = make
        self._routes: dict[Connection, dict[str, Route]] = {}
        self._locked_until: dict[Connection, float] = {}

    def __iter__(self) -> Iterator[Connection]:
        """Iterate over the sockets in use."""
        return iter(tuple(self._routes))

    def __len__(self) -> int:
        """Return how many sockets are in use."""
        return len(self._routes)

    @property
    def any_open(self) -> bool:
        """Tell whether any socket is open."""
        return any(connection.connected for connection in self._routes)

    def route(self, connection: Connection, account_id: str) -> Route | None:
        """Return whose events an account id of this socket means."""
        routes = self._routes.get(connection)
        return routes.get(account_id) if routes is not None else None

    def routes(self, connection: Connection) -> tuple[Route, ...]:
        """Return every account of a socket."""
        return tuple(self._routes.get(connection, {}).values())

    def take(self, zone: Zone, account_id: str, route: Route, now: float) -> Connection:
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
