"""What MetaApi tells about accounts and servers, as frozen dataclasses."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
import re
from typing import Any, Self

DEPLOYED = "DEPLOYED"

_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
"""What an id may be: it stands in paths, keys and unique ids."""

_REPLICAS_MAX = 16
"""More replicas than MetaApi has regions are none of its own."""

_VERSIONS = (4, 5)

_NUMBER_MAX = 10**18
"""No login is longer."""

_HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*")
"""What may become a part of the host that gets the token."""


class Status(StrEnum):
    """Why the terminal is on, off or out of sight."""

    CONNECTED = "connected"
    BROKER_DISCONNECTED = "broker_disconnected"
    DISCONNECTED = "disconnected"
    SILENT = "silent"
    RECONNECTING = "reconnecting"
    RECONNECT_FAILED = "reconnect_failed"
    NEVER_AUTHENTICATED = "never_authenticated"
    NOT_DEPLOYED = "not_deployed"
    NOT_FOUND = "not_found"
    QUOTA_EXHAUSTED = "quota_exhausted"
    FORBIDDEN = "forbidden"
    NO_ANSWER = "no_answer"
    NO_CONNECTION = "no_connection"
    TOKEN_REFUSED = "token_refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class AccountState:
    """What an account shows to the outside."""

    available: bool = True
    """False while we cannot see the account at all."""
    terminal: bool | None = None
    """Whether the terminal is authenticated; None until the first round decides."""
    broker: bool | None = None
    """Whether the terminal is connected to its broker; None while that is not known."""
    status: Status = Status.UNKNOWN
    """The reason."""
    timeouts: int = 0
    """How many subscribes in a row each open socket of the account saw answered `TimeoutError`, at least.

    0 as long as one of them shows a terminal, or answers anything else. With five in a row MetaApi's SDKs
    read the account's facts again, since its region may be another one by now (SDK behavior); listeners
    are told of each step.
    """


class Outcome(StrEnum):
    """How a reconnect ended."""

    AUTHENTICATED = "authenticated"
    REFUSED = "refused"
    TIMED_OUT = "timed_out"
    NOT_DEPLOYED = "not_deployed"
    NO_CONNECTION = "no_connection"
    """No socket was open, so that nothing was asked."""
    CONNECTION_LOST = "connection_lost"
    """The socket went after the request, which may have reached MetaApi."""
    TOKEN_REFUSED = "token_refused"
    """Only a new token helps."""


@dataclass(frozen=True, slots=True)
class ReconnectResult:
    """What a caller of a reconnect is told."""

    outcome: Outcome
    seconds: float
    error: str | None = None
    """What MetaApi said of a refusal, without the token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """A copy of an account that MetaApi runs in another region (documentation, `accountReplica`)."""

    account_id: str
    region: str = ""
    state: str = ""

    @property
    def deployed(self) -> bool:
        """Return whether MetaApi runs a terminal for this replica."""
        return self.state == DEPLOYED

    @classmethod
    def from_json(cls, data: object) -> Self | None:
        """Read one replica; None when it has no id."""
        if not isinstance(data, Mapping) or not (account_id := _id(data, "_id")):
            return None
        return cls(
            account_id=account_id,
            region=_string(data, "region"),
            state=_string(data, "state"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One MetaTrader account, as the provisioning API describes it (documentation, `metatraderAccount`)."""

    account_id: str
    name: str = ""
    login: str = ""
    server: str = ""
    version: int | None = None
    type: str = ""
    region: str = ""
    state: str = ""
    connection_status: str = ""
    reliability: str = ""
    replicas: tuple[Replica, ...] = ()

    @property
    def deployed(self) -> bool:
        """Return whether MetaApi runs a terminal for this account."""
        return self.state == DEPLOYED

    @property
    def high_reliability(self) -> bool:
        """Return whether MetaApi runs terminals for this account in both zones of its region."""
        return self.reliability == "high"

    @property
    def title(self) -> str:
        """Return what to call the account: its name, else its login and server, else its id."""
        if any(map(str.isalpha, self.name)):
            return self.name
        return " · ".join(filter(None, (self.login, self.server))) or self.account_id

    @property
    def platform(self) -> str:
        """Return MetaTrader 4 or MetaTrader 5, or nothing when the version is not known."""
        return f"MetaTrader {self.version}" if self.version else ""

    @classmethod
    def from_json(cls, data: object) -> Self | None:
        """Read one account; None when it has no id."""
        if not isinstance(data, Mapping):
            return None
        account_id = _id(data, "_id") or _id(data, "id")
        if not account_id:
            return None
        version = data.get("version")
        replicas = data.get("accountReplicas")
        return cls(
            account_id=account_id,
            name=_string(data, "name").strip(),
            login=_string(data, "login"),
            server=_string(data, "server"),
            version=version
            if isinstance(version, int) and version in _VERSIONS
            else None,
            type=_string(data, "type"),
            region=_string(data, "region"),
            state=_string(data, "state"),
            connection_status=_string(data, "connectionStatus"),
            reliability=_string(data, "reliability"),
            replicas=tuple(
                replica
                for item in (replicas if isinstance(replicas, list) else ())[
                    :_REPLICAS_MAX
                ]
                if (replica := Replica.from_json(item)) is not None
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Where the client API of this user runs (SDK behavior: `/users/current/servers/mt-client-api`)."""

    hostname: str = "mt-client-api-v1"
    domain: str = "agiliumtrade.ai"

    @classmethod
    def from_json(cls, data: object) -> Self:
        """Read the settings; what is missing keeps its default."""
        if not isinstance(data, Mapping):
            return cls()
        hostname, domain = _string(data, "hostname"), _string(data, "domain")
        return cls(
            hostname=hostname if _HOST.fullmatch(hostname) else cls().hostname,
            domain=domain if _HOST.fullmatch(domain) else cls().domain,
        )


def _string(data: Mapping[str, Any], key: str) -> str:
    """Return a field when it is text, else nothing; a number (a login, in old data) becomes text."""
    value = data.get(key)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < _NUMBER_MAX else ""
    return value if isinstance(value, str) else ""


def _id(data: Mapping[str, Any], key: str) -> str:
    """Return a field when it is an id, else nothing."""
    account_id = _string(data, key)
    return account_id if _ID.fullmatch(account_id) else ""
