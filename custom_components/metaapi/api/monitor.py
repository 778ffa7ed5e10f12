"""All accounts of one token: brings terminals, connections and listeners together."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import batched
import logging
from math import inf
from typing import Any, override

import aiohttp

from .account import Place, Shared, WatchedAccount, give_back
from .endpoints import Endpoints, Zone
from .errors import TooManyRequestsError
from .model import Outcome, ReconnectResult, Replica
from .reconnect import Attempt
from .subscriber import Subscriber
from .support import Alarm, Journal, Listener, Tasks
from .terminal.terminal import AccountState, Terminal
from .timing import Timing
from .token import clean
from .token_check import TokenCheck
from .transport.channel import Channel
from .transport.connection import Connection, ConnectionListener, make_channel
from .transport.pool import Link, Pool

_LOGGER = logging.getLogger(__name__)

_AT_ONCE = 50
"""Accounts that change in one turn of the loop: all of a thousand would keep Home Assistant waiting."""

_DEPTH = 10
"""How deep diagnostics are at most."""


@dataclass(frozen=True, slots=True)
class _Dialer:
    """Makes sockets that carry the token."""

    session: aiohttp.ClientSession
    token: str
    application: str
    timing: Timing

    def connection(self, zone: Zone, listener: ConnectionListener) -> Connection:
        """Return a connection to a zone, not started yet."""
        return Connection(
            self.session,
            zone,
            self.token,
            listener,
            application=self.application,
            timing=self.timing,
        )

    def channel(
        self, on_synchronization: Callable[[Mapping[str, Any]], None]
    ) -> Channel:
        """Return a socket of its own, not opened yet."""
        return make_channel(
            self.session,
            self.token,
            application=self.application,
            on_synchronization=on_synchronization,
            on_unauthorized=lambda: None,
            timing=self.timing,
        )


class Monitor(ConnectionListener):
    """Watches all accounts of one token and knows their state."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        token: str,
        *,
        endpoints: Endpoints | None = None,
        application: str = "MetaApi",
        timing: Timing | None = None,
    ) -> None:
        """Nothing is opened before an account is added."""
        timing = timing or Timing()
        tasks, journal = Tasks(), Journal()
        self.endpoints = endpoints or Endpoints()
        self.token_refused = False
        """Whether MetaApi refuses the token; final, a new token needs a new monitor."""
        self.reconnect_form: str | None = None
        """Which form of `reconnect` MetaApi accepted last."""
        self.ignored_events = 0
        """Events that made no sense, or were for accounts that nobody asked for."""
        self._dialer = _Dialer(session, token, application, timing)
        self._accounts: dict[str, WatchedAccount] = {}
        self._subscriber = Subscriber(
            self._accounts, journal=journal, tasks=tasks, timing=timing
        )
        self._alarm = Alarm(self._sweep, timing.sweep)
        pool = Pool[Place](lambda zone: self._dialer.connection(zone, self))
        self._shared = Shared(
            pool=pool,
            tasks=tasks,
            journal=journal,
            timing=timing,
            perform=self._subscriber.perform,
            arm=self._alarm.set,
        )
        self._pool = pool
        self._link = Link(pool, timing)
        self._token_check = TokenCheck(
            session, token, self._token_is_refused, tasks=tasks, timing=timing
        )
        self._clock = asyncio.get_running_loop().time

    # -- what callers use ----------------------------------------------------------------------

    @property
    def timing(self) -> Timing:
        """Return the pauses and bounds, in seconds."""
        return self._shared.timing

    @property
    def connected(self) -> bool | None:
        """Return whether the link to MetaApi is up: False after no socket was open for a minute.

        None while that is not decided yet, or no account needs a socket.
        """
        return self._link.connected

    def state(self, account_id: str) -> AccountState:
        """Return what is known of an account."""
        return self._accounts[account_id].terminal.state

    @property
    def sockets(self) -> tuple[int, int]:
        """Return how many sockets are open, and how many are in use."""
        pool = self._pool
        return sum(connection.connected for connection in pool), len(pool)

    def limit(self, account_id: str) -> TooManyRequestsError | None:
        """Return the last limit that an account met, or the user; it may be over by now."""
        return self._accounts[account_id].limit

    def listen(self, account_id: str, listener: Listener) -> Callable[[], None]:
        """Call back on every change of an account's state; returns what ends it."""
        return self._accounts[account_id].listeners.add(listener)

    def listen_link(self, listener: Listener) -> Callable[[], None]:
        """Call back when the link to MetaApi changes or the token is refused; returns what ends it."""
        return self._link.listeners.add(listener)

    def diagnostics(self) -> dict[str, Any]:
        """Return how all accounts are, as JSON for a person's bug report.

        It holds ids of accounts and replicas, as values of `account_id` and nowhere else, but neither the
        token nor an address. Times are seconds back or ahead from now, except those of `events`: the last
        50, the oldest first.
        """
        now, pool = self._clock(), self._pool
        held_for = max(self._subscriber.held_until - now, 0.0)
        tree = {
            "connected": self.connected,
            "token_refused": self.token_refused,
            "reconnect_form": self.reconnect_form,
            "ignored_events": self.ignored_events,
            "subscribes_held_for": round(held_for, 1),
            "sockets": [
                {
                    "server": self.endpoints.kind(connection.zone),
                    "accounts": len(pool.routes(connection)),
                    **connection.diagnostics(now),
                }
                for connection in pool
            ],
            "accounts": [
                account.diagnostics(now) for account in self._accounts.values()
            ],
            "events": self._shared.journal.diagnostics(),
        }
        # names of hosts are a server's words
        redacted: dict[str, Any] = clean(tree, self._dialer.token, _DEPTH)
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
        terminal = Terminal[Place]((), now, timing=self.timing)
        terminal.facts(now, deployed=deployed)
        account = WatchedAccount(account_id, terminal, self._shared)
        self._accounts[account_id] = account
        self._shared.journal.note("added", account_id)
        if self._alarm.stopped:
            account.stop()
        self._subscriber.admit(account, now)
        self._link.expect_socket(now)
        self.place_account(account_id, region, replicas)

    def place_account(
        self, account_id: str, region: str, replicas: Iterable[Replica] = ()
    ) -> None:
        """Take where an account runs; it moves there without touching the others."""
        if (account := self._accounts.get(account_id)) is not None:
            account.place(self.endpoints, region, tuple(replicas), self._clock())

    async def remove_account(self, account_id: str) -> None:
        """Stop watching an account: give its subscriptions back, close sockets that nobody needs."""
        account = self._accounts.pop(account_id, None)
        if account is None:
            return
        self._shared.journal.note("removed", account_id)
        account.stop()
        try:
            await give_back([account], self.timing.close)
        finally:
            await _close_all(account.release())
            self._show_link()

    def set_facts(
        self, account_id: str, *, deployed: bool | None = None, exists: bool = True
    ) -> None:
        """Take what the provisioning API says about an account."""
        if (account := self._accounts.get(account_id)) is not None:
            with account.change() as terminal:
                terminal.facts(self._clock(), deployed=deployed, exists=exists)

    async def reconnect(
        self, account_id: str, timeout: float = 60.0
    ) -> ReconnectResult:
        """Reconnect an account's terminal and return how it went; never raises for an outcome.

        `timeout` is in seconds. A second caller joins an attempt that is under way.
        Source: documentation, "Reconnect".
        """
        if self.token_refused:
            return ReconnectResult(Outcome.TOKEN_REFUSED, 0.0)
        account = self._accounts.get(account_id)
        if account is None or self._alarm.stopped:
            return ReconnectResult(Outcome.NO_CONNECTION, 0.0)
        attempt = account.attempt
        if attempt is None:
            attempt = account.attempt = Attempt(account, self)
        return await attempt.join(timeout)

    async def close(self) -> None:
        """Give subscriptions back, close every socket, end every task and timer."""
        self._alarm.stop()
        accounts = list(self._accounts.values())
        for account in accounts:
            account.stop()
        self._shared.tasks.cancel()
        try:
            await give_back(accounts, self.timing.close)
        finally:
            await _close_all(self._pool.clear())
            await self._shared.tasks.wait()

    def check_token(self, *, said: bool = False) -> None:
        """Let REST confirm that the token is refused; `said` when a socket was told so in words."""
        if not (self.token_refused or self._alarm.stopped):
            self._token_check.start(self.endpoints, said=said)

    # -- what connections report ---------------------------------------------------------------

    @override
    def connection_up(self, connection: Connection) -> None:
        """Subscribe every account of the socket, spread over a while."""
        now = self._clock()
        self._shared.journal.note("socket open", zone=connection.zone.name)
        places = self._pool.routes(connection)
        spread = self._subscriber.spread(len(places))
        self._link.socket_up()
        for place in places:
            place.account.socket_up(place, now, spread)
        self._show_link()

    @override
    def connection_down(self, connection: Connection, reason: str) -> None:
        """Stop the clocks that ran on the socket."""
        now = self._clock()
        _LOGGER.debug("Socket to %s is gone: %s", connection.zone.name, reason)
        self._shared.journal.note(
            "socket lost", zone=connection.zone.name, detail=reason
        )
        self._link.socket_down(now)
        for place in self._pool.routes(connection):
            place.account.socket_lost(place, now)
        self._alarm.set(now + self.timing.blind)

    @override
    def connection_event(
        self, connection: Connection, event: Mapping[str, Any]
    ) -> None:
        """Hand an event to its account."""
        account_id = event.get("accountId")
        place = (
            self._pool.route(connection, account_id)
            if isinstance(account_id, str)
            else None
        )
        served = connection.zone.instance
        instance = event.get("instanceIndex")
        if place is None or (
            served is not None and isinstance(instance, int) and instance != served
        ):
            self.ignored_events += 1
            return
        counted = place.account.take_event(place, event, self._clock())
        if counted:
            connection.prove()
        elif counted is None:
            self.ignored_events += 1

    @override
    def connection_unauthorized(self, connection: Connection, *, said: bool) -> None:
        """Let REST confirm that the token is refused."""
        self.check_token(said=said)

    # -- what a reconnect may use --------------------------------------------------------------

    @property
    def tasks(self) -> Tasks:
        """Return what is under way."""
        return self._shared.tasks

    @property
    def seed_page_url(self) -> str:
        """Return the base URL of the server that the documentation's example asks."""
        return self.endpoints.global_zone.url

    def new_channel(
        self, on_synchronization: Callable[[Mapping[str, Any]], None]
    ) -> Channel:
        """Return a socket of its own, not opened yet."""
        return self._dialer.channel(on_synchronization)

    def form_accepted(self, form: str) -> None:
        """Remember which form of `reconnect` was accepted."""
        self.reconnect_form = form

    async def next_socket(self) -> None:
        """Return when the next socket has opened."""
        await self._link.next_socket()

    # -- inside --------------------------------------------------------------------------------

    async def _token_is_refused(self) -> None:
        """Stop everything, once."""
        self.token_refused = True
        self._shared.journal.note("token refused")
        now = self._clock()
        for some in batched(tuple(self._accounts.values()), _AT_ONCE, strict=False):
            for account in some:
                account.token_refused(now)
            await asyncio.sleep(0)
        await _close_all(self._pool)
        self._show_link()

    def _show_link(self) -> None:
        """Tell listeners whether the link to MetaApi is up, if that changed."""
        self._link.show(self._clock(), token_refused=self.token_refused)

    def _sweep(self) -> None:
        """Let the clock decide what is due."""
        now = self._clock()
        accounts = self._accounts.values()
        due = [each for each in accounts if each.terminal.deadline <= now]
        for account in sorted(due, key=_deadline)[:_AT_ONCE]:
            with account.change() as terminal:
                terminal.tick(now)
        nearest = min(map(_deadline, accounts), default=inf)
        self._show_link()
        nearest = min(nearest, self._link.deadline)
        if nearest < inf:
            self._alarm.set(nearest)


def _deadline(account: WatchedAccount) -> float:
    """Return when the clock alone can change something for an account."""
    return account.terminal.deadline


async def _close_all(connections: Iterable[Connection]) -> None:
    """Close sockets; even when this is cut short, each of them ends."""
    connections = tuple(connections)
    for connection in connections:
        connection.stop()
    await asyncio.gather(*(connection.close() for connection in connections))
