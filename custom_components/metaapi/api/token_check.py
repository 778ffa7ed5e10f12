"""Whether a token is really refused: what a socket says of it, REST has to confirm, twice."""

import asyncio
import contextlib
from math import inf
from typing import Protocol

import aiohttp

from .endpoints import Endpoints, Zone
from .errors import (
    MetaApiError,
    NoResponseError,
    TerminalTimeoutError,
    UnauthorizedError,
    ValidationError,
)
from .rest import Provisioning
from .support import Tasks
from .timing import Timing
from .token import read_claims
from .transport.connection import make_channel

_ASKS = 4
"""Answers of REST, spread over a minute, that all have to refuse the token."""


class Owner(Protocol):
    """Whose sockets carry the token."""

    def shows_events(self) -> bool:
        """Return whether an open socket shows a terminal: MetaApi takes the token there."""

    def find_zone(self) -> Zone | None:
        """Return where a token that may not use REST can be tried."""

    def is_turned_away(self) -> bool:
        """Return whether a socket was refused because of the token, and waits."""

    async def connect_again(self) -> None:
        """Let the sockets that were refused because of the token connect at once."""

    def token_doubted(self) -> None:
        """Called when a new token is to be asked for, while sockets still serve."""

    async def token_stopped(self) -> None:
        """Called when everything is to stop."""

    async def token_accepted(self) -> None:
        """Called when MetaApi takes the token again."""


class TokenCheck:
    """Asks REST about a token, however many sockets doubt it: once in a while."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        token: str,
        owner: Owner,
        *,
        tasks: Tasks,
        timing: Timing,
    ) -> None:
        """`owner` acts on what turns out."""
        self.refused = False
        """Whether a new token is to be asked for."""
        self.stopped = False
        """Whether everything is stopped until then."""
        self.running = False
        """Whether an answer is awaited."""
        self.started_at = -inf
        """When it was asked for last."""
        self._session = session
        self._token = token
        self._owner = owner
        self._tasks = tasks
        self._timing = timing
        self._said_at: float | None = None
        """When a socket first said that a token is refused that REST cannot judge."""
        self._lifted = False
        """Whether sockets that were refused connected before their floor, since one served."""
        self._clock = asyncio.get_running_loop().time

    def start(self, endpoints: Endpoints, *, said: bool) -> None:
        """Ask, unless that was done a short while ago; `said` when a socket was told so in words."""
        now = self._clock()
        if self.running or self.stopped:
            return
        if not self.refused:
            if now < self.started_at + self._timing.refused_floor and (
                read_claims(self._token).can_list_accounts is not False
            ):
                return
            self.started_at = now
            check = self._check(endpoints, said=said)
        elif said and not self._owner.shows_events():
            check = self._stop()
        else:
            return
        self.running = True
        task = self._tasks.spawn(check, "metaapi token check")
        task.add_done_callback(self._ended)

    def served(self) -> None:
        """Called when a socket serves its purpose."""
        self._lifted = False
        self._said_at = None

    def _ended(self, _: asyncio.Task[None]) -> None:
        """Note that no answer is awaited any more."""
        self.running = False

    async def _check(self, endpoints: Endpoints, *, said: bool) -> None:
        """Find out whether the token is refused, and act on it."""
        if read_claims(self._token).can_list_accounts is False:
            refused = said and self._was_said_before()
        else:
            refused = await self._is_refused(endpoints)
        self.running = False
        if not refused:
            return
        self.refused = True
        self._tasks.spawn(self._poll(endpoints), "metaapi token poll")
        if self._owner.shows_events():
            self._owner.token_doubted()
        else:
            await self._stop()

    def _was_said_before(self) -> bool:
        """Return whether a socket said the same a minute ago, or longer."""
        now = self._clock()
        if self._said_at is None:
            self._said_at = now
        return now >= self._said_at + self._timing.token_again

    async def _is_refused(self, endpoints: Endpoints) -> bool:
        """Return whether REST refuses the token for a whole minute.

        As soon as it takes the token, sockets that were refused need not wait.
        """
        refusals = 0
        for number in range(_ASKS):
            if number:
                await asyncio.sleep(self._timing.token_again / (_ASKS - 1))
                if not (refusals or self._owner.is_turned_away()):
                    return False
            taken = await self._ask(endpoints)
            refusals = refusals + 1 if taken is False else 0
            if taken and number and not self._lifted:
                # once: sockets may be refused for ever though REST takes the token
                self._lifted = True
                await self._owner.connect_again()
        return refusals == _ASKS

    async def _ask(self, endpoints: Endpoints) -> bool | None:
        """Return whether REST takes the token; None when it does not say."""
        try:
            await Provisioning(self._session, self._token, endpoints).check()
        except UnauthorizedError:
            return False
        except MetaApiError:
            return None
        return True

    async def _stop(self) -> None:
        """Stop everything."""
        if not self.stopped:
            self.stopped = True
            await self._owner.token_stopped()

    async def _poll(self, endpoints: Endpoints) -> None:
        """Ask once in a while whether MetaApi takes the token again, and go on then."""
        while True:
            await asyncio.sleep(self._timing.token_poll)
            taken = (
                await self._try_socket()
                if read_claims(self._token).can_list_accounts is False
                else await self._ask(endpoints)
            )
            if taken:
                break
            if taken is False and not self._owner.shows_events():
                await self._stop()
        self.refused = self.stopped = False
        self._said_at = None
        self.started_at = -inf
        await self._owner.token_accepted()

    async def _try_socket(self) -> bool:
        """Return whether a socket that carries the token opens and stays open for a while."""
        zone = self._owner.find_zone()
        if zone is None:
            return False
        refused = asyncio.Event()
        channel = make_channel(
            self._session,
            self._token,
            application="",
            on_synchronization=lambda event: None,
            on_unauthorized=refused.set,
            timing=self._timing,
        )
        try:
            await channel.connect(zone.url)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._timing.token_trial):
                    await channel.wait_closed()
                return False
        except MetaApiError:
            return False
        finally:
            await channel.close()
        return not refused.is_set()


async def try_subscribe(
    session: aiohttp.ClientSession,
    token: str,
    zone: Zone,
    account_id: str,
    *,
    application: str,
    timing: Timing | None = None,
) -> None:
    """Judge a token and an account id by a subscribe on a socket that is closed again.

    For tokens that may not use the provisioning API. After a good handshake, a terminal that is away, a user
    none of whose accounts is deployed (`ValidationError` without details) and silence are no errors. Raises
    HandshakeRefusedError, CannotConnectError, UnauthorizedError, ForbiddenError, NotFoundError,
    ValidationError, TooManyRequestsError, or another MetaApiError.
    """
    timing = timing or Timing()
    channel = make_channel(
        session,
        token,
        application=application,
        on_synchronization=lambda event: None,
        on_unauthorized=lambda: None,
        timing=timing,
        instance=zone.instance,
    )
    try:
        await channel.connect(zone.url)
        with contextlib.suppress(TerminalTimeoutError, NoResponseError):
            try:
                await channel.request(
                    "subscribe",
                    account_id,
                    timeout=timing.try_response,
                    sessionId=channel.session_id,
                )
            except ValidationError as err:
                if err.details:
                    raise
            with contextlib.suppress(MetaApiError):
                await channel.request("unsubscribe", account_id, timeout=timing.close)
    finally:
        await channel.close()
