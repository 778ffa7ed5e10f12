"""The accounts in MetaApi's cloud, and the answers to requests about them."""

import asyncio
from collections import deque
from typing import Any

from . import messages
from .account import SimAccount
from .faults import RequestFault
from .limits import Limits
from .messages import InvalidError, Request, Subscription
from .reconnects import Reconnects
from .session import SimRequest, SimSocket
from .settings import Settings
from .subscriptions import Subscriptions, running_hosts
from .synchronization import packets
from .tokens import SimToken

STEP = 0.1


class Cloud:
    """Accounts, tokens and the answers to requests."""

    def __init__(self, settings: Settings) -> None:
        """Start without accounts, tokens and faults."""
        self.accounts: dict[str, SimAccount] = {}
        self.tokens: dict[str, SimToken] = {}
        self.requests: deque[SimRequest] = deque(maxlen=100_000)
        self.faults: list[RequestFault] = []
        self.subscriptions = Subscriptions(settings)
        self.limits = Limits(settings, self.subscriptions.sockets)
        self.reconnects = Reconnects(
            settings,
            self.subscriptions,
            # Looked up at each call, since a test may replace `sync`.
            lambda account: self.sync(account),  # noqa: PLW0108
        )
        self._settings = settings

    # Called by sockets.

    def on_event(self, socket: SimSocket, name: str, payload: Any) -> None:
        """Handle an event; only `request` has an effect."""
        if name != "request":
            return
        request = SimRequest(asyncio.get_running_loop().time(), socket, payload)
        self.requests.append(request)
        socket.requests.append(request)
        delay = self._settings.timing.reply_delay
        if delay:
            socket.call_later(delay, self._handle, socket, payload)
        else:
            self._handle(socket, payload)

    def on_leave(self, socket: SimSocket) -> None:
        """Remove the subscriptions of a client that has left."""
        self.subscriptions.remove_all(socket)

    # Lookup.

    def visible(self, token: SimToken) -> list[SimAccount]:
        """Return the accounts that a token may access."""
        return [
            account for account in self.accounts.values() if _covers(token, account)
        ]

    def replicas(self, account: SimAccount) -> list[SimAccount]:
        """Return the replicas of an account."""
        return [
            each for each in self.accounts.values() if each.primary_id == account.id
        ]

    # Requests.

    def _handle(self, socket: SimSocket, payload: Any) -> None:
        """Answer one request."""
        request_id = payload.get("requestId") if isinstance(payload, dict) else None
        token = self.tokens.get(socket.token)
        if token is None or token.revoked:
            messages.fail(
                socket, request_id, "UnauthorizedError", "Authorization token invalid"
            )
            return
        try:
            request = messages.parse(payload)
        except InvalidError as err:
            messages.fail(
                socket,
                request_id,
                "ValidationError",
                "Validation failed",
                details=err.details,
            )
            return
        if self._apply_fault(socket, request):
            return
        account = self.accounts.get(request.account_id)
        if not token.streaming:
            text = f"You can not invoke {request.type} method because you do not have permission"
            messages.fail(socket, request_id, "ForbiddenError", text)
        elif account is None or not _covers(token, account):
            text = f"Trading account with id {request.account_id} not found"
            messages.fail(socket, request_id, "NotFoundError", text)
        elif request.type == "subscribe":
            self._subscribe(socket, account, token.owner, request)
        elif request.type == "reconnect":
            self.reconnects.request(socket, account, request)
        elif request.type == "synchronize":
            self._synchronize(socket, account, request)
        else:
            if request.type == "unsubscribe":
                self.subscriptions.remove(socket, account.id)
            messages.respond(socket, account.id, request.id)

    def _apply_fault(self, socket: SimSocket, request: Request) -> bool:
        """Return whether a fault on demand refused or muted a request."""
        self.faults = [each for each in self.faults if not each.span.over]
        for fault in self.faults:
            if fault.applies(socket.listener.url, request.type, request.account_id):
                if fault.error is not None:
                    retry_after = fault.retry_after
                    if retry_after is None:
                        retry_after = self._settings.quotas.quota_retry_after
                    messages.refuse(
                        socket,
                        request,
                        fault.error,
                        message=fault.message,
                        details=fault.details,
                        retry_after=retry_after,
                    )
                return True
        return False

    def _synchronize(
        self, socket: SimSocket, account: SimAccount, request: Request
    ) -> None:
        """Send the state of an account, if its terminal is up."""
        if not running_hosts(socket, account, request.instance):
            text = f"Account {account.id} is not connected to MetaApi yet"
            messages.fail(socket, request.id, "NotAuthenticatedError", text)
            return
        messages.respond(socket, account.id, request.id)
        for packet in packets(account, request):
            socket.emit("synchronization", packet)

    def _subscribe(
        self, socket: SimSocket, account: SimAccount, owner: str, request: Request
    ) -> None:
        """Subscribe a socket to the events of an account."""
        mode = account.subscribing.mode
        if mode == "ignore":
            return
        if mode == "refuse":
            messages.refuse(
                socket,
                request,
                account.subscribing.error,
                retry_after=self._settings.quotas.quota_retry_after,
            )
            return
        if not any(
            each.deployed and each.owner == owner for each in self.accounts.values()
        ):
            messages.nothing_deployed(socket, request.id)
            return
        metadata = self.limits.check(socket, owner, account.id, self.tokens)
        if metadata is not None:
            messages.fail(
                socket,
                request.id,
                "TooManyRequestsError",
                "You have used all your account subscriptions quota",
                metadata=metadata,
            )
            return
        subscription = Subscription(
            request.instance, request.session_id, request.application
        )
        self.subscriptions.add(socket, account.id, subscription)
        if mode == "response_first":
            messages.respond(socket, account.id, request.id)
        else:
            subscription.waiting.append(request.id)
            socket.call_later(
                self._settings.timing.subscribe_timeout,
                self.subscriptions.expire,
                socket,
                account.id,
                request.id,
            )
        self.sync(account)

    # Events.

    def sync(self, account: SimAccount, *, announce: bool = True) -> None:
        """Send each subscribed socket the terminals' changes that it does not know yet."""
        exists = self.accounts.get(account.id) is account
        self.subscriptions.sync(account, exists=exists, announce=announce)

    async def run(self) -> None:
        """Send statuses periodically, with one timer for all accounts."""
        loop = asyncio.get_running_loop()
        last = loop.time()
        while True:
            interval = self._settings.timing.status_interval
            due = last + interval
            wait = due - loop.time()
            # Sleep in short steps, so that a changed interval takes effect at once.
            await asyncio.sleep(max(0, min(wait, STEP)))
            if wait > STEP:
                continue
            # Missed statuses are not sent later.
            last = max(due, loop.time() - interval)
            for number, account_id in enumerate(list(self.subscriptions.sockets)):
                if number % 100 == 99:
                    await asyncio.sleep(0)
                account = self.accounts.get(account_id)
                if account is not None:
                    self.sync(account)
                    self.subscriptions.status(account)

    def close(self) -> None:
        """Cancel the reconnects in progress."""
        self.reconnects.close()


def _covers(token: SimToken, account: SimAccount) -> bool:
    """Return whether a token covers an account, itself or as its primary's replica."""
    return token.owner == account.owner and (
        token.accounts is None
        or account.id in token.accounts
        or (account.primary_id is not None and account.primary_id in token.accounts)
    )
