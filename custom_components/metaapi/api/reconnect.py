"""One `reconnect` of one account, from the request to its outcome.

Protocol: the documentation's page "Reconnect". MetaApi's SDKs no longer send this request, so a server
that does not take it is asked once more in that page's own form.
"""

import asyncio
from collections.abc import Callable, Hashable, Iterable, Mapping
import contextlib
from enum import Enum
from math import inf
from typing import Any, Protocol

from .errors import (
    ConnectionLostError,
    MetaApiError,
    NoResponseError,
    NotConnectedError,
    NotFoundError,
    RequestError,
    TerminalTimeoutError,
    TooManyPendingError,
    ValidationError,
)
from .model import Outcome, ReconnectResult
from .support import Repeat, Tasks
from .terminal.terminal import HostKey, Terminal
from .timing import Timing
from .transport.channel import Channel
from .transport.connection import Connection

_REPEATS_MAX = 5
"""How often the place that showed the terminal last is asked again after a `TimeoutError` (SDK 16.2.0)."""


class Phase(Enum):
    """What an attempt waits for."""

    SOCKET = "an open socket"
    RESPONSE = "an answer to the request"
    PAUSE = (
        "the moment to ask again, since MetaApi says that the terminal did not answer"
    )
    SEED_PAGE = "an answer to the request in the seed page's form"
    TERMINAL = "the new `authenticated`"


class Form(Enum):
    """A form of the request."""

    SOCKET = "socket"
    """On a socket that serves the account."""
    SEED_PAGE = "seed_page"
    """As the documentation's example sends it: on a socket of its own."""


class Place(Hashable, Protocol):
    """Where an account can be asked for."""

    @property
    def connection(self) -> Connection:
        """Return the connection that serves the account there."""

    @property
    def account_id(self) -> str:
        """Return the id that the account has there."""

    @property
    def subscribed(self) -> bool:
        """Return whether the socket may hold a subscription."""

    @property
    def authenticated_at(self) -> float:
        """Return when the terminal was last authenticated there."""

    @property
    def terse(self) -> bool:
        """Return whether the server has shown neither `status` nor `host`, like the seed page's."""


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

    def change(self) -> contextlib.AbstractContextManager[Terminal[PlaceT]]:
        """Return a context in which the terminal may be told something."""

    def take_event(
        self, place: PlaceT, event: Mapping[str, Any], now: float
    ) -> bool | None:
        """Feed one event of a place to the terminal."""

    def attempt_ended(self, outcome: Outcome) -> None:
        """Forget the attempt, which has its outcome."""


class Means(Protocol):
    """What an attempt may use."""

    @property
    def stopped(self) -> bool:
        """Return whether all sockets are closed because MetaApi refuses the token."""

    @property
    def timing(self) -> Timing:
        """Return the pauses and bounds, in seconds."""

    @property
    def tasks(self) -> Tasks:
        """Return what is under way."""

    @property
    def seed_page_url(self) -> str:
        """Return the base URL of the server that the documentation's example asks."""

    @property
    def socket_form_works(self) -> bool:
        """Return whether a socket that serves accounts ever accepted a `reconnect`."""

    async def next_socket(self) -> None:
        """Return when the next socket has opened."""

    def new_channel(
        self, on_synchronization: Callable[[Mapping[str, Any]], Repeat | None]
    ) -> Channel:
        """Return a socket of its own, not opened yet."""

    def form_accepted(self, form: str) -> None:
        """Called when MetaApi accepted a form of the request."""


class Proof[PlaceT: Place]:
    """Decides whether an `authenticated` proves that the request worked.

    Like the terminal it knows no clock but the one passed in, in seconds.
    """

    def __init__(self, timing: Timing) -> None:
        """Nothing counts before a place is asked."""
        self.complete = False
        self.moved = False
        """Whether a terminal of the account came or went since the request went out."""
        self._timing = timing
        self._asked: set[PlaceT] = set()
        self._gone: list[tuple[PlaceT, HostKey]] = []
        """Hosts that went since the request did."""
        self._held: dict[tuple[PlaceT, HostKey], float] = {}
        """Hosts that a subscribe of ours may have shown, and since when."""

    @property
    def ends(self) -> float:
        """Return when the clock alone completes the proof."""
        return min(
            (
                since + self._timing.reconnect_quiet
                for (place, _), since in self._held.items()
                if place.terse
            ),
            default=inf,
        )

    def asked(self, place: PlaceT) -> None:
        """Called when the request goes out in a place."""
        self._asked.add(place)

    def not_asked(self, place: PlaceT) -> None:
        """Called when the request did not go out after all."""
        self._asked.discard(place)

    def authenticated(
        self, place: PlaceT, key: HostKey, now: float, *, explained: bool
    ) -> None:
        """Handle an `authenticated`; `explained` when a subscribe of ours may have caused it."""
        if not self._asked:
            return
        self.moved = True
        went = [host for where, host in self._gone if where == place]
        if place not in self._asked and not went:
            return
        if not explained or any(_matches(host, key) for host in went):
            self.complete = True
        else:
            self._held.setdefault((place, key), now)

    def disconnected(self, place: PlaceT, key: HostKey) -> None:
        """Handle a `disconnected`, or a `status` that says that the terminal is not authenticated."""
        if not self._asked:
            return
        self.moved = True
        self._gone.append((place, key))
        self._held = {
            (where, host): since
            for (where, host), since in self._held.items()
            if where != place or not _matches(host, key)
        }

    def status(self, place: PlaceT, key: HostKey, now: float) -> None:
        """Handle a `status`: a terminal that was on its way out when it authenticated sends none any more."""
        for (where, host), since in self._held.items():
            if (
                where == place
                and _matches(host, key)
                and now >= since + self._timing.reconnect_confirmed
            ):
                self.complete = True

    def tick(self, now: float) -> None:
        """Let the clock decide what is due."""
        if now >= self.ends:
            self.complete = True


class Attempt[PlaceT: Place]:
    """One attempt that any number of callers wait for, each for as long as it likes."""

    def __init__(self, account: Account[PlaceT], means: Means) -> None:
        """Start the attempt, which its first caller is to join at once."""
        self._account = account
        self._means = means
        self._clock = asyncio.get_running_loop().time
        self._deadline = 0.0
        self._phase = Phase.SOCKET
        self._form: Form | None = None
        """Which form of the request was accepted."""
        self._proof = Proof[PlaceT](means.timing)
        self._open: set[PlaceT | Form] = set()
        """The sockets that carry the request."""
        self._lost = False
        """Whether the last of them went."""
        self._refusal: RequestError | None = None
        """What the seed page's form was answered with, while the other is unanswered."""
        self._answer: asyncio.Task[None] | None = None
        """The request on a socket that serves the account."""
        self._news = asyncio.Event()
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

    def cancel(self) -> None:
        """Give up: the account or the whole monitor is going away, or the token is refused."""
        self._task.cancel()

    # -- what the account reports --------------------------------------------------------------

    def authenticated(
        self, place: PlaceT, key: HostKey, now: float, *, explained: bool
    ) -> None:
        """Called when an `authenticated` of the account counted."""
        self._proof.authenticated(place, key, now, explained=explained)
        self._news.set()

    def disconnected(self, place: PlaceT, key: HostKey) -> None:
        """Called when a terminal of the account has gone."""
        self._proof.disconnected(place, key)

    def status(self, place: PlaceT, key: HostKey, now: float) -> None:
        """Called with each `status` of the account."""
        self._proof.status(place, key, now)
        if self._proof.complete:
            self._news.set()

    def socket_lost(self, place: PlaceT | Form) -> None:
        """Called when the socket of a place, or that of the seed page's form, is gone."""
        if place in self._open:
            self._open.discard(place)
            self._lost = not self._open
            self._news.set()

    # -- the outcome ---------------------------------------------------------------------------

    @property
    def _late(self) -> Outcome:
        """Return the outcome of a time that is up."""
        if self._phase is Phase.SOCKET:
            return Outcome.NO_CONNECTION
        return Outcome.TIMED_OUT

    @property
    def _unconnected(self) -> Outcome:
        """Return the outcome of a loss of the connection."""
        if self._means.stopped:
            return Outcome.TOKEN_REFUSED
        if self._phase is Phase.SOCKET:
            return Outcome.NO_CONNECTION
        return Outcome.CONNECTION_LOST

    async def _run(self) -> tuple[Outcome, str | None]:
        """Make the attempt, tell the account how it ended, and return that with MetaApi's words."""
        account = self._account
        outcome, error = Outcome.NOT_DEPLOYED, None
        try:
            if account.terminal.deployed is not False:
                outcome, error = await self._decide()
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

    async def _decide(self) -> tuple[Outcome, str | None]:
        """Ask, and return the outcome: whichever comes first, proof, refusal, loss or the deadline."""
        asking = self._means.tasks.spawn(self._ask_around(), "metaapi reconnect asks")
        asking.add_done_callback(self._asking_ended)
        try:
            while True:
                now = self._clock()
                self._proof.tick(now)
                if self._proof.complete:
                    await self._await_response()
                    return Outcome.AUTHENTICATED, None
                if asking.done() and (failure := asking.exception()) is not None:
                    return self._fail(failure)
                if self._lost:
                    return self._unconnected, None
                if now >= self._deadline:
                    if self._refusal is not None and self._form is None:
                        return self._fail(self._refusal)
                    return self._late, None
                self._news.clear()
                await self._sleep(min(self._deadline, self._proof.ends) - now)
        finally:
            asking.cancel()

    def _asking_ended(self, asking: asyncio.Task[None]) -> None:
        """Wake whoever waits for the outcome."""
        _retrieve(asking)
        self._news.set()

    async def _sleep(self, seconds: float) -> None:
        """Wait for news, for so long at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()

    def _fail(self, error: BaseException) -> tuple[Outcome, str | None]:
        """Return the outcome of an error."""
        if isinstance(error, RequestError):
            return Outcome.REFUSED, error.message
        if isinstance(error, MetaApiError):
            return self._unconnected, None
        raise error

    async def _await_response(self) -> None:
        """Give the response, which may come after the `authenticated`, a moment: it tells which form works."""
        if self._answer is not None:
            timeout = self._means.timing.subscribe_settle
            await asyncio.wait((self._answer,), timeout=timeout)

    # -- asking --------------------------------------------------------------------------------

    async def _ask_around(self) -> None:
        """Send the request in one place at a time until one takes it; raises the error that is the outcome."""
        timing = self._means.timing
        done: list[PlaceT] = []
        repeats = 0
        while not self._proof.complete:
            place = await self._find_place(done)
            with self._account.change() as terminal:
                now = self._clock()
                if not place.subscribed:
                    terminal.subscribe_now(place, now)
                if not terminal.reconnecting:
                    terminal.reconnect_sent(now)
            answer = self._means.tasks.spawn(self._request(place), "metaapi request")
            self._answer = answer
            answer.add_done_callback(_retrieve)
            try:
                await self._answered(answer)
            except NotConnectedError, TooManyPendingError:
                # nothing went out
                await asyncio.sleep(timing.subscribe_settle)
            except NotFoundError:
                done.append(place)
                if not self._candidates(done):
                    raise
            except TerminalTimeoutError:
                self._phase = Phase.PAUSE
                await asyncio.sleep(timing.reconnect_again)
                if place is self._favorite() and repeats < _REPEATS_MAX:
                    repeats += 1
                else:
                    done.append(place)
                if self._proof.moved or not self._candidates(done):
                    return
            except ValidationError as refusal:
                if not self._proof.complete:
                    await self._ask_like_the_seed_page(refusal)
                return
            else:
                return
            finally:
                answer.cancel()

    def _favorite(self) -> PlaceT | None:
        """Return the place where the terminal was last authenticated."""
        places = self._account.places.values()
        best = max(places, key=lambda place: place.authenticated_at, default=None)
        return best if best is not None and best.authenticated_at > -inf else None

    def _candidates(self, done: Iterable[PlaceT]) -> list[PlaceT]:
        """Return the open places that are left, the best first."""
        places = [
            place
            for place in self._account.places.values()
            if place.connection.connected and place not in done
        ]
        return sorted(places, key=lambda place: -place.authenticated_at)

    async def _find_place(self, done: Iterable[PlaceT]) -> PlaceT:
        """Return where to ask next, once its socket is open; that of the favorite is waited for a while."""
        for place in self._account.places.values():
            place.connection.wake()
        favorite = self._favorite()
        if favorite is not None and favorite not in done:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._means.timing.reconnect_socket):
                    while not favorite.connection.connected:
                        await self._means.next_socket()
        while not (candidates := self._candidates(done)):
            await self._means.next_socket()
        return candidates[0]

    async def _request(self, place: PlaceT) -> None:
        """Send the request in a place and handle its answer; raises what `Connection.request` raises."""
        if not place.connection.connected:
            raise NotConnectedError("The socket closed before the request")
        self._phase = Phase.RESPONSE
        self._open.add(place)
        self._proof.asked(place)
        try:
            await place.connection.request("reconnect", place.account_id)
        except NotConnectedError, TooManyPendingError:
            self._open.discard(place)
            self._proof.not_asked(place)
            if not self._open:
                self._phase = Phase.SOCKET
            raise
        except NotFoundError:
            self._open.discard(place)
            raise
        self._accepted(Form.SOCKET, [place])

    async def _answered(self, answer: asyncio.Task[None]) -> None:
        """Wait for the answer; silence where nothing moves calls for the second form."""
        timing = self._means.timing
        await asyncio.wait((answer,), timeout=timing.reconnect_response)
        if not (answer.done() or self._proof.moved or self._means.socket_form_works):
            try:
                await self._ask_like_the_seed_page(None)
            except RequestError as refusal:
                self._refusal = refusal
            except MetaApiError:
                # not there; the first form may still be answered
                self._phase = Phase.RESPONSE
        with contextlib.suppress(NoResponseError):
            await answer

    async def _ask_like_the_seed_page(self, refusal: RequestError | None) -> None:
        """Send the request as the documentation's example does, on a socket of its own.

        Raises `refusal`, the answer to the other form, where nobody answers; without one, what went wrong.
        """
        means = self._means
        self._phase = Phase.SEED_PAGE
        channel = means.new_channel(self._take_seed_page_event)
        try:
            try:
                await channel.connect(means.seed_page_url, seed_page=True)
                if self._form is not None:
                    return
                self._open = (
                    {*self._open, Form.SEED_PAGE}
                    if refusal is None
                    else {Form.SEED_PAGE}
                )
                means.tasks.spawn(self._watch_channel(channel), "metaapi seed page")
                await channel.request("reconnect", self._account.account_id)
            except ConnectionLostError:
                # told by whoever watches the channel
                await asyncio.Event().wait()
            except RequestError:
                raise
            except MetaApiError:
                self._open.discard(Form.SEED_PAGE)
                if refusal is not None:
                    raise refusal from None
                raise
            places = self._account.places.values()
            own = self._account.account_id
            self._accepted(
                Form.SEED_PAGE, [one for one in places if one.account_id == own]
            )
            await asyncio.Event().wait()
        finally:
            means.tasks.say_goodbye(channel.close(), "metaapi seed page goodbye")

    async def _watch_channel(self, channel: Channel) -> None:
        """Notice when the extra socket is gone."""
        await channel.wait_closed()
        channel.fail_pending()
        self.socket_lost(Form.SEED_PAGE)

    def _take_seed_page_event(self, event: Mapping[str, Any]) -> None:
        """Handle an event of the extra socket, on which every `authenticated` of the account counts."""
        account = self._account
        places = list(account.places.values())
        ids = {account.account_id, *(place.account_id for place in places)}
        if event.get("type") == "authenticated" and event.get("accountId") in ids:
            place = self._favorite() or places[0]
            account.take_event(place, {**event, "sessionId": None}, self._clock())
            self._proof.complete = True
            self._news.set()

    def _accepted(self, form: Form, places: Iterable[PlaceT]) -> None:
        """Note that MetaApi took the request, which takes down the terminals of some places."""
        self._phase = Phase.TERMINAL
        self._form = form
        self._means.form_accepted(form.value)
        with self._account.change() as terminal:
            terminal.reconnect_accepted(self._clock(), places)
        self._news.set()


def _retrieve(task: asyncio.Task[None]) -> None:
    """Look at a task's error, so that the loop does not log it where nobody waits any more."""
    if not task.cancelled():
        task.exception()


def _matches(one: HostKey, other: HostKey) -> bool:
    """Return whether two keys can mean the same host; None matches any."""
    return all(
        a is None or b is None or a == b for a, b in zip(one, other, strict=True)
    )
