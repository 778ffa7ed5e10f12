"""One account under watch: its terminal, and the places where it is served.

A place is a zone that serves the account, or one that serves a replica of it. The types of events that MetaApi
pushes about an account are known here and nowhere else (`WatchedAccount.take_event`).
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
import contextlib
from dataclasses import asdict, dataclass, field
from math import inf
from typing import Any, Protocol

from .endpoints import Endpoints, Zone
from .errors import MetaApiError, RequestError, TooManyRequestsError
from .model import Outcome, ReconnectResult, Replica
from .support import Journal, Listeners, Repeat, Tasks
from .terminal.clock import Clock
from .terminal.terminal import Action, HostKey, Terminal
from .timing import Timing
from .transport.connection import Connection

_REPLICAS_MAX = 16
"""MetaApi has fewer regions than that, and an account one replica in each at most."""

_HOST_MAX = 256
"""MetaApi names no host by more characters than this."""


@dataclass(slots=True, eq=False)
class Place:
    """Where an account is served: a zone, and the id that the account has there."""

    account: WatchedAccount
    name: str
    zone: Zone
    account_id: str
    """The account's own id, or that of its replica."""
    connection: Connection = field(init=False)
    subscribed: bool = False
    """Whether the open socket may hold a subscription."""
    flight: asyncio.Task[None] | None = None
    """A subscribe that waits for its answer."""
    asked_at: float = -inf
    """When the subscribe went out that may still explain an `authenticated`."""
    shown: list[HostKey] = field(default_factory=list)
    """The hosts that it showed already."""
    shown_at: float = -inf
    """When it showed the first."""
    authenticated_at: float = -inf
    """When the terminal was last authenticated here."""
    terse: bool = True
    """Whether the server has shown neither `status` nor `host`, like that of the seed page."""
    moves: int = 0
    """How often it was given another connection because of a limit, since a subscribe was accepted."""
    moved_at: float = -inf
    """When it was last."""
    just_moved: bool = False
    """Whether the other connection has not been asked yet."""

    def note(self, what: str, detail: str | None = None) -> None:
        """Write down what happened here."""
        self.account.shared.journal.note(what, self.account_id, self.zone.name, detail)

    def subscribe_answered(
        self, error: MetaApiError | None, retry_after: float | None, now: float
    ) -> None:
        """Handle the answer to a subscribe; `retry_after` is what a 429 recommends, in seconds."""
        account = self.account
        if error is not None:
            # it found the terminal away, or nothing at all
            self.asked_at = -inf
        shown = account.shown
        if isinstance(error, TooManyRequestsError):
            account.limit = error
        with account.change() as terminal:
            terminal.subscribe_answered(self, now, error, retry_after)
            if isinstance(error, TooManyRequestsError) or (
                isinstance(error, RequestError) and not error.retryable
            ):
                # what was there before may be there still
                self.subscribed = terminal.subscribed(self)
        if isinstance(error, TooManyRequestsError) and account.shown == shown:
            # what the limit says of itself may be news all the same
            account.listeners.tell()

    def subscribe_sent(self, now: float) -> None:
        """Called when a subscribe goes out, which shows the terminals that are up already."""
        self.subscribed = True
        self.asked_at = now
        self.shown.clear()

    def authenticated(self, key: HostKey, now: float) -> bool:
        """Note an `authenticated`; return whether the last subscribe may be all that caused it."""
        timing = self.account.shared.timing
        self.authenticated_at = now
        if now >= self.asked_at + timing.reconnect_explained:
            return False
        if not self.shown:
            self.shown_at = now
        explained = key not in self.shown and (
            now <= self.shown_at + timing.subscribe_settle
        )
        self.shown.append(key)
        return explained

    def probe_answered(self, sent_at: float, now: float) -> None:
        """Handle the pong to a ping sent at `sent_at`."""
        with self.account.change() as terminal:
            terminal.probe_answered(self, sent_at, now)

    def move(self, locked_until: float, now: float) -> None:
        """Use another connection; the one that is left takes no further account for a while."""
        account = self.account
        account.shared.pool.lock(self.connection, locked_until)
        with account.change() as terminal:
            terminal.forget_refusal(self)
            account.leave(self)
            terminal.socket_down(self, now)
            account.enter(self, now)


class Observer(Protocol):
    """Who is told what happens to an account while a reconnect is under way."""

    def authenticated(
        self, place: Place, key: HostKey, now: float, *, explained: bool
    ) -> None:
        """Called when an `authenticated` counted; `explained` when a subscribe of ours may have caused it."""

    def disconnected(self, place: Place, key: HostKey) -> None:
        """Called when a terminal has gone, or a `status` says that it is not authenticated."""

    def status(self, place: Place, key: HostKey, now: float) -> None:
        """Called with each `status` of a terminal."""

    def socket_lost(self, place: Place) -> None:
        """Called when the socket of a place is gone."""

    def cancel(self) -> None:
        """Called when the account or the whole monitor goes away, or the token is refused."""

    async def join(self, timeout: float) -> ReconnectResult:
        """Wait for the outcome, for `timeout` seconds at most."""


class Sockets(Protocol):
    """Where accounts get their connections from."""

    def take(
        self, zone: Zone, account_id: str, route: Place, now: float, /
    ) -> Connection:
        """Put an account on a connection with room, a new one if need be."""

    def lock(self, connection: Connection, until: float, /) -> None:
        """Put no further account on a connection for a while."""

    def release(self, connection: Connection, account_id: str, /) -> bool:
        """Take an account off a connection; return whether nobody needs it any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What all accounts of one token share."""

    pool: Sockets
    tasks: Tasks
    journal: Journal
    timing: Timing
    perform: Callable[[Action, Place], None]
    """Does what a terminal wants done in a place."""
    want_facts: Callable[[str], None]
    """Has the provisioning API asked about an account."""
    arm: Callable[[WatchedAccount], None]
    """Sees to it that the clock of an account is looked at by its deadline."""
    clock: Callable[[], float]
    """Returns the time of the loop."""


class _Change:
    """Lets a terminal be told something, and acts on it afterwards.

    A class and not a generator, since every event passes it.
    """

    __slots__ = ("_account",)

    def __init__(self, account: WatchedAccount) -> None:
        self._account = account

    def __enter__(self) -> Terminal[Place]:
        """Return the terminal to tell."""
        self._account.changes += 1
        return self._account.terminal

    def __exit__(self, *_: object) -> None:
        """Perform what the terminal wants done, arm the clock, tell listeners."""
        self._account.settle()


class _SameStatus:
    """What a `status` does that said nothing new when it comes again word for word, and nothing was told since."""

    __slots__ = ("_account", "_changes", "_clock", "_silence")

    def __init__(
        self, account: WatchedAccount, silence: Clock, clock: Callable[[], float]
    ) -> None:
        """`silence` is that of the terminal that sent it."""
        self._account = account
        self._changes = account.changes
        self._silence = silence
        self._clock = clock

    def __call__(self) -> bool:
        """Note a sign of life; return False if anything happened to the account since."""
        if self._account.changes != self._changes:
            return False
        self._silence.since = self._clock()
        return True


class WatchedAccount:
    """One account under watch."""

    def __init__(
        self, account_id: str, terminal: Terminal[Place], shared: Shared
    ) -> None:
        """Start without places."""
        self.account_id = account_id
        self.terminal = terminal
        self.shared = shared
        self.shown = terminal.state
        """What listeners were told last."""
        self.listeners = Listeners()
        self.places: dict[str, Place] = {}
        """Where the account is served, by name."""
        self.limit: TooManyRequestsError | None = None
        """The last limit that a subscribe of the account met, or one of the user."""
        self.attempt: Observer | None = None
        """The reconnect that is under way."""
        self.changes = 0
        """How often the terminal was told something that may change what an event means."""
        self.repeat: Repeat | None = None
        """What to call when the last event comes again, if that said nothing new."""
        self.due = inf
        """When the clock is looked at, by the alarm."""
        self._placement: tuple[Endpoints, str, tuple[Replica, ...]] | None = None
        """What the places were looked up by: endpoints, region, replicas."""
        self._change = _Change(self)
        self._ended = False

    @property
    def deadline(self) -> float:
        """Return when the clock alone can change something."""
        return inf if self._ended else self.terminal.deadline

    def tick(self, now: float) -> None:
        """Let the clock decide what is due."""
        with self.change() as terminal:
            terminal.tick(now)

    # -- telling the terminal something --------------------------------------------------------

    def change(self) -> _Change:
        """Return a context in which the terminal may be told something; leaving it acts on that."""
        return self._change

    def settle(self) -> None:
        """Perform what the terminal wants done, arm the clock, and tell listeners what is new."""
        if self._ended:
            return
        terminal, shared = self.terminal, self.shared
        if terminal.pending:
            pending, terminal.pending = terminal.pending, []
            for action, place in pending:
                if place is not None:
                    shared.perform(action, place)
                else:
                    shared.want_facts(self.account_id)
        if terminal.deadline < self.due:
            shared.arm(self)
        state, shown = terminal.state, self.shown
        if state == shown:
            return
        if state.status is not shown.status:
            shared.journal.note("status", self.account_id, detail=state.status)
        self.shown = state
        self.listeners.tell()

    def take_event(
        self, place: Place, event: Mapping[str, Any], now: float
    ) -> bool | None:
        """Feed one event of a place to the terminal.

        Return whether it was an `authenticated` that counts, and None for an event that makes no sense.
        """
        self.repeat = None
        kind = event.get("type")
        instance = event.get("instanceIndex")
        host = event.get("host")
        if isinstance(host, str) and len(host) > _HOST_MAX:
            return None
        key = (
            instance if isinstance(instance, int) else None,
            host if isinstance(host, str) else None,
        )
        if kind == "status":
            place.terse = False
            authenticated = _flag(event.get("authenticated"))
            news = self.terminal.status(
                place,
                key,
                connected=_flag(event.get("connected")),
                authenticated=authenticated,
                now=now,
            )
            if self.attempt is not None:
                if authenticated is False:
                    self.attempt.disconnected(place, key)
                else:
                    self.attempt.status(place, key, now)
            if news:
                self.changes += 1
                self.settle()
            elif self.attempt is None:  # which counts each of them
                silence = self.terminal.silence(place, key)
                self.repeat = _SameStatus(self, silence, self.shared.clock)
            return False
        if kind == "authenticated":
            return self._authenticated(place, key, event, now)
        if kind == "disconnected":
            place.note(kind, key[1])
            with self.change() as terminal:
                terminal.disconnected(place, key, now)
                if self.attempt is not None:
                    self.attempt.disconnected(place, key)
            return False
        return None

    def _authenticated(
        self, place: Place, key: HostKey, event: Mapping[str, Any], now: float
    ) -> bool:
        """Feed an `authenticated` to the terminal; return whether it counts."""
        session_id = event.get("sessionId")
        with self.change() as terminal:
            counted = terminal.authenticated(
                place,
                key,
                session_id if isinstance(session_id, str) else None,
                now,
                alone=event.get("replicas") == 1,
            )
            place.note("authenticated" if counted else "authenticated, stale", key[1])
            if not counted:
                return False
            place.terse &= key[1] is None
            explained = place.authenticated(key, now)
            if self.attempt is not None:
                self.attempt.authenticated(place, key, now, explained=explained)
        return True

    # -- places and connections ----------------------------------------------------------------

    def place(
        self,
        endpoints: Endpoints,
        region: str,
        replicas: tuple[Replica, ...],
        now: float,
    ) -> None:
        """Watch the account where it runs; what is known of the places that stay is kept."""
        # a server that makes replicas up opens no socket for each
        replicas = tuple(sorted(replicas, key=_is_not_deployed))[:_REPLICAS_MAX]
        placement = (endpoints, region, replicas)
        if self._ended or placement == self._placement:
            return
        self._placement = placement
        wanted = _find_places(self.account_id, endpoints, region, replicas)
        gone = [
            place
            for name, place in self.places.items()
            if wanted.get(name) != (place.account_id, place.zone)
        ]
        before, self.places = self.places, {}
        entered: list[Place] = []
        with self.change() as terminal:
            for place in gone:
                self.leave(place)
            for name, (account_id, zone) in wanted.items():
                place = before.get(name) or Place(self, name, zone, account_id)
                if name not in before or place in gone:
                    place.zone, place.account_id = zone, account_id
                    entered.append(place)
                self.places[name] = place
            # without a region the global URL may lead to another one than the account's
            region_known = endpoints.api_url is not None or endpoints.zones(region) != (
                endpoints.global_zone,
            )
            terminal.set_places(self.places.values(), now, region_known=region_known)
            for place in entered:
                terminal.socket_down(place, now)
                self.enter(place, now)

    def enter(self, place: Place, now: float) -> None:
        """Use a connection that can see the account in a place."""
        connection = self.shared.pool.take(place.zone, place.account_id, place, now)
        place.connection = connection
        if connection.connected:
            self.terminal.socket_up(place, connection.session_id, now)

    def leave(self, place: Place) -> None:
        """Stop using the connection of a place, and give the subscription there back."""
        subscribed = place.subscribed
        if place.flight is not None:
            place.flight.cancel()
            place.flight = None
        place.subscribed = False
        place.asked_at = -inf
        if self.attempt is not None:
            self.attempt.socket_lost(place)
        unneeded = self.shared.pool.release(place.connection, place.account_id)
        self.shared.tasks.say_goodbye(
            self._say_goodbye(
                place.connection,
                place.account_id,
                unsubscribe=subscribed,
                close=unneeded,
            ),
            "metaapi goodbye",
        )

    async def _say_goodbye(
        self,
        connection: Connection,
        account_id: str,
        *,
        unsubscribe: bool,
        close: bool,
    ) -> None:
        """Give a subscription back on a connection, and close it if nobody needs it any more."""
        try:
            if unsubscribe:
                with contextlib.suppress(MetaApiError):
                    await connection.request(
                        "unsubscribe", account_id, timeout=self.shared.timing.close
                    )
        finally:
            if close:
                await connection.close()

    def socket_up(self, place: Place, now: float, spread: float) -> None:
        """Called when the socket of a place is open; subscribe within `spread` seconds."""
        with self.change() as terminal:
            terminal.socket_up(
                place,
                place.connection.session_id,
                now,
                spread,
                # who is to subscribe at once does
                with_others=spread > 0.0,
            )

    def socket_lost(self, place: Place, now: float) -> None:
        """Called when the socket of a place is gone."""
        place.subscribed = False
        place.asked_at = -inf
        with self.change() as terminal:
            terminal.socket_down(place, now, with_others=True)
            if self.attempt is not None:
                self.attempt.socket_lost(place)

    def hold(
        self, until: float, limit: TooManyRequestsError | None, now: float
    ) -> None:
        """Send no subscribe before a moment, because of a limit of the user."""
        self.limit = limit
        with self.change() as terminal:
            terminal.hold(until, now)

    def token_refused(self, now: float) -> None:
        """Called when MetaApi refuses the token."""
        with self.change() as terminal:
            terminal.token_refused(now)
            if self.attempt is not None:
                self.attempt.cancel()

    def token_accepted(self, now: float) -> None:
        """Called when MetaApi takes the token again."""
        with self.change() as terminal:
            terminal.token_accepted(now)

    def attempt_ended(self, outcome: Outcome) -> None:
        """Forget the reconnect, which has its outcome."""
        self.shared.journal.note("reconnect", self.account_id, detail=outcome)
        self.attempt = None

    # -- the end -------------------------------------------------------------------------------

    def stop(self) -> None:
        """End what is under way, and tell nobody anything any more."""
        self._ended = True
        self.changes += 1
        self.listeners.clear()
        for place in self.places.values():
            if place.flight is not None:
                place.flight.cancel()
        if self.attempt is not None:
            self.attempt.cancel()

    def release(self) -> list[Connection]:
        """Stop using all connections; return those that nobody needs any more."""
        return [
            place.connection
            for place in self.places.values()
            if self.shared.pool.release(place.connection, place.account_id)
        ]

    def diagnostics(self, now: float) -> dict[str, Any]:
        """Return how the account is, for a person; its zones with the id it has there."""
        _, region, replicas = self._placement or (None, "", ())
        return {
            "account_id": self.account_id,
            "region": region,
            "deployed": self.terminal.deployed,
            "replicas": [asdict(replica) for replica in replicas],
            **asdict(self.terminal.state),
            "reconnecting": self.terminal.reconnecting,
            "zones": [
                {"zone": place.zone.name, "account_id": place.account_id} | told
                for place, told in self.terminal.diagnostics(now).items()
            ],
        }


async def give_back(accounts: Iterable[WatchedAccount], timeout: float) -> None:
    """Give all subscriptions of accounts back, since the user's bots share the quota; for `timeout` seconds at most."""
    requests = [
        place.connection.request("unsubscribe", place.account_id)
        for account in accounts
        for place in account.places.values()
        if place.subscribed
    ]
    if requests:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await asyncio.gather(*requests, return_exceptions=True)


def _find_places(
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


def _is_not_deployed(replica: Replica) -> bool:
    """Return whether MetaApi runs no terminal for a replica."""
    return not replica.deployed


def _flag(value: object) -> bool | None:
    """Return a value when it is a truth value."""
    return value if isinstance(value, bool) else None
