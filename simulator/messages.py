"""Validation of requests, and the messages with which the servers answer."""

from dataclasses import dataclass, field
from typing import Any

from .account import SimAccount, SimHost
from .errors import credits_used_up, error_body
from .session import SimSocket

# MetaApi's own clients send these; the simulator accepts them and does nothing.
PASSIVE_TYPES = frozenset(
    {
        "waitSynchronized",
        "removeApplication",
        "saveUptime",
        "subscribeToMarketData",
        "unsubscribeFromMarketData",
        "refreshMarketDataSubscriptions",
        "refreshTerminalState",
    }
)
TYPES = PASSIVE_TYPES | {"subscribe", "unsubscribe", "reconnect", "synchronize"}


class InvalidError(Exception):
    """A request that is not valid."""

    def __init__(self, parameter: str, message: str) -> None:
        """Store the name of the invalid parameter."""
        super().__init__(message)
        self.details = [{"parameter": parameter, "message": message}]


@dataclass(slots=True, eq=False)
class Subscription:
    """A socket's subscription to an account; `shown` are the hosts that it knows to be up."""

    instance: int | None
    session_id: str | None
    application: str
    shown: set[str] = field(default_factory=set)
    mute_until: float = 0.0
    waiting: list[str] = field(default_factory=list)


@dataclass(slots=True, frozen=True)
class Request:
    """A valid request."""

    type: str
    account_id: str
    id: str
    application: str
    instance: int | None
    session_id: str | None
    host: str


def parse(payload: Any) -> Request:
    """Validate a request and return its fields."""
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
    for name in ("application", "sessionId", "host"):
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
        payload.get("host", ""),
    )


def respond(
    socket: SimSocket, account_id: str, request_id: str, *, delay: float = 0
) -> None:
    """Answer that the request was accepted."""
    body = {"type": "response", "requestId": request_id, "accountId": account_id}
    if delay:
        socket.call_later(delay, socket.emit, "response", body)
    else:
        socket.emit("response", body)


def fail(
    socket: SimSocket,
    request_id: Any,
    error: str,
    message: str,
    *,
    number: int = 4,
    details: Any = None,
    metadata: dict[str, Any] | None = None,
) -> None:
    """Answer that the request failed."""
    body = error_body(number, error, message, details=details, metadata=metadata)
    if isinstance(request_id, str):
        body["requestId"] = request_id
    socket.emit("processingError", body)


def refuse(
    socket: SimSocket,
    request: Request,
    error: str,
    *,
    message: str = "Refused by the simulator",
    details: Any = None,
    retry_after: float,
) -> None:
    """Refuse a request on demand."""
    metadata = None
    if error == "TooManyRequestsError":
        metadata = credits_used_up(retry_after, request.type)
    fail(socket, request.id, error, message, details=details, metadata=metadata)


def nothing_deployed(socket: SimSocket, request_id: str) -> None:
    """Refuse a subscribe of a user who has no account deployed."""
    fail(
        socket,
        request_id,
        "ValidationError",
        "It seems like you are trying to subscribe to an account, however you have no accounts "
        "deployed yet. Please deploy an account first.",
        number=1,
        details={},
    )


def time_out(socket: SimSocket, account_id: str, request_id: str) -> None:
    """Answer that the terminal did not respond; MetaApi's text names both causes, too."""
    fail(
        socket,
        request_id,
        "TimeoutError",
        f"Timed out waiting for account {account_id} to connect to broker. Either the account is "
        "not connected to the broker yet, or the region of the account is wrong.",
    )


def authenticated(
    account: SimAccount,
    host: SimHost,
    subscription: Subscription | None,
    *,
    minimal: bool,
) -> dict[str, Any]:
    """Return the event of a terminal that is ready."""
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
    """Return the event of a terminal process that has ended."""
    return {
        "type": "disconnected",
        "accountId": account.id,
        "instanceIndex": subscription.instance or 0,
        "host": host,
    }


def status(
    account: SimAccount, host: SimHost, subscription: Subscription
) -> dict[str, Any]:
    """Return the periodic status event of a terminal."""
    return {
        "type": "status",
        "accountId": account.id,
        "instanceIndex": subscription.instance or 0,
        "host": host.name,
        "connected": account.broker,
        "authenticated": account.events.authenticated,
        "healthStatus": account.events.health,
    }
