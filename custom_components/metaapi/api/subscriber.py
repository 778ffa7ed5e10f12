"""What links wish for: subscribes and probes, and what the answers make of them, limits above all."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from math import inf
import random

from .account import WatchedAccount
from .errors import MetaApiError, TooManyRequestsError
from .places import Places
from .support import Journal, Tasks
from .terminal.rules import Limit, Retry, limit_of, subscribe_rule
from .terminal.terminal import Action
from .timing import Timing
from .transport.connection import Connection


class Subscriber:
    """Asks sockets what links wish to be asked, and tells the links what came of it."""

    def __init__(
        self,
        watches: Mapping[str, WatchedAccount],
        places: Places,
        pump: Callable[[WatchedAccount], None],
        *,
        journal: Journal,
        tasks: Tasks,
        timing: Timing,
    ) -> None:
        """Prepare; `watches` are all of a monitor, `pump` is called when the link of one heard something."""
        self.held_until = -inf
        """Until when the user's quota, which is used up, holds every new subscribe back."""
        self._user_limit: TooManyRequestsError | None = None
        """The last limit that held every subscribe back."""
        self._watches = watches
        self._places = places
        self._pump = pump
        self._journal = journal
        self._tasks = tasks
        self._timing = timing
        self._clock = asyncio.get_running_loop().time

    def spread(self, accounts: int) -> float:
        """Return over how many seconds the subscribes of so many accounts are spread."""
        return min(accounts * self._timing.jitter_per_account, self._timing.jitter_max)

    def admit(self, watch: WatchedAccount, now: float) -> None:
        """Hold a new account back for as long as the others."""
        watch.limit = self._user_limit
        watch.link.hold(self.held_until, now)

    def fulfil(self, watch: WatchedAccount) -> None:
        """Fulfil what a link wishes for."""
        wishes, watch.link.pending = watch.link.pending, []
        for wish, place in wishes:
            connection = watch.sockets[place]
            watch.note(place, wish.value)
            if wish is Action.SUBSCRIBE:
                watch.flights[place] = self._tasks.spawn(
                    self._subscribe(watch, place, connection), "metaapi subscribe"
                )
            else:
                self._tasks.spawn(
                    self._probe(watch, place, connection), "metaapi probe"
                )

    async def _subscribe(
        self, watch: WatchedAccount, place: str, connection: Connection
    ) -> None:
        """Subscribe an account on the socket of a place and tell the link what came of it."""
        session_id = connection.session_id
        error: MetaApiError | None = None
        watch.subscribed.add(place)
        try:
            await connection.request(
                "subscribe", watch.ids[place], sessionId=session_id
            )
        except MetaApiError as err:
            error = err
        # Whoever cancels this task has taken it off the list already, or drops the list
        del watch.flights[place]
        if connection.session_id != session_id:
            return
        now = self._clock()
        watch.note(
            place,
            "subscribe answered",
            type(error).__name__ if error is not None else None,
        )
        if error is None:
            watch.accepted_at = now
        elif subscribe_rule(error).retry is not Retry.BACKOFF:
            watch.subscribed.discard(place)
        if isinstance(error, TooManyRequestsError):
            watch.limit = error
        wait = _retry_after(error)
        if limit_of(error) is Limit.MOVE and not self._may_move(watch, place, now):
            # two were asked since the last pause, which therefore is to last for two
            wait = max(wait or 0.0, 2 * self._timing.refused_floor)
        shown = watch.shown
        watch.link.subscribe_answered(place, now, error, wait)
        self._pump(watch)
        if isinstance(error, TooManyRequestsError):
            if watch.shown == shown:
                # what the limit says of itself may be news all the same
                watch.listeners.tell()
            self._mind_limit(watch, place, error, now)

    async def _probe(
        self, watch: WatchedAccount, place: str, connection: Connection
    ) -> None:
        """Ask the socket of a place for a sign of life and tell the link of it."""
        session_id = connection.session_id
        sent_at = self._clock()
        try:
            await connection.probe()
        except MetaApiError:
            return
        if (
            connection.session_id == session_id
            and watch.sockets.get(place) is connection
        ):
            watch.link.probe_answered(place, sent_at, self._clock())
            self._pump(watch)

    def _mind_limit(
        self, watch: WatchedAccount, place: str, error: TooManyRequestsError, now: float
    ) -> None:
        """React to a subscription limit."""
        wait = max(_retry_after(error) or 0.0, self._timing.refused_floor)
        limit = limit_of(error)
        if limit is Limit.HOLD:
            self.held_until = max(self.held_until, now + wait)
            self._user_limit = error
            self._journal.note("subscribes held", detail=f"{wait:.0f} s")
            spread = self.spread(len(self._watches))
            for other in tuple(self._watches.values()):
                other.limit = error
                # one after the other, so that the first refusal holds the rest back again
                other.link.hold(self.held_until + random.uniform(0, spread), now)
                self._pump(other)
        elif limit is Limit.MOVE and self._may_move(watch, place, now):
            watch.moved_at[place] = now
            watch.note(place, "moved to another socket")
            self._places.move(watch, place, now + wait, now)
            self._pump(watch)

    def _may_move(self, watch: WatchedAccount, place: str, now: float) -> bool:
        """Tell whether the last move to another socket, which asks at once, is long ago."""
        moved_at = watch.moved_at.get(place, -inf)
        return now >= moved_at + self._timing.refused_floor


def _retry_after(error: MetaApiError | None) -> float | None:
    """Return how many seconds a 429 asks us to wait."""
    if not isinstance(error, TooManyRequestsError):
        return None
    return error.seconds_to_wait(datetime.now(UTC))
