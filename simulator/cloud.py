"""The terminals and who listens to them: requests in, events out."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
import time
from typing import Any

from . import framing, messages
from .account import SimAccount, SimHost
from .limits import Limits
from .messages import InvalidError, Request, Subscription
from .records import SimRequest
from .session import SimSocket
from .settings import Settings
from .tokens import SimToken

STEP = 0.1

type Key = tuple[str, int | None]


@dataclass(slots=True, eq=False)
class _Reconnect:
    """Terminals that are being reconnected, and who asked for it."""

    handle: asyncio.TimerHandle
    hosts: list[SimHost]
    requesters: dict[SimSocket, str]


class Cloud:
    """Accounts, subscriptions and the answers to requests."""

    def __init__(self, settings: Settings) -> None:
        """Start with nothing."""
        self.accounts: dict[str, SimAccount] = {}
        self.tokens: dict[str, SimToken] = {}
        self.subscribers: dict[str, dict[SimSocket, Subscription]] = {}
        self.requests: deque[SimRequest] = deque(maxlen=100_000)
        self.limits = Limits(settings, self.subscribers)
        self.closed: Callable[[SimSocket], None] | None = None
        self._settings = settings
        self._reconnecting: dict[Key, _Reconnect] = {}

    # What sockets tell.

    def on_event(self, socket: SimSocket, name: str, payload: Any) -> None:
        """Take an event; only requests mean something."""
        if name != "request":
            return
        request = SimRequest(asyncio.get_running_loop().time(), socket, payload)
        self.requests.append(request)
        socket.requests.append(request)
        if self._settings.reply_delay:
            socket.call_later(self._settings.reply_delay, self._handle, socket, payload)
        else:
            self._handle(socket, payload)

    def on_leave(self, socket: SimSocket) -> None:
        """End the subscriptions of a client that has gone."""
        for account_id in [
            each for each, sockets in self.subscribers.items() if socket in sockets
        ]:
            self._unsubscribe(socket, account_id)

    def on_close(self, socket: SimSocket) -> None:
        """Forget a socket."""
        if self.closed is not None:
            self.closed(socket)

    # What a token shows.

    def visible(self, token: SimToken) -> list[SimAccount]:
        """Return the accounts that a token may see."""
        return [account for account in self.accounts.values() if _may(token, account)]

    def replicas(self, account: SimAccount) -> list[SimAccount]:
        """Return the replicas of an account."""
        return [
            each for each in self.accounts.values() if each.primary_id == account.id
        ]

    def connections(self, account: SimAccount) -> list[dict[str, Any]]:
        """Return who is connected to an account, and where."""
        return [
            {
                "region": account.region,
                "zone": "ab"[(socket.listener.instance or 0) % 2],
                "application": subscription.application,
            }
            for socket, subscription in self.subscribers.get(account.id, {}).items()
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
        account = self.accounts.get(request.account_id)
        if not token.streaming:
            text = f"You can not invoke {request.type} method because you do not have permission"
            messages.fail(socket, request_id, "ForbiddenError", text)
        elif account is None or not _may(token, account):
            text = f"Trading account with id {request.account_id} not found"
            messages.fail(socket, request_id, "NotFoundError", text)
        elif request.type == "subscribe":
            self._subscribe(socket, account, token.owner, request)
        elif request.type == "reconnect":
            self._reconnect(socket, account, request)
        else:
            if request.type == "unsubscribe":
                self._unsubscribe(socket, account.id)
            messages.respond(socket, account.id, request.id)

    def _subscribe(
        self, socket: SimSocket, account: SimAccount, owner: str, request: Request
    ) -> None:
        """Start the events of an account on a socket."""
        mode = account.subscribe_mode
        if mode == "ignore":
            return
        if mode == "refuse":
            self._refuse(socket, request.id, account.subscribe_error)
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
        sockets = self.subscribers.setdefault(account.id, {})
        before = sockets.get(socket)
        subscription = Subscription(
            request.instance, request.session_id, request.application
        )
        if before is not None:
            subscription.waiting = before.waiting
        sockets[socket] = subscription
        if mode == "response_first":
            messages.respond(socket, account.id, request.id)
        else:
            subscription.waiting.append(request.id)
            socket.call_later(
                self._settings.subscribe_timeout,
                self._expire,
                socket,
                account.id,
                request.id,
            )
        self.sync(account)

    def _expire(self, socket: SimSocket, account_id: str, request_id: str) -> None:
        """Give up on a subscribe; the interest in the account stays."""
        subscription = self.subscribers.get(account_id, {}).get(socket)
        if subscription is not None and request_id in subscription.waiting:
            subscription.waiting.remove(request_id)
            messages.time_out(socket, account_id, request_id)

    def _unsubscribe(self, socket: SimSocket, account_id: str) -> None:
        """End the events of an account on a socket."""
        sockets = self.subscribers.get(account_id, {})
        subscription = sockets.pop(socket, None)
        if not sockets:
            self.subscribers.pop(account_id, None)
        for request_id in subscription.waiting if subscription else ():
            messages.time_out(socket, account_id, request_id)

    def _reconnect(
        self, socket: SimSocket, account: SimAccount, request: Request
    ) -> None:
        """Reconnect a terminal, or not: as the account's mode says."""
        mode = account.reconnect_mode
        account.reconnect_mode = account.reconnect_then or mode
        account.reconnects += 1
        account.last_reconnect = time.time()
        account.last_reconnect_outcome = "ignored" if mode == "ignore" else "refused"
        if mode == "ignore":
            return
        if mode == "refuse":
            details = account.reconnect_error_details
            if details is None and account.reconnect_error == "ValidationError":
                details = [
                    {"parameter": "accountId", "message": "Refused by the simulator"}
                ]
            self._refuse(socket, request.id, account.reconnect_error, details)
            return
        if mode == "legacy_only" and "protocol" in socket.query:
            details = [
                {"parameter": "type", "message": "Unknown request type reconnect"}
            ]
            messages.fail(
                socket,
                request.id,
                "ValidationError",
                "Validation failed",
                details=details,
            )
            return
        if not self._answers(socket, account, request.instance):
            account.last_reconnect_outcome = "timed out"
            socket.call_later(
                self._settings.subscribe_timeout,
                messages.time_out,
                socket,
                account.id,
                request.id,
            )
            return
        account.last_reconnect_outcome = "never" if mode == "never" else "started"
        if mode != "authenticated_first":
            messages.respond(socket, account.id, request.id)
        key = (account.id, socket.listener.instance)
        running = self._reconnecting.get(key)
        if running is None:
            hosts = [host for host in account.hosts if key[1] in (None, host.zone)]
            for host in hosts:
                host.up = False
            self.sync(account)
            if mode == "never":
                return
            delay = account.reconnect_delay
            handle = asyncio.get_running_loop().call_later(
                self._settings.reconnect_delay if delay is None else delay,
                self._reconnected,
                key,
            )
            running = self._reconnecting[key] = _Reconnect(handle, hosts, {})
        running.requesters[socket] = request.id

    def _reconnected(self, key: Key, *, up: bool = True) -> None:
        """Bring up the terminals that were being reconnected, or leave them down."""
        reconnect = self._reconnecting.pop(key)
        reconnect.handle.cancel()
        account = self.accounts.get(key[0])
        if account is None:
            return
        account.last_reconnect_outcome = "authenticated" if up else "given up"
        if not up:
            return
        for host in reconnect.hosts:
            host.up = True
        self.sync(account)
        sockets = self.subscribers.get(account.id, {})
        for socket, request_id in reconnect.requesters.items():
            if socket not in sockets:
                for host in self._running(socket, account, None):
                    socket.emit(
                        "synchronization", self._authenticated(account, host, None)
                    )
            if account.reconnect_mode == "authenticated_first":
                messages.respond(socket, account.id, request_id)

    def settle(self, account_id: str, *, up: bool) -> None:
        """End a reconnect that is under way, since somebody has decided its outcome."""
        for key in [each for each in self._reconnecting if each[0] == account_id]:
            self._reconnected(key, up=up)

    def _refuse(
        self, socket: SimSocket, request_id: str, error: str, details: Any = None
    ) -> None:
        """Refuse a request as an account's mode says."""
        metadata = None
        if error == "TooManyRequestsError":
            metadata = messages.credits_used_up(self._settings.quota_retry_after)
        messages.fail(
            socket,
            request_id,
            error,
            "Refused by the simulator",
            details=details,
            metadata=metadata,
        )

    # Events.

    def sync(self, account: SimAccount, *, announce: bool = True) -> None:
        """Tell each subscribed socket what of the account's terminals it does not know yet."""
        for socket, subscription in list(self.subscribers.get(account.id, {}).items()):
            running = self._running(socket, account, subscription.instance)
            names = {host.name for host in running}
            if running:
                for request_id in subscription.waiting:
                    messages.respond(socket, account.id, request_id)
                subscription.waiting.clear()
            gone = subscription.shown - names
            fresh = [host for host in running if host.name not in subscription.shown]
            subscription.shown = names
            if not announce:
                continue
            for name in sorted(gone):
                socket.emit(
                    "synchronization",
                    messages.disconnected(account, name, subscription),
                )
            for host in fresh:
                socket.emit(
                    "synchronization", self._authenticated(account, host, subscription)
                )

    def status(self, account: SimAccount) -> None:
        """Send the periodic status of each terminal to those who know it."""
        if account.silent:
            return
        subscribers = self.subscribers.get(account.id, {})
        for host in account.hosts:
            frames: dict[tuple[int, bool], str] = {}
            for socket, subscription in subscribers.items():
                if host.name not in subscription.shown:
                    continue
                key = (subscription.instance or 0, socket.as_text)
                if key not in frames:
                    payload: Any = messages.status(account, host, subscription)
                    if socket.as_text:
                        payload = framing.dumps(payload)
                    frames[key] = framing.event("synchronization", payload)
                if socket.connected:
                    socket.send(frames[key])

    def inject(self, account_id: str, event: dict[str, Any]) -> int:
        """Send an event to the sockets subscribed to an account; return how many there were."""
        sockets = self.subscribers.get(account_id, {})
        for socket in sockets:
            socket.emit("synchronization", event)
        return len(sockets)

    async def run(self) -> None:
        """Send statuses for ever: one timer for all accounts."""
        loop = asyncio.get_running_loop()
        last = loop.time()
        while True:
            interval = self._settings.status_interval
            due = last + interval
            wait = due - loop.time()
            # In short steps, so that another interval counts at once.
            await asyncio.sleep(max(0, min(wait, STEP)))
            if wait > STEP:
                continue
            # What was missed is not made up for.
            last = max(due, loop.time() - interval)
            for number, account_id in enumerate(list(self.subscribers)):
                if number % 100 == 99:
                    await asyncio.sleep(0)
                account = self.accounts.get(account_id)
                if account is not None:
                    self.sync(account)
                    self.status(account)

    def close(self) -> None:
        """Cancel what was still to come."""
        for reconnect in self._reconnecting.values():
            reconnect.handle.cancel()
        self._reconnecting.clear()

    def _answers(
        self, socket: SimSocket, account: SimAccount, instance: int | None
    ) -> bool:
        """Tell whether an account runs where a socket asks for it."""
        where = socket.listener
        return (
            account.deployed
            and self.accounts.get(account.id) is account
            and where.region in (None, account.region)
            and (
                where.instance is None
                or (
                    instance in (None, where.instance)
                    and where.instance in account.zones
                )
            )
        )

    def _running(
        self, socket: SimSocket, account: SimAccount, instance: int | None
    ) -> list[SimHost]:
        """Return the terminals that a socket can see up."""
        if not self._answers(socket, account, instance):
            return []
        zone = socket.listener.instance
        return [host for host in account.hosts if host.up and zone in (None, host.zone)]

    def _authenticated(
        self, account: SimAccount, host: SimHost, subscription: Subscription | None
    ) -> dict[str, Any]:
        """Return the event that a terminal is ready, in the form that is set."""
        minimal = self._settings.minimal_authenticated
        return messages.authenticated(account, host, subscription, minimal=minimal)


def _may(token: SimToken, account: SimAccount) -> bool:
    """Tell whether a token covers an account, itself or as its primary's replica."""
    return token.owner == account.owner and (
        token.accounts is None
        or account.id in token.accounts
        or (account.primary_id is not None and account.primary_id in token.accounts)
    )
