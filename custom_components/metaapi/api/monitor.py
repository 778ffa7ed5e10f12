"""All accounts of one token: brings terminals, connections and listeners together."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
import logging
from typing import Any, override

import aiohttp

from .account import Place, Shared, WatchedAccount, give_back
from .endpoints import Endpoints, Zone
from .errors import HandshakeRefusedError, TooManyRequestsError
from .model import Outcome, ReconnectResult, Replica
from .reconnect import Attempt, Form
from .subscriber import Subscriber
from .support import Alarm, Journal, Listener, Repeat, Tasks, Turn
from .terminal.terminal import AccountState, Terminal
from .timing import Timing
from .token import clean
from .token_check import TokenCheck
from .transport.channel import Channel
from .transport.connection import (
    Connection,
    ConnectionListener,
    ConnectionState,
    make_channel,
)
from .transport.pool import Link, Pool

_LOGGER = logging.getLogger(__name__)

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
        self, on_synchronization: Callable[[Mapping[str, Any]], Repeat | None]
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


class _TokenGuard:
    """Stops what uses a token that is refused, and lets it go on."""

    def __init__(
        self,
        accounts: Mapping[str, WatchedAccount],
        pool: Pool[Place],
        link: Link,
        journal: Journal,
    ) -> None:
        """`accounts` are all of a monitor, those to come as well."""
        self._accounts = accounts
        self._pool = pool
        self._link = link
        self._journal = journal
        self._clock = asyncio.get_running_loop().time

    def find_zone(self) -> Zone | None:
        """Return a zone in use."""
        return next((connection.zone for connection in self._pool), None)

    def shows_events(self) -> bool:
        """Return whether an open socket shows a terminal: MetaApi takes the token there."""
        return any(account.terminal.up for account in self._accounts.values())

    def is_turned_away(self) -> bool:
        """Return whether a socket was refused because of the token, and waits."""
        return any(map(_is_turned_away, self._pool))

    async def connect_again(self) -> None:
        """Let the sockets that were refused because of the token connect at once."""
        for connection in filter(_is_turned_away, self._pool):
            await connection.close()
            if connection in self._pool:
                connection.start()

    def token_doubted(self) -> None:
        """Let listeners ask for a new token, while sockets still serve."""
        self._journal.note("token refused by REST")
        self._link.listeners.tell()

    async def token_stopped(self) -> None:
        """Stop everything."""
        self._journal.note("token refused")
        await self._change_all(WatchedAccount.token_refused)
        await _close_all(self._pool)
        self._link.show(self._clock(), token_refused=True)

    async def token_accepted(self) -> None:
        """Go on where everything was stopped, and let listeners close their question for a new token."""
        self._journal.note("token accepted")
        await self._change_all(WatchedAccount.token_accepted)
        for connection in self._pool:
            if connection.state is ConnectionState.CLOSED:
                connection.start()
        self._link.listeners.tell()

    async def _change_all(
        self, change: Callable[[WatchedAccount, float], None]
    ) -> None:
        """Change all accounts, some at a time."""
        now, turn = self._clock(), Turn()
        for account in tuple(self._accounts.values()):
            change(account, now)
            await turn.share()


@dataclass(slots=True, kw_only=True)
class _Means:
    """What reconnects may use, and which forms of the request worked."""

    timing: Timing
    tasks: Tasks
    dialer: _Dialer
    link: Link
    token_check: TokenCheck
    find_endpoints: Callable[[], Endpoints]
    forms: list[str] = field(default_factory=list)
    """The forms of `reconnect` that MetaApi accepted, the last one at the end."""

    @property
    def stopped(self) -> bool:
        """Return whether all sockets are closed because MetaApi refuses the token."""
        return self.token_check.stopped

    @property
    def seed_page_url(self) -> str:
        """Return the base URL of the server that the documentation's example asks."""
        return self.find_endpoints().global_zone.url

    @property
    def socket_form_works(self) -> bool:
        """Return whether a socket that serves accounts ever accepted a `reconnect`."""
        return Form.SOCKET.value in self.forms

    async def next_socket(self) -> None:
        """Return when the next socket has opened."""
        await self.link.next_socket()

    def new_channel(
        self, on_synchronization: Callable[[Mapping[str, Any]], Repeat | None]
    ) -> Channel:
        """Return a socket of its own, not opened yet."""
        return self.dialer.channel(on_synchronization)

    def form_accepted(self, form: str) -> None:
        """Remember which form of `reconnect` was accepted."""
        self.forms = [*(one for one in self.forms if one != form), form]


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
        self._clock = asyncio.get_running_loop().time
        self.endpoints = endpoints or Endpoints()
        self.ignored_events = 0
        """Events that made no sense, or were for accounts that nobody asked for."""
        self.on_facts_wanted: Callable[[str], None] = _ignore
        """Called with an id when what the provisioning API says of the account, read from now on, would decide.

        The answer is `set_facts`; it may come late, or never. It may be wanted more often than MetaApi allows:
        fold, and keep to its pace.
        """
        self._dialer = _Dialer(session, token, application, timing)
        self._accounts: dict[str, WatchedAccount] = {}
        self._subscriber = Subscriber(
            self._accounts, journal=journal, tasks=tasks, timing=timing
        )
        self._alarm = Alarm(timing.sweep)
        pool = Pool[Place](lambda zone: self._dialer.connection(zone, self))
        self._shared = Shared(
            pool=pool,
            tasks=tasks,
            journal=journal,
            timing=timing,
            perform=self._subscriber.perform,
            want_facts=self._want_facts,
            arm=self._alarm.set,
            clock=self._clock,
        )
        self._pool = pool
        self._link = Link(pool, timing)
        guard = _TokenGuard(self._accounts, pool, self._link, journal)
        self._token_check = TokenCheck(
            session, token, guard, tasks=tasks, timing=timing
        )
        self._means = _Means(
            timing=timing,
            tasks=tasks,
            dialer=self._dialer,
            link=self._link,
            token_check=self._token_check,
            find_endpoints=lambda: self.endpoints,
        )

    # -- what callers use ----------------------------------------------------------------------

    @property
    def timing(self) -> Timing:
        """Return the pauses and bounds, in seconds."""
        return self._shared.timing

    @property
    def token_refused(self) -> bool:
        """Return whether a new token is to be asked for.

        Sockets that show events go on meanwhile; others are closed. It may become False again by itself.
        """
        return self._token_check.refused

    @property
    def connected(self) -> bool | None:
        """Return whether the link to MetaApi is up: False after no socket was open for a minute.

        None while that is not decided yet, or no account needs a socket.
        """
        return self._link.connected

    @property
    def reconnect_form(self) -> str | None:
        """Return which form of `reconnect` MetaApi accepted last: `socket` or `seed_page`."""
        return self._means.forms[-1] if self._means.forms else None

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
        return _assemble(self.diagnostics_parts())

    def diagnostics_parts(self) -> Iterator[tuple[str, Any]]:
        """Yield what `diagnostics` returns, bit by bit: a thousand accounts at once would keep others waiting.

        Each entry of `sockets`, `accounts` and `events` is a part of its own, named like its list.
        """
        now = self._clock()
        held_for = max(self._subscriber.held_until - now, 0.0)
        yield "connected", self.connected
        yield "token_refused", self.token_refused
        yield "reconnect_form", self.reconnect_form
        yield "ignored_events", self.ignored_events
        yield "subscribes_held_for", round(held_for, 1)
        for name, parts in (
            (
                "sockets",
                (
                    {
                        "server": self.endpoints.kind(each.zone),
                        "accounts": len(self._pool.routes(each)),
                        **each.diagnostics(self._clock()),
                    }
                    for each in self._pool
                ),
            ),
            (
                "accounts",
                (
                    each.diagnostics(self._clock())
                    for each in [*self._accounts.values()]
                ),
            ),
            ("events", self._shared.journal.diagnostics()),
        ):
            for part in parts:
                # names of hosts are a server's words
                yield name, clean(part, self._dialer.token, _DEPTH)

    def add_account(
        self,
        account_id: str,
        region: str = "",
        *,
        deployed: bool | None = None,
        replicas: Iterable[Replica] = (),
        was_on: bool = False,
    ) -> None:
        """Watch an account; a region of "" means that it is not known.

        `was_on` says that its terminal was on in an earlier run.
        """
        if account_id in self._accounts:
            # what it has already, sockets and listeners, stays
            self.place_account(account_id, region, replicas)
            if deployed is not None:
                self.set_facts(account_id, deployed=deployed)
            return
        now = self._clock()
        terminal = Terminal[Place](
            (),
            now,
            timing=self.timing,
            id_of=lambda place: place.account_id,
            was_on=was_on,
        )
        terminal.facts(now, deployed=deployed)
        account = WatchedAccount(account_id, terminal, self._shared)
        self._accounts[account_id] = account
        self._shared.journal.note("added", account_id)
        if self._alarm.stopped:
            account.stop()
        self._subscriber.admit(account, now)
        self._link.expect_socket(now)
        self.place_account(account_id, region, replicas)
        self._alarm.set(self._link)

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
        self,
        account_id: str,
        *,
        deployed: bool | None = None,
        exists: bool = True,
        connection: str | None = None,
        read_since: float | None = None,
        high_reliability: bool | None = None,
    ) -> None:
        """Take what the provisioning API says about an account; `deployed` None means that it cannot be asked.

        `connection` is the account's `connectionStatus`, `read_since` the loop's time when the read began (now,
        if it is None), `high_reliability` whether its `reliability` is `high`.
        """
        if (account := self._accounts.get(account_id)) is not None:
            with account.change() as terminal:
                terminal.facts(
                    self._clock(),
                    deployed=deployed,
                    exists=exists,
                    connection=connection,
                    read_since=read_since,
                    high_reliability=high_reliability,
                )

    async def reconnect(
        self, account_id: str, timeout: float = 60.0
    ) -> ReconnectResult:
        """Reconnect an account's terminal and return how it went; never raises for an outcome.

        `timeout` is in seconds. A second caller joins an attempt that is under way.
        Source: documentation, "Reconnect".
        """
        if self._means.stopped:
            return ReconnectResult(Outcome.TOKEN_REFUSED, 0.0)
        account = self._accounts.get(account_id)
        if account is None or self._alarm.stopped:
            return ReconnectResult(Outcome.NO_CONNECTION, 0.0)
        attempt = account.attempt
        if attempt is None:
            attempt = account.attempt = Attempt(account, self._means)
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
        if not self._alarm.stopped:
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
        self._alarm.set(self._link)

    @override
    def connection_event(
        self, connection: Connection, event: Mapping[str, Any]
    ) -> Repeat | None:
        """Hand an event to its account."""
        account_id = event.get("accountId")
        place = (
            self._pool.route(connection, account_id)
            if isinstance(account_id, str)
            else None
        )
        served = connection.zone.instance
        instance = event.get("instanceIndex")
        if (
            place is None
            # `true` and 1.0 equal an instance number and are none
            or isinstance(instance, (bool, float))
            or (served is not None and isinstance(instance, int) and instance != served)
        ):
            self.ignored_events += 1
            return None
        counted = place.account.take_event(place, event, self._clock())
        if counted:
            connection.prove()
            self._token_check.served()
        elif counted is None:
            self.ignored_events += 1
        return place.account.repeat

    @override
    def connection_unauthorized(self, connection: Connection, *, said: bool) -> None:
        """Let REST confirm that the token is refused."""
        self.check_token(said=said)

    # -- inside --------------------------------------------------------------------------------

    def _show_link(self) -> None:
        """Tell listeners whether the link to MetaApi is up, if that changed."""
        self._link.show(self._clock(), token_refused=self._means.stopped)

    def _want_facts(self, account_id: str) -> None:
        """Have the provisioning API asked about an account; a fault there must not cost a socket."""
        self._shared.journal.note("facts wanted", account_id)
        try:
            self.on_facts_wanted(account_id)
        except Exception:
            _LOGGER.exception("Error in a listener")


def _assemble(parts: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return diagnostics as one tree."""
    tree: dict[str, Any] = {"sockets": [], "accounts": [], "events": []}
    for name, part in parts:
        if isinstance(tree.get(name), list):
            tree[name].append(part)
        else:
            tree[name] = part
    return tree


def _ignore(account_id: str) -> None:
    """Have nobody to ask."""


def _is_turned_away(connection: Connection) -> bool:
    """Return whether a socket was refused because of the token, and waits."""
    error = connection.statistics.last_error
    return (
        connection.state is ConnectionState.BACKING_OFF
        and isinstance(error, HandshakeRefusedError)
        and error.status == HTTPStatus.UNAUTHORIZED
    )


async def _close_all(connections: Iterable[Connection]) -> None:
    """Close sockets; even when this is cut short, each of them ends."""
    connections = tuple(connections)
    for connection in connections:
        connection.stop()
    await asyncio.gather(*(connection.close() for connection in connections))
