"""Subscription limits: the three kinds of `TooManyRequestsError` that a subscribe may get."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .errors import iso_in
from .session import SimSocket
from .settings import Settings
from .tokens import SimToken

type LimitType = Literal[
    "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_USER",
    "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_USER_PER_SERVER",
    "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_SERVER",
]

PER_USER: LimitType = "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_USER"
PER_USER_PER_SERVER: LimitType = "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_USER_PER_SERVER"
PER_SERVER: LimitType = "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_SERVER"
LIMIT_TYPES = (PER_USER, PER_USER_PER_SERVER, PER_SERVER)


@dataclass(slots=True, eq=False)
class Limit:
    """A limit on demand, which refuses subscribes until it is lifted."""

    type: LimitType
    retry_after: float
    count: int | None = None
    accounts: frozenset[str] | None = None
    # PER_SERVER asks for another Client-Id, so only the first refused one stays refused.
    client_id: str | None = field(default=None, init=False)

    def refuses(self, socket: SimSocket, account_id: str) -> bool:
        """Return whether the limit refuses a subscribe, and count this use."""
        if self.count == 0 or (
            self.accounts is not None and account_id not in self.accounts
        ):
            return False
        if self.type == PER_SERVER:
            self.client_id = self.client_id or socket.client_id
            if self.client_id != socket.client_id:
                return False
        if self.count is not None:
            self.count -= 1
        return True


class Limits:
    """The limit on demand, and the quotas."""

    def __init__(
        self, settings: Settings, subscribers: Mapping[str, Mapping[SimSocket, Any]]
    ) -> None:
        """Store the subscriptions, which the quotas count."""
        self.demanded: Limit | None = None
        self._settings = settings
        self._subscribers = subscribers

    def check(
        self,
        socket: SimSocket,
        owner: str,
        account_id: str,
        tokens: Mapping[str, SimToken],
    ) -> dict[str, Any] | None:
        """Return the error's metadata if the subscribe exceeds a limit."""
        limit = self.demanded
        if limit is not None and limit.refuses(socket, account_id):
            return _metadata(limit.type, limit.retry_after, 50, 50)

        def used(*, user: bool, server: bool) -> int:
            """Count the subscribed accounts other than this one."""
            return sum(
                account != account_id
                and any(
                    not (server and other.listener is not socket.listener)
                    and not (user and _owner(other, tokens) != owner)
                    for other in sockets
                )
                for account, sockets in self._subscribers.items()
            )

        for kind, most, user, server in self._quotas():
            if most is not None and (count := used(user=user, server=server)) >= most:
                return _metadata(
                    kind, self._settings.quotas.quota_retry_after, most, count
                )
        return None

    def _quotas(self) -> Iterator[tuple[LimitType, int | None, bool, bool]]:
        """Yield the type of each quota, its size, and whether it is per user and per server."""
        quotas = self._settings.quotas
        yield PER_USER, quotas.max_accounts_per_user, True, False
        yield PER_USER_PER_SERVER, quotas.max_accounts_per_user_per_server, True, True
        yield PER_SERVER, quotas.max_accounts_per_server, False, True


def _owner(socket: SimSocket, tokens: Mapping[str, SimToken]) -> str | None:
    """Return the owner of a socket's token."""
    token = tokens.get(socket.token)
    return token.owner if token else None


def _metadata(
    kind: LimitType, retry_after: float, most: int, count: int
) -> dict[str, Any]:
    """Return the metadata of the error."""
    result: dict[str, Any] = {"type": kind}
    if kind == PER_USER:
        result |= {"maxAccountsPerUser": most, "accountsCount": count}
    elif kind == PER_USER_PER_SERVER:
        result |= {"maxAccountsPerUserPerServer": most, "accountsCount": count}
    else:
        result["changeClientIdHeader"] = True
    return result | {"recommendedRetryTime": iso_in(retry_after)}
