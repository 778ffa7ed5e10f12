"""Control of the accounts at MetaApi, by tests and people."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from .account import (
    DEPLOYED,
    ReconnectMode,
    SimAccount,
    SubscribeMode,
    SubscribePlan,
    state_changes,
)
from .cloud import Cloud
from .faults import RequestFault, Span
from .limits import Limit, LimitType


class Upstream:
    """Changes accounts, and sends the resulting events to their subscribers."""

    def __init__(self, cloud: Cloud) -> None:
        """Store the cloud with the accounts."""
        self._cloud = cloud

    # Accounts.

    def add_account(self, account: SimAccount) -> SimAccount:
        """Create an account upstream."""
        self._cloud.accounts[account.id] = account
        return account

    def delete_account(self, account_id: str) -> None:
        """Delete an account upstream."""
        account = self._cloud.accounts.pop(account_id)
        self._cloud.reconnects.settle(account_id, up=False)
        self._cloud.sync(account)

    def rename(self, account_id: str, name: str) -> None:
        """Rename an account upstream."""
        self._cloud.accounts[account_id].name = name

    def move(
        self,
        account_id: str,
        region: str | None = None,
        zones: Iterable[int] | None = None,
        *,
        announce: bool = True,
    ) -> None:
        """Move an account to another region or zones; without `announce` no event is sent."""
        account = self._cloud.accounts[account_id]
        account.region = region or account.region
        if zones is not None:
            account.run_in(zones)
        self._cloud.sync(account, announce=announce)

    def set_state(self, account_id: str, state: str) -> None:
        """Set the deployment state; a newly deployed account starts with its terminals up."""
        account = self._cloud.accounts[account_id]
        starts = state == DEPLOYED and not account.deployed
        account.state = state
        account.spec = replace(account.spec, state_changed=next(state_changes))
        self._cloud.reconnects.settle(account_id, up=False)
        if starts:
            account.set_up(True)
        self._cloud.sync(account)

    def deploy(self, account_id: str) -> None:
        """Deploy an account."""
        self.set_state(account_id, DEPLOYED)

    def undeploy(self, account_id: str) -> None:
        """Undeploy an account."""
        self.set_state(account_id, "UNDEPLOYED")

    def set_rest(self, account_id: str, /, **fields: Any) -> None:
        """Make REST show these fields of an account; without any, show the real values again."""
        account = self._cloud.accounts[account_id]
        account.rest = account.rest | fields if fields else {}

    # Terminals.

    def set_terminal(
        self,
        account_id: str,
        up: bool,
        *,
        host: str | None = None,
        announce: bool = True,
    ) -> None:
        """Take terminals down or bring them up; without `announce` no event is sent."""
        account = self._cloud.accounts[account_id]
        if up and host is None:
            self._cloud.reconnects.settle(account_id, up=True)
        elif not up:
            self._cloud.reconnects.settle(account_id, up=False)
        account.set_up(up, host)
        self._cloud.sync(account, announce=announce)

    def set_broker(self, account_id: str, up: bool) -> None:
        """Break or restore the broker connection; a status shows it at once."""
        account = self._cloud.accounts[account_id]
        account.broker = up
        self._cloud.subscriptions.status(account)

    def set_silent(self, account_id: str, silent: bool = True) -> None:
        """Stop or resume the statuses of an account."""
        account = self._cloud.accounts[account_id]
        account.events = replace(account.events, silent=silent)

    def set_status_authenticated(self, account_id: str, authenticated: bool) -> None:
        """Set the `authenticated` flag of statuses, and send one."""
        account = self._cloud.accounts[account_id]
        account.events = replace(account.events, authenticated=authenticated)
        self._cloud.subscriptions.status(account)

    def inject_event(self, account_id: str, event: dict[str, Any]) -> int:
        """Send an event to the sockets subscribed to an account; return how many."""
        return self._cloud.subscriptions.inject(account_id, event)

    # Requests.

    def set_reconnect_mode(
        self,
        account_id: str,
        mode: ReconnectMode,
        *,
        error: str | None = None,
        details: Any = None,
        delay: float | None = None,
        then: ReconnectMode | None = None,
    ) -> None:
        """Set how a `reconnect` is answered; `then` is the mode after the next one."""
        account = self._cloud.accounts[account_id]
        account.reconnecting = replace(
            account.reconnecting,
            mode=mode,
            then=then,
            error=error or "ValidationError",
            details=details,
            delay=delay,
        )

    def set_subscribe_mode(
        self, account_id: str, mode: SubscribeMode, *, error: str | None = None
    ) -> None:
        """Set how a `subscribe` is answered."""
        self._cloud.accounts[account_id].subscribing = SubscribePlan(
            mode=mode, error=error or "ForbiddenError"
        )

    def limit_subscriptions(
        self,
        type: LimitType | None,
        *,
        retry_after: float = 10.0,
        count: int | None = None,
        accounts: Iterable[str] | None = None,
    ) -> None:
        """Refuse subscribes with a limit, `count` times or until called with None."""
        self._cloud.limits.demanded = (
            None
            if type is None
            else Limit(
                type,
                retry_after,
                count,
                None if accounts is None else frozenset(accounts),
            )
        )

    def refuse_requests(
        self,
        error: str,
        *,
        type: str = "subscribe",
        url: str | None = None,
        accounts: Iterable[str] | None = None,
        count: int | None = None,
        seconds: float | None = None,
        message: str = "Refused by the simulator",
        details: Any = None,
        retry_after: float | None = None,
    ) -> None:
        """Refuse requests by type, server and accounts: `count` times or for `seconds`."""
        self._add_fault(
            RequestFault(
                type,
                error,
                Span.of(count, seconds),
                url,
                None if accounts is None else frozenset(accounts),
                message,
                details,
                retry_after,
            )
        )

    def mute_requests(
        self,
        *,
        type: str = "subscribe",
        url: str | None = None,
        accounts: Iterable[str] | None = None,
        count: int | None = None,
        seconds: float | None = None,
    ) -> None:
        """Leave requests unanswered, by type, server and accounts."""
        only = None if accounts is None else frozenset(accounts)
        self._add_fault(RequestFault(type, None, Span.of(count, seconds), url, only))

    def accept_requests(self) -> None:
        """End everything that the two methods above started."""
        self._cloud.faults.clear()

    def _add_fault(self, fault: RequestFault) -> None:
        """Add a fault; the newest one is tried first."""
        self._cloud.faults.insert(0, fault)
