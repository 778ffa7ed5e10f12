"""Performs what terminals want done, subscribes and probes, and hands the answers back; minds the limits.

Limits: SDK behavior, `metadata.type` of a TooManyRequestsError.
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from math import inf
import random
from typing import Protocol

from .errors import MetaApiError, TooManyRequestsError
from .support import Journal, Tasks
from .terminal.rules import Limit, Retry, floor_after, limit_of
from .terminal.terminal import Action
from .timing import Timing
from .transport.connection import Connection


class Place(Protocol):
    """Where an account is asked for, and who takes the answers."""

    connection: Connection
    account_id: str
    subscribed: bool
    flight: asyncio.Task[None] | None
    moves: int
    moved_at: float
    just_moved: bool

    def note(self, what: str, detail: str | None = None) -> None:
        """Write down what happened here."""

    def subscribe_sent(self, now: float) -> None:
        """Called when a subscribe goes out."""

    def subscribe_answered(
        self, error: MetaApiError | None, retry_after: float | None, now: float
    ) -> None:
        """Handle the answer to a subscribe; `retry_after` is what a 429 recommends, in seconds."""

    def probe_answered(self, sent_at: float, now: float) -> None:
        """Handle the pong to a ping sent at `sent_at`."""

    def move(self, locked_until: float, now: float) -> None:
        """Use another connection; the one that is left takes no further account for a while."""


class Account(Protocol):
    """Who is held back when the user's quota is used up."""

    def hold(
        self, until: float, limit: TooManyRequestsError | None, now: float
    ) -> None:
        """Send no subscribe before a moment."""


class Subscriber:
    """Asks connections what terminals want to be asked."""

    def __init__(
        self,
        accounts: Mapping[str, Account],
        *,
        journal: Journal,
        tasks: Tasks,
        timing: Timing,
    ) -> None:
        """`accounts` are all of a monitor, those to come as well."""
        self.held_until = -inf
        """Until when the user's quota, which is used up, holds every new subscribe back."""
        self._holds = 0
        """How often in a row it did."""
        self._user_limit: TooManyRequestsError | None = None
        """The last limit that held every subscribe back."""
        self._accounts = accounts
        self._probes: dict[Connection, list[Place]] = {}
        """Who waits for a pong, by connection."""
        self._journal = journal
        self._tasks = tasks
        self._timing = timing
        self._clock = asyncio.get_running_loop().time

    def spread(self, accounts: int) -> float:
        """Return over how many seconds the subscribes of so many accounts are spread."""
        return min(accounts * self._timing.jitter_per_account, self._timing.jitter_max)

    def admit(self, account: Account, now: float) -> None:
        """Hold a new account back for as long as the others."""
        account.hold(self.held_until, self._user_limit, now)

    def perform(self, action: Action, place: Place) -> None:
        """Do what a terminal wants done in a place."""
        place.note(action.value)
        if action is Action.SUBSCRIBE:
            if place.flight is not None:
                # the new one takes its place
                place.flight.cancel()
            place.flight = self._tasks.spawn(
                self._subscribe(place, place.connection), "metaapi subscribe"
            )
        else:
            waiting = self._probes.setdefault(place.connection, [])
            waiting.append(place)
            if len(waiting) == 1:
                self._tasks.spawn(self._probe(place.connection), "metaapi probe")

    async def _subscribe(self, place: Place, connection: Connection) -> None:
        """Subscribe an account on the socket of a place and hand the answer back."""
        session_id = connection.session_id
        error: MetaApiError | None = None
        place.subscribe_sent(self._clock())
        try:
            await connection.request(
                "subscribe", place.account_id, sessionId=session_id
            )
        except MetaApiError as err:
            error = err
        # Whoever cancels this task has forgotten it already, or forgets the place
        place.flight = None
        if connection.session_id != session_id:
            return
        now = self._clock()
        place.note(
            "subscribe answered", type(error).__name__ if error is not None else None
        )
        if error is None:
            self._holds = place.moves = 0
        wait = _retry_after(error)
        if limit_of(error) is Limit.MOVE and place.moves > 1 and place.just_moved:
            # two were asked since the last pause, which therefore is to last for two
            wait = max(wait or 0.0, 2 * self._timing.refused_floor)
        place.just_moved = False
        place.subscribe_answered(error, wait, now)
        if isinstance(error, TooManyRequestsError):
            self._heed_limit(place, error, wait, now)

    async def _probe(self, connection: Connection) -> None:
        """Ping a socket for all places that want to know, one ping at a time, and hand the pongs back."""
        while True:
            # those of one moment share a ping; who comes while it is unanswered gets the next
            await asyncio.sleep(0)
            places = self._probes[connection][:]
            session_id = connection.session_id
            sent_at = self._clock()
            try:
                await connection.probe()
            except MetaApiError:
                answered = False
            else:
                answered = connection.session_id == session_id
            finally:
                left = self._probes[connection][len(places) :]
                if left:
                    self._probes[connection] = left
                else:
                    del self._probes[connection]
            for place in places:
                if answered and place.connection is connection:
                    place.probe_answered(sent_at, self._clock())
            if not left:
                return

    def _heed_limit(
        self, place: Place, error: TooManyRequestsError, wait: float | None, now: float
    ) -> None:
        """React to a subscription limit; `wait` is what MetaApi recommends, in seconds."""
        limit = limit_of(error)
        if limit is Limit.HOLD:
            if now >= self.held_until:
                # many accounts that hear of one limit at once are one refusal
                self._holds += 1
            repeats = max(self._holds - 1, 0)
            wait = floor_after(Retry.LIMIT, wait, repeats, self._timing)
            self.held_until = max(self.held_until, now + wait)
            self._user_limit = error
            self._journal.note("subscribes held", detail=f"{wait:.0f} s")
            spread = self.spread(len(self._accounts))
            for account in tuple(self._accounts.values()):
                # one after the other, so that the first refusal holds the rest back again
                until = self.held_until + random.uniform(0, spread)
                account.hold(until, error, now)
        elif limit is Limit.MOVE and self._may_move(place, now):
            place.moves += 1
            place.moved_at = now
            place.just_moved = True
            place.note("moved to another socket")
            place.move(now + max(wait or 0.0, self._timing.refused_floor), now)

    def _may_move(self, place: Place, now: float) -> bool:
        """Return whether the last move to another socket, which asks at once, is long ago: twice as long each time."""
        pause = self._timing.refused_floor * 2.0 ** min(place.moves, 10)
        return not place.moves or now >= place.moved_at + pause


def _retry_after(error: MetaApiError | None) -> float | None:
    """Return how many seconds a 429 asks us to wait."""
    if not isinstance(error, TooManyRequestsError):
        return None
    return error.seconds_to_wait(datetime.now(UTC))
