"""One `reconnect` of one account, from the request to its outcome.

Protocol: the documentation's page "Reconnect". MetaApi's SDKs no longer send this request, so a server
that does not take it is asked once more in that page's own form.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from .errors import (
    CannotConnectError,
    ConnectionLostError,
    MetaApiError,
    NoResponseError,
    NotConnectedError,
    RequestError,
    ValidationError,
)
from .transport.channel import Channel
from .transport.connection import Connection

if TYPE_CHECKING:
    from .account import WatchedAccount
    from .monitor import Monitor


class Outcome(StrEnum):
    """How a reconnect ended."""

    AUTHENTICATED = "authenticated"
    REFUSED = "refused"
    TIMED_OUT = "timed_out"
    NOT_DEPLOYED = "not_deployed"
    NO_CONNECTION = "no_connection"


@dataclass(frozen=True, slots=True)
class ReconnectResult:
    """What a caller is told."""

    outcome: Outcome
    seconds: float
    error: str | None = None
    """What MetaApi said of a refusal, without the token; or more on why there is no connection."""


LOST = "The connection was lost before the outcome was known"
"""The error of a `no_connection` whose request may have reached MetaApi."""

TOKEN_REFUSED = "MetaApi refuses the token"
"""The error of a `no_connection` that only a new token can mend."""

SECOND_FORM: tuple[type[MetaApiError], ...] = (ValidationError, NoResponseError)
"""Answers to `reconnect` that may mean that a server knows only the seed page's form of it."""

_SEED_PAGE = "seed_page"


class _LostError(Exception):
    """The sockets that the request went out on are gone."""


class Attempt:
    """One attempt that any number of callers wait for, each for as long as it likes."""

    def __init__(self, monitor: Monitor, watch: WatchedAccount) -> None:
        """Start the attempt, which goes on for as long as its first caller likes, who is to join at once."""
        self.form: str | None = None
        """Which form of the request was accepted: `socket` or `seed_page`."""
        self._monitor = monitor
        self._watch = watch
        self._timing = monitor.timing
        self._clock = asyncio.get_running_loop().time
        self._deadline = 0.0
        self._phase = Outcome.NO_CONNECTION
        self._armed = False
        self._zones: set[str] = set()
        loop = asyncio.get_running_loop()
        self._authenticated: asyncio.Future[None] = loop.create_future()
        self._lost: asyncio.Future[None] = loop.create_future()
        self._task = monitor.tasks.spawn(self._run(), "metaapi reconnect")

    async def join(self, timeout: float) -> ReconnectResult:
        """Wait for the outcome, for at most `timeout` seconds of this caller's own."""
        started = self._clock()
        self._deadline = max(self._deadline, started + timeout)
        await asyncio.wait((self._task,), timeout=timeout)
        if not self._task.done() and self._deadline > started + timeout:
            return ReconnectResult(self._phase, self._clock() - started)
        # the attempt ends now as well: let it, so that the state tells the same story
        await asyncio.wait((self._task,))
        seconds = self._clock() - started
        if self._task.cancelled():
            return ReconnectResult(Outcome.NO_CONNECTION, seconds, self._lost_error)
        result = self._task.result()
        return ReconnectResult(result.outcome, seconds, result.error)

    def cancel(self) -> None:
        """Give up: the account or the whole monitor is going away."""
        self._task.cancel()

    def authenticated(self) -> None:
        """Hear that an `authenticated` of the account counted."""
        if self._armed and not self._authenticated.done():
            self._authenticated.set_result(None)

    def socket_lost(self, zone: str) -> None:
        """Hear that a zone's socket is gone."""
        self._zones.discard(zone)
        if self._armed and not self._zones and not self._lost.done():
            self._lost.set_result(None)

    async def _run(self) -> ReconnectResult:
        """Make the attempt and tell the link how it ended."""
        link = self._watch.link
        outcome = Outcome.NO_CONNECTION
        error: str | None = None
        try:
            if link.deployed is False:
                outcome = Outcome.NOT_DEPLOYED
                return ReconnectResult(outcome, 0.0)
            sockets = await self._sockets()
            link.reconnect_sent(self._clock())
            self._monitor.pump(self._watch)
            await self._settle_subscribes()
            await self._reconnect(sockets)
            outcome = Outcome.AUTHENTICATED
        except RequestError as err:
            outcome, error = Outcome.REFUSED, err.message
        except TimeoutError, NoResponseError:
            outcome = self._unless_authenticated(self._phase)
        except _LostError, MetaApiError:
            outcome = self._unless_authenticated(Outcome.NO_CONNECTION)
            error = {Outcome.NO_CONNECTION: self._lost_error}.get(outcome)
        finally:
            self._monitor.attempt_ended(self._watch, outcome)
            if link.reconnecting:
                link.reconnect_ended(
                    self._clock(),
                    authenticated=outcome is Outcome.AUTHENTICATED,
                    elsewhere=self.form == _SEED_PAGE,
                )
                self._monitor.pump(self._watch)
        return ReconnectResult(outcome, 0.0, error)

    @property
    def _lost_error(self) -> str | None:
        """Return what to add to the loss of the connection."""
        if self._monitor.token_refused:
            return TOKEN_REFUSED
        return LOST if self._armed else None

    def _unless_authenticated(self, outcome: Outcome) -> Outcome:
        """Return an outcome, but for a terminal that came back all the same."""
        return Outcome.AUTHENTICATED if self._authenticated.done() else outcome

    async def _sockets(self) -> dict[str, Connection]:
        """Return the open sockets to use, once there is one: where the account was up, else all."""
        for connection in self._watch.sockets.values():
            connection.wake()
        while True:
            opened = {
                zone: connection
                for zone, connection in self._watch.sockets.items()
                if connection.connected
            }
            if opened:
                up = {
                    zone: opened[zone]
                    for zone in self._watch.link.up_places
                    if zone in opened
                }
                return up or opened
            await self._within(self._monitor.next_connection())

    async def _settle_subscribes(self) -> None:
        """Wait for a subscribe in flight: an `authenticated` that it causes proves no reconnect."""
        self._phase = Outcome.TIMED_OUT
        patience = (self._deadline - self._clock()) / 2
        if flights := tuple(self._watch.flights.values()):
            await asyncio.wait(flights, timeout=patience)
        settled = self._watch.accepted_at + self._timing.subscribe_settle
        if (pause := min(settled - self._clock(), patience)) > 0:
            await asyncio.sleep(pause)

    async def _reconnect(self, sockets: Mapping[str, Connection]) -> None:
        """Send the request, in its second form if need be, and wait for the new `authenticated`."""
        self._zones = {
            zone for zone, connection in sockets.items() if connection.connected
        }
        if not self._zones:
            raise _LostError
        self._watch.link.reconnect_sent(self._clock())
        self._armed = True
        refusal = await self._ask(sockets)
        if refusal is None:
            self.form = "socket"
            self._accepted()
            await self._outcome()
        elif not self._authenticated.done():
            await self._ask_like_the_seed_page(refusal)

    async def _ask(self, sockets: Mapping[str, Connection]) -> MetaApiError | None:
        """Send the request on our sockets; return the error that calls for the second form."""
        requests = {
            self._monitor.tasks.spawn(
                self._request(sockets[zone], zone), "metaapi request"
            )
            for zone in self._zones
        }
        errors: list[MetaApiError] = []
        try:
            while requests and not self._authenticated.done():
                await self._within(self._first_of(*requests, self._authenticated))
                done = {request for request in requests if request.done()}
                if self._take_answers(done, errors):
                    return None
                requests -= done
            if requests:
                # it may come before the response, which then is on its way
                done, _ = await asyncio.wait(
                    requests, timeout=self._timing.subscribe_settle
                )
                if self._take_answers(done, errors):
                    return None
        finally:
            for request in requests:
                request.cancel()
        second = [error for error in errors if isinstance(error, SECOND_FORM)]
        if errors and not second:
            raise errors[0]
        refused = [error for error in second if isinstance(error, ValidationError)]
        return next(iter(refused or second), None)

    async def _request(self, connection: Connection, zone: str) -> MetaApiError | None:
        """Send the request on one socket and return what it was answered with, if not accepted."""
        account_id = self._watch.ids.get(zone, self._watch.account_id)
        try:
            await connection.request(
                "reconnect", account_id, timeout=self._timing.reconnect_response
            )
        except MetaApiError as err:
            return err
        return None

    def _take_answers(
        self,
        answered: Iterable[asyncio.Task[MetaApiError | None]],
        errors: list[MetaApiError],
    ) -> bool:
        """Collect errors; return whether anybody took the request."""
        results = [request.result() for request in answered]
        errors.extend(error for error in results if error is not None)
        return None in results

    async def _ask_like_the_seed_page(self, refusal: MetaApiError) -> None:
        """Send the request as the documentation's example does, on a socket of its own."""
        channel = self._monitor.new_channel(self._synchronization)
        self._zones = {_SEED_PAGE}
        self._lost = asyncio.get_running_loop().create_future()
        try:
            try:
                await self._within(
                    channel.connect(
                        self._monitor.endpoints.global_zone.url, seed_page=True
                    )
                )
                self._monitor.tasks.spawn(
                    self._watch_channel(channel), "metaapi seed page"
                )
                await self._within(
                    channel.request(
                        "reconnect",
                        self._watch.account_id,
                        timeout=self._timing.reconnect_response,
                    )
                )
            except (
                CannotConnectError,
                ConnectionLostError,
                NoResponseError,
                NotConnectedError,
            ):
                if self._authenticated.done():
                    return
                raise refusal from None
            self.form = _SEED_PAGE
            self._accepted()
            await self._outcome()
        finally:
            self._monitor.tasks.say_goodbye(
                channel.close(), "metaapi seed page goodbye"
            )

    async def _watch_channel(self, channel: Channel) -> None:
        """Notice when the extra socket is gone."""
        await channel.wait_closed()
        channel.fail_pending()
        self.socket_lost(_SEED_PAGE)

    def _accepted(self) -> None:
        """Tell the link that MetaApi took the request."""
        self._monitor.note_form(self.form)
        self._watch.link.reconnect_accepted(self._clock())
        self._monitor.pump(self._watch)

    def _synchronization(self, event: Mapping[str, Any]) -> None:
        """Take an event of the extra socket."""
        ids = {self._watch.account_id, *self._watch.ids.values()}
        if event.get("type") == "authenticated" and event.get("accountId") in ids:
            zone = next(iter(self._watch.link.up_places or self._watch.sockets))
            self._monitor.account_event(self._watch, zone, {**event, "sessionId": None})

    async def _outcome(self) -> None:
        """Wait for the `authenticated`; raises TimeoutError or when every socket is lost."""
        await self._within(self._first_of(self._authenticated, self._lost))
        if not self._authenticated.done():
            raise _LostError

    @staticmethod
    async def _first_of(*futures: asyncio.Future[Any]) -> None:
        """Wait until the first of several things happened."""
        await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)

    async def _within[ResultT](self, awaitable: Awaitable[ResultT]) -> ResultT:
        """Await something until the deadline, which a later caller may move; raises TimeoutError."""
        task = asyncio.ensure_future(awaitable)
        try:
            while not task.done():
                left = self._deadline - self._clock()
                if left <= 0:
                    raise TimeoutError
                await asyncio.wait((task,), timeout=left)
            return task.result()
        finally:
            task.cancel()
