"""Test the exceptions: MetaApi's error names and statuses, and recommended times."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from api import errors
from api.errors import (
    CannotConnectError,
    ConnectionLostError,
    ForbiddenError,
    HandshakeEndedError,
    HandshakeRefusedError,
    InternalError,
    MetaApiError,
    NoResponseError,
    NotAuthenticatedError,
    NotConnectedError,
    NotFoundError,
    NotSynchronizedError,
    RequestError,
    TerminalTimeoutError,
    TooManyPendingError,
    TooManyRequestsError,
    UnauthorizedError,
    ValidationError,
    from_name,
    from_status,
    read_retry_after,
)
from hypothesis import given, strategies as st
import pytest

NOW = datetime(2026, 1, 5, 10, 0, tzinfo=UTC)

NAMES: dict[str, tuple[type[RequestError], bool]] = {
    "ValidationError": (ValidationError, False),
    "UnauthorizedError": (UnauthorizedError, False),
    "ForbiddenError": (ForbiddenError, False),
    "NotFoundError": (NotFoundError, False),
    "NotAuthenticatedError": (NotAuthenticatedError, True),
    "NotSynchronizedError": (NotSynchronizedError, True),
    "TimeoutError": (TerminalTimeoutError, True),
    "TooManyRequestsError": (TooManyRequestsError, True),
    "InternalError": (InternalError, True),
    "TradeError": (InternalError, True),
    "SomethingNewError": (InternalError, True),
}


@pytest.mark.parametrize(("name", "expected"), NAMES.items())
def test_name(name: str, expected: tuple[type[RequestError], bool]) -> None:
    """Each of MetaApi's names has a class with its name, which shows whether a retry can help."""
    error = from_name(name, "because", [{"parameter": "x"}], {"type": "y"})
    assert (type(error), error.retryable) == expected
    assert error.name == name
    assert error.message == str(error) == "because"
    assert error.details == [{"parameter": "x"}]
    assert error.metadata == {"type": "y"}
    assert not isinstance(error, TimeoutError)


@pytest.mark.parametrize("name", [None, "", 7, [], {}, True])
def test_missing_name(name: Any) -> None:
    """An error without a name counts as an error of the server."""
    error = from_name(name, None)
    assert type(error) is InternalError
    assert error.name == "InternalError"
    assert str(error) == "InternalError"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, ValidationError),
        (401, UnauthorizedError),
        (403, ForbiddenError),
        (404, NotFoundError),
        (429, TooManyRequestsError),
        (301, InternalError),
        (409, InternalError),
        (500, InternalError),
        (502, InternalError),
    ],
)
def test_status(status: int, expected: type[RequestError]) -> None:
    """Each status of REST has a class, and a text even without a body."""
    assert type(from_status(status)) is expected
    assert str(from_status(status)) == f"HTTP {status}"
    assert from_status(status).name == expected.__name__
    assert str(from_status(status, "because")) == "because"


@pytest.mark.parametrize("message", [None, 7, [], {}, b"x", "", "   \n "])
def test_missing_message(message: Any) -> None:
    """Without a message, the text is the name or the status."""
    assert str(from_name("NotFoundError", message)) == "NotFoundError"
    assert str(from_status(404, message)) == "HTTP 404"


def test_message_is_one_bounded_line() -> None:
    """A message is one short line, since it is logged and shown."""
    assert str(from_name("NotFoundError", "a\n  b\tc\r\nd ")) == "a b c d"
    assert len(str(from_name("NotFoundError", "x" * 10_000))) == 256
    assert len(from_name("x" * 10_000, "y").name) == 256
    assert len(str(from_name("x" * 300, None))) == 300


@pytest.mark.parametrize("metadata", [None, 7, "x", [], [("type", "x")]])
def test_invalid_metadata(metadata: Any) -> None:
    """Metadata that is not an object is ignored."""
    error = from_name("TooManyRequestsError", "slow down", metadata=metadata)
    assert isinstance(error, TooManyRequestsError)
    assert error.metadata == {}
    assert error.retry_at is None
    assert error.limit is None
    assert error.seconds_to_wait(NOW) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-05T10:00:52.361Z", datetime(2026, 1, 5, 10, 0, 52, 361000, UTC)),
        ("2026-01-05T10:00:52Z", datetime(2026, 1, 5, 10, 0, 52, tzinfo=UTC)),
        ("2026-01-05T10:00:52", datetime(2026, 1, 5, 10, 0, 52, tzinfo=UTC)),
        (
            "2026-01-05T13:00:52+03:00",
            datetime(2026, 1, 5, 13, 0, 52, tzinfo=timezone(timedelta(hours=3))),
        ),
        ("2026-01-05", datetime(2026, 1, 5, tzinfo=UTC)),
        ("", None),
        ("soon", None),
        ("2026-13-05T10:00:52Z", None),
        ("99999-01-05T10:00:52Z", None),
        (1767607252, None),
        (None, None),
        ([], None),
        ({"$date": "2026-01-05T10:00:52Z"}, None),
    ],
)
def test_recommended_retry_time(text: Any, expected: datetime | None) -> None:
    """The default time zone is UTC; an invalid time is ignored."""
    metadata = {
        "recommendedRetryTime": text,
        "type": "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_USER",
    }
    error = from_name("TooManyRequestsError", "slow down", metadata=metadata)
    assert isinstance(error, TooManyRequestsError)
    assert error.retry_at == expected
    assert error.limit == "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_USER"
    if expected is not None:
        assert error.retry_at is not None
        assert error.retry_at.tzinfo is not None
        assert error.seconds_to_wait(NOW) == max(0.0, (expected - NOW).total_seconds())


@pytest.mark.parametrize("kind", [None, 7, [], {}])
def test_limit_without_a_type(kind: Any) -> None:
    """It is no limit."""
    error = from_status(429, metadata={"type": kind})
    assert isinstance(error, TooManyRequestsError)
    assert error.limit is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 120 ", 120.0),
        ("Mon, 05 Jan 2026 10:01:00 GMT", 60.0),
        ("Mon, 05 Jan 2026 10:01:00 -0000", 60.0),
        ("Mon, 05 Jan 2026 11:01:00 +0100", 60.0),
        ("Mon, 05 Jan 2026 09:59:00 GMT", 0.0),
        ("9" * 400, 3600.0),
        ("Mon, 05 Jan 2099 10:01:00 GMT", 3600.0),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("Mon, 99 Jan 2026 10:01:00 GMT", None),
        ("Mon, 05 Jan 99999999999999999999 10:01:00 GMT", None),
        ("Mon, 05 Jan 2026 10:01:00 +99999999999999999999", None),
        (120, None),
        (None, None),
    ],
)
def test_retry_after(text: Any, seconds: float | None) -> None:
    """The header contains seconds or a date; other values are ignored."""
    assert read_retry_after(text, NOW) == seconds


@given(
    st.text() | st.from_regex(r"[A-Z][a-z]{2}, \d+ (Jan|Feb) \d+ \d+:\d+:\d+ [+-]?\d*")
)
def test_any_retry_after(text: str) -> None:
    """Any value results in a time in the future, or in none."""
    seconds = read_retry_after(text, NOW)
    assert seconds is None or 0 <= seconds <= 3600


def test_body_before_header() -> None:
    """The time in the body takes precedence over the header."""
    header = {"retryAfter": "30"}
    body = header | {"recommendedRetryTime": "2026-01-05T10:00:52Z"}
    waits = []
    for metadata in (header, body):
        error = from_status(429, metadata=metadata)
        assert isinstance(error, TooManyRequestsError)
        waits.append(error.seconds_to_wait(NOW))
    assert waits == [30.0, 52.0]


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        (CannotConnectError("x"), True),
        (HandshakeRefusedError(502), True),
        (HandshakeEndedError("x"), True),
        (ConnectionLostError("x"), True),
        (NotConnectedError("x"), True),
        (NoResponseError("x"), True),
        (TooManyPendingError("x"), True),
    ],
)
def test_errors_of_the_connection(error: MetaApiError, retryable: bool) -> None:
    """A retry can help after errors of the connection."""
    assert error.retryable is retryable


def test_refused_handshake_keeps_its_status() -> None:
    """The error has the status and the retry time, which decide about the next attempt."""
    error = HandshakeRefusedError(429, "120")
    assert (error.status, error.retry_after) == (429, "120")
    assert "429" in str(error)
    assert HandshakeRefusedError(401).retry_after is None


def test_one_tree() -> None:
    """All errors of the client have a common base class."""
    classes = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, Exception)
    ]
    assert len(classes) >= 18
    assert all(issubclass(cls, MetaApiError) for cls in classes)
