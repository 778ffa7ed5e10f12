"""What can go wrong between us and MetaApi, as one exception tree.

No exception holds the token: text that a server or a library wrote goes through `token.redact` first.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar


class MetaApiError(Exception):
    """The root of everything that this package raises."""

    retryable: ClassVar[bool] = False
    """Whether the same request can succeed later without anybody changing anything."""


class CannotConnectError(MetaApiError):
    """MetaApi could not be reached, or what answered was not MetaApi."""

    retryable = True


class HandshakeRefusedError(CannotConnectError):
    """The socket was refused with an HTTP status."""

    def __init__(self, status: int, retry_after: str | None = None) -> None:
        """Keep the HTTP status, and what the header Retry-After says."""
        super().__init__(f"The server refused the socket with HTTP status {status}")
        self.status = status
        self.retry_after = retry_after


class HandshakeEndedError(CannotConnectError):
    """The server took the socket and ended it before its namespace was connected."""


class ConnectionLostError(MetaApiError):
    """The socket went away while somebody waited for an answer on it."""

    retryable = True


class NotConnectedError(MetaApiError):
    """No socket to MetaApi is open."""

    retryable = True


class NoResponseError(MetaApiError):
    """MetaApi did not answer a request in time."""

    retryable = True


class TooManyPendingError(MetaApiError):
    """More requests wait for an answer than one socket may hold."""

    retryable = True


class RequestError(MetaApiError):
    """MetaApi answered a request with an error.

    `name` is MetaApi's own name of the error (documentation, "Errors" of the websocket API and of the
    provisioning API). `details` is what the server said about single fields, as it came.
    """

    def __init__(
        self,
        message: str,
        *,
        name: str = "",
        details: Any = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep what the server said."""
        super().__init__(message)
        self.message = message
        self.name = name or type(self).__name__
        self.details = details
        self.metadata = dict(metadata or {})


class ValidationError(RequestError):
    """The request is not valid (websocket and REST 400)."""


class UnauthorizedError(RequestError):
    """The token is not valid, or not any more (SDK behavior; REST 401)."""


class ForbiddenError(RequestError):
    """The token lacks a permission for this call or account (SDK behavior; REST 403)."""


class NotFoundError(RequestError):
    """MetaApi does not know the account here (websocket and REST 404)."""


class NotAuthenticatedError(RequestError):
    """The terminal is not connected to this application yet (documentation, websocket errors)."""

    retryable = True


class NotSynchronizedError(RequestError):
    """The terminal's data is not synchronized yet (documentation, websocket errors)."""

    retryable = True


class TerminalTimeoutError(RequestError):
    """The terminal did not answer MetaApi: not connected, or not in this region or zone.

    On the wire it is called `TimeoutError` (seen by users; not in the documentation's list).
    """

    retryable = True


class InternalError(RequestError):
    """MetaApi has a fault of its own, or answered with an error that has no meaning to us."""

    retryable = True


class TooManyRequestsError(RequestError):
    """A rate limit or a subscription quota is used up (documentation, "Rate limits"; REST 429)."""

    retryable = True

    @property
    def retry_at(self) -> datetime | None:
        """Return `metadata.recommendedRetryTime`, if the server gave one that can be read."""
        text = self.metadata.get("recommendedRetryTime")
        if not isinstance(text, str):
            return None
        try:
            when = datetime.fromisoformat(text)
        except ValueError:
            return None
        return when if when.tzinfo else when.replace(tzinfo=UTC)

    def seconds_to_wait(self, now: datetime) -> float | None:
        """Return what the server recommends, in seconds from `now`: in its body, else its header."""
        if self.retry_at is not None:
            return _bounded((self.retry_at - now).total_seconds())
        return read_retry_after(self.metadata.get("retryAfter"), now)

    @property
    def limit(self) -> str | None:
        """Return which subscription limit was hit: `metadata.type` (SDK behavior)."""
        kind = self.metadata.get("type")
        return kind if isinstance(kind, str) else None


_BY_NAME: dict[str, type[RequestError]] = {
    "ValidationError": ValidationError,
    "UnauthorizedError": UnauthorizedError,
    "ForbiddenError": ForbiddenError,
    "NotFoundError": NotFoundError,
    "NotAuthenticatedError": NotAuthenticatedError,
    "NotSynchronizedError": NotSynchronizedError,
    "TimeoutError": TerminalTimeoutError,
    "TooManyRequestsError": TooManyRequestsError,
    "InternalError": InternalError,
}

_BY_STATUS: dict[int, type[RequestError]] = {
    400: ValidationError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    429: TooManyRequestsError,
}

_MESSAGE_LIMIT = 256

LONGEST_WAIT = 3600.0
"""Whatever a server recommends, it is asked again after so many seconds."""


def from_name(
    name: object, message: object, details: Any = None, metadata: object = None
) -> RequestError:
    """Build the exception for an error that MetaApi named itself (`processingError`, or a REST body)."""
    known = name if isinstance(name, str) else ""
    return _BY_NAME.get(known, InternalError)(
        _text(message) or known or InternalError.__name__,
        name=known[:_MESSAGE_LIMIT],
        details=details,
        metadata=metadata if isinstance(metadata, Mapping) else None,
    )


def from_status(
    status: int, message: object = "", details: Any = None, metadata: object = None
) -> RequestError:
    """Build the exception for an HTTP status of the provisioning API."""
    cls = _BY_STATUS.get(status, InternalError)
    return cls(
        _text(message) or f"HTTP {status}",
        name=cls.__name__,
        details=details,
        metadata=metadata if isinstance(metadata, Mapping) else None,
    )


def read_retry_after(text: object, now: datetime) -> float | None:
    """Read the header Retry-After, seconds or an HTTP date, as seconds from `now`."""
    if not isinstance(text, str):
        return None
    if text.strip().isdecimal():
        return _bounded(float(text))
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return _bounded((when - now).total_seconds())


def _bounded(seconds: float) -> float:
    """Return a time to wait that a mistaken server, or a wrong clock of ours, cannot make endless."""
    return min(max(0.0, seconds), LONGEST_WAIT)


def _text(message: object) -> str:
    """Return a server's message as one bounded line."""
    if not isinstance(message, str):
        return ""
    return " ".join(message.split())[:_MESSAGE_LIMIT]
