"""What goes out for a link, and what MetaApi's answers do to it and to the others: limits above all."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
import itertools
from typing import Any

from api.model import Status
import pytest

from .scripted import ACCOUNT, REGION, Answer, Request, refuse, scripted
from .support import watched
from .terminal.bench import View


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
        assert View.of(w.state) == View(terminal=False, status=Status.NOT_DEPLOYED)
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
            "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_USER_PER_SERVER", retry_after=0.1
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
    async with watched(accounts=2, add=False, timing={"limit_first": 0.6}) as w:
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
    """Another Client-Id may reach another server; its neighbors stay where they are."""
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


PER_USER = "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_USER"
PER_SERVER = "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_SERVER"


def limited(kind: str | None, seconds: float) -> Answer:
    """Answer with a 429 that recommends to wait."""

    def answer(request: Request) -> None:
        retry_at = datetime.now(UTC) + timedelta(seconds=seconds)
        metadata = {"recommendedRetryTime": retry_at.isoformat()}
        if kind is not None:
            metadata["type"] = kind
        request.refuse("TooManyRequestsError", metadata=metadata)

    return answer


async def test_a_slot_that_comes_free_is_found_within_65_seconds() -> None:
    """It does at the two seconds that MetaApi recommends."""
    async with scripted(zones="a") as script:
        script.answers["a", "subscribe"] = limited(PER_USER, 2)

        def give(request: Request) -> None:
            request.accept()
            script.show("a", "authenticated")

        script.at(2, script.answers.__setitem__, ("a", "subscribe"), give)
        script.add()
        await asyncio.sleep(1)
        assert script.monitor.state(ACCOUNT).status is Status.QUOTA_EXHAUSTED
        await asyncio.sleep(64)
        assert script.monitor.state(ACCOUNT).terminal is True


async def test_a_limit_that_repeats_is_asked_ever_less() -> None:
    """After one, two, four and five minutes."""
    async with scripted(zones="a") as script:
        script.answers["a", "subscribe"] = limited(PER_USER, 2)
        script.add()
        await asyncio.sleep(900)
        times = [when for _, when in script.asked("subscribe")]
        pauses = [b - a for a, b in itertools.pairwise(times)]
        assert pauses == [pytest.approx(pause, abs=6) for pause in (60, 120, 240, 300)]


@pytest.mark.parametrize(
    "answer",
    [
        refuse("ForbiddenError"),
        refuse("NotFoundError"),
        refuse("ValidationError", details={}),
        refuse("ValidationError", details=[{"parameter": "accountId"}]),
        refuse("UnauthorizedError"),
        limited(PER_USER, 2),
        limited(PER_SERVER, 2),
        limited(None, 1),
    ],
    ids=[
        "forbidden",
        "not found",
        "nothing deployed",
        "not valid",
        "unauthorized",
        "user's limit",
        "server's limit",
        "rate limit",
    ],
)
async def test_a_refusal_that_stays_is_not_stormed(answer: Answer) -> None:
    """At most 25 attempts in the first hour, and 12 in later ones."""
    async with scripted(zones="a") as script:
        script.answers["a", "subscribe"] = answer
        script.add()
        await asyncio.sleep(4 * 3600)
        hours = Counter(int(when // 3600) for _, when in script.asked("subscribe"))
        assert 1 <= hours[0] <= 25
        assert all(1 <= hours[hour] <= 12 for hour in (1, 2, 3))


async def test_accounts_that_hear_of_one_limit_together_count_it_once() -> None:
    """The pause is that of a first refusal."""
    async with scripted(zones="a") as script:
        script.answers["a", "subscribe"] = limited(PER_USER, 2)
        script.add()
        for number in range(10):
            script.monitor.add_account(f"account-{number}", REGION)
        await asyncio.sleep(30)
        assert script.monitor.diagnostics()["subscribes_held_for"] <= 60
