"""Reconnects of terminals."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
import time

from . import messages
from .account import SimAccount, SimHost
from .messages import Request
from .session import SimSocket
from .settings import Settings
from .subscriptions import Subscriptions, answers, running_hosts

type Key = tuple[str, int | None]


@dataclass(slots=True, eq=False)
class _Running:
    """A reconnect in progress: its terminals, and the sockets that requested it."""

    account: SimAccount
    handle: asyncio.TimerHandle
    hosts: list[SimHost]
    requesters: dict[SimSocket, str]


class Reconnects:
    """The reconnects in progress, by account and zone."""

    def __init__(
        self,
        settings: Settings,
        subscriptions: Subscriptions,
        sync: Callable[[SimAccount], None],
    ) -> None:
        """Start without reconnects; `sync` sends an account's changes to its subscribers."""
        self._settings = settings
        self._subscriptions = subscriptions
        self._sync = sync
        self._running: dict[Key, _Running] = {}

    def request(self, socket: SimSocket, account: SimAccount, request: Request) -> None:
        """Handle a `reconnect` according to the account's plan."""
        plan = account.reconnecting
        mode = plan.mode
        plan.mode = plan.then or mode
        plan.count += 1
        plan.last = time.time()
        plan.outcome = "ignored" if mode == "ignore" else "refused"
        if mode == "ignore":
            return
        if mode == "refuse":
            details = plan.details
            if details is None and plan.error == "ValidationError":
                details = [
                    {"parameter": "accountId", "message": "Refused by the simulator"}
                ]
            messages.refuse(
                socket,
                request,
                plan.error,
                details=details,
                retry_after=self._settings.quotas.quota_retry_after,
            )
        elif mode == "legacy_only" and "protocol" in socket.query:
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
        elif not answers(socket, account, request.instance):
            plan.outcome = "timed out"
            socket.call_later(
                self._settings.timing.subscribe_timeout,
                messages.time_out,
                socket,
                account.id,
                request.id,
            )
        else:
            plan.outcome = "never" if mode == "never" else "started"
            if mode != "authenticated_first":
                delay = self._settings.timing.response_delay
                messages.respond(socket, account.id, request.id, delay=delay)
            self._start(socket, account, request.id, ends=mode != "never")

    def _start(
        self, socket: SimSocket, account: SimAccount, request_id: str, *, ends: bool
    ) -> None:
        """Take down the terminals of the socket's zone, or all of them on the base URL."""
        key = (account.id, socket.listener.instance)
        running = self._running.get(key)
        if running is None:
            hosts = [host for host in account.hosts if key[1] in (None, host.zone)]
            for host in hosts:
                host.up = False
            self._sync(account)
            if not ends:
                return
            delay = account.reconnecting.delay
            handle = asyncio.get_running_loop().call_later(
                self._settings.timing.reconnect_delay if delay is None else delay,
                self._end,
                key,
            )
            running = self._running[key] = _Running(account, handle, hosts, {})
        running.requesters[socket] = request_id

    def _end(self, key: Key, *, up: bool = True) -> None:
        """End a reconnect: bring its terminals up, or leave them down."""
        running = self._running.pop(key)
        running.handle.cancel()
        account = running.account
        account.reconnecting.outcome = "authenticated" if up else "given up"
        if not up:
            return
        for host in running.hosts:
            host.up = True
        self._sync(account)
        sockets = self._subscriptions.of(account.id)
        for socket, request_id in running.requesters.items():
            if socket not in sockets:
                for host in running_hosts(socket, account, None):
                    self._subscriptions.authenticated(socket, account, host, None)
            if account.reconnecting.mode == "authenticated_first":
                messages.respond(socket, account.id, request_id)

    def settle(self, account_id: str, *, up: bool) -> None:
        """End an account's reconnects early, because something else decided their outcome."""
        for key in [each for each in self._running if each[0] == account_id]:
            self._end(key, up=up)

    def close(self) -> None:
        """Cancel all reconnects."""
        for running in self._running.values():
            running.handle.cancel()
        self._running.clear()
