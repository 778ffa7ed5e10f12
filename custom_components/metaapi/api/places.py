"""The places of an account: puts it on the sockets that can see it, and takes it off them.

A place is a zone that serves the account, or one that serves a replica of it. Who leaves gives its
subscription back, as the user's bots share the quota.
"""

import asyncio
from collections.abc import Iterable
import contextlib

from .account import WatchedAccount
from .endpoints import Endpoints, Zone
from .errors import MetaApiError
from .model import Replica
from .support import Tasks
from .timing import Timing
from .transport.connection import Connection
from .transport.pool import Pool

type Route = tuple[WatchedAccount, str]
"""An account under watch, and the name of the place where a socket shows it."""


class Places:
    """Brings accounts and sockets together."""

    def __init__(self, sockets: Pool[Route], tasks: Tasks, timing: Timing) -> None:
        """Use the sockets of a monitor."""
        self._sockets = sockets
        self._tasks = tasks
        self._timing = timing

    def place(
        self,
        watch: WatchedAccount,
        endpoints: Endpoints,
        region: str,
        replicas: tuple[Replica, ...],
        now: float,
    ) -> bool:
        """Watch an account where it runs; return whether that is news."""
        placed = (watch.endpoints, watch.region, watch.replicas)
        if (endpoints, region, replicas) == placed:
            return False
        watch.endpoints, watch.region, watch.replicas = endpoints, region, replicas
        places = _places(watch.account_id, endpoints, region, replicas)
        gone = [
            place
            for place, connection in watch.sockets.items()
            if places.get(place) != (watch.ids[place], connection.zone)
        ]
        for place in gone:
            self._leave(watch, place)
        watch.link.set_places(places, now)
        for place in gone:
            if place in places:
                watch.link.socket_down(place, now)
        for place, (place_id, zone) in places.items():
            if place not in watch.sockets:
                self._enter(watch, place, place_id, zone, now)
        return True

    def move(
        self, watch: WatchedAccount, place: str, locked_until: float, now: float
    ) -> None:
        """Use another socket in a place; the one that is left takes no further account for a while."""
        connection, place_id = watch.sockets[place], watch.ids[place]
        self._sockets.lock(connection, locked_until)
        watch.link.forget_refusal(place)
        self._leave(watch, place)
        watch.link.socket_down(place, now)
        self._enter(watch, place, place_id, connection.zone, now)

    def release(self, watch: WatchedAccount) -> list[Connection]:
        """Take an account off all its sockets; return those that nobody needs any more."""
        return [
            connection
            for place, connection in watch.sockets.items()
            if self._sockets.release(connection, watch.ids[place])
        ]

    async def give_back(self, watches: Iterable[WatchedAccount]) -> None:
        """Give all subscriptions of accounts back; for a bounded time."""
        requests = [
            watch.sockets[place].request("unsubscribe", watch.ids[place])
            for watch in watches
            for place in watch.subscribed
        ]
        if requests:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._timing.close):
                    await asyncio.gather(*requests, return_exceptions=True)

    def _enter(
        self, watch: WatchedAccount, place: str, place_id: str, zone: Zone, now: float
    ) -> None:
        """Put an account on a socket that can see it in a place."""
        connection = self._sockets.take(zone, place_id, (watch, place), now)
        watch.sockets[place] = connection
        watch.ids[place] = place_id
        if connection.connected:
            watch.link.socket_up(place, connection.session_id, now)

    def _leave(self, watch: WatchedAccount, place: str) -> None:
        """Take an account off the socket of a place, and give the subscription there back."""
        connection = watch.sockets.pop(place)
        place_id = watch.ids.pop(place)
        subscribed = place in watch.subscribed
        if (flight := watch.flights.pop(place, None)) is not None:
            flight.cancel()
        watch.subscribed.discard(place)
        if watch.attempt is not None:
            watch.attempt.socket_lost(place)
        unneeded = self._sockets.release(connection, place_id)
        self._tasks.say_goodbye(
            self._say_goodbye(
                connection, place_id, unsubscribe=subscribed, close=unneeded
            ),
            "metaapi goodbye",
        )

    async def _say_goodbye(
        self, connection: Connection, place_id: str, *, unsubscribe: bool, close: bool
    ) -> None:
        """Give a subscription back on a socket, and close it if nobody needs it any more."""
        try:
            if unsubscribe:
                with contextlib.suppress(MetaApiError):
                    await connection.request(
                        "unsubscribe", place_id, timeout=self._timing.close
                    )
        finally:
            if close:
                await connection.close()


def _places(
    account_id: str, endpoints: Endpoints, region: str, replicas: Iterable[Replica]
) -> dict[str, tuple[str, Zone]]:
    """Return the places of an account by name: the id that it has there, and the zone."""
    places = {zone.name: (account_id, zone) for zone in endpoints.zones(region)}
    for replica in replicas:
        if replica.deployed:
            for zone in endpoints.zones(replica.region):
                name = f"{zone.name} {replica.account_id}"
                places[name] = (replica.account_id, zone)
    return places
