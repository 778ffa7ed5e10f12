"""Everything that a test or a person may see of the simulator, and do to it."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from .account import DEPLOYED, ReconnectMode, SimAccount, SubscribeMode
from .cloud import Cloud
from .engine import Engine
from .limits import Limit, LimitType
from .records import Handshake, RestCall, SimRequest
from .rest import Rest, RestFault
from .session import SimSocket
from .settings import Settings
from .tokens import DEFAULT_OWNER, SimToken, make_jwt

POLL = 0.005


class Faults(Settings):
    """The servers' state and what may go wrong with it."""

    def __init__(self, **settings: Any) -> None:
        """Start with nothing wrong."""
        super().__init__(**settings)
        self._cloud = Cloud(self)
        self._engine = Engine(self, self._cloud, self._cloud.tokens)
        self._cloud.closed = self._engine.forget
        self._rest = Rest(self, self._cloud)
        self.token = ""

    # What there is.

    @property
    def accounts(self) -> dict[str, SimAccount]:
        """Return the accounts by id."""
        return self._cloud.accounts

    @property
    def account(self) -> SimAccount:
        """Return the first account, for tests that need but one."""
        return next(iter(self._cloud.accounts.values()))

    @property
    def tokens(self) -> dict[str, SimToken]:
        """Return what each token may do."""
        return self._cloud.tokens

    @property
    def sockets(self) -> list[SimSocket]:
        """Return the sockets that are open, the oldest first."""
        return list(self._engine.sessions.values())

    @property
    def past_sockets(self) -> deque[SimSocket]:
        """Return the sockets that have been closed."""
        return self._engine.past

    @property
    def handshakes(self) -> deque[Handshake]:
        """Return every attempt to open a socket, refused ones included."""
        return self._engine.handshakes

    @property
    def requests(self) -> deque[SimRequest]:
        """Return every request on any socket."""
        return self._cloud.requests

    @property
    def rest_calls(self) -> deque[RestCall]:
        """Return every call of the REST API."""
        return self._rest.calls

    @property
    def frozen(self) -> bool:
        """Tell whether the servers are frozen."""
        return self._engine.frozen

    @property
    def limit(self) -> Limit | None:
        """Return the subscription limit on demand."""
        return self._cloud.limits.demanded

    @property
    def rest_fault(self) -> RestFault | None:
        """Return the REST error on demand."""
        return self._rest.fault

    def requests_of(
        self, type: str | None = None, account_id: str | None = None
    ) -> list[SimRequest]:
        """Return the requests of a type, for an account, or both."""
        return [
            each
            for each in self.requests
            if type in (None, each.type) and account_id in (None, each.account_id)
        ]

    def subscribed(self, account_id: str) -> list[SimSocket]:
        """Return the sockets that are subscribed to an account."""
        return list(self._cloud.subscribers.get(account_id, {}))

    async def wait_for[T](self, condition: Callable[[], T], timeout: float = 5.0) -> T:
        """Wait until something is true, and return it; TimeoutError if it never is."""
        async with asyncio.timeout(timeout):
            # What is waited for may lie outside of the simulator.
            while not (result := condition()):  # noqa: ASYNC110
                await asyncio.sleep(POLL)
        return result

    # Accounts.

    def add_account(self, account: SimAccount) -> SimAccount:
        """Create an account upstream."""
        self.accounts[account.id] = account
        return account

    def delete_account(self, account_id: str) -> None:
        """Delete an account upstream."""
        account = self.accounts.pop(account_id)
        self._cloud.settle(account_id, up=False)
        self._cloud.sync(account)

    def rename(self, account_id: str, name: str) -> None:
        """Rename an account upstream."""
        self.accounts[account_id].name = name

    def move(
        self,
        account_id: str,
        region: str | None = None,
        zones: Iterable[int] | None = None,
    ) -> None:
        """Move an account to another region, to other zones, or both."""
        account = self.accounts[account_id]
        account.region = region or account.region
        if zones is not None:
            account.run_in(zones)
        self._cloud.sync(account)

    def set_terminal(
        self,
        account_id: str,
        up: bool,
        *,
        host: str | None = None,
        announce: bool = True,
    ) -> None:
        """Drop or bring up terminals; without `announce` only what is missing tells of it."""
        account = self.accounts[account_id]
        if up and host is None:
            self._cloud.settle(account_id, up=True)
        elif not up:
            self._cloud.settle(account_id, up=False)
        account.set_up(up, host)
        self._cloud.sync(account, announce=announce)

    def set_broker(self, account_id: str, up: bool) -> None:
        """Break or mend the broker link; a status tells of it at once."""
        account = self.accounts[account_id]
        account.broker = up
        self._cloud.status(account)

    def set_silent(self, account_id: str, silent: bool = True) -> None:
        """Stop or resume the statuses of an account."""
        self.accounts[account_id].silent = silent

    def set_status_authenticated(self, account_id: str, authenticated: bool) -> None:
        """Set what statuses say of the terminal, and send one."""
        account = self.accounts[account_id]
        account.status_authenticated = authenticated
        self._cloud.status(account)

    def set_state(self, account_id: str, state: str) -> None:
        """Set the state of deployment; what is deployed afresh starts with its terminals up."""
        account = self.accounts[account_id]
        starts = state == DEPLOYED and not account.deployed
        account.state = state
        self._cloud.settle(account_id, up=False)
        if starts:
            account.set_up(True)
        self._cloud.sync(account)

    def deploy(self, account_id: str) -> None:
        """Deploy an account."""
        self.set_state(account_id, DEPLOYED)

    def undeploy(self, account_id: str) -> None:
        """Undeploy an account."""
        self.set_state(account_id, "UNDEPLOYED")

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
        """Say what becomes of a `reconnect`, and, if that is something else, of those after the next."""
        account = self.accounts[account_id]
        account.reconnect_mode = mode
        account.reconnect_then = then
        account.reconnect_error = error or "ValidationError"
        account.reconnect_error_details = details
        account.reconnect_delay = delay

    def set_subscribe_mode(
        self, account_id: str, mode: SubscribeMode, *, error: str | None = None
    ) -> None:
        """Say what becomes of a `subscribe`."""
        account = self.accounts[account_id]
        account.subscribe_mode = mode
        account.subscribe_error = error or "ForbiddenError"

    def set_rest(self, account_id: str, **fields: Any) -> None:
        """Have REST tell these fields of an account, whatever is true; none: the truth again."""
        account = self.accounts[account_id]
        account.rest = account.rest | fields if fields else {}

    def inject_event(self, account_id: str, event: dict[str, Any]) -> int:
        """Send an event to the sockets subscribed to an account; return how many there were."""
        return self._cloud.inject(account_id, event)

    def limit_subscriptions(
        self,
        type: LimitType | None,
        *,
        retry_after: float = 10.0,
        count: int | None = None,
        accounts: Iterable[str] | None = None,
    ) -> None:
        """Answer subscribes with a limit, `count` times or until it is lifted with None."""
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

    # Sockets.

    def pick(
        self, account_id: str | None = None, sid: str | None = None
    ) -> list[SimSocket]:
        """Return the open sockets, or those of an account, or one."""
        sockets = self.sockets if account_id is None else self.subscribed(account_id)
        return [socket for socket in sockets if sid in (None, socket.sid)]

    def drop_sockets(self, account_id: str | None = None) -> int:
        """Abort the TCP connections of sockets; return how many there were."""
        return self._each(account_id, SimSocket.drop)

    def close_sockets(
        self,
        account_id: str | None = None,
        *,
        namespace: bool = True,
        packet: bool = True,
        code: int = 1000,
    ) -> int:
        """Close sockets: `41`, `1`, websocket close; the first two may be left out."""
        return self._each(
            account_id,
            lambda each: each.close(namespace=namespace, packet=packet, code=code),
        )

    def disconnect_sockets(self, account_id: str | None = None) -> int:
        """Send `41` and nothing more: the namespace ends, the socket stays."""
        return self._each(account_id, SimSocket.disconnect)

    def send_error_packet(
        self, data: Any = "Error", account_id: str | None = None
    ) -> int:
        """Send `44` with something in it."""
        return self._each(account_id, lambda each: each.error(data))

    def inject(self, text: str, account_id: str | None = None) -> int:
        """Send a raw frame; return to how many sockets."""
        return self._each(account_id, lambda each: each.send(text))

    def freeze(self, *, rest: bool = False) -> None:
        """Accept connections and answer nothing: no handshake, no pong, no event."""
        self._engine.freeze()
        if rest:
            self._rest.freeze()

    def unfreeze(self) -> None:
        """Answer again; what was held back goes first."""
        self._engine.unfreeze()
        self._rest.unfreeze()

    def refuse_sockets(
        self, status: int | None, *, retry_after: float | None = None
    ) -> None:
        """Refuse new sockets with an HTTP status; None takes them again."""
        self.refuse_status = status
        self.refuse_retry_after = retry_after

    def _each(self, account_id: str | None, act: Callable[[SimSocket], None]) -> int:
        """Do something to each socket, or to those of an account."""
        sockets = self.pick(account_id)
        for socket in sockets:
            act(socket)
        return len(sockets)

    # Tokens and REST.

    def grant(
        self,
        token: str | None = None,
        *,
        owner: str = DEFAULT_OWNER,
        provisioning: bool = True,
        streaming: bool = True,
        accounts: Iterable[str] | None = None,
        expires: int | None = None,
    ) -> str:
        """Accept a token from now on, of our own making if none is given; return it."""
        only = None if accounts is None else frozenset(accounts)
        if token is None:
            times = {} if expires is None else {"expires": expires}
            token = make_jwt(
                owner,
                provisioning=provisioning,
                streaming=streaming,
                accounts=only,
                **times,
            )
        self.tokens[token] = SimToken(
            text=token,
            owner=owner,
            provisioning=provisioning,
            streaming=streaming,
            accounts=only,
        )
        return token

    def revoke(self, token: str | None = None, *, drop: bool = False) -> None:
        """Accept a token no longer; open sockets stay unless dropped, and get UnauthorizedError."""
        token = self.token if token is None else token
        self.tokens[token].revoked = True
        if drop:
            for socket in self.sockets:
                if socket.token == token:
                    socket.drop("token revoked")

    def fail_rest(
        self,
        status: int | None,
        *,
        path: str = "/",
        count: int | None = None,
        retry_after: float | None = None,
        body: str | None = None,
    ) -> None:
        """Answer REST calls with an error, `count` times or until None ends it."""
        self._rest.fault = (
            None
            if status is None
            else RestFault(status, path, count, retry_after, body)
        )
