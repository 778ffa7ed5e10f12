"""What goes out for a link, and what MetaApi's answers do to it and to the others: limits above all."""

from typing import Any

from api.model import Status
from api.terminal.terminal import AccountState
import pytest

from .support import watched


async def test_subscribe_says_who_we_are() -> None:
    """The frame holds what the protocol asks for, and a session id of our own."""
    async with watched(application="HomeAssistant") as w:
        await w.terminal(True)
        (request,) = w.sim.requests_of("subscribe")
        payload = dict(request.payload)
        assert len(payload.pop("requestId")) == 32
        assert payload.pop("sessionId")
        assert payload == {
            "type": "subscribe",
            "accountId": w.id,
            "application": "HomeAssistant",
        }
        query = request.socket.query
        assert query["protocol"] == "3"
        assert request.socket.headers["Client-Id"] == query["clientId"]


async def test_unknown_account_is_not_found() -> None:
    """An id that MetaApi does not know."""
    async with watched(add=False) as w:
        w.add("00000000-0000-4000-8000-00000000dead")
        await w.until(
            lambda: (
                w.monitor.state("00000000-0000-4000-8000-00000000dead").status
                is Status.NOT_FOUND
            )
        )


async def test_not_deployed_is_off_and_not_subscribed() -> None:
    """What REST says is taken before the first subscribe."""
    async with watched(add=False) as w:
        w.sim.undeploy(w.id)
        w.add(w.id, deployed=False)
        await w.until(lambda: w.sim.sockets)
        assert w.state == AccountState(terminal=False, status=Status.NOT_DEPLOYED)
        w.sim.deploy(w.id)
        w.monitor.set_facts(w.id, deployed=True)
        await w.terminal(True)
        assert len(w.sim.requests_of("subscribe")) == 1


async def test_quota_makes_it_unavailable_and_says_so() -> None:
    """A 429 to the subscribe is not tried again before the floor."""
    async with watched(add=False, timing={"refused_floor": 0.4}) as w:
        w.sim.limit_subscriptions(
            "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_USER", count=1, retry_after=0.1
        )
        w.add(w.id)
        assert w.monitor.limit(w.id) is None
        assert w.monitor.sockets == (0, 1)
        await w.until(lambda: w.state.status is Status.QUOTA_EXHAUSTED)
        assert not w.state.available
        limit = w.monitor.limit(w.id)
        assert limit is not None
        assert limit.limit == "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_USER"
        assert w.monitor.sockets == (1, 1)
        await w.terminal(True)
        first, second = (r.time for r in w.sim.requests_of("subscribe"))
        assert second - first >= 0.4


async def test_another_limit_is_told() -> None:
    """What the account shows stays, but why is news: it decides what a person can do."""
    async with watched(add=False, timing={"refused_floor": 0.1}) as w:
        w.sim.limit_subscriptions(
            "LIMIT_OF_ANOTHER_KIND",  # type: ignore[arg-type]
            retry_after=0.1,
        )
        w.add(w.id)
        await w.until(lambda: w.state.status is Status.QUOTA_EXHAUSTED)
        told: list[str | None] = []

        def listener() -> None:
            limit = w.monitor.limit(w.id)
            told.append(limit.limit if limit else None)

        w.monitor.listen(w.id, listener)
        w.sim.limit_subscriptions(
            "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_USER", retry_after=0.1
        )
        await w.until(lambda: "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_USER" in told)
        assert w.state.status is Status.QUOTA_EXHAUSTED


async def test_user_quota_holds_every_subscribe_back() -> None:
    """What one account hears is true for all of them."""
    async with watched(accounts=2, add=False, timing={"refused_floor": 0.6}) as w:
        one, two = w.sim.accounts
        w.sim.limit_subscriptions(
            "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_USER",
            count=1,
            retry_after=0.1,
            accounts=[one],
        )
        w.add(one)
        await w.until(lambda: w.monitor.state(one).status is Status.QUOTA_EXHAUSTED)
        w.add(two)
        await w.until(lambda: w.monitor.state(two).terminal)
        first, *later = w.sim.requests_of("subscribe")
        assert all(r.time - first.time >= 0.6 for r in later)


@pytest.mark.parametrize(
    "limit",
    [
        "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_USER_PER_SERVER",
        "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_SERVER",
    ],
)
async def test_server_quota_uses_another_socket(limit: Any) -> None:
    """Another Client-Id may reach another server; its neighbours stay where they are."""
    async with watched(accounts=2, add=False, timing={"refused_floor": 5.0}) as w:
        one, two = w.sim.accounts
        w.add(one)
        await w.until(lambda: w.monitor.state(one).terminal)
        w.sim.limit_subscriptions(limit, count=1, accounts=[two])
        w.add(two)
        await w.until(lambda: w.monitor.state(two).terminal)
        first, second = w.sim.requests_of("subscribe", two)
        assert first.socket is not second.socket
        assert first.socket.client_id != second.socket.client_id
        assert w.terminals(one) == [None, True]


async def test_server_quota_that_stays_is_not_asked_more_than_its_floor() -> None:
    """Another socket is tried once; over time it is no more than one for each floor."""
    async with watched(add=False, timing={"refused_floor": 0.5}) as w:
        w.sim.limit_subscriptions(
            "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_USER_PER_SERVER", retry_after=0.1
        )
        w.add(w.id)
        await w.until(lambda: len(w.sim.requests_of("subscribe")) >= 5, 10)
        first, second, third, fourth, fifth = w.sim.requests_of("subscribe")[:5]
        assert second.time - first.time < 0.5
        assert first.socket is not second.socket
        assert third.time - first.time >= 1.0
        assert fourth.time - third.time < 0.5
        assert fifth.time - third.time >= 1.0
