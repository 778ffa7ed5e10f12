"""One account under watch: its link, the sockets that show it, and what is under way for it."""

import asyncio
from dataclasses import asdict
from math import inf
from typing import TYPE_CHECKING, Any

from .endpoints import Endpoints
from .errors import TooManyRequestsError
from .model import Replica
from .support import Journal, Listeners
from .terminal.terminal import Terminal
from .transport.connection import Connection

if TYPE_CHECKING:
    from .reconnect import Attempt


class WatchedAccount:
    """One account under watch."""

    def __init__(self, account_id: str, link: Terminal[str], journal: Journal) -> None:
        """Start without sockets."""
        self.account_id = account_id
        self.link = link
        self.shown = link.state
        """What listeners were told last."""
        self.listeners = Listeners()
        self.endpoints: Endpoints | None = None
        """What its places were looked up in."""
        self.region = ""
        self.replicas: tuple[Replica, ...] = ()
        self.sockets: dict[str, Connection] = {}
        """The sockets that can see the account, by place: a zone, for one of its replicas."""
        self.ids: dict[str, str] = {}
        """The id that requests carry in a place: the account's own, or that of its replica."""
        self.subscribed: set[str] = set()
        """Places whose open socket may hold a subscription."""
        self.flights: dict[str, asyncio.Task[None]] = {}
        """Subscribes that wait for an answer, by place."""
        self.accepted_at = -inf
        """When a subscribe was last accepted."""
        self.limit: TooManyRequestsError | None = None
        """The last limit that a subscribe of the account met, or one of the user."""
        self.moved_at: dict[str, float] = {}
        """When a place was last given another socket because of a limit."""
        self.attempt: Attempt | None = None
        self._journal = journal

    def note(self, place: str, what: str, detail: str | None = None) -> None:
        """Write down what happened in a place, by the id and the zone that the account has there."""
        connection = self.sockets.get(place)
        self._journal.note(
            what,
            self.ids.get(place, self.account_id),
            connection.zone.name if connection is not None else None,
            detail,
        )

    def show(self) -> None:
        """Tell listeners what is true now, if that is new."""
        state = self.link.state
        if state == self.shown:
            return
        if state.status is not self.shown.status:
            self._journal.note("status", self.account_id, detail=state.status)
        self.shown = state
        self.listeners.tell()

    def socket_lost(self, place: str, now: float) -> None:
        """Hear that the socket of a place is gone."""
        self.subscribed.discard(place)
        self.link.socket_down(place, now)
        if self.attempt is not None:
            self.attempt.socket_lost(place)

    def stop(self) -> None:
        """End what is under way."""
        self.listeners.clear()
        for flight in self.flights.values():
            flight.cancel()
        if self.attempt is not None:
            self.attempt.cancel()

    def diagnostics(self, now: float) -> dict[str, Any]:
        """Return how the account is, for a person; its zones with the id it has there."""
        return {
            "account_id": self.account_id,
            "region": self.region,
            "deployed": self.link.deployed,
            "replicas": [asdict(replica) for replica in self.replicas],
            **asdict(self.link.state),
            "reconnecting": self.link.reconnecting,
            "zones": [
                {"zone": self.sockets[place].zone.name, "account_id": self.ids[place]}
                | zone
                for place, zone in self.link.diagnostics(now).items()
            ],
        }
