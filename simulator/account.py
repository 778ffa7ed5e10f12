"""A MetaTrader account in MetaApi's cloud, with state that tests and people may change."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count
from typing import Any, Literal
from uuid import NAMESPACE_URL, uuid4, uuid5

from .tokens import DEFAULT_OWNER

type ReconnectMode = Literal[
    "accept", "refuse", "ignore", "never", "authenticated_first", "legacy_only"
]
type SubscribeMode = Literal["normal", "response_first", "refuse", "ignore"]

state_changes = count(1)

DEPLOYED = "DEPLOYED"
STATES = (
    "CREATED",
    "DEPLOYING",
    DEPLOYED,
    "DEPLOY_FAILED",
    "UNDEPLOYING",
    "UNDEPLOYED",
    "UNDEPLOY_FAILED",
    "DELETING",
    "DELETE_FAILED",
    "REDEPLOY_FAILED",
    "DRAFT",
)


@dataclass(slots=True)
class SimHost:
    """One terminal process of an account."""

    name: str
    zone: int = 0
    up: bool = True


@dataclass(slots=True, kw_only=True, eq=False)
class Spec:
    """Fields of an account that only REST shows."""

    version: int = 5
    type: str = "cloud-g2"
    reliability: str = "regular"
    tags: list[str] = field(default_factory=list)

    # Increases with every state change of any account.
    state_changed: int = field(default_factory=lambda: next(state_changes))


@dataclass(slots=True, kw_only=True, eq=False)
class EventPlan:
    """What events report about the terminals; `replicas` None means the number of hosts."""

    silent: bool = False
    authenticated: bool = True
    health: dict[str, Any] = field(default_factory=lambda: {"rpcApiHealthy": True})
    replicas: int | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class SubscribePlan:
    """How to answer a `subscribe`."""

    mode: SubscribeMode = "normal"
    error: str = "ForbiddenError"


@dataclass(slots=True, kw_only=True, eq=False)
class ReconnectPlan:
    """How to answer a `reconnect`, and how earlier ones ended."""

    mode: ReconnectMode = "accept"
    then: ReconnectMode | None = None
    error: str = "ValidationError"
    details: Any = None
    delay: float | None = None

    count: int = 0
    last: float | None = None
    outcome: str | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class SimAccount:
    """One account; clients see a direct change of a field with the next status."""

    id: str = field(default_factory=lambda: str(uuid4()))
    name: str = "Account"
    login: str | None = "90210"
    server: str = "Broker-Live"
    spec: Spec = field(default_factory=Spec)
    region: str = "london"
    owner: str = DEFAULT_OWNER
    state: str = DEPLOYED
    primary_id: str | None = None
    hosts: list[SimHost] = field(default_factory=lambda: hosts_in((0,)))
    broker: bool = True
    events: EventPlan = field(default_factory=EventPlan)
    subscribing: SubscribePlan = field(default_factory=SubscribePlan)
    reconnecting: ReconnectPlan = field(default_factory=ReconnectPlan)
    rest: dict[str, Any] = field(default_factory=dict)

    def run_in(self, zones: Iterable[int]) -> None:
        """Replace the hosts by one terminal process per zone, up if any was up before."""
        self.hosts = hosts_in(zones, up=self.up)

    @property
    def zones(self) -> tuple[int, ...]:
        """Return the zones in which the account has hosts."""
        return tuple(sorted({host.zone for host in self.hosts}))

    @property
    def up(self) -> bool:
        """Return whether any terminal process is up."""
        return any(host.up for host in self.hosts)

    @property
    def deployed(self) -> bool:
        """Return whether the account is deployed."""
        return self.state == DEPLOYED

    @property
    def reconnects(self) -> int:
        """Return how many times the account was asked to reconnect."""
        return self.reconnecting.count

    @property
    def connection_status(self) -> str:
        """Return the `connectionStatus` that REST shows."""
        if not (self.deployed and self.up):
            return "DISCONNECTED"
        return "CONNECTED" if self.broker else "DISCONNECTED_FROM_BROKER"

    def set_up(self, up: bool, host: str | None = None) -> None:
        """Start or stop one terminal process, or all of them."""
        for each in self.hosts:
            if host in (None, each.name):
                each.up = up


def hosts_in(zones: Iterable[int], *, up: bool = True) -> list[SimHost]:
    """Return one terminal process per zone."""
    return [SimHost(f"ps-mp{'abcdefgh'[zone]}-1", zone, up) for zone in zones]


def account_id(number: int) -> str:
    """Return the same id for the same number, in every run."""
    return str(uuid5(NAMESPACE_URL, f"metaapi-simulator/{number}"))


NAMES = ("Swing", "Scalper", "Gold", "Night Owl", "Trend", "Grid", "Hedge", "News")


def plain_accounts(count: int) -> list[SimAccount]:
    """Return accounts that are all up, with the same ids in every run."""
    return [
        SimAccount(
            id=account_id(number),
            name=NAMES[number] if number < len(NAMES) else f"Account {number + 1}",
            login=str(90210 + number),
        )
        for number in range(count)
    ]


def demo_accounts(count: int) -> list[SimAccount]:
    """Return accounts; the first four are up, terminal down, broker down and undeployed."""
    accounts = plain_accounts(count)
    for account, condition in zip(
        accounts, ("up", "terminal", "broker", "undeployed"), strict=False
    ):
        if condition == "terminal":
            account.set_up(False)
        elif condition == "broker":
            account.broker = False
        elif condition == "undeployed":
            account.state = "UNDEPLOYED"
    return accounts


def account_json(
    account: SimAccount,
    replicas: Iterable[SimAccount],
    connections: list[dict[str, Any]],
) -> dict[str, Any]:
    """Return the account as the provisioning API shows it."""
    result: dict[str, Any] = {
        "_id": account.id,
        "name": account.name,
        "server": account.server,
        "version": account.spec.version,
        "type": account.spec.type,
        "region": account.region,
        "state": account.state,
        "connectionStatus": account.connection_status,
        "reliability": account.spec.reliability,
        "primaryReplica": account.primary_id is None,
        "accountReplicas": [replica_json(replica) for replica in replicas],
        "connections": connections,
        "tags": list(account.spec.tags),
        "userId": account.owner,
        "createdAt": "2026-01-05T10:00:00.000Z",
        "magic": 0,
        "baseCurrency": "USD",
        "copyFactoryRoles": [],
        "application": "MetaApi",
        "hash": int(sha256(account.id.encode()).hexdigest()[:8], 16),
        "resourceSlots": 1,
        "copyFactoryResourceSlots": 1,
        "manualTrades": False,
        "metastatsApiEnabled": False,
        "riskManagementApiEnabled": False,
    }
    if account.login is not None:
        result["login"] = account.login
    if account.primary_id is not None:
        result["primaryAccountId"] = account.primary_id
    return result | account.rest


def replica_json(replica: SimAccount) -> dict[str, Any]:
    """Return a replica as its primary account lists it."""
    return {
        "_id": replica.id,
        "state": replica.state,
        "region": replica.region,
        "connectionStatus": replica.connection_status,
        "reliability": replica.spec.reliability,
        "tags": list(replica.spec.tags),
        "magic": 0,
        "createdAt": "2026-01-05T10:00:00.000Z",
    } | replica.rest
