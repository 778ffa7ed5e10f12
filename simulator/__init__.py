"""Simulate MetaApi (REST, the socket, faults on demand) for tests and the demo."""

from .account import (
    STATES,
    EventPlan,
    ReconnectMode,
    ReconnectPlan,
    SimAccount,
    SimHost,
    Spec,
    SubscribeMode,
    SubscribePlan,
    account_id,
    demo_accounts,
    hosts_in,
    plain_accounts,
)
from .limits import LIMIT_TYPES, PER_SERVER, PER_USER, PER_USER_PER_SERVER, LimitType
from .records import Handshake, Listener, RestCall
from .server import Simulator
from .session import SimRequest, SimSocket
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
    "EventPlan",
    "Handshake",
    "LimitType",
    "Listener",
    "PayloadForm",
    "ReconnectMode",
    "ReconnectPlan",
    "RestCall",
    "Settings",
    "SimAccount",
    "SimHost",
    "SimRequest",
    "SimSocket",
    "SimToken",
    "Simulator",
    "Spec",
    "SubscribeMode",
    "SubscribePlan",
    "account_id",
    "demo_accounts",
    "hosts_in",
    "make_jwt",
    "plain_accounts",
]
