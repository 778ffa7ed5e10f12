"""Test the provisioning API."""

import asyncio
from base64 import urlsafe_b64decode
from datetime import UTC, datetime
import json
import re
from typing import Any

import aiohttp
import pytest

from simulator import SimAccount, Simulator, Spec, make_jwt

from .client import Clients

ACCOUNTS = "/users/current/accounts"


class Api:
    """Sends calls with a token."""

    def __init__(self, sim: Simulator, session: aiohttp.ClientSession) -> None:
        """Use the simulator's default token."""
        self.sim = sim
        self.session = session
        self.headers = {"auth-token": sim.token}

    async def get(
        self, path: str = ACCOUNTS, api_version: str | None = None, **query: Any
    ) -> tuple[int, Any]:
        """Return the status and the body of the response."""
        headers = self.headers | ({"api-version": api_version} if api_version else {})
        async with self.session.get(
            self.sim.url + path, params=query, headers=headers
        ) as response:
            return response.status, await response.json()

    async def names(self, **query: Any) -> list[str]:
        """Return the names of the accounts that a query finds."""
        status, found = await self.get(**query)
        assert status == 200
        return [account["name"] for account in found]


@pytest.fixture
def api(sim: Simulator, session: aiohttp.ClientSession) -> Api:
    """Return a client of the simulator's REST API."""
    return Api(sim, session)


async def test_list_in_both_versions(sim: Simulator, api: Api) -> None:
    """Version 1 is an array, version 2 has a count and items."""
    status, plain = await api.get()
    assert (status, len(plain)) == (200, 2)
    assert await api.get(api_version="1") == (200, plain)
    assert await api.get(api_version="2") == (200, {"count": 2, "items": plain})
    assert await api.get(api_version="2", limit="1", offset="1") == (
        200,
        {"count": 2, "items": plain[1:]},
    )
    assert (await api.get(api_version="3"))[0] == 400


async def test_account_has_the_documented_fields(sim: Simulator, api: Api) -> None:
    """All fields that a client may read are there."""
    account = sim.account
    status, found = await api.get(f"{ACCOUNTS}/{account.id}")
    assert status == 200
    expected = {
        "_id": account.id,
        "name": "Swing",
        "login": "90210",
        "server": "Broker-Live",
        "version": 5,
        "type": "cloud-g2",
        "region": "london",
        "state": "DEPLOYED",
        "connectionStatus": "CONNECTED",
        "reliability": "regular",
        "primaryReplica": True,
        "accountReplicas": [],
        "connections": [],
        "tags": [],
    }
    assert expected.items() <= found.items()
    account.login = None
    assert "login" not in (await api.get(f"{ACCOUNTS}/{account.id}"))[1]


async def test_connection_status(sim: Simulator, api: Api) -> None:
    """It shows the real state, unless REST is set to show another."""
    path = f"{ACCOUNTS}/{sim.account.id}"

    async def status() -> Any:
        return (await api.get(path))[1]["connectionStatus"]

    sim.set_broker(sim.account.id, False)
    assert await status() == "DISCONNECTED_FROM_BROKER"
    sim.set_terminal(sim.account.id, False)
    assert await status() == "DISCONNECTED"
    sim.set_rest(sim.account.id, connectionStatus="CONNECTED", state="DRAFT")
    assert await status() == "CONNECTED"
    assert (await api.get(path))[1]["state"] == "DRAFT"
    sim.set_rest(sim.account.id)
    assert await status() == "DISCONNECTED"
    sim.set_terminal(sim.account.id, True)
    sim.undeploy(sim.account.id)
    assert await status() == "DISCONNECTED"


async def test_connections(sim: Simulator, api: Api, connect: Clients) -> None:
    """They show who is subscribed, and where."""
    client = await connect(sim, url=await sim.listen("london", 0))
    await client.subscribe(sim.account.id, application="HomeAssistant")
    found = (await api.get(f"{ACCOUNTS}/{sim.account.id}"))[1]
    assert found["connections"] == [
        {"region": "london", "zone": "a", "application": "HomeAssistant"}
    ]


async def test_queries(sim: Simulator, api: Api) -> None:
    """Accounts can be filtered by text, region, state, connection status, type and version."""
    sim.add_account(
        SimAccount(
            name="Gold",
            login="77",
            server="Other-Demo",
            region="new-york",
            spec=Spec(version=4, type="cloud-g1"),
        )
    )
    sim.undeploy(sim.account.id)
    assert await api.names() == ["Swing", "Scalper", "Gold"]
    assert await api.names(query="GOL") == ["Gold"]
    assert await api.names(query="other-") == ["Gold"]
    assert await api.names(query="9021") == ["Swing", "Scalper"]
    assert await api.names(query=sim.account.id[:8]) == ["Swing"]
    assert await api.names(query="nothing") == []
    assert await api.names(region="new-york") == ["Gold"]
    assert await api.names(region=["new-york", "london"]) == [
        "Swing",
        "Scalper",
        "Gold",
    ]
    assert await api.names(region="paris,new-york") == ["Gold"]
    assert await api.names(state="UNDEPLOYED") == ["Swing"]
    assert await api.names(connectionStatus="DISCONNECTED") == ["Swing"]
    assert await api.names(type="cloud-g1", version="4") == ["Gold"]
    assert await api.names(limit="1", offset="2") == ["Gold"]
    assert await api.names(offset="9") == []


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "1001"},
        {"limit": "x"},
        {"offset": "-1"},
        {"limit": "²"},
    ],
)
async def test_bad_queries(api: Api, query: dict[str, str]) -> None:
    """They get ValidationError with details."""
    status, error = await api.get(**query)
    assert (status, error["error"]) == (400, "ValidationError")
    assert error["details"][0]["parameter"] in query


async def test_renamed_moved_deleted(sim: Simulator, api: Api) -> None:
    """REST shows the change."""
    account_id = sim.account.id
    sim.rename(account_id, "Ünder")
    sim.move(account_id, "new-york")
    found = (await api.get(f"{ACCOUNTS}/{account_id}"))[1]
    assert (found["name"], found["region"]) == ("Ünder", "new-york")
    sim.delete_account(account_id)
    status, error = await api.get(f"{ACCOUNTS}/{account_id}")
    assert (status, error["error"]) == (404, "NotFoundError")
    assert await api.names() == ["Scalper"]


@pytest.mark.parametrize(
    "path", ["/users/current/nothing", "/users/", f"{ACCOUNTS}/a/b/c"]
)
async def test_unknown_paths(api: Api, path: str) -> None:
    """They get NotFoundError."""
    status, error = await api.get(path)
    assert (status, error["error"]) == (404, "NotFoundError")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_calls_that_change_something(
    sim: Simulator, session: aiohttp.ClientSession, method: str
) -> None:
    """They do not exist, but a client that sends one is recorded."""
    path = f"{ACCOUNTS}/{sim.account.id}/deploy"
    async with session.request(
        method, sim.url + path, headers={"auth-token": sim.token}
    ) as response:
        assert response.status == 404
    assert [(call.method, call.path) for call in sim.rest_calls] == [(method, path)]


async def test_bad_token(sim: Simulator, api: Api) -> None:
    """A missing, unknown or revoked token gets 401."""
    sim.revoke()
    for headers in ({}, {"auth-token": "nobody's"}, {"auth-token": sim.token}):
        api.headers = headers
        status, error = await api.get()
        assert (status, error["error"]) == (401, "UnauthorizedError")
        assert {"id", "error", "message", "traceId"} == set(error)
    assert [call.status for call in sim.rest_calls] == [401] * 3


@pytest.mark.parametrize(
    ("status", "name"), [(401, "UnauthorizedError"), (403, "ForbiddenError")]
)
async def test_token_without_permission(
    sim: Simulator, api: Api, status: int, name: str
) -> None:
    """Every call is refused with the status in the settings."""
    sim.api.provisioning_refusal = status
    api.headers = {"auth-token": sim.grant(provisioning=False)}
    for path in (
        ACCOUNTS,
        "/users/current/servers/mt-client-api",
        "/users/current/regions",
    ):
        got, error = await api.get(path)
        assert (got, error["error"]) == (status, name)


async def test_tokens_of_others(sim: Simulator, api: Api) -> None:
    """A token shows its owner's accounts, a narrowed one only those that it names."""
    other = sim.add_account(SimAccount(name="Theirs", owner="other"))
    first, second, _ = sim.accounts
    assert await api.names() == ["Swing", "Scalper"]
    assert (await api.get(f"{ACCOUNTS}/{other.id}"))[0] == 404
    api.headers = {"auth-token": sim.grant(owner="other")}
    assert await api.names() == ["Theirs"]
    api.headers = {"auth-token": sim.grant(accounts=[second])}
    assert await api.names() == ["Scalper"]
    assert (await api.get(f"{ACCOUNTS}/{first}"))[0] == 404


async def test_replicas(sim: Simulator, api: Api) -> None:
    """They are listed with their primary account and individually, but not among the accounts."""
    primary = sim.account
    replica = sim.add_account(SimAccount(region="new-york", primary_id=primary.id))
    status, found = await api.get(f"{ACCOUNTS}/{primary.id}/replicas")
    assert status == 200
    assert [(each["_id"], each["region"]) for each in found] == [
        (replica.id, "new-york")
    ]
    assert await api.get(f"{ACCOUNTS}/{primary.id}/replicas/{replica.id}") == (
        200,
        found[0],
    )
    assert (await api.get(f"{ACCOUNTS}/{primary.id}/replicas/x"))[0] == 404
    assert (await api.get(f"{ACCOUNTS}/{primary.id}"))[1]["accountReplicas"] == found
    assert "accountReplicas" in (await api.get(f"{ACCOUNTS}/{primary.id}"))[1]
    one = (await api.get(f"{ACCOUNTS}/{replica.id}"))[1]
    assert (one["primaryReplica"], one["primaryAccountId"]) == (False, primary.id)
    assert len(await api.names()) == 2


async def test_server_settings_and_regions(sim: Simulator, api: Api) -> None:
    """They can be set."""
    path = "/users/current/servers/mt-client-api"
    expected = {
        "url": sim.url,
        "hostname": "mt-client-api-v1",
        "domain": "agiliumtrade.ai",
    }
    assert await api.get(path) == (200, expected)
    sim.api.server_settings = {"hostname": "dedicated"}
    assert (await api.get(path))[1]["hostname"] == "dedicated"
    sim.account.region = "vint-hill"
    regions = (await api.get("/users/current/regions"))[1]
    assert regions == ["london", "new-york", "vint-hill"]


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (401, "UnauthorizedError"),
        (403, "ForbiddenError"),
        (404, "NotFoundError"),
        (500, "InternalError"),
    ],
)
async def test_errors_on_demand(
    sim: Simulator, api: Api, status: int, name: str
) -> None:
    """Calls fail until the fault ends."""
    sim.fail_rest(status)
    got, error = await api.get()
    assert (got, error["error"]) == (status, name)
    assert "metadata" not in error
    sim.fail_rest(None)
    assert (await api.get())[0] == 200


async def test_too_many_requests(
    sim: Simulator, session: aiohttp.ClientSession
) -> None:
    """A header and metadata contain the recommended time; once, and on one path."""
    sim.fail_rest(429, path="/users/current/regions", count=1, retry_after=30)
    headers = {"auth-token": sim.token}
    async with session.get(sim.url + ACCOUNTS, headers=headers) as response:
        assert response.status == 200
    async with session.get(
        sim.url + "/users/current/regions", headers=headers
    ) as response:
        assert response.status == 429
        assert response.headers["Retry-After"] == "30"
        error = await response.json()
    assert error["error"] == "TooManyRequestsError"
    moment = datetime.fromisoformat(error["metadata"]["recommendedRetryTime"])
    assert 25 < (moment - datetime.now(UTC)).total_seconds() <= 30
    async with session.get(
        sim.url + "/users/current/regions", headers=headers
    ) as response:
        assert response.status == 200
    assert sim.rest_fault is None


async def test_answer_that_is_no_json(
    sim: Simulator, session: aiohttp.ClientSession
) -> None:
    """A load balancer may answer with a page."""
    sim.fail_rest(502, body="<html>Bad Gateway</html>")
    async with session.get(sim.url + ACCOUNTS) as response:
        assert (response.status, await response.text()) == (
            502,
            "<html>Bad Gateway</html>",
        )


async def test_slow_answers(sim: Simulator, api: Api) -> None:
    """Answers can be delayed."""
    sim.timing.rest_delay = 0.2
    start = asyncio.get_running_loop().time()
    await api.get()
    assert asyncio.get_running_loop().time() - start >= 0.2


def test_token_is_well_formed() -> None:
    """The claims have the owner, the permissions and the expiry."""
    token = make_jwt(
        "me", provisioning=False, accounts=["b", "a"], expires=2_000_000_000
    )
    header, claims, signature = (
        urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in token.split(".")
    )
    assert json.loads(header)["typ"] == "JWT"
    assert signature
    payload = json.loads(claims)
    assert (payload["_id"], payload["sub"], payload["exp"]) == (
        "me",
        "me",
        2_000_000_000,
    )
    assert [rule["id"] for rule in payload["accessRules"]] == [
        "metaapi-real-time-streaming-api"
    ]
    assert payload["accessRules"][0]["resources"] == [
        "account:$USER_ID$:a",
        "account:$USER_ID$:b",
    ]
    assert make_jwt() == make_jwt()
    assert "=" not in token


async def test_arrays_as_javascript_writes_them(sim: Simulator, api: Api) -> None:
    """`state[]=…&state[]=…` is the same as `state=…&state=…`."""
    first, second = sim.accounts
    sim.undeploy(second)
    for query, expected in (
        ("state[]=DEPLOYED&state[]=DRAFT", [first]),
        ("state=UNDEPLOYED", [second]),
        ("state[]=DEPLOYED&state[]=UNDEPLOYED", [first, second]),
        ("region[]=nowhere", []),
    ):
        _, found = await api.get(f"{ACCOUNTS}?{query}")
        assert [each["_id"] for each in found] == expected


async def test_order(sim: Simulator, api: Api) -> None:
    """Accounts can be sorted by their last change of state."""
    first, second = sim.accounts
    sim.set_state(first, "DEPLOYING")
    for order, expected in (
        ("asc", [second, first]),
        ("desc", [first, second]),
        ("odd", [first, second]),
    ):
        _, found = await api.get(f"{ACCOUNTS}?sortOrder={order}")
        assert [each["_id"] for each in found] == expected
    sim.deploy(second)
    sim.undeploy(second)
    _, found = await api.get(f"{ACCOUNTS}?sortOrder=asc")
    assert [each["_id"] for each in found] == [first, second]


async def test_ignored_field_lists(
    sim: Simulator, session: aiohttp.ClientSession
) -> None:
    """Every client API server has them, for any valid token."""
    url = await sim.listen("london", None)
    token = sim.grant(provisioning=False)
    for base in (url, sim.url):
        path = f"{base}/hashing-ignored-field-lists"
        async with session.get(path, headers={"auth-token": token}) as response:
            lists = await response.json()
        for kind in ("g1", "g2"):
            assert set(lists[kind]) == {"specification", "position", "order"}
        async with session.get(path, headers={"auth-token": "bad"}) as response:
            assert response.status == 401


@pytest.mark.parametrize(
    ("setting", "error"), [(504, "TimeoutError"), (404, "NotFoundError")]
)
async def test_client_api_of_another_region(
    sim: Simulator, session: aiohttp.ClientSession, setting: int, error: str
) -> None:
    """An account answers only in its region; elsewhere it times out, or is not found."""
    sim.api.wrong_region = setting
    here, elsewhere = [await sim.listen(each, None) for each in ("london", "new-york")]
    path = f"{ACCOUNTS}/{sim.account.id}/account-information"
    headers = {"auth-token": sim.token}
    async with session.get(here + path, headers=headers) as response:
        assert (await response.json())["server"] == sim.account.server
    async with session.get(elsewhere + path, headers=headers) as response:
        assert response.status == setting
        body = await response.json()
    assert body["error"] == error
    assert ("london" in body["message"]) is (setting == 404)
    sim.set_terminal(sim.account.id, False)
    async with session.get(here + path, headers=headers) as response:
        assert response.status == 504


async def test_errors_name_their_trace(sim: Simulator, api: Api) -> None:
    """The trace id is in the body and at the end of the message."""
    _, body = await api.get(f"{ACCOUNTS}/nobody")
    assert re.fullmatch("[0-9a-f]{32}", body["traceId"])
    assert body["message"].endswith(f" ({body['traceId']})")


async def test_missing_permission_is_named(
    sim: Simulator, session: aiohttp.ClientSession
) -> None:
    """A 403 names the method."""
    headers = {"auth-token": sim.grant(provisioning=False)}
    async with session.get(sim.url + ACCOUNTS, headers=headers) as response:
        assert response.status == 403
        (method,) = (await response.json())["details"]["methodId"]
    assert method.startswith("trading-account-management-api")
