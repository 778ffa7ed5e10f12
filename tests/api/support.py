"""Support for tests of the monitor with the simulator, with a shortened timing."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from api.endpoints import Endpoints
from api.model import ReconnectResult
from api.monitor import Monitor
from api.terminal.terminal import AccountState
from api.timing import Timing

from simulator import Simulator

FAST = Timing(
    silence=0.4,
    silence_refuted=0.6,
    grace=0.06,
    limit_first=0.4,
    deployed_lately=1.2,
    rest_again=0.4,
    rest_period=2.0,
    rest_wait=0.1,
    rest_believed=4.0,
    round=0.4,
    unknown=0.9,
    blind=0.4,
    subscribe_first=0.05,
    subscribe_max=0.4,
    refused_floor=2.0,
    backoff_first=0.02,
    backoff_max=0.2,
    backoff_patience=0.0,
    backoff_proven=0.1,
    connect_hung=0.1,
    connect=2.0,
    upgrade=1.0,
    ping_timeout_least=0.05,
    close=0.5,
    response=1.0,
    reconnect_response=0.3,
    reconnect_socket=0.2,
    reconnect_again=0.1,
    reconnect_explained=0.3,
    reconnect_confirmed=0.1,
    reconnect_quiet=0.3,
    token_again=0.2,
    token_poll=5.0,
    token_trial=0.1,
    subscribe_settle=0.05,
    sweep=0.01,
    jitter_per_account=0.0,
)
"""A minute is 0.4 s."""

SIMULATOR: dict[str, Any] = {
    "status_interval": 0.05,
    "reconnect_delay": 0.05,
    "subscribe_timeout": 0.02,
    "ping_interval": 0.3,
    "ping_timeout": 0.3,
}


class Witness:
    """Records every state that a monitor shows."""

    def __init__(self, sim: Simulator, monitor: Monitor) -> None:
        """Start without states."""
        self.sim = sim
        self.monitor = monitor
        self.seen: dict[str, list[AccountState]] = {}
        self.hub: list[bool | None] = []
        monitor.listen_link(lambda: self.hub.append(monitor.connected))

    @property
    def id(self) -> str:
        """Return the id of the first account."""
        return self.sim.account.id

    @property
    def state(self) -> AccountState:
        """Return the state of the first account."""
        return self.monitor.state(self.id)

    def terminals(self, account_id: str | None = None) -> list[bool | str | None]:
        """Return the changes of what a terminal showed."""
        shown: list[bool | str | None] = []
        for state in self.seen[account_id or self.id]:
            value = state.terminal if state.available else "unavailable"
            if not shown or shown[-1] != value:
                shown.append(value)
        return shown

    def add(self, account_id: str, region: str = "", **facts: Any) -> None:
        """Watch an account."""
        self.monitor.add_account(account_id, region, **facts)
        states = self.seen.setdefault(account_id, [self.monitor.state(account_id)])
        self.monitor.listen(
            account_id, lambda: states.append(self.monitor.state(account_id))
        )

    @property
    def stopped(self) -> bool:
        """Return whether everything has stopped because of the token."""
        return self.monitor._token_check.stopped

    def in_flight(self, account_id: str | None = None) -> list[str]:
        """Return the zones in which a subscribe of an account is pending."""
        account = self.monitor._accounts[account_id or self.id]
        return [
            place.zone.name
            for place in account.places.values()
            if place.flight is not None
        ]

    def subscribed_since(self, count: int) -> bool:
        """Return whether another subscribe has reached the simulator."""
        return len(self.sim.requests_of("subscribe")) > count

    def reconnect(
        self, timeout: float, account_id: str | None = None
    ) -> Coroutine[Any, Any, ReconnectResult]:
        """Reconnect an account, the first by default."""
        return self.monitor.reconnect(account_id or self.id, timeout)

    async def until[T](self, condition: Callable[[], T], timeout: float = 5.0) -> T:
        """Wait for a condition."""
        return await self.sim.wait_for(condition, timeout)

    async def terminal(self, value: bool | str | None, timeout: float = 5.0) -> None:
        """Wait until the first account's terminal shows a value."""
        await self.until(
            lambda: (
                (self.state.terminal if self.state.available else "unavailable")
                == value
            ),
            timeout,
        )


@asynccontextmanager
async def watched(
    *,
    accounts: int = 1,
    timing: dict[str, float] | None = None,
    add: bool = True,
    token: str | None = None,
    application: str = "MetaApi",
    **settings: Any,
) -> AsyncIterator[Witness]:
    """Run a simulator and a monitor of its accounts."""
    async with (
        Simulator(accounts=accounts, **(SIMULATOR | settings)) as sim,
        aiohttp.ClientSession() as session,
    ):
        monitor = Monitor(
            session,
            token or sim.token,
            endpoints=Endpoints(api_url=sim.url),
            application=application,
            timing=FAST._replace(**(timing or {})),
        )
        witness = Witness(sim, monitor)
        try:
            if add:
                for account_id in sim.accounts:
                    witness.add(account_id)
            yield witness
        finally:
            await monitor.close()
