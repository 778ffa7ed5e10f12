"""The provisioning API (accounts, regions, server settings), and the client API's REST part."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from multidict import CIMultiDict

from .account import SimAccount, account_json, replica_json
from .cloud import Cloud
from .errors import error_body, iso_in
from .faults import RestFault, Span
from .records import LISTENER, RestCall
from .settings import Settings
from .synchronization import account_information
from .tokens import PROVISIONING, SimToken

type Call = Callable[[web.Request, SimToken], Any]

NAMES = {
    400: "ValidationError",
    401: "UnauthorizedError",
    403: "ForbiddenError",
    404: "NotFoundError",
    409: "ConflictError",
    429: "TooManyRequestsError",
    504: "TimeoutError",
}
# The proxy in front of MetaApi answers with this page when it cannot reach MetaApi.
ORIGIN_AWAY = 530
AWAY_PAGE = (
    "<!DOCTYPE html><html><head><title>Origin DNS error</title></head>"
    "<body><h1>Error 1016</h1></body></html>"
)
IGNORED_FIELDS = {
    "specification": ["description", "tradeSessions", "quoteSessions"],
    "position": ["time", "comment", "brokerComment", "profit", "currentPrice"],
    "order": ["time", "comment", "brokerComment", "currentPrice"],
}
MAX_LIMIT = 1000


class RestError(Exception):
    """A failed call."""

    def __init__(self, status: int, message: str, *, details: Any = None) -> None:
        """Store the HTTP status, the message and the details of the body."""
        super().__init__(message)
        self.status = status
        self.details = details


class Rest:
    """The REST API."""

    def __init__(self, settings: Settings, cloud: Cloud) -> None:
        """Store the cloud whose accounts REST shows."""
        self.url = ""
        self.calls: deque[RestCall] = deque(maxlen=100_000)
        self._fault: RestFault | None = None
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
        seconds: float | None = None,
        retry_after: float | None = None,
        body: str | None = None,
    ) -> None:
        """Answer calls with an error: `count` times, for `seconds`, or until called with None."""
        if status == ORIGIN_AWAY and body is None:
            body = AWAY_PAGE
        self._fault = (
            None
            if status is None
            else RestFault(status, Span.of(count, seconds), path, retry_after, body)
        )

    @property
    def fault(self) -> RestFault | None:
        """Return the error on demand, unless it has ended."""
        if self._fault is not None and self._fault.span.over:
            self._fault = None
        return self._fault

    def freeze(self) -> None:
        """Stop answering calls."""
        self._thawed.clear()

    def unfreeze(self) -> None:
        """Answer calls again."""
        self._thawed.set()

    @property
    def frozen(self) -> bool:
        """Return whether calls are left unanswered."""
        return not self._thawed.is_set()

    def routes(self) -> list[web.RouteDef]:
        """Return the routes; unknown paths get MetaApi's 404."""
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

    def client_routes(self) -> list[web.RouteDef]:
        """Return the REST routes of the client API's servers."""
        return [
            web.get(
                "/hashing-ignored-field-lists",
                self._served(self._ignored_fields, provisioning=False),
            ),
            web.get(
                "/users/current/accounts/{id}/account-information",
                self._served(self._information, provisioning=False),
            ),
        ]

    def _served(
        self, call: Call, *, provisioning: bool = True
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        """Return a handler for a call: delays, faults, token check, errors, the record."""

        async def handler(request: web.Request) -> web.Response:
            await self._thawed.wait()
            await request.app[LISTENER].thawed.wait()
            if self._settings.timing.rest_delay:
                await asyncio.sleep(self._settings.timing.rest_delay)
            response = self._apply_fault(request)
            if response is None:
                try:
                    response = web.json_response(
                        call(request, self._token(request, provisioning=provisioning))
                    )
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

    def _apply_fault(self, request: web.Request) -> web.Response | None:
        """Return the error on demand, if it applies to this call."""
        fault = self.fault
        if fault is None or not fault.applies(request.path):
            return None
        if fault.body is not None:
            kind = "text/html" if fault.body.startswith("<") else "text/plain"
            return web.Response(status=fault.status, text=fault.body, content_type=kind)
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

    def _token(self, request: web.Request, *, provisioning: bool) -> SimToken:
        """Return the caller's token; raise RestError if it does not allow the call."""
        token = self._cloud.tokens.get(request.headers.get("auth-token", ""))
        if token is None or token.revoked:
            raise RestError(401, "Authorization token invalid")
        if provisioning and not token.provisioning:
            status = self._settings.api.provisioning_refusal
            raise RestError(
                status,
                "You can not invoke this method because you do not have the required permission",
                details={"methodId": [f"{PROVISIONING}:rest:public:*:*"]}
                if status == 403
                else None,
            )
        return token

    def _accounts(self, request: web.Request, token: SimToken) -> Any:
        """List accounts in the format of the requested API version."""
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
        order = request.query.get("sortOrder")
        if order in ("asc", "desc"):
            found.sort(
                key=lambda each: each.spec.state_changed, reverse=order == "desc"
            )
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
        """List the regions, default region first."""
        here = [account.region for account in self._cloud.visible(token)]
        return list(dict.fromkeys([*self._settings.api.regions, *here]))

    def _server(self, request: web.Request, token: SimToken) -> Any:
        """Return the host settings of the client API."""
        return {
            "url": self.url,
            "hostname": "mt-client-api-v1",
            "domain": "agiliumtrade.ai",
        } | self._settings.api.server_settings

    def _ignored_fields(self, request: web.Request, token: SimToken) -> Any:
        """Return the fields that clients ignore when they hash a terminal's state."""
        return {"g1": IGNORED_FIELDS, "g2": IGNORED_FIELDS}

    def _information(self, request: web.Request, token: SimToken) -> Any:
        """Return the account information of the terminal; only its own region has it."""
        account = self._find(request, token)
        region = request.app[LISTENER].region
        if region not in (None, account.region):
            if self._settings.api.wrong_region == 404:
                raise RestError(
                    404,
                    f"Trading account with id {account.id} not found. Please make sure that you use "
                    f"the API of the account's region, which is {account.region}",
                )
            raise RestError(
                504, f"Timed out waiting for account {account.id} to answer"
            )
        if not (account.deployed and account.up):
            raise RestError(504, f"Account {account.id} is not connected to broker yet")
        return account_information(account)

    def _nothing(self, request: web.Request, token: SimToken) -> Any:
        """Answer an unknown path."""
        raise RestError(404, f"Cannot {request.method} {request.path}")

    def _find(self, request: web.Request, token: SimToken) -> SimAccount:
        """Return the account in the path."""
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
    """Return an integer parameter of the query."""
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
    """Return whether an account matches the filters in the query."""
    fields = {
        "region": account.region,
        "state": account.state,
        "connectionStatus": account.connection_status,
        "type": account.spec.type,
        "version": str(account.spec.version),
    }
    for name, value in fields.items():
        wanted = [
            part
            # MetaApi's Python client writes an array as `name`, its JavaScript client as `name[]`.
            for key in (name, f"{name}[]")
            for text in request.query.getall(key, [])
            for part in text.split(",")
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
    """Return an error response in the API's format."""
    name = NAMES.get(status, "InternalError")
    body = error_body(1, name, message, details=details, metadata=metadata)
    return web.json_response(body, status=status, headers=headers)
