"""The tables of what follows from an error: complete, and as the design says."""

from datetime import UTC, datetime
import inspect

from api import errors
from api.errors import (
    CannotConnectError,
    ForbiddenError,
    HandshakeEndedError,
    HandshakeRefusedError,
    InternalError,
    MetaApiError,
    NoResponseError,
    NotFoundError,
    RequestError,
    TerminalTimeoutError,
    TooManyRequestsError,
    UnauthorizedError,
    ValidationError,
    from_status,
)
from api.model import Status
from api.terminal import rules
from api.terminal.rules import (
    REST,
    SECOND_FORM,
    SUBSCRIBE,
    Limit,
    Retry,
    Rule,
    limit_of,
    rest_pause,
    subscribe_rule,
)
import pytest

NO_ANSWER_TO_A_SUBSCRIBE = {
    MetaApiError,
    RequestError,
    CannotConnectError,
    HandshakeEndedError,
    HandshakeRefusedError,
}


def make(cls: type[MetaApiError], **metadata: str) -> MetaApiError:
    """Return an error of a class."""
    if issubclass(cls, RequestError):
        return cls("because", metadata=metadata)
    return cls("because")


def every_error() -> set[type[MetaApiError]]:
    """Return every exception of the client."""
    return {
        cls
        for _, cls in inspect.getmembers(errors, inspect.isclass)
        if issubclass(cls, MetaApiError)
    }


def test_every_answer_to_a_subscribe_has_a_rule() -> None:
    """A new error cannot be forgotten in the table."""
    assert set(SUBSCRIBE) == every_error() - NO_ANSWER_TO_A_SUBSCRIBE
    for cls, rule in SUBSCRIBE.items():
        assert subscribe_rule(make(cls)) is rule


def test_an_error_without_a_rule_is_a_fault_of_metaapis() -> None:
    """Tried again, and no evidence."""

    class NewError(RequestError):
        pass

    assert subscribe_rule(NewError("because")) is SUBSCRIBE[InternalError]
    assert SUBSCRIBE[InternalError] == Rule(Retry.BACKOFF)


def test_only_a_terminal_that_is_away_is_evidence() -> None:
    """Every other error speaks of MetaApi, or of us."""
    evidence = {cls for cls, rule in SUBSCRIBE.items() if rule.evidence}
    assert evidence == {TerminalTimeoutError}


def test_refusals() -> None:
    """What makes us blind, what has a floor, and what is not tried again."""
    assert {cls: rule.refusal for cls, rule in SUBSCRIBE.items() if rule.refusal} == {
        TooManyRequestsError: Status.QUOTA_EXHAUSTED,
        ForbiddenError: Status.FORBIDDEN,
        NotFoundError: Status.NOT_FOUND,
    }
    assert {cls for cls, rule in SUBSCRIBE.items() if rule.floor} == {
        TooManyRequestsError,
        UnauthorizedError,
        ForbiddenError,
        NotFoundError,
        ValidationError,
    }
    assert {cls for cls, rule in SUBSCRIBE.items() if rule.retry is Retry.NEVER} == {
        ForbiddenError,
        NotFoundError,
        ValidationError,
    }
    assert {cls for cls, rule in SUBSCRIBE.items() if rule.retry is Retry.LATER} == {
        TooManyRequestsError,
        UnauthorizedError,
    }


NOW = datetime(2026, 1, 5, 10, tzinfo=UTC)


def test_every_answer_of_rest_has_a_rule() -> None:
    """Whatever status the provisioning API answers with, and no answer at all."""
    assert {type(from_status(status)) for status in range(400, 600)} == set(REST) - {
        CannotConnectError
    }
    assert {cls for cls, retry in REST.items() if retry is Retry.LATER} == {
        TooManyRequestsError,
        UnauthorizedError,
        ForbiddenError,
    }


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (CannotConnectError("nobody"), 0),
        (InternalError("fault"), 0),
        (NotFoundError("who"), 0),
        (MetaApiError("odd"), 0),
        (UnauthorizedError("you"), 300),
        (ForbiddenError("no"), 300),
        (TooManyRequestsError("slow down"), 300),
        (make(TooManyRequestsError, retryAfter="20"), 300),
        (make(TooManyRequestsError, retryAfter="600"), 600),
        (make(TooManyRequestsError, recommendedRetryTime="2026-01-05T10:20:00Z"), 1200),
        (make(ForbiddenError, retryAfter="600"), 300),
    ],
)
def test_how_long_rest_is_left_alone(error: MetaApiError, seconds: float) -> None:
    """For as long as a 429 asks, and after every refusal for the floor."""
    assert rest_pause(error, NOW, 300.0) == seconds


def test_second_form() -> None:
    """Two answers call for the seed page's form."""
    assert set(SECOND_FORM) == {ValidationError, NoResponseError}


@pytest.mark.parametrize(
    ("kind", "limit"),
    [
        ("LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_USER", Limit.HOLD),
        ("LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_USER_PER_SERVER", Limit.MOVE),
        ("LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_SERVER", Limit.MOVE),
        ("LIMIT_OF_ANOTHER_KIND", None),
        (None, None),
    ],
)
def test_limits(kind: str | None, limit: Limit | None) -> None:
    """Each kind of subscription limit has its reaction; others concern one account."""
    metadata = {} if kind is None else {"type": kind}
    assert limit_of(make(TooManyRequestsError, **metadata)) is limit


def test_only_a_429_tells_of_a_limit() -> None:
    """Whatever else says so."""
    metadata = {"type": "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_USER"}
    assert limit_of(make(ForbiddenError, **metadata)) is None
    assert limit_of(None) is None
    assert set(rules.LIMITS.values()) == set(Limit)
