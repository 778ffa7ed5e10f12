"""What follows from an error: what is tried again, when, and what it says about the account.

The tables read like those of MetaApi's documentation ("Errors" of the websocket API, "Rate limits") and
add what its SDKs do where the documentation is silent. Nothing that a server says is final.
"""

from dataclasses import dataclass
from enum import Enum

from ..errors import (
    ConnectionLostError,
    ForbiddenError,
    InternalError,
    MetaApiError,
    NoResponseError,
    NotAuthenticatedError,
    NotConnectedError,
    NotFoundError,
    NotSynchronizedError,
    TerminalTimeoutError,
    TooManyPendingError,
    TooManyRequestsError,
    UnauthorizedError,
    ValidationError,
)
from ..model import Status
from ..timing import Timing
from .evidence import Evidence


class Retry(Enum):
    """When the same thing is tried again."""

    BACKOFF = "after the next pause, which doubles or is drawn by lot"
    LATER = "after the floor of 300 s"
    LIMIT = "at the recommended time, after 60 s at least; twice, four times … as long while that repeats"
    RATE = "at the recommended time; twice, four times … as long while that repeats"


@dataclass(frozen=True, slots=True)
class Rule:
    """What follows from one error."""

    retry: Retry
    refusal: Status | None = None
    """The reason why we cannot see the account, where the error means that."""
    evidence: Evidence = Evidence.FAULT
    passing: bool = False
    """Whether it may be over once REST has news, which therefore lift the floor."""


ACCEPTED = Rule(Retry.BACKOFF, evidence=Evidence.ACCEPTED)
"""A `response` is no `authenticated`: subscribe again until that comes (SDK behavior)."""

SUBSCRIBE: dict[type[MetaApiError], Rule] = {
    TerminalTimeoutError: Rule(Retry.BACKOFF, evidence=Evidence.AWAY),
    NotAuthenticatedError: Rule(Retry.BACKOFF, evidence=Evidence.ACCEPTED),
    NotSynchronizedError: Rule(Retry.BACKOFF),
    InternalError: Rule(Retry.BACKOFF),
    NoResponseError: Rule(Retry.BACKOFF, evidence=Evidence.NOTHING),
    ConnectionLostError: Rule(Retry.BACKOFF),
    NotConnectedError: Rule(Retry.BACKOFF),
    TooManyPendingError: Rule(Retry.BACKOFF),
    TooManyRequestsError: Rule(Retry.RATE),
    UnauthorizedError: Rule(Retry.LATER, passing=True),
    ForbiddenError: Rule(Retry.LATER, refusal=Status.FORBIDDEN, passing=True),
    NotFoundError: Rule(Retry.LATER, refusal=Status.NOT_FOUND, passing=True),
    ValidationError: Rule(Retry.LATER, evidence=Evidence.INVALID, passing=True),
}
"""Answers to `subscribe`.

`ValidationError` says that none of the user's accounts is deployed (users' reports; its `details` are empty),
and a 429 without one of the types in `LIMITS` is a matter of seconds (documentation, "Rate limits").
"""

SUBSCRIPTION_LIMIT = Rule(Retry.LIMIT, refusal=Status.QUOTA_EXHAUSTED)
"""A 429 that names a subscription limit."""

BAD_REQUEST = Rule(Retry.LATER, refusal=Status.NO_ANSWER)
"""A `ValidationError` with `details`: a fault of ours, which says nothing of the account."""


class Limit(Enum):
    """What to do about a subscription limit (`metadata.type` of a TooManyRequestsError)."""

    HOLD = "the user's quota is used up: hold every new subscribe back"
    MOVE = "this server has enough of us: use another socket, which another server may take"


LIMITS: dict[str, Limit] = {
    "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_USER": Limit.HOLD,
    "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_USER_PER_SERVER": Limit.MOVE,
    "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_SERVER": Limit.MOVE,
}
"""Subscription limits (SDK behavior); a 429 of another kind concerns its own account only."""


def subscribe_rule(error: MetaApiError | None) -> Rule:
    """Return what follows from the answer to a subscribe; None is a `response`."""
    if error is None:
        return ACCEPTED
    if limit_of(error) is not None:
        return SUBSCRIPTION_LIMIT
    if isinstance(error, ValidationError) and error.details:
        return BAD_REQUEST
    return SUBSCRIBE.get(type(error), SUBSCRIBE[InternalError])


def limit_of(error: MetaApiError | None) -> Limit | None:
    """Return what to do about the subscription limit that an error tells of, if it does."""
    if not isinstance(error, TooManyRequestsError) or error.limit is None:
        return None
    return LIMITS.get(error.limit)


def floor_after(
    retry: Retry, recommended: float | None, repeats: int, timing: Timing
) -> float:
    """Return for how many seconds nothing is tried again; 0 leaves it to the back-off.

    `recommended` is what the server said, in seconds; `repeats` is how often in a row it was said before.
    Source: documentation, "Rate limits"; SDK behavior.
    """
    match retry:
        case Retry.BACKOFF:
            return 0.0
        case Retry.LATER:
            return timing.refused_floor
        case Retry.LIMIT:
            first = timing.limit_first
        case Retry.RATE:
            first = max(
                timing.subscribe_first if recommended is None else recommended,
                timing.subscribe_first / 3,
            )
    longest = timing.refused_floor
    # more doublings than these change nothing, and would overflow one day
    doubled = min(first * 2.0 ** min(repeats, 16), longest)
    return max(recommended or 0.0, doubled)
