"""Test terminals, subscriptions, requests and events."""

import asyncio
from datetime import UTC, datetime
import json
import re
from typing import Any

import pytest

from simulator import (
    PER_SERVER,
    PER_USER,
    PER_USER_PER_SERVER,
    LimitType,
    SimAccount,
    SimHost,
    Simulator,
    Spec,
    hosts_in,
)

from .client import Clients

# A subscribe of an account whose terminal is down is not answered before its timeout.
SOON = 0.05


async def test_subscribe_of_a_terminal_that_is_up(
    sim: Simulator, connect: Clients
) -> None:
    """A response and `authenticated` come at once, then statuses."""
    client = await connect(sim)
    account = sim.account
    request_id = await client.request(
        "subscribe", account.id, sessionId="s1", instanceIndex=1
    )
    assert await client.event() == (
        "response",
        {"type": "response", "requestId": request_id, "accountId": account.id},
    )
    assert await client.event() == (
        "synchronization",
        {
            "type": "authenticated",
            "accountId": account.id,
            "instanceIndex": 1,
            "host": "ps-mpa-1",
            "replicas": 1,
            "sessionId": "s1",
        },
    )
    assert await client.event() == (
        "synchronization",
        {
            "type": "status",
            "accountId": account.id,
            "instanceIndex": 1,
            "host": "ps-mpa-1",
            "connected": True,
            "authenticated": True,
            "healthStatus": {"rpcApiHealthy": True},
        },
    )
    assert sim.subscribed(account.id) == sim.sockets


async def test_no_session_id_unless_asked(sim: Simulator, connect: Clients) -> None:
    """Without a `sessionId` in the subscribe the event has none, and `instanceIndex` is 0."""
    client = await connect(sim)
    authenticated = await client.subscribe(sim.account.id)
    assert "sessionId" not in authenticated
    assert authenticated["instanceIndex"] == 0


async def test_minimal_authenticated(sim: Simulator, connect: Clients) -> None:
    """The event can have only the two fields of the documentation's page."""
    sim.wire.minimal_authenticated = True
    client = await connect(sim)
    authenticated = await client.subscribe(sim.account.id, sessionId="s1")
    assert authenticated == {"type": "authenticated", "accountId": sim.account.id}


async def test_statuses_come_at_their_interval(
    sim: Simulator, connect: Clients
) -> None:
    """The number of statuses matches the interval."""
    sim.timing.status_interval = 0.1
    client = await connect(sim)
    await client.subscribe(sim.account.id)
    await client.until("status")
    assert 3 <= len(await client.collect(0.55)) <= 6


async def test_subscribe_of_a_terminal_that_is_down(
    sim: Simulator, connect: Clients
) -> None:
    """It times out, but `authenticated` still comes when the terminal is up."""
    sim.set_terminal(sim.account.id, False)
    client = await connect(sim)
    start = asyncio.get_running_loop().time()
    request_id = await client.request("subscribe", sim.account.id)
    name, error = await client.event()
    assert asyncio.get_running_loop().time() - start >= 0.09
    assert (name, error["error"], error["requestId"]) == (
        "processingError",
        "TimeoutError",
        request_id,
    )
    assert sim.account.id in error["message"]
    assert await client.collect(2 * SOON) == []
    sim.set_terminal(sim.account.id, True)
    assert (await client.event())[1]["type"] == "authenticated"


async def test_terminal_comes_up_while_a_subscribe_waits(
    sim: Simulator, connect: Clients
) -> None:
    """The response comes then, and no error later."""
    sim.set_terminal(sim.account.id, False)
    client = await connect(sim)
    first = await client.request("subscribe", sim.account.id)
    second = await client.request("subscribe", sim.account.id, sessionId="s2")
    await sim.wait_for(lambda: len(sim.requests) == 2)
    sim.set_terminal(sim.account.id, True)
    assert (await client.event())[1]["requestId"] == first
    assert (await client.event())[1]["requestId"] == second
    assert (await client.event())[1]["sessionId"] == "s2"
    assert {payload["type"] for _, payload in await client.collect(0.2)} == {"status"}


async def test_subscribing_again(sim: Simulator, connect: Clients) -> None:
    """A second subscribe gets `authenticated` with its own session id."""
    client = await connect(sim)
    await client.subscribe(sim.account.id, sessionId="s1")
    assert (await client.subscribe(sim.account.id, sessionId="s2"))["sessionId"] == "s2"


async def test_account_that_is_not_deployed(sim: Simulator, connect: Clients) -> None:
    """A subscribe times out; deploying sends `authenticated`, undeploying `disconnected`."""
    sim.set_terminal(sim.account.id, False)
    sim.undeploy(sim.account.id)
    client = await connect(sim)
    await client.request("subscribe", sim.account.id)
    assert (await client.event())[1]["error"] == "TimeoutError"
    sim.deploy(sim.account.id)
    assert (await client.event())[1]["type"] == "authenticated"
    sim.undeploy(sim.account.id)
    assert await client.until("disconnected") == {
        "type": "disconnected",
        "accountId": sim.account.id,
        "instanceIndex": 0,
        "host": "ps-mpa-1",
    }
    assert await client.collect(SOON) == []


async def test_accounts_that_a_token_may_not_see(
    sim: Simulator, connect: Clients
) -> None:
    """Unknown accounts and those outside of the token get NotFoundError."""
    other = sim.add_account(SimAccount(owner="somebody else"))
    mine, outside, _ = sim.accounts.values()
    narrow = await connect(sim, token=sim.grant(accounts=[mine.id]))
    client = await connect(sim)
    for each, account_id in (
        (client, "nobody"),
        (client, other.id),
        (narrow, outside.id),
    ):
        await each.request("subscribe", account_id)
        assert (await each.event())[1]["error"] == "NotFoundError"
    await narrow.subscribe(mine.id)
    theirs = await connect(sim, token=sim.grant(owner="somebody else"))
    await theirs.subscribe(other.id)


async def test_token_without_streaming_permission(
    sim: Simulator, connect: Clients
) -> None:
    """Every request gets ForbiddenError."""
    client = await connect(sim, token=sim.grant(streaming=False))
    await client.request("reconnect", sim.account.id)
    assert (await client.event())[1]["error"] == "ForbiddenError"


async def test_token_without_provisioning_permission(
    sim: Simulator, connect: Clients
) -> None:
    """The socket works without this permission."""
    client = await connect(sim, token=sim.grant(provisioning=False))
    await client.subscribe(sim.account.id)


async def test_token_is_revoked(sim: Simulator, connect: Clients) -> None:
    """An open socket stays open and gets UnauthorizedError, or is dropped on demand."""
    client = await connect(sim)
    sim.revoke()
    await client.request("subscribe", sim.account.id)
    assert (await client.event())[1]["error"] == "UnauthorizedError"
    assert len(sim.sockets) == 1
    sim.revoke(drop=True)
    await client.ended()
    sim.grant(sim.token)
    await (await connect(sim)).subscribe(sim.account.id)


@pytest.mark.parametrize(
    ("payload", "parameter"),
    [
        (None, "request"),
        ("text", "request"),
        ([], "request"),
        ({}, "type"),
        ({"type": "subscribe"}, "accountId"),
        ({"type": "subscribe", "accountId": "x"}, "requestId"),
        ({"type": 1, "accountId": "x", "requestId": "r"}, "type"),
        ({"type": "subscribe", "accountId": {}, "requestId": "r"}, "accountId"),
        ({"type": "subscribe", "accountId": "x", "requestId": ["r"]}, "requestId"),
        ({"type": "redeploy", "accountId": "x", "requestId": "r"}, "type"),
        (
            {"type": "subscribe", "accountId": "x", "requestId": "r", "application": 1},
            "application",
        ),
        (
            {
                "type": "subscribe",
                "accountId": "x",
                "requestId": "r",
                "sessionId": None,
            },
            "sessionId",
        ),
        (
            {
                "type": "subscribe",
                "accountId": "x",
                "requestId": "r",
                "instanceIndex": "0",
            },
            "instanceIndex",
        ),
        (
            {
                "type": "subscribe",
                "accountId": "x",
                "requestId": "r",
                "instanceIndex": True,
            },
            "instanceIndex",
        ),
    ],
)
async def test_bad_requests(
    sim: Simulator, connect: Clients, payload: Any, parameter: str
) -> None:
    """ValidationError names the invalid parameter."""
    client = await connect(sim)
    await client.send(payload)
    name, error = await client.event()
    assert (name, error["error"]) == ("processingError", "ValidationError")
    assert [each["parameter"] for each in error["details"]] == [parameter]
    request_id = payload.get("requestId") if isinstance(payload, dict) else None
    assert error.get("requestId") == (
        request_id if isinstance(request_id, str) else None
    )


async def test_requests_of_other_clients(sim: Simulator, connect: Clients) -> None:
    """Other requests of MetaApi's own clients get a response."""
    client = await connect(sim)
    request_id = await client.request("synchronize", sim.account.id)
    assert (await client.event())[1]["requestId"] == request_id


async def test_replies_are_slow(sim: Simulator, connect: Clients) -> None:
    """Replies can be delayed, and none is sent after the socket has gone."""
    sim.timing.reply_delay = 0.2
    client = await connect(sim)
    start = asyncio.get_running_loop().time()
    await client.subscribe(sim.account.id)
    assert asyncio.get_running_loop().time() - start >= 0.2
    await client.request("unsubscribe", sim.account.id)
    await client.ws.close()
    await sim.wait_for(lambda: not sim.sockets)


async def test_unsubscribe(sim: Simulator, connect: Clients) -> None:
    """It gets a response and ends the events; a second one is no error."""
    client = await connect(sim)
    await client.subscribe(sim.account.id)
    for _ in range(2):
        request_id = await client.request("unsubscribe", sim.account.id)
        assert (await client.until("response"))["requestId"] == request_id
    sim.set_terminal(sim.account.id, False)
    assert await client.collect(2 * SOON) == []
    assert sim.subscribed(sim.account.id) == []


async def test_terminal_drops_and_comes_back(sim: Simulator, connect: Clients) -> None:
    """The events are `disconnected` and `authenticated`, without a status in between."""
    client = await connect(sim)
    await client.subscribe(sim.account.id, sessionId="s1")
    sim.set_terminal(sim.account.id, False)
    await client.until("disconnected")
    assert await client.collect(2 * SOON) == []
    sim.set_terminal(sim.account.id, True)
    _, event = await client.event()
    assert (event["type"], event["sessionId"]) == ("authenticated", "s1")


async def test_terminal_dies_without_an_event(sim: Simulator, connect: Clients) -> None:
    """Only the statuses stop."""
    client = await connect(sim)
    await client.subscribe(sim.account.id)
    sim.set_terminal(sim.account.id, False, announce=False)
    assert all(event["type"] == "status" for _, event in await client.collect(SOON))
    assert await client.collect(2 * SOON) == []


async def test_state_that_is_changed_directly(sim: Simulator, connect: Clients) -> None:
    """A direct change of a field shows with the next status."""
    client = await connect(sim)
    await client.subscribe(sim.account.id)
    sim.account.hosts[0].up = False
    await client.until("disconnected", timeout=1)
    sim.account.state = "UNDEPLOYED"
    sim.account.hosts[0].up = True
    assert await client.collect(2 * SOON) == []
    sim.account.state = "DEPLOYED"
    await client.until("authenticated", timeout=1)


async def test_two_terminals(sim: Simulator, connect: Clients) -> None:
    """Each terminal has its own events and statuses."""
    account = sim.add_account(SimAccount(hosts=[SimHost("one"), SimHost("two")]))
    client = await connect(sim)
    await client.request("subscribe", account.id)
    up = [await client.until("authenticated"), await client.until("authenticated")]
    assert [(each["host"], each["replicas"]) for each in up] == [("one", 2), ("two", 2)]
    sim.set_terminal(account.id, False, host="one")
    assert (await client.until("disconnected"))["host"] == "one"
    assert {event["host"] for _, event in await client.collect(2 * SOON)} == {"two"}
    assert account.up
    sim.set_terminal(account.id, True, host="one")
    assert (await client.until("authenticated"))["host"] == "one"


async def test_broker_goes_and_returns(sim: Simulator, connect: Clients) -> None:
    """A status shows each change at once."""
    sim.timing.status_interval = 60
    client = await connect(sim)
    await client.subscribe(sim.account.id)
    await client.collect(SOON)
    for up in (False, True):
        sim.set_broker(sim.account.id, up)
        assert (await client.until("status", timeout=1))["connected"] is up


async def test_silence(sim: Simulator, connect: Clients) -> None:
    """The account's statuses stop, while the socket and the other account go on."""
    client = await connect(sim)
    first, second = sim.accounts
    await client.subscribe(first)
    await client.subscribe(second)
    sim.set_silent(first)
    await client.collect(SOON)
    assert {event["accountId"] for _, event in await client.collect(2 * SOON)} == {
        second
    }
    sim.set_silent(first, False)
    async with asyncio.timeout(1):
        while (await client.until("status"))["accountId"] != first:
            pass


async def test_status_that_is_not_authenticated(
    sim: Simulator, connect: Clients
) -> None:
    """A status with `authenticated: false` is sent at once."""
    client = await connect(sim)
    await client.subscribe(sim.account.id)
    sim.set_status_authenticated(sim.account.id, False)
    async with asyncio.timeout(1):
        while (await client.until("status"))["authenticated"]:
            pass
    sim.set_status_authenticated(sim.account.id, True)
    async with asyncio.timeout(1):
        while not (await client.until("status"))["authenticated"]:
            pass


async def test_account_is_deleted(sim: Simulator, connect: Clients) -> None:
    """`disconnected` is sent, then requests get NotFoundError."""
    client = await connect(sim)
    account_id = sim.account.id
    await client.subscribe(account_id)
    sim.delete_account(account_id)
    await client.until("disconnected")
    await client.request("subscribe", account_id)
    assert (await client.until("processingError"))["error"] == "NotFoundError"


async def test_event_is_injected(sim: Simulator, connect: Clients) -> None:
    """The event is sent to the subscribed sockets."""
    client, other = await connect(sim), await connect(sim)
    first, second = sim.accounts
    await client.subscribe(first)
    await other.subscribe(second)
    assert sim.inject_event(first, {"type": "odd", "accountId": "unknown"}) == 1
    assert (await client.until("odd"))["accountId"] == "unknown"
    assert {event["type"] for _, event in await other.collect(SOON)} == {"status"}


# Reconnect.


async def test_reconnect_without_a_subscription(
    sim: Simulator, connect: Clients
) -> None:
    """A socket without a subscription gets the response, then `authenticated`."""
    client = await connect(sim)
    account_id = sim.account.id
    await client.send(
        {"accountId": account_id, "type": "reconnect", "requestId": "9eb3a9fc"}
    )
    start = asyncio.get_running_loop().time()
    assert await client.event() == (
        "response",
        {"type": "response", "requestId": "9eb3a9fc", "accountId": account_id},
    )
    name, event = await client.event()
    assert asyncio.get_running_loop().time() - start >= 0.04
    assert name == "synchronization"
    assert (event["type"], event["accountId"]) == ("authenticated", account_id)
    assert await client.collect(2 * SOON) == []
    assert sim.account.reconnects == 1
    assert sim.account.reconnecting.outcome == "authenticated"


async def test_reconnect_of_a_subscribed_account(
    sim: Simulator, connect: Clients
) -> None:
    """The other subscribers get `disconnected`, then `authenticated`, once each."""
    client, other = await connect(sim), await connect(sim)
    await client.subscribe(sim.account.id, sessionId="s1")
    await other.subscribe(sim.account.id, sessionId="s2")
    await client.request("reconnect", sim.account.id)
    for each in (client, other):
        events = [payload for _, payload in await each.collect(0.5)]
        kinds = [event["type"] for event in events if event["type"] != "status"]
        assert kinds == ["response"] * (each is client) + [
            "disconnected",
            "authenticated",
        ]
    assert sim.account.up


async def test_reconnect_repairs_a_terminal(sim: Simulator, connect: Clients) -> None:
    """A terminal that is down comes up, without a `disconnected`."""
    sim.set_terminal(sim.account.id, False)
    client = await connect(sim)
    await client.request("subscribe", sim.account.id)
    await client.until("processingError")
    await client.request("reconnect", sim.account.id)
    assert (await client.event())[1]["type"] == "response"
    assert (await client.event())[1]["type"] == "authenticated"


async def test_two_reconnects_at_once(sim: Simulator, connect: Clients) -> None:
    """Both get a response and `authenticated`; the terminal restarts once."""
    client, other = await connect(sim), await connect(sim)
    await client.request("reconnect", sim.account.id)
    await client.until("response")
    await other.request("reconnect", sim.account.id)
    await other.until("response")
    for each in (client, other):
        kinds = [payload["type"] for _, payload in await each.collect(0.5)]
        assert kinds == ["authenticated"]


async def test_requester_leaves(sim: Simulator, connect: Clients) -> None:
    """The reconnect continues without the requester."""
    client, other = await connect(sim), await connect(sim)
    await other.subscribe(sim.account.id)
    await client.request("reconnect", sim.account.id)
    await client.until("response")
    await client.ws.close()
    await other.until("authenticated")


@pytest.mark.parametrize(
    ("error", "given", "details"),
    [
        (
            "ValidationError",
            None,
            [{"parameter": "accountId", "message": "Refused by the simulator"}],
        ),
        ("ValidationError", "E_SOME", "E_SOME"),
        ("ForbiddenError", None, None),
        ("NotFoundError", None, None),
        ("InternalError", None, None),
    ],
)
async def test_reconnect_is_refused(
    sim: Simulator, connect: Clients, error: str, given: Any, details: Any
) -> None:
    """The error can be chosen."""
    sim.set_reconnect_mode(sim.account.id, "refuse", error=error, details=given)
    client = await connect(sim)
    request_id = await client.request("reconnect", sim.account.id)
    name, payload = await client.event()
    assert name == "processingError"
    assert (payload["error"], payload["requestId"]) == (error, request_id)
    assert payload.get("details") == details
    assert sim.account.up


async def test_reconnect_exceeds_the_credits(sim: Simulator, connect: Clients) -> None:
    """TooManyRequestsError contains the recommended time of the next try."""
    sim.set_reconnect_mode(sim.account.id, "refuse", error="TooManyRequestsError")
    sim.quotas.quota_retry_after = 30
    client = await connect(sim)
    await client.request("reconnect", sim.account.id)
    metadata = (await client.event())[1]["metadata"]
    assert 25 < seconds_until(metadata["recommendedRetryTime"]) <= 30


async def test_reconnect_is_ignored(sim: Simulator, connect: Clients) -> None:
    """Nothing is sent."""
    sim.set_reconnect_mode(sim.account.id, "ignore")
    client = await connect(sim)
    await client.request("reconnect", sim.account.id)
    assert await client.collect(0.2) == []


async def test_reconnect_never_ends(sim: Simulator, connect: Clients) -> None:
    """A response is sent, and the terminal stays down."""
    sim.set_reconnect_mode(sim.account.id, "never")
    client = await connect(sim)
    await client.subscribe(sim.account.id)
    await client.request("reconnect", sim.account.id)
    await client.until("response")
    await client.until("disconnected")
    assert await client.collect(0.2) == []
    assert not sim.account.up


async def test_authenticated_comes_before_the_response(
    sim: Simulator, connect: Clients
) -> None:
    """The order of the two can be reversed."""
    sim.set_reconnect_mode(sim.account.id, "authenticated_first")
    client = await connect(sim)
    await client.request("reconnect", sim.account.id)
    kinds = [payload["type"] for _, payload in await client.collect(0.5)]
    assert kinds == ["authenticated", "response"]


async def test_reconnect_in_its_old_form_only(sim: Simulator, connect: Clients) -> None:
    """Only sockets without `protocol`, as on the documentation's page, can reconnect."""
    sim.set_reconnect_mode(sim.account.id, "legacy_only")
    new, old = await connect(sim, protocol="3"), await connect(sim)
    await new.request("reconnect", sim.account.id)
    error = (await new.event())[1]
    assert error["error"] == "ValidationError"
    assert error["details"][0]["parameter"] == "type"
    await old.request("reconnect", sim.account.id)
    assert (await old.event())[1]["type"] == "response"
    assert (await old.event())[1]["type"] == "authenticated"


async def test_reconnect_of_an_undeployed_account(
    sim: Simulator, connect: Clients
) -> None:
    """It gets TimeoutError."""
    sim.undeploy(sim.account.id)
    client = await connect(sim)
    await client.request("reconnect", sim.account.id)
    assert (await client.event())[1]["error"] == "TimeoutError"


@pytest.mark.parametrize("up", [True, False])
async def test_reconnect_is_ended_early(
    sim: Simulator, connect: Clients, up: bool
) -> None:
    """Setting the terminal up or down ends the reconnect."""
    sim.set_reconnect_mode(sim.account.id, "accept", delay=60 if up else 0.1)
    client = await connect(sim)
    await client.request("reconnect", sim.account.id)
    await client.until("response")
    sim.set_terminal(sim.account.id, up)
    kinds = [payload["type"] for _, payload in await client.collect(0.5)]
    assert kinds == (["authenticated"] if up else [])
    assert sim.account.up is up


# How a subscribe is answered.


async def test_subscribe_is_answered_first(sim: Simulator, connect: Clients) -> None:
    """The response comes while the terminal is down, `authenticated` when it is up."""
    sim.set_terminal(sim.account.id, False)
    sim.set_subscribe_mode(sim.account.id, "response_first")
    client = await connect(sim)
    await client.request("subscribe", sim.account.id)
    assert (await client.event())[1]["type"] == "response"
    assert await client.collect(0.2) == []
    sim.set_terminal(sim.account.id, True)
    assert (await client.event())[1]["type"] == "authenticated"


async def test_subscribe_is_refused(sim: Simulator, connect: Clients) -> None:
    """The error can be chosen, and there is no subscription."""
    sim.set_subscribe_mode(sim.account.id, "refuse", error="NotFoundError")
    client = await connect(sim)
    await client.request("subscribe", sim.account.id)
    assert (await client.event())[1]["error"] == "NotFoundError"
    assert sim.subscribed(sim.account.id) == []


async def test_subscribe_is_ignored(sim: Simulator, connect: Clients) -> None:
    """Nothing is sent."""
    sim.set_subscribe_mode(sim.account.id, "ignore")
    client = await connect(sim)
    await client.request("subscribe", sim.account.id)
    assert await client.collect(0.2) == []


def seconds_until(moment: str) -> float:
    """Return the seconds until a time."""
    assert moment.endswith("Z")
    return (datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds()


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (PER_USER, {"maxAccountsPerUser", "accountsCount"}),
        (PER_USER_PER_SERVER, {"maxAccountsPerUserPerServer", "accountsCount"}),
        (PER_SERVER, {"changeClientIdHeader"}),
    ],
)
async def test_limit_on_demand(
    sim: Simulator, connect: Clients, kind: LimitType, fields: set[str]
) -> None:
    """Each type of limit refuses subscribes until it is lifted."""
    sim.limit_subscriptions(kind, retry_after=20)
    client = await connect(sim, clientId="0.1")
    await client.request("subscribe", sim.account.id)
    error = (await client.event())[1]
    assert error["error"] == "TooManyRequestsError"
    metadata = error["metadata"]
    assert 15 < seconds_until(metadata.pop("recommendedRetryTime")) <= 20
    assert metadata.pop("type") == kind
    assert set(metadata) == fields
    if kind == PER_SERVER:
        # The server asked for another Client-Id, and accepts it.
        await (await connect(sim, clientId="0.2")).subscribe(sim.account.id)
        await client.request("subscribe", sim.account.id)
        assert (await client.event())[1]["error"] == "TooManyRequestsError"
    sim.limit_subscriptions(None)
    await client.subscribe(sim.account.id)


async def test_limit_for_a_while(sim: Simulator, connect: Clients) -> None:
    """A limit can be limited to a number of times, or to some accounts."""
    first, second = sim.accounts
    client = await connect(sim)
    sim.limit_subscriptions(PER_USER, count=1, accounts=[second])
    await client.subscribe(first)
    await client.request("subscribe", second)
    assert (await client.until("processingError"))["error"] == "TooManyRequestsError"
    await client.request("subscribe", second)
    async with asyncio.timeout(1):
        while (await client.until("authenticated"))["accountId"] != second:
            pass


async def test_quota_of_a_user(sim: Simulator, connect: Clients) -> None:
    """It counts accounts on all sockets of the owner, and not those of others."""
    sim.quotas.max_accounts_per_user = 1
    other = sim.add_account(SimAccount(owner="other"))
    theirs = await connect(sim, token=sim.grant(owner="other"))
    await theirs.subscribe(other.id)
    first, second, _ = sim.accounts
    one, two = await connect(sim), await connect(sim)
    await one.subscribe(first)
    await two.subscribe(first)
    await two.request("subscribe", second)
    error = await two.until("processingError")
    assert error["metadata"]["type"] == PER_USER
    assert (
        error["metadata"]["maxAccountsPerUser"]
        == error["metadata"]["accountsCount"]
        == 1
    )
    for client in (one, two):
        await client.request("unsubscribe", first)
        await client.until("response")
    await two.subscribe(second)


async def test_quotas_of_a_server(sim: Simulator, connect: Clients) -> None:
    """They count the accounts on the same port."""
    first, second = sim.accounts
    london = await sim.listen("london")
    sim.quotas.max_accounts_per_user_per_server = 1
    other = await connect(sim)
    await other.subscribe(first)
    client = await connect(sim, url=london)
    await client.subscribe(second)
    await client.request("subscribe", first)
    error = await client.until("processingError")
    assert error["metadata"]["type"] == PER_USER_PER_SERVER
    sim.quotas.max_accounts_per_user_per_server = None
    sim.quotas.max_accounts_per_server = 1
    await client.request("subscribe", first)
    error = await client.until("processingError")
    assert error["metadata"]["type"] == PER_SERVER


# Regions and zones.


async def test_zones(sim: Simulator, connect: Clients) -> None:
    """An account answers only in its region and in the zones where it runs."""
    account = sim.add_account(SimAccount(region="london", hosts=hosts_in((1,))))
    a, b = await sim.listen("london", 0), await sim.listen("london", 1)
    elsewhere = await sim.listen("new-york", 1)
    for url, instance in ((a, 0), (elsewhere, 1)):
        client = await connect(sim, url=url)
        await client.request("subscribe", account.id, instanceIndex=instance)
        assert (await client.event())[1]["error"] == "TimeoutError"
        await client.request("reconnect", account.id, instanceIndex=instance)
        assert (await client.event())[1]["error"] == "TimeoutError"
    client = await connect(sim, url=b)
    authenticated = await client.subscribe(account.id, instanceIndex=1)
    assert (authenticated["host"], authenticated["instanceIndex"]) == ("ps-mpb-1", 1)
    await client.request("subscribe", account.id, instanceIndex=0)
    assert (await client.until("processingError"))["error"] == "TimeoutError"
    # The base URL serves all regions and zones.
    authenticated = await (await connect(sim)).subscribe(account.id)
    assert (authenticated["host"], authenticated["instanceIndex"]) == ("ps-mpb-1", 0)


async def test_account_in_two_zones(sim: Simulator, connect: Clients) -> None:
    """Each zone shows its own terminal, and a reconnect restarts that one."""
    account = sim.add_account(
        SimAccount(hosts=hosts_in((0, 1)), spec=Spec(reliability="high"))
    )
    clients = [
        await connect(sim, url=await sim.listen("london", instance))
        for instance in (0, 1)
    ]
    for instance, client in enumerate(clients):
        authenticated = await client.subscribe(account.id, instanceIndex=instance)
        assert authenticated["host"] == ("ps-mpa-1", "ps-mpb-1")[instance]
        assert authenticated["replicas"] == 2
    sim.set_terminal(account.id, False, host="ps-mpa-1")
    await clients[0].until("disconnected")
    kinds = {payload["type"] for _, payload in await clients[1].collect(2 * SOON)}
    assert kinds == {"status"}
    await clients[1].request("reconnect", account.id, instanceIndex=1)
    await clients[1].until("disconnected")
    await clients[1].until("authenticated")
    assert [host.up for host in account.hosts] == [False, True]


async def test_account_moves(sim: Simulator, connect: Clients) -> None:
    """It leaves its region and appears in the other one."""
    here = await connect(sim, url=await sim.listen("london"))
    there = await connect(sim, url=await sim.listen("new-york"))
    await here.subscribe(sim.account.id)
    await there.request("subscribe", sim.account.id)
    await there.until("processingError")
    sim.move(sim.account.id, "new-york")
    await here.until("disconnected")
    await there.until("authenticated")
    sim.move(sim.account.id, zones=[1])
    await there.until("disconnected")
    assert sim.account.zones == (1,)


async def test_replica(sim: Simulator, connect: Clients) -> None:
    """It has its own id, and a token for its primary account covers it."""
    replica = sim.add_account(SimAccount(region="new-york", primary_id=sim.account.id))
    client = await connect(sim, token=sim.grant(accounts=[sim.account.id]))
    assert (await client.subscribe(replica.id))["accountId"] == replica.id


async def test_text_beyond_ascii(sim: Simulator, connect: Clients) -> None:
    """It is sent unescaped, except what UTF-8 cannot encode."""
    client = await connect(sim)
    await client.request("subscribe", sim.account.id, sessionId="ä😀")
    assert (await client.until("authenticated"))["sessionId"] == "ä😀"
    request = {
        "type": "unsubscribe",
        "accountId": sim.account.id,
        "requestId": "\ud800",
    }
    await client.ws.send_str("42" + json.dumps(["request", request]))
    assert (await client.until("response"))["requestId"] == "\ud800"


async def test_nothing_is_deployed(sim: Simulator, connect: Clients) -> None:
    """A user without deployed accounts gets MetaApi's validation error word for word."""
    other = sim.add_account(SimAccount(owner="somebody else"))
    for account in sim.accounts.values():
        if account is not other:
            sim.undeploy(account.id)
    client = await connect(sim)
    request_id = await client.request("subscribe", sim.account.id)
    error = await client.until("processingError")
    trace = error["traceId"]
    assert error == {
        "id": 1,
        "error": "ValidationError",
        "requestId": request_id,
        "details": {},
        "traceId": trace,
        "message": "It seems like you are trying to subscribe to an account, however you have no "
        f"accounts deployed yet. Please deploy an account first. ({trace})",
    }
    assert re.fullmatch("[0-9a-f]{32}", trace)
    sim.deploy(sim.account.id)
    await client.subscribe(sim.account.id)


async def test_synchronize(sim: Simulator, connect: Clients) -> None:
    """The complete state follows in numbered packets, unless the terminal is down."""
    client = await connect(sim)
    await client.subscribe(sim.account.id)
    host = sim.account.hosts[0].name
    sim.set_silent(sim.account.id)
    while await client.maybe_frame(0.1):
        pass
    request_id = await client.request(
        "synchronize", sim.account.id, instanceIndex=0, host=host, version=2
    )
    name, answer = await client.event()
    assert (name, answer["requestId"]) == ("response", request_id)
    packets = [(await client.event())[1] for _ in range(9)]
    assert [each["type"] for each in packets] == [
        "synchronizationStarted",
        "accountInformation",
        "specifications",
        "positions",
        "orders",
        "historyOrders",
        "orderSynchronizationFinished",
        "deals",
        "dealSynchronizationFinished",
    ]
    assert [each["sequenceNumber"] for each in packets] == list(range(1, 10))
    assert len({each["sequenceTimestamp"] for each in packets}) == 1
    for each in packets:
        assert each["synchronizationId"] == request_id
        assert (each["host"], each["instanceIndex"]) == (host, 0)
    assert packets[1]["accountInformation"]["login"] == int(sim.account.login or "")
    sim.set_terminal(sim.account.id, False)
    await client.request("synchronize", sim.account.id)
    assert (await client.until("processingError"))["error"] == "NotAuthenticatedError"
