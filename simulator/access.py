"""The tokens that are accepted, and what each of them allows."""

from collections.abc import Iterable

from .cloud import Cloud
from .faults import Span
from .sockets import Sockets
from .tokens import DEFAULT_OWNER, SimToken, make_jwt


class Access:
    """Grants and revokes tokens."""

    def __init__(self, cloud: Cloud, sockets: Sockets) -> None:
        """Start without an accepted token."""
        self.token = ""
        self._cloud = cloud
        self._sockets = sockets

    def grant(
        self,
        token: str | None = None,
        *,
        owner: str = DEFAULT_OWNER,
        provisioning: bool = True,
        streaming: bool = True,
        accounts: Iterable[str] | None = None,
        expires: int | None = None,
    ) -> str:
        """Accept a token from now on, and return it; without one, generate a new one."""
        only = None if accounts is None else frozenset(accounts)
        if token is None:
            times = {} if expires is None else {"expires": expires}
            token = make_jwt(
                owner,
                provisioning=provisioning,
                streaming=streaming,
                accounts=only,
                **times,
            )
        self._cloud.tokens[token] = SimToken(
            text=token,
            owner=owner,
            provisioning=provisioning,
            streaming=streaming,
            accounts=only,
        )
        self.token = self.token or token
        return token

    def restore(self, token: str | None = None) -> None:
        """Accept a revoked token again, with the permissions it had."""
        self._cloud.tokens[token or self.token].refusal = None

    def revoke(
        self,
        token: str | None = None,
        *,
        drop: bool = False,
        seconds: float | None = None,
    ) -> None:
        """Refuse a token; its open sockets get UnauthorizedError and stay open unless `drop`."""
        token = self.token if token is None else token
        self._cloud.tokens[token].refusal = Span.of(None, seconds)
        if drop:
            for socket in self._sockets.all():
                if socket.token == token:
                    socket.drop("token revoked")
