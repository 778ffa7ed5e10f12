"""The provisioning API: accounts and server settings, over REST."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from itertools import batched
import json
from typing import Any
from urllib.parse import quote

import aiohttp

from .endpoints import Endpoints
from .errors import (
    CannotConnectError,
    ForbiddenError,
    InternalError,
    MetaApiError,
    NotFoundError,
    RequestError,
    TooManyRequestsError,
    UnauthorizedError,
    ValidationError,
    from_status,
)
from .model import Account, ServerSettings
from .token import clean

TIMEOUT = 10.0
"""Seconds for one call, connecting included."""

MAX_BODY_SIZE = 16 * 1024 * 1024
"""A larger answer is not read, in bytes."""

_DEPTH = 10
"""How deep an answer is read: the listing's replicas, an error's details."""

PAGE_SIZE = 1000
_PAGES_MAX = 20

READ_AT_ONCE = 10
"""Accounts of a listing that are taken in one turn of the loop: events are not to wait for a thousand."""


REFUSES: dict[type[MetaApiError], bool] = {
    CannotConnectError: False,
    InternalError: False,
    TooManyRequestsError: True,
    UnauthorizedError: True,
    ForbiddenError: True,
    NotFoundError: False,
    ValidationError: False,
}
"""Whether an answer asks to be left alone, by HTTP status: none, 5xx and all others, 429, 401, 403, 404, 400.

After all others the next listing asks for all that is known by then: a 404 or a 400 of one account is no
request to hold back.
"""


def rest_pause(error: MetaApiError, now: datetime, floor: float) -> float:
    """Return for how many seconds the provisioning API is left alone after an error.

    That is 0 where the caller's own pace will do; else what a 429 recommends (documentation, "Rate
    limits": `metadata.recommendedRetryTime`, or the header Retry-After), and never less than `floor`.
    """
    if not REFUSES.get(type(error), False):
        return 0.0
    wait = error.seconds_to_wait(now) if isinstance(error, TooManyRequestsError) else 0
    return max(wait or 0.0, floor)


class Provisioning:
    """A client of MetaApi's provisioning API (documentation, `/provisioning/api/…`)."""

    def __init__(
        self, session: aiohttp.ClientSession, token: str, endpoints: Endpoints
    ) -> None:
        """Use a session of the caller's; it is never closed here."""
        self._session = session
        self._token = token
        self._base_url = endpoints.provisioning_url

    async def accounts(self) -> list[Account]:
        """Return every account that the token may see, replicas left out.

        Raises CannotConnectError, UnauthorizedError, ForbiddenError, TooManyRequestsError or another
        RequestError. Source: documentation, `readAccounts`.
        """
        accounts: dict[str, Account] = {}
        for page in range(_PAGES_MAX):
            items = await self._fetch(
                "/users/current/accounts",
                params={"limit": str(PAGE_SIZE), "offset": str(page * PAGE_SIZE)},
            )
            if isinstance(items, Mapping):  # the form of api-version 2
                items = items.get("items")
            if not isinstance(items, list):
                raise CannotConnectError("The list of accounts is not a list")
            for some in batched(items, READ_AT_ONCE, strict=False):
                for item in some:
                    account = Account.from_json(self._redact(item))
                    if account is not None and not item.get("primaryAccountId"):
                        accounts[account.account_id] = account
                await asyncio.sleep(0)
            if len(items) < PAGE_SIZE:
                break
        return list(accounts.values())

    async def check(self) -> None:
        """Make the cheapest call that needs a valid token; raises as `accounts` does."""
        await self._fetch("/users/current/accounts", params={"limit": "1"})

    async def account(self, account_id: str) -> Account:
        """Return one account; raises NotFoundError when it is gone, and whatever `accounts` raises.

        Source: documentation, `readAccount`.
        """
        path = f"/users/current/accounts/{quote(account_id, safe='')}"
        account = Account.from_json(await self._get(path))
        if account is None:
            raise CannotConnectError("The account has no id")
        return account

    async def server_settings(self) -> ServerSettings:
        """Return where the client API of this user runs; raises as `accounts` does.

        Source: SDK behavior.
        """
        return ServerSettings.from_json(
            await self._get("/users/current/servers/mt-client-api")
        )

    async def _get(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        """Make one call and return its JSON without the token."""
        return self._redact(await self._fetch(path, params))

    async def _fetch(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        """Make one call and return its JSON, in which the token may stand."""
        failure: str
        try:
            async with self._session.get(
                self._base_url + path,
                params=params,
                headers={"auth-token": self._token, "Accept": "application/json"},
                # aiohttp would carry the auth-token header to another host
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=TIMEOUT),
            ) as response:
                status = response.status
                retry_after = response.headers.get("Retry-After")
                body = _decode(await _read(response))
        except (
            aiohttp.ClientError,
            TimeoutError,
            OSError,
            ValueError,
            RuntimeError,  # the session was closed
        ) as err:
            failure = type(err).__name__
        else:
            return self._result(status, body, retry_after)
        # raised here, not above: the library's exception may hold the token
        raise CannotConnectError(f"No answer ({failure})")

    def _redact(self, value: Any) -> Any:
        """Return JSON without the token."""
        return clean(value, self._token, _DEPTH)

    def _result(self, status: int, body: Any, retry_after: str | None) -> Any:
        """Return what a call was answered with; raises for every answer that is an error."""
        if status == HTTPStatus.OK:
            if body is None:
                raise CannotConnectError("The answer is not JSON")
            return body
        if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            raise CannotConnectError("The server wants to send us elsewhere")
        raise self._error(status, body, retry_after)

    def _error(
        self, status: int, body: object, retry_after: str | None
    ) -> RequestError:
        """Build the exception for an error answer, whose status counts more than its name."""
        fields = self._redact(body) if isinstance(body, Mapping) else {}
        error = from_status(
            status,
            fields.get("message"),
            fields.get("details"),
            fields.get("metadata"),
        )
        if isinstance(error, TooManyRequestsError) and retry_after is not None:
            error.metadata.setdefault("retryAfter", retry_after)
        return error


def _decode(body: bytes) -> Any:
    """Return a body as JSON, or nothing."""
    try:
        return json.loads(body)
    except ValueError, RecursionError:
        return None


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """Return a body of bounded size."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(65536):
        body += chunk
        if len(body) > MAX_BODY_SIZE:
            raise ValueError("The answer is too large")
    return bytes(body)
