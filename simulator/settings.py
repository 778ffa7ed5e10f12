"""The simulator's settings, which may be changed while it runs."""

from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypedDict, Unpack

type PayloadForm = Literal["auto", "object", "string"]
type BadToken = Literal["http401", "close", "error_packet", "processing_error"]


@dataclass(kw_only=True, eq=False)
class Timing:
    """Intervals, delays and timeouts, in seconds."""

    ping_interval: float = 25.0
    ping_timeout: float = 5.0
    status_interval: float = 5.0
    subscribe_timeout: float = 10.0
    reconnect_delay: float = 2.0
    rest_delay: float = 0.0
    handshake_delay: float = 0.0

    # Before `40`, before handling a request, before its `response`, before `authenticated`.
    connect_delay: float = 0.0
    reply_delay: float = 0.0
    response_delay: float = 0.0
    authenticated_delay: float = 0.0

    # After this time the server drops a subscription without an event; None: never.
    subscription_lifetime: float | None = None

    # How long a client with a sticky connection may take to return.
    sticky_lifetime: float = 10.0


@dataclass(kw_only=True, eq=False)
class Wire:
    """What the servers send on a socket."""

    payload_form: PayloadForm = "auto"
    minimal_authenticated: bool = False
    bad_token: BadToken = "http401"

    # The first packets on a socket; None omits the packet.
    open_packet: str | None = "auto"
    connect_packet: str | None = "40"

    # Events that are sent in the same TCP segment as `40`.
    greeting: list[dict[str, Any]] = field(default_factory=list)
    answer_pings: bool = True

    # The HTTP status with which new sockets are refused; with 3xx, the location as well.
    refuse_status: int | None = None
    refuse_retry_after: float | None = None
    refuse_location: str | None = None


@dataclass(kw_only=True, eq=False)
class Api:
    """What the REST API answers."""

    provisioning_refusal: int = 403

    # The client API's status for an account of another region: 504 or 404.
    wrong_region: int = 504
    regions: list[str] = field(default_factory=lambda: ["london", "new-york"])
    server_settings: dict[str, Any] = field(default_factory=dict)


@dataclass(kw_only=True, eq=False)
class Quotas:
    """How many accounts may be subscribed: per owner, per owner and server, per server."""

    max_accounts_per_user: int | None = None
    max_accounts_per_user_per_server: int | None = None
    max_accounts_per_server: int | None = None
    quota_retry_after: float = 10.0


class TimingOptions(TypedDict, total=False):
    """The settings of `Timing`, as keywords."""

    ping_interval: float
    ping_timeout: float
    status_interval: float
    subscribe_timeout: float
    reconnect_delay: float
    rest_delay: float
    handshake_delay: float
    connect_delay: float
    reply_delay: float
    response_delay: float
    authenticated_delay: float
    subscription_lifetime: float | None
    sticky_lifetime: float


class WireOptions(TypedDict, total=False):
    """The settings of `Wire`, as keywords."""

    payload_form: PayloadForm
    minimal_authenticated: bool
    bad_token: BadToken
    open_packet: str | None
    connect_packet: str | None
    greeting: list[dict[str, Any]]
    answer_pings: bool
    refuse_status: int | None
    refuse_retry_after: float | None
    refuse_location: str | None


class ApiOptions(TypedDict, total=False):
    """The settings of `Api`, as keywords."""

    provisioning_refusal: int
    wrong_region: int
    regions: list[str]
    server_settings: dict[str, Any]


class QuotasOptions(TypedDict, total=False):
    """The settings of `Quotas`, as keywords."""

    max_accounts_per_user: int | None
    max_accounts_per_user_per_server: int | None
    max_accounts_per_server: int | None
    quota_retry_after: float


class Options(TimingOptions, WireOptions, ApiOptions, QuotasOptions, total=False):
    """All settings as keywords; a test compares them with the classes above."""


class Settings:
    """All settings, in four groups."""

    def __init__(self, **options: Unpack[Options]) -> None:
        """Start with the defaults, and change the given settings."""
        self.timing = Timing()
        self.wire = Wire()
        self.api = Api()
        self.quotas = Quotas()
        for name, value in options.items():
            self.set(name, value)

    def get(self, name: str) -> Any:
        """Return a setting of any group."""
        return getattr(self._group(name), name)

    def set(self, name: str, value: object) -> None:
        """Change a setting of any group."""
        setattr(self._group(name), name, value)

    def _group(self, name: str) -> Timing | Wire | Api | Quotas:
        """Return the group that has a setting; raise TypeError if none has."""
        for group in (self.timing, self.wire, self.api, self.quotas):
            if name in {each.name for each in fields(group)}:
                return group
        raise TypeError(f"no such setting: {name}")
