"""Requests as they are checked, and the words in which the servers answer."""

from dataclasses import dataclass, field
from typing import Any

from .account import SimAccount, SimHost
from .limits import iso_in
from .session import SimSocket

# MetaApi's own clients send these; a simulator of the link accepts them and does nothing.
PASSIVE_TYPES = frozenset(
    {
        "synchronize",
        "waitSynchronized",
        "removeApplication",
        "saveUptime",
        "subscribeToMarketData",
        "unsubscribeFromMarketData",
        "refreshMarketDataSubscriptions",
        "refreshTerminalState",
    }
)
TYPES = PASSIVE_TYPES | {"subscribe", "unsubscribe", "reconnect"}


class InvalidError(Exception):
    """A request that is not well-formed."""

    def __init__(self, parameter: str, message: str) -> None:
        """Name the parameter that is wrong."""
        super().__init__(message)
        self.details = [{"parameter": parameter, "message": message}]


@dataclass(slots=True, eq=False)
class Subscription:
    """One socket's interest in one account; `shown` are the hosts it knows to be up."""

    instance: int | None
    session_id: str | None
    application: str
    shown: set[str] = field(default_factory=set)
    waiting: list[str] = field(default_factory=list)


@dataclass(slots=True, frozen=True)
class Request:
    """A request whose fields have been checked."""

    type: str
    account_id: str
    id: str
    application: str
    instance: int | None
    session_id: str | None


def parse(payload: Any) -> Request:
    """Check the fields of a request."""
    if not isinstance(payload, dict):
        raise InvalidError("request", "Request must be an object.")
    values = []
    for name in ("type", "accountId", "requestId"):
        value = payload.get(name)
        if not isinstance(value, str) or not value:
            raise InvalidError(name, "Required value.")
        values.append(value)
    if values[0] not in TYPES:
        raise InvalidError("type", f"Unknown request type {values[0][:100]}")
    for name in ("application", "sessionId"):
        if not isinstance(payload.get(name, ""), str):
            raise InvalidError(name, "Must be a string.")
    instance = payload.get("instanceIndex")
    if instance is not None and (type(instance) is not int or instance not in (0, 1)):
        raise InvalidError("instanceIndex", "Must be 0 or 1.")
    return Request(
        values[0],
        values[1],
        values[2],
        payload.get("application", "MetaApi"),
        instance,
        payload.get("sessionId"),
    )


def respond(socket: SimSocket, account_id: str, request_id: str) -> None:
    """Answer that a request was accepted."""
    socket.emit(
        "response",
        {"type": "response", "requestId": request_id, "accountId": account_id},
    )


def fail(
    socket: SimSocket,
    request_id: Any,
    error: str,
    message: str,
    *,
    details: Any = None,
    metadata: dict[str, Any] | None = None,
) -> None:
    """Answer that a request has failed."""
    body: dict[str, Any] = {"id": 4, "error": error, "message": message}
    if isinstance(request_id, str):
        body["requestId"] = request_id
    if details is not None:
        body["details"] = details
    if metadata is not None:
        body["metadata"] = metadata
    socket.emit("processingError", body)


def refuse(
    socket: SimSocket,
    request_id: str,
    error: str,
    *,
    details: Any = None,
    retry_after: float,
) -> None:
    """Refuse a request as an account's plan says."""
    metadata = None
    if error == "TooManyRequestsError":
        metadata = credits_used_up(retry_after)
    fail(
        socket,
        request_id,
        error,
        "Refused by the simulator",
        details=details,
        metadata=metadata,
    )


def time_out(socket: SimSocket, account_id: str, request_id: str) -> None:
    """Answer that the terminal has not answered; the real text names two causes as well."""
    fail(
        socket,
        request_id,
        "TimeoutError",
        f"Timed out waiting for account {account_id} to connect to broker. Either the account is "
        "not connected to the broker yet, or the region of the account is wrong.",
    )


def credits_used_up(retry_after: float) -> dict[str, Any]:
    """Return what comes with a TooManyRequestsError of the credit kind."""
    return {
        "total": 6000,
        "available": 0,
        "needed": 10,
        "exceededConfig": "perUser",
        "exceededPeriod": "1m",
        "method": "reconnect",
        "recommendedRetryTime": iso_in(retry_after),
    }


def authenticated(
    account: SimAccount,
    host: SimHost,
    subscription: Subscription | None,
    *,
    minimal: bool,
) -> dict[str, Any]:
    """Return the event that a terminal is ready."""
    event: dict[str, Any] = {"type": "authenticated", "accountId": account.id}
    if minimal:
        return event
    event |= {
        "instanceIndex": (subscription.instance or 0) if subscription else 0,
        "host": host.name,
        "replicas": len(account.hosts)
        if account.events.replicas is None
        else account.events.replicas,
    }
    if subscription is not None and subscription.session_id is not None:
        event["sessionId"] = subscription.session_id
    return event


def disconnected(
    account: SimAccount, host: str, subscription: Subscription
) -> dict[str, Any]:
    """Return the event that a terminal process has gone."""
    return {
        "type": "disconnected",
        "accountId": account.id,
        "instanceIndex": subscription.instance or 0,
        "host": host,
    }


def status(
    account: SimAccount, host: SimHost, subscription: Subscription
) -> dict[str, Any]:
    """Return the heartbeat of a terminal."""
    return {
        "type": "status",
        "accountId": account.id,
        "instanceIndex": subscription.instance or 0,
        "host": host.name,
        "connected": account.broker,
        "authenticated": account.events.authenticated,
        "healthStatus": account.events.health,
    }
