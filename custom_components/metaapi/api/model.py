"""What MetaApi tells about accounts and servers, as frozen dataclasses."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

DEPLOYED = "DEPLOYED"


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
    replica_ids: tuple[str, ...] = ()

    @property
    def deployed(self) -> bool:
        """Tell whether MetaApi runs a terminal for this account."""
        return self.state == DEPLOYED

    @property
    def platform(self) -> str:
        """Return MT4 or MT5, or nothing when the version is not known."""
        return f"MT{self.version}" if self.version else ""

    @classmethod
    def from_json(cls, data: object) -> Self | None:
        """Read one account; None when it has no id."""
        if not isinstance(data, Mapping):
            return None
        account_id = _string(data, "_id") or _string(data, "id")
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
            if isinstance(version, int) and not isinstance(version, bool)
            else None,
            type=_string(data, "type"),
            region=_string(data, "region"),
            state=_string(data, "state"),
            connection_status=_string(data, "connectionStatus"),
            replica_ids=tuple(
                replica["_id"]
                for replica in (replicas if isinstance(replicas, list) else ())
                if isinstance(replica, Mapping) and isinstance(replica.get("_id"), str)
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Where the client API of this user runs (SDK behaviour: `/users/current/servers/mt-client-api`)."""

    hostname: str = "mt-client-api-v1"
    domain: str = "agiliumtrade.ai"

    @classmethod
    def from_json(cls, data: object) -> Self:
        """Read the settings; what is missing keeps its default."""
        if not isinstance(data, Mapping):
            return cls()
        return cls(
            hostname=_string(data, "hostname") or cls().hostname,
            domain=_string(data, "domain") or cls().domain,
        )


def _string(data: Mapping[str, Any], key: str) -> str:
    """Return a field when it is text, else nothing; a number (a login, in old data) becomes text."""
    value = data.get(key)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else ""
