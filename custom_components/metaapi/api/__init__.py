"""A client of MetaApi that watches MetaTrader terminals and reconnects them.

It imports nothing of Home Assistant. `Monitor` watches accounts, `Provisioning` reads them by REST. What stands here
is all that callers import.
"""

from .endpoints import Endpoints, InvalidUrlError, Zone, check_api_url
from .errors import (
    CannotConnectError,
    ConnectionLostError,
    ForbiddenError,
    HandshakeRefusedError,
    InternalError,
    MetaApiError,
    NoResponseError,
    NotAuthenticatedError,
    NotFoundError,
    NotSynchronizedError,
    RequestError,
    TerminalTimeoutError,
    TooManyRequestsError,
    UnauthorizedError,
    ValidationError,
)
from .model import (
    Account,
    AccountState,
    Outcome,
    ReconnectResult,
    Replica,
    ServerSettings,
    Status,
)
from .monitor import Monitor
from .rest import READ_AT_ONCE, Provisioning, rest_pause
from .terminal.rules import Limit, limit_of
from .timing import Timing
from .token import PROVISIONING, STREAMING, TokenClaims, clean_text, read_claims, redact
from .token_check import try_subscribe

__all__ = [
    "PROVISIONING",
    "READ_AT_ONCE",
    "STREAMING",
    "Account",
    "AccountState",
    "CannotConnectError",
    "ConnectionLostError",
    "Endpoints",
    "ForbiddenError",
    "HandshakeRefusedError",
    "InternalError",
    "InvalidUrlError",
    "Limit",
    "MetaApiError",
    "Monitor",
    "NoResponseError",
    "NotAuthenticatedError",
    "NotFoundError",
    "NotSynchronizedError",
    "Outcome",
    "Provisioning",
    "ReconnectResult",
    "Replica",
    "RequestError",
    "ServerSettings",
    "Status",
    "TerminalTimeoutError",
    "Timing",
    "TokenClaims",
    "TooManyRequestsError",
    "UnauthorizedError",
    "ValidationError",
    "Zone",
    "check_api_url",
    "clean_text",
    "limit_of",
    "read_claims",
    "redact",
    "rest_pause",
    "try_subscribe",
]
