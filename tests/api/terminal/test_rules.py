"""Test the tables of what follows from an error: they are complete and correct."""

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
    NotAuthenticatedError,
    NotFoundError,
    RequestError,
    TerminalTimeoutError,
    TooManyRequestsError,
    UnauthorizedError,
    ValidationError,
)
from api.model import Status
from api.terminal import rules
from api.terminal.evidence import Evidence
from api.terminal.rules import (
    SUBSCRIBE,
    Limit,
    Retry,
    Rule,
    floor_after,
    limit_of,
    subscribe_rule,
)
import pytest

from .bench import TIMING

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
    """Return every exception class of the client."""
    return {
        cls
        for _, cls in inspect.getmembers(errors, inspect.isclass)
        if issubclass(cls, MetaApiError)
    }


def test_every_answer_to_a_subscribe_has_a_rule() -> None:
    """Every error that can answer a subscribe is in the table, so a new one cannot be forgotten."""
    assert set(SUBSCRIBE) == every_error() - NO_ANSWER_TO_A_SUBSCRIBE
    for cls, rule in SUBSCRIBE.items():
        assert subscribe_rule(make(cls)) is rule


def test_an_error_without_a_rule_is_a_fault_of_metaapis() -> None:
    """An error without a rule is retried and is not evidence about the terminal."""

    class NewError(RequestError):
        pass

    assert subscribe_rule(NewError("because")) is SUBSCRIBE[InternalError]
    assert SUBSCRIBE[InternalError] == Rule(Retry.BACKOFF)


def test_what_is_evidence() -> None:
    """Only these errors say anything about the terminal; all others concern MetaApi or us."""
    evidence = {
        cls: rule.evidence
        for cls, rule in SUBSCRIBE.items()
        if rule.evidence is not Evidence.FAULT
    }
    assert evidence == {
        TerminalTimeoutError: Evidence.AWAY,
        NotAuthenticatedError: Evidence.ACCEPTED,
        ValidationError: Evidence.INVALID,
        NoResponseError: Evidence.NOTHING,
    }
    assert subscribe_rule(None).evidence is Evidence.ACCEPTED


def test_refusals() -> None:
    """Only some errors put the account out of sight or delay the retry; none is final."""
    assert {cls: rule.refusal for cls, rule in SUBSCRIBE.items() if rule.refusal} == {
        ForbiddenError: Status.FORBIDDEN,
        NotFoundError: Status.NOT_FOUND,
    }
    assert {
        cls: rule.retry
        for cls, rule in SUBSCRIBE.items()
        if rule.retry is not Retry.BACKOFF
    } == {
        TooManyRequestsError: Retry.RATE,
        UnauthorizedError: Retry.LATER,
        ForbiddenError: Retry.LATER,
        NotFoundError: Retry.LATER,
        ValidationError: Retry.LATER,
    }
    assert {cls for cls, rule in SUBSCRIBE.items() if rule.passing} == {
        UnauthorizedError,
        ForbiddenError,
        NotFoundError,
        ValidationError,
    }


@pytest.mark.parametrize("kind", rules.LIMITS)
def test_a_subscription_limit_is_a_refusal(kind: str) -> None:
    """A subscription limit of the user or of the server counts as an exhausted quota."""
    rule = subscribe_rule(make(TooManyRequestsError, type=kind))
    assert rule == Rule(Retry.LIMIT, refusal=Status.QUOTA_EXHAUSTED)


@pytest.mark.parametrize("details", [None, {}, [], ""])
def test_a_validation_error_without_details_is_no_bad_request(details: object) -> None:
    """A `ValidationError` without details means that none of the user's accounts is deployed."""
    error = ValidationError("no accounts deployed yet", details=details)
    assert subscribe_rule(error) is SUBSCRIBE[ValidationError]


def test_a_validation_error_with_details_is_a_fault_of_ours() -> None:
    """A `ValidationError` with details says nothing about the account and puts it out of sight."""
    error = ValidationError("what", details=[{"parameter": "accountId"}])
    assert subscribe_rule(error) == Rule(Retry.LATER, refusal=Status.NO_ANSWER)


@pytest.mark.parametrize(
    ("retry", "recommended", "floors"),
    [
        (Retry.BACKOFF, 9.0, [0, 0]),
        (Retry.LATER, None, [300, 300]),
        (Retry.LIMIT, None, [60, 120, 240, 300, 300]),
        (Retry.LIMIT, 2.0, [60, 120, 240, 300, 300]),
        (Retry.LIMIT, 100.0, [100, 120, 240, 300, 300]),
        (Retry.LIMIT, 400.0, [400, 400]),
        (Retry.RATE, 1.0, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]),
        (Retry.RATE, 0.0, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]),
        (Retry.RATE, None, [3, 6, 12, 24, 48, 96, 192, 300, 300]),
        (Retry.RATE, 50.0, [50, 100, 200, 300, 300]),
        (Retry.RATE, 3600.0, [3600, 3600]),
    ],
)
def test_floors(retry: Retry, recommended: float | None, floors: list[float]) -> None:
    """Floors double with each repetition up to 300 s, and are never shorter than recommended."""
    times = [*range(len(floors)), 10**6]
    assert [floor_after(retry, recommended, each, TIMING) for each in times] == [
        *floors,
        floors[-1],
    ]


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
    """Each kind of subscription limit has its own reaction; other limits concern one account only."""
    metadata = {} if kind is None else {"type": kind}
    assert limit_of(make(TooManyRequestsError, **metadata)) is limit


def test_only_a_429_tells_of_a_limit() -> None:
    """Only a `TooManyRequestsError` can report a limit, whatever metadata other errors have."""
    metadata = {"type": "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_USER"}
    assert limit_of(make(ForbiddenError, **metadata)) is None
    assert limit_of(None) is None
    assert set(rules.LIMITS.values()) == set(Limit)
