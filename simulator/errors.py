"""Errors in MetaApi's format, for the socket and for REST."""

from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any


def iso_in(seconds: float) -> str:
    """Return a time in the future in MetaApi's format."""
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def error_body(
    number: int,
    error: str,
    message: str,
    *,
    details: Any = None,
    metadata: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the body of an error; as in MetaApi's, the trace id is in it twice."""
    trace = token_hex(16)
    body: dict[str, Any] = {
        "id": number,
        "error": error,
        "message": f"{message} ({trace})",
        "traceId": trace,
    }
    if details is not None:
        body["details"] = details
    if metadata is not None:
        body["metadata"] = metadata
    return body


def credits_used_up(retry_after: float, method: str) -> dict[str, Any]:
    """Return the metadata of a TooManyRequestsError about credits, which has no `type`."""
    return {
        "total": 6000,
        "available": 0,
        "needed": 10,
        "exceededConfig": "perUser",
        "exceededPeriod": "1m",
        "method": method,
        "recommendedRetryTime": iso_in(retry_after),
    }
