"""MetaApi in a box: REST, the socket, and faults on demand; for tests and the demo."""

from .account import (
    STATES,
    ReconnectMode,
    SimAccount,
    SimHost,
    SubscribeMode,
    account_id,
    demo_accounts,
    plain_accounts,
)
from .limits import LIMIT_TYPES, PER_SERVER, PER_USER, PER_USER_PER_SERVER, LimitType
from .records import Handshake, Listener, RestCall, SimRequest
from .server import Simulator
from .session import SimSocket
from .settings import BadToken, PayloadForm, Settings
from .tokens import DEFAULT_OWNER, SimToken, make_jwt

__all__ = [
    "DEFAULT_OWNER",
    "LIMIT_TYPES",
    "PER_SERVER",
    "PER_USER",
    "PER_USER_PER_SERVER",
    "STATES",
    "BadToken",
    "Handshake",
    "LimitType",
    "Listener",
    "PayloadForm",
    "ReconnectMode",
    "RestCall",
    "Settings",
    "SimAccount",
    "SimHost",
    "SimRequest",
    "SimSocket",
    "SimToken",
    "Simulator",
    "SubscribeMode",
    "account_id",
    "demo_accounts",
    "make_jwt",
    "plain_accounts",
]
