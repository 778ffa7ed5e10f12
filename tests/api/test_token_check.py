"""Test when a token counts as refused: a socket can report it, REST decides."""

import asyncio
from collections import Counter
from typing import Any

import aiohttp
from api.endpoints import Zone
from api.errors import (
    ForbiddenError,
    HandshakeRefusedError,
    MetaApiError,
    NotFoundError,
    UnauthorizedError,
    ValidationError,
)
from api.model import Status
from api.timing import Timing
from api.token_check import try_subscribe
import pytest

from simulator import Simulator
from simulator.tokens import make_jwt

from .faults.rig import rigged
from .loopback import TOKEN, eventually
from .support import watched
from .terminal.bench import View
from .transport.fakes import (
    SESSION,
    URL,
    ZONE,
    FakeSocket,
    now,
)


@pytest.mark.parametrize(
    "form", ["http401", "close", "error_packet", "processing_error"]
)
async def test_revoked_token_ends_in_one_request_for_a_new_one(form: str) -> None:
    """REST confirms every form of refusal, and everything stops once."""
    async with watched(accounts=3, bad_token=form) as w:
        await w.terminal(True)
        w.sim.revoke()
        w.sim.drop_sockets()
        await w.until(lambda: w.monitor.token_refused)
        await w.until(lambda: w.hub[-1] is False)
        assert w.hub.count(False) == 1
        assert View.of(w.state) == View(available=False, status=Status.TOKEN_REFUSED)
        attempts = len(w.sim.handshakes)
        result = await w.reconnect(0.1)
        assert result.outcome == "token_refused"
        assert len(w.sim.handshakes) == attempts


async def test_401_that_rest_does_not_confirm_is_only_a_refusal() -> None:
    """The token is valid, so attempts go on slowly."""
    async with watched(refuse_status=401, timing={"refused_floor": 0.3}) as w:
        await w.until(lambda: len(w.sim.handshakes) == 2)
        assert not w.monitor.token_refused
        w.sim.refuse_sockets(None)
        await w.terminal(True)


async def test_unauthorized_from_a_stray_error_is_checked_by_rest() -> None:
    """A single UnauthorizedError does not stop everything."""
    async with watched() as w:
        await w.terminal(True)
        w.sim.inject('42["processingError",{"error":"UnauthorizedError"}]')
        await w.until(lambda: w.sim.rest_calls)
        await w.until(lambda: not w.monitor._token_check.running)
        assert not w.monitor.token_refused


async def test_checks_of_a_valid_token_are_limited() -> None:
    """A valid token is only checked from time to time, however often a server refuses it."""
    async with watched(timing={"refused_floor": 30.0}) as w:
        await w.terminal(True)
        for _ in range(20):
            w.sim.inject('42["processingError",{"error":"UnauthorizedError"}]')
            w.sim.set_broker(w.id, not w.sim.account.broker)
            await asyncio.sleep(0.01)
        await w.until(lambda: w.sim.rest_calls)
        await w.until(lambda: not w.monitor._token_check.running)
        assert len(w.sim.rest_calls) == 1


@pytest.mark.parametrize("said", [True, False])
async def test_a_token_that_rest_cannot_judge(said: bool) -> None:
    """Without permission for REST, only an explicit error of the socket counts."""
    token = make_jwt(provisioning=False)
    async with watched(token=token, add=False) as w:
        w.sim.grant(token, provisioning=False)
        w.sim.revoke(token)
        w.sim.wire.bad_token = "http401" if said else "close"
        w.add(w.id)
        if said:
            await w.until(lambda: w.monitor.token_refused)
        else:
            await w.until(lambda: w.monitor._token_check.started_at > 0)
            await w.until(lambda: not w.monitor._token_check.running)
            assert not w.monitor.token_refused
        assert not w.sim.rest_calls


async def test_a_token_is_not_judged_again() -> None:
    """No check is sent for a refused token, or without accounts."""
    async with watched(timing={"refused_floor": 0.0}) as w:
        await w.terminal(True)
        w.sim.revoke()
        w.monitor.check_token()
        await w.until(lambda: w.monitor.token_refused)
        w.monitor.check_token()
        assert not w.monitor._token_check.running
    async with watched(timing={"refused_floor": 0.0}) as w:
        await w.terminal(True)
        await w.monitor.close()
        w.monitor.check_token()
        assert not w.monitor._token_check.running


# -- validating a token ----------------------------------------------------------------------------


async def judge(answers: dict[str, dict[str, Any]], **options: Any) -> FakeSocket:
    """Validate a token by a subscribe on a fake socket with an answer; return the socket."""
    FakeSocket.answers = answers
    try:
        await try_subscribe(SESSION, TOKEN, ZONE, "acc", application="Mine", **options)
    finally:
        (socket,) = FakeSocket.made
        assert socket.closes == 1
    return socket


async def test_a_good_token_is_judged_and_leaves_nothing(fake: None) -> None:
    """The requests are subscribe and unsubscribe, and the socket is closed."""
    socket = await judge({"subscribe": {}, "unsubscribe": {}})
    subscribe, unsubscribe = (payload for _, payload in socket.sent)
    assert (subscribe["type"], unsubscribe["type"]) == ("subscribe", "unsubscribe")
    for payload in (subscribe, unsubscribe):
        assert payload["accountId"] == "acc"
        assert payload["application"] == "Mine"
        assert payload["instanceIndex"] == 0
    assert len(subscribe["sessionId"]) == 32
    assert "sessionId" not in unsubscribe
    assert socket.connects[0][0] == URL
    assert socket.connects[0][1]["auth-token"] == TOKEN
    assert socket.session is SESSION
    assert socket.timing == Timing()


async def test_events_are_no_verdict(fake: None) -> None:
    """Events of the account before or after the answer are ignored."""
    task = asyncio.create_task(judge({"unsubscribe": {}}))
    await eventually(lambda: FakeSocket.made and FakeSocket.made[0].sent)
    (socket,) = FakeSocket.made
    socket.on_event("synchronization", {"type": "authenticated"})
    socket.on_event("processingError", {"error": "UnauthorizedError"})
    socket.on_event("response", {"requestId": socket.last["requestId"]})
    await task


async def test_a_terminal_that_is_away_is_no_verdict_on_the_token(fake: None) -> None:
    """There is no subscription, so no unsubscribe."""
    socket = await judge({"subscribe": {"error": "TimeoutError"}})
    assert [payload["type"] for _, payload in socket.sent] == ["subscribe"]


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("UnauthorizedError", UnauthorizedError),
        ("ForbiddenError", ForbiddenError),
        ("NotFoundError", NotFoundError),
        ("ValidationError", ValidationError),
    ],
)
async def test_a_refused_token_raises(
    fake: None, name: str, error: type[MetaApiError]
) -> None:
    """The error is MetaApi's."""
    details = [{"parameter": "accountId", "message": "Required"}]
    with pytest.raises(error):
        await judge({"subscribe": {"error": name, "details": details}})


async def test_a_user_without_deployed_accounts_is_no_verdict_on_the_token(
    fake: None,
) -> None:
    """MetaApi answers with a `ValidationError` without details."""
    await judge({"subscribe": {"error": "ValidationError", "details": {}}})


@pytest.mark.parametrize(
    ("answers", "takes"),
    [
        ({"unsubscribe": {}}, 0),
        ({"unsubscribe": {"error": "InternalError"}}, 0),
        ({}, 2),
    ],
)
async def test_failing_unsubscribe_is_no_verdict(
    fake: None, answers: dict[str, dict[str, Any]], takes: float
) -> None:
    """It is ignored, also if it is not answered in a limited time."""
    started = now()
    socket = await judge({"subscribe": {}} | answers)
    assert len(socket.sent) == 2
    assert now() - started == pytest.approx(takes, abs=0.1)


async def test_a_person_does_not_wait_for_long(fake: None) -> None:
    """This subscribe has its own timeout; silence after a good handshake is no verdict."""
    started = now()
    await judge({}, timing=Timing(try_response=11.0))
    assert now() - started == pytest.approx(11, abs=0.1)


async def test_a_socket_that_does_not_open_raises(fake: None) -> None:
    """The socket is closed nevertheless."""
    FakeSocket.acts = [HandshakeRefusedError(401)]
    with pytest.raises(HandshakeRefusedError):
        await judge({})


@pytest.mark.parametrize(
    ("grant", "error"),
    [
        ({}, None),
        ({"streaming": False}, MetaApiError),
        ({"accounts": ["another"]}, MetaApiError),
    ],
)
async def test_judging_over_a_real_socket(
    grant: dict[str, Any], error: type[MetaApiError] | None
) -> None:
    """The simulator accepts a token that may not use REST."""
    async with Simulator() as sim, aiohttp.ClientSession() as session:
        token = sim.grant(provisioning=False, **grant)
        judged = try_subscribe(
            session, token, Zone(sim.url), sim.account.id, application="MetaApi"
        )
        if error is None:
            await judged
            types = [request.type for request in sim.requests]
            assert types == ["subscribe", "unsubscribe"]
        else:
            with pytest.raises(error):
                await judged
        await eventually(lambda: not sim.sockets)


# -- temporary and permanent refusals --------------------------------------------------------------


async def test_a_401_that_passes_changes_nothing() -> None:
    """Socket and REST refuse the token for a moment."""
    async with watched(timing={"blind": 1.0}) as w:
        await w.terminal(True)
        w.sim.revoke()
        w.sim.drop_sockets()
        await w.until(lambda: w.sim.rest_calls)
        w.sim.grant(w.sim.token)
        await w.until(lambda: len(w.sim.requests_of("subscribe")) == 2)
        await w.until(lambda: not w.monitor._token_check.running)
        assert not w.monitor.token_refused
        assert w.terminals() == [None, True]
        assert w.hub == [True]


async def test_a_401_that_lasts_goes_by_itself_in_the_end() -> None:
    """Everything stops and a new token is requested, until the slow poll finds the old one valid."""
    async with watched(timing={"token_poll": 0.5}) as w:
        await w.terminal(True)
        asked: list[bool] = []
        w.monitor.listen_link(lambda: asked.append(w.monitor.token_refused))
        w.sim.revoke()
        w.sim.drop_sockets()
        await w.until(lambda: w.stopped)
        await w.until(
            lambda: w.monitor.diagnostics()["sockets"][0]["state"] == "closed"
        )
        handshakes, calls = len(w.sim.handshakes), len(w.sim.rest_calls)
        await w.until(lambda: len(w.sim.rest_calls) == calls + 2)
        assert len(w.sim.handshakes) == handshakes
        assert w.monitor.token_refused
        w.sim.grant(w.sim.token)
        await w.until(lambda: not w.monitor.token_refused)
        await w.terminal(True)
        assert not w.stopped
        assert True in asked
        assert asked[-1] is False


async def test_rests_401_closes_no_socket_that_shows_events() -> None:
    """A new token is requested, and meanwhile everything goes on."""
    async with watched(timing={"token_poll": 0.5}) as w:
        await w.until(lambda: w.state.broker)
        asked: list[bool] = []
        w.monitor.listen_link(lambda: asked.append(w.monitor.token_refused))
        w.sim.fail_rest(401)
        w.monitor.check_token()
        await w.until(lambda: w.monitor.token_refused)
        assert asked == [True]
        assert not w.stopped
        calls = len(w.sim.rest_calls)
        await w.until(lambda: len(w.sim.rest_calls) > calls)
        assert len(w.sim.handshakes) == 1
        assert (await w.reconnect(5)).outcome == "authenticated"
        assert "unavailable" not in w.terminals()
        w.sim.fail_rest(None)
        await w.until(lambda: not w.monitor.token_refused)
        assert asked == [True, False]
        assert len(w.sim.handshakes) == 1


async def test_what_rest_said_stops_a_socket_that_is_refused_later() -> None:
    """It shows no events any more."""
    async with watched() as w:
        await w.terminal(True)
        w.sim.fail_rest(401)
        w.monitor.check_token()
        await w.until(lambda: w.monitor.token_refused)
        w.sim.revoke(drop=True)
        await w.until(lambda: w.stopped)
        assert w.state.available is False


async def test_a_token_that_rest_cannot_judge_is_tried_on_a_socket() -> None:
    """The slow poll tries it; no other request is sent meanwhile."""
    token = make_jwt(provisioning=False)
    async with watched(token=token, timing={"token_poll": 0.3}, add=False) as w:
        w.sim.grant(token, provisioning=False)
        w.add(w.id)
        await w.terminal(True)
        w.sim.revoke(token, drop=True)
        await w.until(lambda: w.stopped)
        handshakes = len(w.sim.handshakes)
        await w.until(lambda: len(w.sim.handshakes) == handshakes + 2)
        assert w.stopped
        w.sim.grant(token, provisioning=False)
        await w.terminal(True)
        assert not w.monitor.token_refused


async def test_sockets_that_refuse_a_good_token_for_ever_are_not_stormed() -> None:
    """There are at most 25 attempts in the first hour, and 12 in later ones."""
    async with rigged(refuse_status=401) as rig:
        started = rig.now
        rig.add(rig.sim.account.id)
        await asyncio.sleep(3 * 3600)
        hours = Counter(int((when - started) // 3600) for when, _ in rig.attempts)
        assert hours[0] <= 25
        assert hours[1] <= 12
        assert hours[2] <= 12
        assert not rig.monitor.token_refused
        rig.sim.refuse_sockets(None)
        await rig.until(lambda: rig.shown(rig.sim.account.id), 330)
