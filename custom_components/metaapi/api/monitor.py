"""All accounts of one token: brings their links, their sockets and who listens together."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from itertools import batched
import logging
from math import inf
from typing import Any, override

import aiohttp

from .account import WatchedAccount
from .endpoints import Endpoints, Zone
from .errors import TooManyRequestsError
from .model import Replica
from .places import Places, Route
from .reconnect import TOKEN_REFUSED, Attempt, Outcome, ReconnectResult
from .subscriber import Subscriber
from .support import Journal, Listener, Tasks
from .terminal.terminal import AccountState, Terminal
from .timing import Timing
from .token import clean
from .token_check import TokenCheck
from .transport.channel import Channel
from .transport.connection import Connection, ConnectionListener, make_channel
from .transport.pool import Link, Pool

_LOGGER = logging.getLogger(__name__)

_HOST_MAX = 256
"""A longer name of a host is none of MetaApi's."""

_AT_ONCE = 50
"""Accounts that change in one turn of the loop: all of a thousand would keep Home Assistant waiting."""

_DEPTH = 10
"""How deep diagnostics are at most."""


class Monitor(ConnectionListener):
    """Keeps the links to all accounts of one token alive and knows their state."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        token: str,
        *,
        endpoints: Endpoints | None = None,
        application: str = "MetaApi",
        timing: Timing | None = None,
    ) -> None:
        """Prepare; nothing is opened before an account is added."""
        self.endpoints = endpoints or Endpoints()
        self.timing = timing or Timing()
        self.token_refused = False
        """Whether MetaApi refuses the token; final, a new token needs a new monitor."""
        self.reconnect_form: str | None = None
        """Which form of `reconnect` MetaApi accepted last."""
        self.ignored_events = 0
        """Events that made no sense, or were for accounts that nobody asked for."""
        self.tasks = Tasks()
        """What is under way for it."""
        self._journal = Journal()
        self._session = session
        self._token = token
        self._application = application
        self._watches: dict[str, WatchedAccount] = {}
        self._sockets = Pool[Route](self._make_connection)
        self._places = Places(self._sockets, self.tasks, self.timing)
        self._subscriptions = Subscriber(
            self._watches,
            self._places,
            self.pump,
            journal=self._journal,
            tasks=self.tasks,
            timing=self.timing,
        )
        self._hub = Link(self._sockets, self.timing)
        self._token_check = TokenCheck(
            session,
            token,
            self._token_is_refused,
            tasks=self.tasks,
            timing=self.timing,
        )
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._clock = asyncio.get_running_loop().time

    # -- what callers use ----------------------------------------------------------------------

    @property
    def connected(self) -> bool | None:
        """Tell whether the link to MetaApi is up: False after no socket was open for a minute.

        None while that is not decided yet, or no account needs a socket.
        """
        return self._hub.connected

    def state(self, account_id: str) -> AccountState:
        """Return what is known of an account."""
        return self._watches[account_id].link.state

    @property
    def sockets(self) -> tuple[int, int]:
        """Return how many sockets are open, and how many are in use."""
        return sum(socket.connected for socket in self._sockets), len(self._sockets)

    def limit(self, account_id: str) -> TooManyRequestsError | None:
        """Return the last limit that an account met, or the user; it may be over by now."""
        return self._watches[account_id].limit

    def listen(self, account_id: str, listener: Listener) -> Callable[[], None]:
        """Call back on every change of an account's state; returns what ends it."""
        return self._watches[account_id].listeners.add(listener)

    def listen_link(self, listener: Listener) -> Callable[[], None]:
        """Call back when the link to MetaApi changes or the token is refused; returns what ends it."""
        return self._hub.listeners.add(listener)

    def diagnostics(self) -> dict[str, Any]:
        """Return how all links are, as JSON for a person's bug report.

        It holds ids of accounts and replicas, as values of `account_id` and nowhere else, but neither the
        token nor an address. Times are seconds back or ahead from now, but for those of `events`: the last
        50, the oldest first.
        """
        now = self._clock()
        tree = {
            "connected": self.connected,
            "token_refused": self.token_refused,
            "reconnect_form": self.reconnect_form,
            "ignored_events": self.ignored_events,
            "subscribes_held_for": round(
                max(self._subscriptions.held_until - now, 0.0), 1
            ),
            "sockets": [
                {
                    "server": self.endpoints.kind(connection.zone),
                    "accounts": len(self._sockets.routes(connection)),
                    **connection.diagnostics(now),
                }
                for connection in self._sockets
            ],
            "accounts": [watch.diagnostics(now) for watch in self._watches.values()],
            "events": self._journal.diagnostics(),
        }
        # names of hosts are a server's words
        redacted: dict[str, Any] = clean(tree, self._token, _DEPTH)
        return redacted

    def add_account(
        self,
        account_id: str,
        region: str = "",
        *,
        deployed: bool | None = None,
        replicas: Iterable[Replica] = (),
    ) -> None:
        """Watch an account; a region of "" means that it is not known."""
        now = self._clock()
        watch = WatchedAccount(
            account_id, Terminal((), now, timing=self.timing), self._journal
        )
        self._watches[account_id] = watch
        self._journal.note("added", account_id)
        self._subscriptions.admit(watch, now)
        if deployed is not None:
            watch.link.facts(now, deployed=deployed)
            watch.shown = watch.link.state
        self._hub.expect_socket(now)
        self.place_account(account_id, region, replicas)

    def place_account(
        self, account_id: str, region: str, replicas: Iterable[Replica] = ()
    ) -> None:
        """Take where an account runs; it moves there without touching the others."""
        if self._closed or (watch := self._watches.get(account_id)) is None:
            return
        now = self._clock()
        if self._places.place(watch, self.endpoints, region, tuple(replicas), now):
            self.pump(watch)

    async def remove_account(self, account_id: str) -> None:
        """Stop to watch an account: give its subscriptions back, close sockets that nobody needs."""
        watch = self._watches.pop(account_id, None)
        if watch is None:
            return
        self._journal.note("removed", account_id)
        watch.stop()
        try:
            await self._places.give_back([watch])
        finally:
            await _close_all(self._places.release(watch))
            self._show_hub()

    def set_facts(
        self, account_id: str, *, deployed: bool | None = None, exists: bool = True
    ) -> None:
        """Take what the provisioning API says about an account."""
        if (watch := self._watches.get(account_id)) is not None:
            watch.link.facts(self._clock(), deployed=deployed, exists=exists)
            self.pump(watch)

    async def reconnect(
        self, account_id: str, timeout: float = 60.0
    ) -> ReconnectResult:
        """Reconnect an account's terminal and tell how it went; never raises for an outcome.

        `timeout` is in seconds. A second caller joins an attempt that is under way.
        Source: documentation, "Reconnect".
        """
        watch = self._watches.get(account_id)
        if self.token_refused:
            return ReconnectResult(Outcome.NO_CONNECTION, 0.0, TOKEN_REFUSED)
        if watch is None or self._closed:
            return ReconnectResult(Outcome.NO_CONNECTION, 0.0)
        if watch.attempt is None:
            watch.attempt = Attempt(self, watch)
        return await watch.attempt.join(timeout)

    async def close(self) -> None:
        """Give subscriptions back, close every socket, end every task and timer."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        watches = list(self._watches.values())
        for watch in watches:
            watch.stop()
        self.tasks.cancel()
        try:
            await self._places.give_back(watches)
        finally:
            await _close_all(self._sockets.clear())
            await self.tasks.wait()

    def check_token(self, *, said: bool = False) -> None:
        """Let REST confirm that the token is refused; `said` when a socket was told so in words."""
        if not (self.token_refused or self._closed):
            self._token_check.start(self.endpoints, said=said)

    # -- what connections tell -----------------------------------------------------------------

    @override
    def connection_up(self, connection: Connection) -> None:
        """Subscribe every account of the socket, spread over a while."""
        now = self._clock()
        self._journal.note("socket open", zone=connection.zone.name)
        routes = self._sockets.routes(connection)
        spread = self._subscriptions.spread(len(routes))
        self._hub.socket_up()
        for watch, place in routes:
            watch.link.socket_up(place, connection.session_id, now, spread)
            self.pump(watch)
        self._show_hub()

    @override
    def connection_down(self, connection: Connection, reason: str) -> None:
        """Stop the clocks that ran on the socket."""
        now = self._clock()
        _LOGGER.debug("Socket to %s is gone: %s", connection.zone.name, reason)
        self._journal.note("socket lost", zone=connection.zone.name, detail=reason)
        self._hub.socket_down(now)
        for watch, place in self._sockets.routes(connection):
            watch.socket_lost(place, now)
            self.pump(watch)
        self._arm(now + self.timing.blind)

    @override
    def connection_event(
        self, connection: Connection, event: Mapping[str, Any]
    ) -> None:
        """Hand an event to the link of its account."""
        account_id = event.get("accountId")
        route = (
            self._sockets.route(connection, account_id)
            if isinstance(account_id, str)
            else None
        )
        served = connection.zone.instance
        instance = event.get("instanceIndex")
        if route is None or (
            served is not None and isinstance(instance, int) and instance != served
        ):
            self.ignored_events += 1
            return
        if self.account_event(*route, event):
            connection.prove()

    @override
    def connection_unauthorized(self, connection: Connection, *, said: bool) -> None:
        """Let REST confirm that the token is refused."""
        self.check_token(said=said)

    # -- what the parts of this package use ----------------------------------------------------

    def account_event(
        self, watch: WatchedAccount, place: str, event: Mapping[str, Any]
    ) -> bool:
        """Feed one event to a link; return whether it was an `authenticated` that counts."""
        kind = event.get("type")
        instance = event.get("instanceIndex")
        host = event.get("host")
        if isinstance(host, str) and len(host) > _HOST_MAX:
            self.ignored_events += 1
            return False
        key = (
            instance if isinstance(instance, int) else None,
            host if isinstance(host, str) else None,
        )
        now = self._clock()
        counted = False
        if kind == "status":
            if not watch.link.status(
                place,
                key,
                connected=_flag(event.get("connected")),
                authenticated=_flag(event.get("authenticated")),
                now=now,
            ):
                return False
        elif kind == "authenticated":
            session_id = event.get("sessionId")
            counted = watch.link.authenticated(
                place,
                key,
                session_id if isinstance(session_id, str) else None,
                now,
                alone=event.get("replicas") == 1,
            )
            what = kind if counted else "authenticated, stale"
            watch.note(place, what, key[1])
            if counted and watch.attempt is not None:
                watch.attempt.authenticated()
        elif kind == "disconnected":
            watch.link.disconnected(place, key, now)
            watch.note(place, kind, key[1])
        else:
            self.ignored_events += 1
            return False
        self.pump(watch)
        return counted

    def pump(self, watch: WatchedAccount) -> None:
        """Fulfil what a link wishes for, tell listeners of a change, mind its next deadline."""
        link = watch.link
        if self._closed or self._watches.get(watch.account_id) is not watch:
            return
        if link.pending:
            self._subscriptions.fulfil(watch)
        if link.deadline < inf:
            self._arm(link.deadline)
        watch.show()

    def attempt_ended(self, watch: WatchedAccount, outcome: Outcome) -> None:
        """Forget the attempt, which has its outcome."""
        self._journal.note("reconnect", watch.account_id, detail=outcome)
        watch.attempt = None

    def note_form(self, form: str | None) -> None:
        """Remember which form of `reconnect` was accepted."""
        self.reconnect_form = form

    def new_channel(
        self, on_synchronization: Callable[[Mapping[str, Any]], None]
    ) -> Channel:
        """Return a socket of its own, not opened yet."""
        return make_channel(
            self._session,
            self._token,
            application=self._application,
            on_synchronization=on_synchronization,
            on_unauthorized=lambda: None,
            timing=self.timing,
        )

    async def next_connection(self) -> None:
        """Return when the next socket has opened."""
        await self._hub.next_socket()

    # -- inside --------------------------------------------------------------------------------

    def _make_connection(self, zone: Zone) -> Connection:
        """Build a socket to a zone."""
        return Connection(
            self._session,
            zone,
            self._token,
            self,
            application=self._application,
            timing=self.timing,
        )

    async def _token_is_refused(self) -> None:
        """Stop everything, once."""
        self.token_refused = True
        self._journal.note("token refused")
        now = self._clock()
        for some in batched(tuple(self._watches.values()), _AT_ONCE, strict=False):
            for watch in some:
                watch.link.token_refused(now)
                if watch.attempt is not None:
                    watch.attempt.cancel()
                self.pump(watch)
            await asyncio.sleep(0)
        await _close_all(self._sockets)
        self._show_hub()

    def _show_hub(self) -> None:
        """Tell listeners whether the link to MetaApi is up, if that changed."""
        self._hub.show(self._clock(), token_refused=self.token_refused)

    def _arm(self, deadline: float) -> None:
        """Look at the clock of all links at a deadline, or soon after."""
        if self._closed:
            return
        when = max(deadline, self._clock() + self.timing.sweep)
        if self._timer is not None:
            if self._timer.when() <= when:
                return
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(when, self._sweep)

    def _sweep(self) -> None:
        """Let the clock decide what is due."""
        self._timer = None
        now = self._clock()
        due = [watch for watch in self._watches.values() if watch.link.deadline <= now]
        for watch in sorted(due, key=_deadline)[:_AT_ONCE]:
            watch.link.tick(now)
            self.pump(watch)
        nearest = min(map(_deadline, self._watches.values()), default=inf)
        self._show_hub()
        nearest = min(nearest, self._hub.deadline)
        if nearest < inf:
            self._arm(nearest)


def _deadline(watch: WatchedAccount) -> float:
    """Return when the clock alone can change something for an account."""
    return watch.link.deadline


async def _close_all(connections: Iterable[Connection]) -> None:
    """Close sockets; even when this is cut short, each of them ends."""
    connections = tuple(connections)
    for connection in connections:
        connection.stop()
    await asyncio.gather(*(connection.close() for connection in connections))


def _flag(value: object) -> bool | None:
    """Return a value when it is a truth value."""
    return value if isinstance(value, bool) else None
