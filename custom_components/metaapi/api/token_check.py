"""Whether a token is really refused: what a socket says of it, REST has to confirm."""

import asyncio
from collections.abc import Awaitable, Callable
from math import inf

import aiohttp

from .endpoints import Endpoints
from .errors import MetaApiError, UnauthorizedError
from .provisioning import Provisioning
from .tasks import Tasks
from .timing import Timing
from .token import read_claims


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
