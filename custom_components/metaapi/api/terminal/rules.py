"""What follows from an error: what is tried again, when, and what it says about the account.

The tables read like those of MetaApi's documentation ("Errors" of the websocket API, "Rate limits") and
add what its SDKs do where the documentation is silent.
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


class Retry(Enum):
    """When the same thing is tried again."""

    BACKOFF = "after the next pause, which doubles or is drawn by lot"
    LATER = "when the server recommends, and never before the floor of 300 s"
    NEVER = "not at all: a new socket or new facts make it a new question, which the floor delays"


@dataclass(frozen=True, slots=True)
class Rule:
    """What follows from one error."""

    retry: Retry
    refusal: Status | None = None
    """The reason why we cannot see the account, where the error means that."""
    evidence: bool = False
    """Whether the error speaks about the terminal, and not about MetaApi or us."""
    floor: bool = False
    """Whether nothing is tried again before the recommended time, and never before 300 s, on any socket."""


SUBSCRIBE: dict[type[MetaApiError], Rule] = {
    TerminalTimeoutError: Rule(Retry.BACKOFF, evidence=True),
    NotAuthenticatedError: Rule(Retry.BACKOFF),
    NotSynchronizedError: Rule(Retry.BACKOFF),
    InternalError: Rule(Retry.BACKOFF),
    NoResponseError: Rule(Retry.BACKOFF),
    ConnectionLostError: Rule(Retry.BACKOFF),
    NotConnectedError: Rule(Retry.BACKOFF),
    TooManyPendingError: Rule(Retry.BACKOFF),
    TooManyRequestsError: Rule(Retry.LATER, refusal=Status.QUOTA_EXHAUSTED, floor=True),
    UnauthorizedError: Rule(Retry.LATER, floor=True),
    ForbiddenError: Rule(Retry.NEVER, refusal=Status.FORBIDDEN, floor=True),
    NotFoundError: Rule(Retry.NEVER, refusal=Status.NOT_FOUND, floor=True),
    ValidationError: Rule(Retry.NEVER, floor=True),
}
"""Answers to `subscribe`."""


class Limit(Enum):
    """What to do about a subscription limit (`metadata.type` of a TooManyRequestsError)."""

    HOLD = "the user's quota is used up: hold every new subscribe back"
    MOVE = "this server has enough of us: use another socket, which another server may take"


LIMITS: dict[str, Limit] = {
    "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_USER": Limit.HOLD,
    "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_USER_PER_SERVER": Limit.MOVE,
    "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_SERVER": Limit.MOVE,
}
"""Subscription limits (SDK behaviour); a 429 of another kind concerns its own account only."""


ACCEPTED = Rule(Retry.BACKOFF, evidence=True)
"""A `response` is no `authenticated`: subscribe again until that comes (SDK behaviour)."""


def subscribe_rule(error: MetaApiError) -> Rule:
    """Return what follows from the answer to a subscribe."""
    return SUBSCRIBE.get(type(error), SUBSCRIBE[InternalError])


def limit_of(error: MetaApiError | None) -> Limit | None:
    """Return what to do about the subscription limit that an error tells of, if it does."""
    if not isinstance(error, TooManyRequestsError) or error.limit is None:
        return None
    return LIMITS.get(error.limit)
