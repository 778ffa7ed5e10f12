"""Whether a token is really refused: what a socket says of it, REST has to confirm."""

import asyncio
from collections.abc import Awaitable, Callable
import contextlib
from math import inf

import aiohttp

from .endpoints import Endpoints, Zone
from .errors import MetaApiError, TerminalTimeoutError, UnauthorizedError
from .rest import Provisioning
from .support import Tasks
from .timing import Timing
from .token import read_claims
from .transport.connection import make_channel


class TokenCheck:
    """Asks REST about a token, however many sockets doubt it: once in a while."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        token: str,
        on_refused: Callable[[], Awaitable[None]],
        *,
        tasks: Tasks,
        timing: Timing,
    ) -> None:
        """Prepare; `on_refused` is awaited when the token turns out to be refused."""
        self.running = False
        """Whether the answer is awaited."""
        self.started_at = -inf
        """When it was asked for last."""
        self._session = session
        self._token = token
        self._on_refused = on_refused
        self._tasks = tasks
        self._timing = timing
        self._clock = asyncio.get_running_loop().time

    def start(self, endpoints: Endpoints, *, said: bool) -> None:
        """Ask, unless that was done a short while ago; `said` when a socket was told so in words."""
        now = self._clock()
        if self.running or now < self.started_at + self._timing.refused_floor:
            return
        self.running = True
        self.started_at = now
        self._tasks.spawn(self._run(endpoints, said=said), "metaapi token check")

    async def _run(self, endpoints: Endpoints, *, said: bool) -> None:
        """Tell of a token that is refused."""
        try:
            refused = await self._is_refused(endpoints, said=said)
        finally:
            self.running = False
        if refused:
            await self._on_refused()

    async def _is_refused(self, endpoints: Endpoints, *, said: bool) -> bool:
        """Ask REST, which is the judge unless the token may not use it."""
        if read_claims(self._token).can_list_accounts is False:
            return said
        try:
            await Provisioning(self._session, self._token, endpoints).check()
        except UnauthorizedError:
            return True
        except MetaApiError:
            return False
        return False


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

    For tokens that may not use the provisioning API. A terminal that is away is no error here. Raises
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
        with contextlib.suppress(TerminalTimeoutError):
            await channel.request(
                "subscribe",
                account_id,
                timeout=timing.try_response,
                sessionId=channel.session_id,
            )
            with contextlib.suppress(MetaApiError):
                await channel.request("unsubscribe", account_id, timeout=timing.close)
    finally:
        await channel.close()
