"""The provisioning API: accounts, regions, where the client API is."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from multidict import CIMultiDict

from .account import SimAccount, account_json, replica_json
from .cloud import Cloud
from .limits import iso_in
from .records import RestCall
from .settings import Settings
from .tokens import SimToken

type Call = Callable[[web.Request, SimToken], Any]

NAMES = {
    400: "ValidationError",
    401: "UnauthorizedError",
    403: "ForbiddenError",
    404: "NotFoundError",
    409: "ConflictError",
    429: "TooManyRequestsError",
}
MAX_LIMIT = 1000


@dataclass(slots=True, eq=False)
class RestFault:
    """An error on demand for `count` calls; `path` is the start of the paths that it spoils."""

    status: int
    path: str = "/"
    count: int | None = None
    retry_after: float | None = None
    body: str | None = None


class RestError(Exception):
    """A call that fails."""

    def __init__(self, status: int, message: str, *, details: Any = None) -> None:
        """Take the HTTP status, the message and the details of the body."""
        super().__init__(message)
        self.status = status
        self.details = details


class Rest:
    """The REST API."""

    def __init__(self, settings: Settings, cloud: Cloud) -> None:
        """Take the cloud whose accounts are shown."""
        self.url = ""
        self.calls: deque[RestCall] = deque(maxlen=100_000)
        self.fault: RestFault | None = None
        self._settings = settings
        self._cloud = cloud
        self._thawed = asyncio.Event()
        self._thawed.set()

    def fail(
        self,
        status: int | None,
        *,
        path: str = "/",
        count: int | None = None,
        retry_after: float | None = None,
        body: str | None = None,
    ) -> None:
        """Answer calls with an error, `count` times or until None ends it."""
        self.fault = (
            None
            if status is None
            else RestFault(status, path, count, retry_after, body)
        )

    def freeze(self) -> None:
        """Answer no call."""
        self._thawed.clear()

    def unfreeze(self) -> None:
        """Answer calls again."""
        self._thawed.set()

    @property
    def frozen(self) -> bool:
        """Return whether calls are left without an answer."""
        return not self._thawed.is_set()

    def routes(self) -> list[web.RouteDef]:
        """Return what is served; unknown paths get MetaApi's own 404."""
        base = "/users/current"
        return [
            web.get(f"{base}/accounts", self._served(self._accounts)),
            web.get(f"{base}/accounts/{{id}}", self._served(self._account)),
            web.get(f"{base}/accounts/{{id}}/replicas", self._served(self._replicas)),
            web.get(
                f"{base}/accounts/{{id}}/replicas/{{replica}}",
                self._served(self._replica),
            ),
            web.get(f"{base}/regions", self._served(self._regions)),
            web.get(f"{base}/servers/mt-client-api", self._served(self._server)),
            web.route("*", "/users/{tail:.*}", self._served(self._nothing)),
        ]

    def _served(self, call: Call) -> Callable[[web.Request], Awaitable[web.Response]]:
        """Wrap a call in what all have in common."""

        async def handler(request: web.Request) -> web.Response:
            await self._thawed.wait()
            if self._settings.timing.rest_delay:
                await asyncio.sleep(self._settings.timing.rest_delay)
            response = self._spoiled(request)
            if response is None:
                try:
                    response = web.json_response(call(request, self._token(request)))
                except RestError as err:
                    response = _error(err.status, str(err), details=err.details)
            self.calls.append(
                RestCall(
                    asyncio.get_running_loop().time(),
                    request.method,
                    request.path,
                    dict(request.query),
                    response.status,
                    CIMultiDict(request.headers),
                )
            )
            return response

        return handler

    def _spoiled(self, request: web.Request) -> web.Response | None:
        """Return the error on demand, if it is this call's."""
        fault = self.fault
        if fault is None or not request.path.startswith(fault.path):
            return None
        if fault.count is not None:
            fault.count -= 1
            if fault.count <= 0:
                self.fault = None
        if fault.body is not None:
            return web.Response(status=fault.status, text=fault.body)
        metadata = None
        headers = {}
        if fault.retry_after is not None:
            headers["Retry-After"] = str(round(fault.retry_after))
            metadata = {
                "periodInMinutes": 60,
                "requestsPerPeriodAllowed": 1000,
                "recommendedRetryTime": iso_in(fault.retry_after),
            }
        return _error(
            fault.status, "Refused by the simulator", metadata=metadata, headers=headers
        )

    def _token(self, request: web.Request) -> SimToken:
        """Return what the caller's token may do, or raise."""
        token = self._cloud.tokens.get(request.headers.get("auth-token", ""))
        if token is None or token.revoked:
            raise RestError(401, "Authorization token invalid")
        if not token.provisioning:
            raise RestError(
                self._settings.api.provisioning_refusal,
                "You can not invoke this method because you do not have the required permission",
            )
        return token

    def _accounts(self, request: web.Request, token: SimToken) -> Any:
        """List accounts, as one version of the API or the other."""
        version = request.headers.get("api-version", "1")
        if version not in ("1", "2"):
            raise RestError(400, f"Unknown api-version {version[:20]}")
        limit = _number(request, "limit", MAX_LIMIT, 1, MAX_LIMIT)
        offset = _number(request, "offset", 0, 0, None)
        found = [
            account
            for account in self._cloud.visible(token)
            if account.primary_id is None and _matches(request, account)
        ]
        items = [self._json(account) for account in found[offset : offset + limit]]
        return items if version == "1" else {"count": len(found), "items": items}

    def _account(self, request: web.Request, token: SimToken) -> Any:
        """Return one account."""
        return self._json(self._find(request, token))

    def _replicas(self, request: web.Request, token: SimToken) -> Any:
        """List the replicas of an account."""
        return [
            replica_json(each)
            for each in self._cloud.replicas(self._find(request, token))
        ]

    def _replica(self, request: web.Request, token: SimToken) -> Any:
        """Return one replica of an account."""
        for each in self._cloud.replicas(self._find(request, token)):
            if each.id == request.match_info["replica"]:
                return replica_json(each)
        raise RestError(
            404, f"Replica with id {request.match_info['replica']} not found"
        )

    def _regions(self, request: web.Request, token: SimToken) -> Any:
        """List the regions, the owner's default first."""
        here = [account.region for account in self._cloud.visible(token)]
        return list(dict.fromkeys([*self._settings.api.regions, *here]))

    def _server(self, request: web.Request, token: SimToken) -> Any:
        """Return where the client API is."""
        return {
            "url": self.url,
            "hostname": "mt-client-api-v1",
            "domain": "agiliumtrade.ai",
        } | self._settings.api.server_settings

    def _nothing(self, request: web.Request, token: SimToken) -> Any:
        """Serve no path."""
        raise RestError(404, f"Cannot {request.method} {request.path}")

    def _find(self, request: web.Request, token: SimToken) -> SimAccount:
        """Return the account that the path names."""
        account = self._cloud.accounts.get(request.match_info["id"])
        if account is None or account not in self._cloud.visible(token):
            raise RestError(
                404, f"Trading account with id {request.match_info['id']} not found"
            )
        return account

    def _json(self, account: SimAccount) -> dict[str, Any]:
        """Return an account as JSON."""
        cloud = self._cloud
        return account_json(
            account,
            cloud.replicas(account),
            cloud.subscriptions.connections(account),
        )


def _number(
    request: web.Request, name: str, default: int, least: int, most: int | None
) -> int:
    """Return a whole number of the query."""
    text = request.query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        value = -1
    else:
        value = int(text)
    if value < least or (most is not None and value > most):
        details = [
            {"parameter": name, "message": f"Must be a number of {least} or more."}
        ]
        raise RestError(400, "Validation failed", details=details)
    return value


def _matches(request: web.Request, account: SimAccount) -> bool:
    """Return whether an account is what the query asks for."""
    fields = {
        "region": account.region,
        "state": account.state,
        "connectionStatus": account.connection_status,
        "type": account.spec.type,
        "version": str(account.spec.version),
    }
    for name, value in fields.items():
        wanted = [
            part for text in request.query.getall(name, []) for part in text.split(",")
        ]
        if wanted and value not in wanted:
            return False
    text = request.query.get("query", "").lower()
    words = (account.id, account.name, account.server, account.login or "")
    return any(text in word.lower() for word in words)


def _error(
    status: int,
    message: str,
    *,
    details: Any = None,
    metadata: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> web.Response:
    """Return an error as the API words it."""
    body: dict[str, Any] = {
        "id": 1,
        "error": NAMES.get(status, "InternalError"),
        "message": message,
    }
    if details is not None:
        body["details"] = details
    if metadata is not None:
        body["metadata"] = metadata
    return web.json_response(body, status=status, headers=headers)
