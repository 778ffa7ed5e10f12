"""The tables of what follows from an error: complete, and as the design says."""

import inspect

from api import errors
from api.errors import (
    CannotConnectError,
    ForbiddenError,
    HandshakeEndedError,
    HandshakeRefusedError,
    InternalError,
    MetaApiError,
    NotFoundError,
    RequestError,
    TerminalTimeoutError,
    TooManyRequestsError,
    UnauthorizedError,
    ValidationError,
)
from api.model import Status
from api.terminal import rules
from api.terminal.rules import (
    SUBSCRIBE,
    Limit,
    Retry,
    Rule,
    limit_of,
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
