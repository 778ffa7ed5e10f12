"""One `reconnect` of one account, from the request to its outcome.

Protocol: the documentation's page "Reconnect". MetaApi's SDKs no longer send this request, so a server
that does not take it is asked once more in that page's own form.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping
from contextlib import AbstractContextManager
from enum import Enum
from math import inf
from typing import Any, Protocol

from .errors import (
    CannotConnectError,
    ConnectionLostError,
    MetaApiError,
    NoResponseError,
    NotConnectedError,
    RequestError,
    ValidationError,
)
from .model import Outcome, ReconnectResult
from .support import Tasks
from .terminal.terminal import Terminal
from .timing import Timing
from .transport.channel import Channel
from .transport.connection import Connection

SECOND_FORM: tuple[type[MetaApiError], ...] = (ValidationError, NoResponseError)
"""Answers to `reconnect` that may mean that a server knows only the seed page's form of it."""


class Phase(Enum):
    """What an attempt waits for."""

    SOCKET = "an open socket"
    SUBSCRIBES = "answers to subscribes, whose `authenticated` would prove no reconnect"
    RESPONSE = "an answer to the request"
    SEED_PAGE = "an answer to the request in the seed page's form"
    TERMINAL = "the new `authenticated`"


class Form(Enum):
    """Which form of the request MetaApi accepted."""

    SOCKET = "socket"
    SEED_PAGE = "seed_page"


class Place(Hashable, Protocol):
    """Where an account can be asked for."""

    @property
    def connection(self) -> Connection:
        """Return the connection that serves the account there."""

    @property
    def account_id(self) -> str:
        """Return the id that the account has there."""

    @property
    def flight(self) -> asyncio.Task[None] | None:
        """Return the subscribe that waits for its answer."""

    @property
    def accepted_at(self) -> float:
        """Return when a subscribe was last accepted."""


class Account[PlaceT: Place](Protocol):
    """Whose terminal is reconnected; it tells the attempt what happens to it."""

    @property
    def account_id(self) -> str:
        """Return the account's own id."""

    @property
    def places(self) -> Mapping[str, PlaceT]:
        """Return where the account is served."""

    @property
    def terminal(self) -> Terminal[PlaceT]:
        """Return what is known of the terminal."""

    def change(self) -> AbstractContextManager[Terminal[PlaceT]]:
        """Return a context in which the terminal may be told something."""

    def take_event(
        self, place: PlaceT, event: Mapping[str, Any], now: float
    ) -> bool | None:
        """Feed one event of a place to the terminal."""

    def attempt_ended(self, outcome: Outcome) -> None:
        """Forget the attempt, which has its outcome."""


class Means(Protocol):
    """What an attempt may use."""

    token_refused: bool

    @property
    def timing(self) -> Timing:
        """Return the pauses and bounds, in seconds."""

    @property
    def tasks(self) -> Tasks:
        """Return what is under way."""

    @property
    def seed_page_url(self) -> str:
        """Return the base URL of the server that the documentation's example asks."""

    async def next_socket(self) -> None:
        """Return when the next socket has opened."""

    def new_channel(
        self, on_synchronization: Callable[[Mapping[str, Any]], None]
    ) -> Channel:
        """Return a socket of its own, not opened yet."""

    def form_accepted(self, form: str) -> None:
        """Called when MetaApi accepted a form of the request."""


class _LostError(Exception):
    """The sockets that the request went out on are gone."""


class Attempt[PlaceT: Place]:
    """One attempt that any number of callers wait for, each for as long as it likes."""

    def __init__(self, account: Account[PlaceT], means: Means) -> None:
        """Start the attempt, which its first caller is to join at once."""
        loop = asyncio.get_running_loop()
        self._account = account
        self._means = means
        self._clock = loop.time
        self._deadline = 0.0
        self._phase = Phase.SOCKET
        self._form: Form | None = None
        self._asked: set[PlaceT | Form] = set()
        """Where the request went, as long as the socket is open."""
        self._authenticated: asyncio.Future[None] = loop.create_future()
        self._lost: asyncio.Future[None] = loop.create_future()
        self._task = means.tasks.spawn(self._run(), "metaapi reconnect")

    async def join(self, timeout: float) -> ReconnectResult:
        """Wait for the outcome, for at most `timeout` seconds of this caller's own."""
        started = self._clock()
        self._deadline = max(self._deadline, started + timeout)
        await asyncio.wait((self._task,), timeout=timeout)
        error: str | None = None
        if not self._task.done() and self._deadline > started + timeout:
            outcome = self._late
        else:
            # the attempt ends now as well: let it, so that the state tells the same story
            await asyncio.wait((self._task,))
            if self._task.cancelled():
                outcome = self._unconnected
            else:
                outcome, error = self._task.result()
        return ReconnectResult(outcome, self._clock() - started, error)

    # -- who tells it what happened ------------------------------------------------------------

    def authenticated(self) -> None:
        """Called when an `authenticated` of the account counted."""
        if self._asking and not self._authenticated.done():
            self._authenticated.set_result(None)

    def socket_lost(self, place: PlaceT | Form) -> None:
        """Called when the socket of a place, or that of the seed page's form, is gone."""
        self._asked.discard(place)
        if self._asking and not self._asked and not self._lost.done():
            self._lost.set_result(None)

    def cancel(self) -> None:
        """Give up: the account or the whole monitor is going away, or the token is refused."""
        self._task.cancel()

    # -- the phases ----------------------------------------------------------------------------

    @property
    def _asking(self) -> bool:
        """Return whether the request may have reached MetaApi."""
        return self._phase in (Phase.RESPONSE, Phase.SEED_PAGE, Phase.TERMINAL)

    @property
    def _late(self) -> Outcome:
        """Return the outcome of a time that is up."""
        if self._phase is Phase.SOCKET:
            return Outcome.NO_CONNECTION
        return Outcome.TIMED_OUT

    @property
    def _unconnected(self) -> Outcome:
        """Return the outcome of a loss of the connection."""
        if self._means.token_refused:
            return Outcome.TOKEN_REFUSED
        return Outcome.CONNECTION_LOST if self._asking else Outcome.NO_CONNECTION

    async def _run(self) -> tuple[Outcome, str | None]:
        """Make the attempt, tell the account how it ended, and return that with MetaApi's words."""
        account = self._account
        outcome, error = Outcome.NOT_DEPLOYED, None
        try:
            if account.terminal.deployed is not False:
                places = await self._find_places()
                await self._settle_subscribes()
                await self._reconnect(places)
                outcome = Outcome.AUTHENTICATED
        except RequestError as err:
            outcome, error = Outcome.REFUSED, err.message
        except TimeoutError, NoResponseError:
            outcome = self._unless_authenticated(self._late)
        except _LostError, MetaApiError:
            outcome = self._unless_authenticated(self._unconnected)
        except asyncio.CancelledError:
            outcome = self._unconnected
            raise
        finally:
            account.attempt_ended(outcome)
            with account.change() as terminal:
                if terminal.reconnecting:
                    terminal.reconnect_ended(
                        self._clock(),
                        authenticated=outcome is Outcome.AUTHENTICATED,
                        elsewhere=self._form is Form.SEED_PAGE,
                    )
        return outcome, error

    def _unless_authenticated(self, outcome: Outcome) -> Outcome:
        """Return an outcome, except for a terminal that came back all the same."""
        return Outcome.AUTHENTICATED if self._authenticated.done() else outcome

    async def _find_places(self) -> list[PlaceT]:
        """Return the places to ask in, once a socket is open: where the account was up, else all."""
        places = self._account.places
        for place in places.values():
            place.connection.wake()
        while not (opened := self._open(places.values())):
            await self._within(self._means.next_socket())
        return self._open(self._account.terminal.up_places) or opened

    @staticmethod
    def _open(places: Iterable[PlaceT]) -> list[PlaceT]:
        """Return the places whose socket is open."""
        return [place for place in places if place.connection.connected]

    async def _settle_subscribes(self) -> None:
        """Wait for a subscribe in flight: an `authenticated` that it causes proves no reconnect."""
        self._phase = Phase.SUBSCRIBES
        with self._account.change() as terminal:
            terminal.reconnect_sent(self._clock())
        places = self._account.places.values()
        patience = (self._deadline - self._clock()) / 2
        if flights := [place.flight for place in places if place.flight is not None]:
            await asyncio.wait(flights, timeout=patience)
        accepted_at = max((place.accepted_at for place in places), default=-inf)
        settled = accepted_at + self._means.timing.subscribe_settle
        if (pause := min(settled - self._clock(), patience)) > 0:
            await asyncio.sleep(pause)

    async def _reconnect(self, places: Iterable[PlaceT]) -> None:
        """Send the request, in its second form if need be, and wait for the new `authenticated`."""
        opened = self._open(places)
        if not opened:
            raise _LostError
        self._account.terminal.reconnect_sent(self._clock())
        self._phase = Phase.RESPONSE
        self._asked.update(opened)
        refusal = await self._ask(opened)
        if refusal is None:
            await self._accepted(Form.SOCKET)
        elif not self._authenticated.done():
            await self._ask_like_the_seed_page(refusal)

    async def _ask(self, places: Iterable[PlaceT]) -> MetaApiError | None:
        """Send the request on our sockets; return the error that calls for the second form."""
        requests = {
            self._means.tasks.spawn(self._request(place), "metaapi request")
            for place in places
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
                    requests, timeout=self._means.timing.subscribe_settle
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

    async def _request(self, place: PlaceT) -> MetaApiError | None:
        """Send the request in one place and return what it was answered with, if not accepted."""
        try:
            await place.connection.request(
                "reconnect",
                place.account_id,
                timeout=self._means.timing.reconnect_response,
            )
        except MetaApiError as err:
            return err
        return None

    @staticmethod
    def _take_answers(
        answered: Iterable[asyncio.Task[MetaApiError | None]],
        errors: list[MetaApiError],
    ) -> bool:
        """Collect errors; return whether anybody took the request."""
        results = [request.result() for request in answered]
        errors.extend(error for error in results if error is not None)
        return None in results

    async def _ask_like_the_seed_page(self, refusal: MetaApiError) -> None:
        """Send the request as the documentation's example does, on a socket of its own."""
        means = self._means
        self._phase = Phase.SEED_PAGE
        self._asked = {Form.SEED_PAGE}
        self._lost = asyncio.get_running_loop().create_future()
        channel = means.new_channel(self._take_event)
        try:
            try:
                await self._within(channel.connect(means.seed_page_url, seed_page=True))
                means.tasks.spawn(self._watch_channel(channel), "metaapi seed page")
                await self._within(
                    channel.request(
                        "reconnect",
                        self._account.account_id,
                        timeout=means.timing.reconnect_response,
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
            await self._accepted(Form.SEED_PAGE)
        finally:
            means.tasks.say_goodbye(channel.close(), "metaapi seed page goodbye")

    async def _watch_channel(self, channel: Channel) -> None:
        """Notice when the extra socket is gone."""
        await channel.wait_closed()
        channel.fail_pending()
        self.socket_lost(Form.SEED_PAGE)

    def _take_event(self, event: Mapping[str, Any]) -> None:
        """Handle an event of the extra socket."""
        account = self._account
        places = list(account.places.values())
        ids = {account.account_id, *(place.account_id for place in places)}
        if event.get("type") == "authenticated" and event.get("accountId") in ids:
            place = next(iter(account.terminal.up_places or places))
            account.take_event(place, {**event, "sessionId": None}, self._clock())

    async def _accepted(self, form: Form) -> None:
        """Wait for the `authenticated` that follows an accepted request.

        Raises TimeoutError, or _LostError when every socket is lost.
        """
        self._phase = Phase.TERMINAL
        self._form = form
        self._means.form_accepted(form.value)
        with self._account.change() as terminal:
            terminal.reconnect_accepted(self._clock())
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
