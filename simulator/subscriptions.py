"""The subscriptions of sockets to accounts."""

import asyncio
from typing import Any

from . import framing, messages
from .account import SimAccount, SimHost
from .messages import Subscription
from .session import SimSocket
from .settings import Settings


class Subscriptions:
    """The subscribed sockets of each account; sends them its events."""

    def __init__(self, settings: Settings) -> None:
        """Start without subscriptions."""
        self.sockets: dict[str, dict[SimSocket, Subscription]] = {}
        self._settings = settings

    def of(self, account_id: str) -> dict[SimSocket, Subscription]:
        """Return an account's subscriptions by socket."""
        return self.sockets.get(account_id, {})

    def add(
        self, socket: SimSocket, account_id: str, subscription: Subscription
    ) -> None:
        """Subscribe a socket, or replace its subscription."""
        sockets = self.sockets.setdefault(account_id, {})
        before = sockets.get(socket)
        if before is not None:
            subscription.waiting = before.waiting
        sockets[socket] = subscription
        lifetime = self._settings.timing.subscription_lifetime
        if lifetime is not None:
            socket.call_later(lifetime, self._lapse, socket, account_id, subscription)

    def _lapse(
        self, socket: SimSocket, account_id: str, subscription: Subscription
    ) -> None:
        """Drop a subscription without an event, unless another one has replaced it."""
        if self.of(account_id).get(socket) is subscription:
            subscription.waiting.clear()
            self.remove(socket, account_id)

    def remove(self, socket: SimSocket, account_id: str) -> None:
        """Remove a socket's subscription to an account."""
        sockets = self.of(account_id)
        subscription = sockets.pop(socket, None)
        if not sockets:
            self.sockets.pop(account_id, None)
        for request_id in subscription.waiting if subscription else ():
            messages.time_out(socket, account_id, request_id)

    def remove_all(self, socket: SimSocket) -> None:
        """Remove all subscriptions of a socket."""
        for account_id in [
            each for each, sockets in self.sockets.items() if socket in sockets
        ]:
            self.remove(socket, account_id)

    def expire(self, socket: SimSocket, account_id: str, request_id: str) -> None:
        """Answer a subscribe with TimeoutError; the subscription itself stays."""
        subscription = self.of(account_id).get(socket)
        if subscription is not None and request_id in subscription.waiting:
            subscription.waiting.remove(request_id)
            messages.time_out(socket, account_id, request_id)

    def connections(self, account: SimAccount) -> list[dict[str, Any]]:
        """Return the `connections` that REST shows for an account."""
        return [
            {
                "region": account.region,
                "zone": "ab"[(socket.listener.instance or 0) % 2],
                "application": subscription.application,
            }
            for socket, subscription in self.of(account.id).items()
        ]

    # Events.

    def sync(
        self, account: SimAccount, *, exists: bool = True, announce: bool = True
    ) -> None:
        """Send each subscribed socket the terminals' changes that it does not know yet."""
        for socket, subscription in list(self.of(account.id).items()):
            running = (
                running_hosts(socket, account, subscription.instance) if exists else []
            )
            names = {host.name for host in running}
            if running:
                delay = self._settings.timing.response_delay
                for request_id in subscription.waiting:
                    messages.respond(socket, account.id, request_id, delay=delay)
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
                self.authenticated(socket, account, host, subscription)

    def authenticated(
        self,
        socket: SimSocket,
        account: SimAccount,
        host: SimHost,
        subscription: Subscription | None,
    ) -> None:
        """Send `authenticated` in the form and after the delay in the settings."""
        minimal = self._settings.wire.minimal_authenticated
        event = messages.authenticated(account, host, subscription, minimal=minimal)
        delay = self._settings.timing.authenticated_delay
        if delay:
            # The delayed event shows the state at the time of the request.
            socket.call_later(delay, socket.emit, "synchronization", event)
            if subscription is not None:
                subscription.mute_until = asyncio.get_running_loop().time() + delay
        else:
            socket.emit("synchronization", event)

    def status(self, account: SimAccount) -> None:
        """Send the status of each terminal to the sockets that know it is up."""
        if account.events.silent:
            return
        subscribers = self.of(account.id)
        now = asyncio.get_running_loop().time()
        for host in account.hosts:
            frames: dict[tuple[int, bool], str] = {}
            for socket, subscription in subscribers.items():
                if host.name not in subscription.shown or now < subscription.mute_until:
                    continue
                if socket.sticky is not None:
                    socket.emit(
                        "synchronization", messages.status(account, host, subscription)
                    )
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
        """Send an event to the sockets subscribed to an account; return how many."""
        sockets = self.of(account_id)
        for socket in sockets:
            socket.emit("synchronization", event)
        return len(sockets)


def answers(socket: SimSocket, account: SimAccount, instance: int | None) -> bool:
    """Return whether the socket's server runs the account."""
    where = socket.listener
    return (
        account.deployed
        and where.region in (None, account.region)
        and (
            where.instance is None
            or (
                instance in (None, where.instance)
                and any(host.zone == where.instance for host in account.hosts)
            )
        )
    )


def running_hosts(
    socket: SimSocket, account: SimAccount, instance: int | None
) -> list[SimHost]:
    """Return the running terminals that the socket's server can see."""
    if not answers(socket, account, instance):
        return []
    zone = socket.listener.instance
    return [host for host in account.hosts if host.up and zone in (None, host.zone)]
