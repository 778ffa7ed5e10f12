"""Test `reconnect` over real sockets: each outcome, both forms, several callers."""

import asyncio
from collections.abc import Awaitable, Callable
import gc
import logging
import re
from typing import Any

from api.endpoints import Endpoints
from api.model import Outcome, Status
import pytest

from .support import Witness, watched


async def down(w: Witness) -> None:
    """Bring the first account up, then drop its terminal."""
    await w.terminal(True)
    w.sim.set_terminal(w.id, up=False)
    await w.terminal(False)


async def test_brings_a_terminal_back() -> None:
    """A terminal that is down is back, with its time."""
    async with watched() as w:
        await down(w)
        result = await w.reconnect(5)
        assert result.outcome is Outcome.AUTHENTICATED
        assert 0 < result.seconds < 5
        assert result.error is None
        assert w.state.terminal is True
        assert w.monitor.reconnect_form == "socket"
        (request,) = w.sim.requests_of("reconnect")
        payload = dict(request.payload)
        payload.pop("requestId")
        assert payload == {
            "type": "reconnect",
            "accountId": w.id,
            "application": "MetaApi",
        }


async def test_of_a_terminal_that_is_up_shows_off_then_on() -> None:
    """Each state is shown when it changes."""
    async with watched() as w:
        await w.terminal(True)
        result = await w.reconnect(5)
        assert result.outcome is Outcome.AUTHENTICATED
        assert w.terminals() == [None, True, False, True]
        assert Status.RECONNECTING in [state.status for state in w.seen[w.id]]


async def test_authenticated_before_the_response_keeps_it_on() -> None:
    """The new `authenticated` may come before the response."""
    async with watched() as w:
        await w.terminal(True)
        w.sim.set_reconnect_mode(w.id, "authenticated_first")
        result = await w.reconnect(5)
        assert result.outcome is Outcome.AUTHENTICATED
        assert w.state.terminal is True


@pytest.mark.parametrize(
    "error",
    ["ForbiddenError", "NotFoundError", "TooManyRequestsError", "InternalError"],
)
async def test_refused_says_what_metaapi_said(error: str) -> None:
    """The caller gets the server's error, and no request is repeated."""
    async with watched() as w:
        await down(w)
        w.sim.set_reconnect_mode(w.id, "refuse", error=error)
        result = await w.reconnect(5)
        assert result.outcome is Outcome.REFUSED
        assert result.error is not None
        # MetaApi's texts end with a trace id.
        assert re.fullmatch(r"Refused by the simulator \([0-9a-f]{32}\)", result.error)
        assert len(w.sim.requests_of("reconnect")) == 1
        assert w.state.status is Status.RECONNECT_FAILED


async def test_refused_in_both_forms() -> None:
    """After a ValidationError the seed page's form is tried, whose refusal is final."""
    async with watched() as w:
        await down(w)
        w.sim.set_reconnect_mode(w.id, "refuse", error="ValidationError")
        result = await w.reconnect(5)
        assert result.outcome is Outcome.REFUSED
        first, second = w.sim.requests_of("reconnect")
        assert first.socket is not second.socket


async def test_second_form_is_exactly_the_seed_pages() -> None:
    """It uses a new socket with only the token in its query, without a subscribe."""
    async with watched() as w:
        await down(w)
        w.sim.set_reconnect_mode(w.id, "legacy_only")
        result = await w.reconnect(5)
        assert result.outcome is Outcome.AUTHENTICATED
        assert w.monitor.reconnect_form == "seed_page"
        second = w.sim.requests_of("reconnect")[1]
        assert set(second.socket.query) - {"EIO", "transport"} == {"auth-token"}
        assert [r.type for r in second.socket.requests] == ["reconnect"]
        await w.until(lambda: len(w.sim.sockets) == 1)
        await w.until(lambda: w.state.broker)
        assert w.terminals()[-2:] == [False, True]


async def test_silence_calls_for_the_second_form_and_then_times_out() -> None:
    """Neither form is answered."""
    async with watched() as w:
        await down(w)
        w.sim.set_reconnect_mode(w.id, "ignore")
        result = await w.reconnect(0.5)
        assert result.outcome is Outcome.TIMED_OUT
        assert 0.4 < result.seconds < 1
        assert len(w.sim.requests_of("reconnect")) == 2


async def test_timed_out_subscribes_again_at_once() -> None:
    """The request was accepted, but no `authenticated` came."""
    async with watched() as w:
        await down(w)
        w.sim.set_reconnect_mode(w.id, "never")
        started = asyncio.get_running_loop().time()
        result = await w.reconnect(0.3)
        assert result.outcome is Outcome.TIMED_OUT
        assert w.state.status is Status.RECONNECT_FAILED
        subscribes = len(w.sim.requests_of("subscribe"))
        during = [
            r
            for r in w.sim.requests_of("subscribe")
            if w.sim.requests_of("reconnect")[0].time < r.time < started + 0.3
        ]
        assert during == []
        await w.until(lambda: len(w.sim.requests_of("subscribe")) > subscribes)


async def test_an_account_whose_subscribe_is_refused() -> None:
    """It is on, out of sight again for the old reason, and on when MetaApi accepts it."""
    async with watched(add=False, timing={"refused_floor": 1.5}) as w:
        w.sim.set_subscribe_mode(w.id, "refuse")
        w.add(w.id)
        await w.until(lambda: w.state.status is Status.FORBIDDEN)
        result = await w.reconnect(5)
        assert result.outcome is Outcome.AUTHENTICATED
        assert w.state.terminal is True
        await w.until(lambda: w.state.status is Status.FORBIDDEN)
        w.sim.set_subscribe_mode(w.id, "normal")
        await w.until(lambda: w.state.broker)
        assert len(w.sim.requests_of("subscribe")) == 2
        assert w.terminals() == [None, "unavailable", True, "unavailable", True]


async def test_not_deployed_sends_no_request() -> None:
    """An undeployed account cannot be reconnected."""
    async with watched(add=False) as w:
        w.sim.undeploy(w.id)
        w.add(w.id, deployed=False)
        result = await w.reconnect(5)
        assert result.outcome is Outcome.NOT_DEPLOYED
        assert w.sim.requests_of("reconnect") == []


async def test_no_connection_after_the_whole_timeout() -> None:
    """The attempt waits for a socket within the caller's timeout."""
    async with watched() as w:
        await w.terminal(True)
        await w.sim.stop_listening()
        await w.until(lambda: not w.monitor._pool.any_open)
        result = await w.reconnect(0.3)
        assert result.outcome is Outcome.NO_CONNECTION
        assert result.seconds >= 0.3


async def test_wakes_the_back_off_and_waits_for_the_socket() -> None:
    """The attempt ends the pause of the back-off."""
    async with watched(timing={"backoff_first": 30.0, "backoff_max": 30.0}) as w:
        await w.terminal(True)
        w.sim.set_terminal(w.id, up=False)
        await w.terminal(False)
        w.sim.drop_sockets()
        await w.until(lambda: not w.monitor._pool.any_open)
        result = await w.reconnect(5)
        assert result.outcome is Outcome.AUTHENTICATED
        assert result.seconds < 5


async def test_socket_lost_while_waiting_is_no_connection() -> None:
    """The outcome is returned at once, not after the timeout."""
    async with watched() as w:
        await down(w)
        w.sim.set_reconnect_mode(w.id, "never")
        attempt = asyncio.create_task(w.reconnect(20))
        await w.until(lambda: w.state.status is Status.RECONNECTING)
        await w.until(lambda: w.sim.requests_of("reconnect"))
        w.sim.drop_sockets()
        result = await attempt
        assert result.outcome is Outcome.CONNECTION_LOST
        assert result.error is None
        assert result.seconds < 5


async def test_second_caller_joins_and_keeps_its_own_timeout() -> None:
    """There is one request, and each caller gets an outcome in its own time."""
    async with watched() as w:
        await down(w)
        w.sim.set_reconnect_mode(w.id, "never")
        impatient = asyncio.create_task(w.reconnect(0.2))
        patient = asyncio.create_task(w.reconnect(5))
        first = await impatient
        assert first.outcome is Outcome.TIMED_OUT
        assert first.seconds < 1
        assert not patient.done()
        w.sim.set_terminal(w.id, up=True)
        second = await patient
        assert second.outcome is Outcome.AUTHENTICATED
        assert len(w.sim.requests_of("reconnect")) == 1


async def test_a_cancelled_caller_does_not_end_the_attempt_of_another() -> None:
    """The attempt continues while a caller waits."""
    async with watched(reconnect_delay=0.3) as w:
        await down(w)
        one = asyncio.create_task(w.reconnect(5))
        two = asyncio.create_task(w.reconnect(5))
        await w.until(lambda: w.sim.requests_of("reconnect"))
        one.cancel()
        assert (await two).outcome is Outcome.AUTHENTICATED


async def test_several_accounts_at_once() -> None:
    """All are reconnected, and each has its own outcome."""
    async with watched(accounts=3) as w:
        one, two, three = w.sim.accounts
        await w.until(lambda: all(w.monitor.state(i).terminal for i in w.sim.accounts))
        w.sim.set_reconnect_mode(two, "never")
        w.sim.set_reconnect_mode(three, "refuse", error="ForbiddenError")
        results = await asyncio.gather(
            *(w.reconnect(0.6, i) for i in (one, two, three))
        )
        assert [result.outcome for result in results] == [
            Outcome.AUTHENTICATED,
            Outcome.TIMED_OUT,
            Outcome.REFUSED,
        ]


async def test_a_subscribe_in_flight_is_not_awaited() -> None:
    """Its `authenticated` is no proof of a reconnect; a terminal that stays is."""
    async with watched(add=False, reply_delay=0.2) as w:
        w.add(w.id)
        await w.until(w.in_flight)
        result = await w.reconnect(5)
        assert result.outcome is Outcome.AUTHENTICATED
        types = [request.type for request in w.sim.requests]
        assert types == ["subscribe", "reconnect"]
        subscribe, reconnect = w.sim.requests
        assert reconnect.time - subscribe.time < 0.2
        assert w.sim.account.reconnecting.outcome is not None


async def test_a_subscribe_just_accepted_may_still_show_another_terminal() -> None:
    """Its `authenticated` is no proof of a reconnect, though one has come already."""
    async with watched(timing={"subscribe_settle": 0.3}) as w:
        await w.terminal(True)
        w.sim.set_reconnect_mode(w.id, "never")
        attempt = asyncio.create_task(w.reconnect(1.0))
        await w.until(lambda: w.monitor._accounts[w.id].terminal.reconnecting)
        assert w.sim.inject_event(w.id, {"type": "authenticated", "host": "another"})
        assert (await attempt).outcome is Outcome.TIMED_OUT


@pytest.mark.parametrize(
    "end",
    [
        lambda w: w.monitor.close(),
        lambda w: w.monitor.remove_account(w.id),
    ],
)
async def test_going_away_ends_the_attempt(
    end: Callable[[Witness], Awaitable[None]],
) -> None:
    """The callers' outcome is no connection."""
    async with watched() as w:
        await down(w)
        w.sim.set_reconnect_mode(w.id, "never")
        attempt = asyncio.create_task(w.reconnect(20))
        await w.until(lambda: w.sim.requests_of("reconnect"))
        subscribes = len(w.sim.requests_of("subscribe"))
        await end(w)
        result = await attempt
        assert result.outcome is Outcome.CONNECTION_LOST
        assert result.error is None
        await w.until(lambda: not w.sim.sockets)
        assert len(w.sim.requests_of("subscribe")) == subscribes


async def test_both_zones_are_asked_when_it_was_never_up() -> None:
    """The place is unknown, so all are tried; see also the tests of the monitor."""
    async with watched() as w:
        w.sim.set_terminal(w.id, up=False)
        await w.terminal(False)
        assert (await w.reconnect(5)).outcome is Outcome.AUTHENTICATED


async def test_authenticated_without_a_response_is_a_success() -> None:
    """The response was lost, but the terminal is back."""
    async with watched() as w:
        await down(w)
        w.sim.set_reconnect_mode(w.id, "ignore")
        attempt = asyncio.create_task(w.reconnect(5))
        await w.until(lambda: w.sim.requests_of("reconnect"))
        w.sim.set_terminal(w.id, up=True)
        result = await attempt
        assert result.outcome is Outcome.AUTHENTICATED
        assert result.seconds < 2
        assert len(w.sim.requests_of("reconnect")) == 1


async def test_another_accounts_authenticated_proves_nothing() -> None:
    """Only this account counts, also on the extra socket."""
    async with watched(accounts=2) as w:
        await down(w)
        w.sim.set_reconnect_mode(w.id, "ignore")
        attempt = asyncio.create_task(w.reconnect(0.8))
        await w.until(lambda: len(w.sim.requests_of("reconnect")) == 2)
        other = list(w.sim.accounts)[1]
        w.sim.inject(
            f'42["synchronization",{{"type":"authenticated","accountId":"{other}"}}]'
        )
        assert (await attempt).outcome is Outcome.TIMED_OUT
        assert w.state.terminal is False


async def test_refused_token_ends_at_once() -> None:
    """The attempt does not wait for a socket that cannot open."""
    async with watched() as w:
        await w.terminal(True)
        w.sim.revoke()
        w.sim.drop_sockets()
        await w.until(lambda: w.monitor.token_refused)
        result = await w.reconnect(20)
        assert result.outcome is Outcome.TOKEN_REFUSED
        assert result.error is None
        assert result.seconds < 1


async def test_an_unknown_account_has_no_connection() -> None:
    """An unknown account has an outcome, and raises no error."""
    async with watched() as w:
        assert (await w.reconnect(1, "nobody")).outcome is (Outcome.NO_CONNECTION)


async def test_an_unanswered_reconnect_logs_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Pending requests are canceled properly, not left to the garbage collector."""
    async with watched() as w:
        await down(w)
        w.sim.set_reconnect_mode(w.id, "ignore")
        await w.reconnect(0.1)
    gc.collect()
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


async def test_hung_connect_is_restarted() -> None:
    """The server accepted the connection and hung; it would answer a new one at once."""
    async with watched(timing={"connect": 30.0, "upgrade": 30.0}) as w:
        await w.terminal(True)
        w.sim.timing.handshake_delay = 20.0
        w.sim.drop_sockets()
        (connection,) = w.monitor._pool
        clock = asyncio.get_running_loop().time
        await w.until(
            lambda: (
                connection._connecting is not None and clock() > connection._since + 0.1
            )
        )
        w.sim.timing.handshake_delay = 0.0
        result = await w.reconnect(5)
        assert result.outcome is Outcome.AUTHENTICATED


async def test_a_move_ends_the_attempt() -> None:
    """The socket of its request is no longer used."""
    async with watched() as w:
        await w.terminal(True)
        w.sim.set_reconnect_mode(w.id, "never")
        reconnect = asyncio.create_task(w.reconnect(10))
        await w.until(lambda: w.sim.requests_of("reconnect"))
        await w.until(lambda: w.monitor.state(w.id).terminal is False)
        w.monitor.endpoints = Endpoints(api_url=w.sim.url + "/")
        w.monitor.place_account(w.id, "")
        result = await reconnect
        assert result.outcome is Outcome.CONNECTION_LOST
        assert result.seconds < 5


async def test_a_token_that_is_refused_meanwhile_ends_the_attempt() -> None:
    """There is nothing to wait for any more."""
    async with watched() as w:
        await w.terminal(True)
        w.sim.set_reconnect_mode(w.id, "never")
        reconnect = asyncio.create_task(w.reconnect(10))
        await w.until(lambda: w.sim.requests_of("reconnect"))
        w.sim.revoke()
        w.sim.inject('42["processingError",{"error":"UnauthorizedError"}]')
        result = await reconnect
        assert result.outcome is Outcome.TOKEN_REFUSED
        assert result.error is None
        assert result.seconds < 5
        assert w.monitor.token_refused


async def test_a_socket_lost_while_a_subscribe_is_unanswered() -> None:
    """The request was sent nevertheless, and may have arrived."""
    async with watched(add=False, timing={"response": 5.0}) as w:
        w.sim.set_subscribe_mode(w.id, "ignore")
        w.add(w.id)
        await w.until(lambda: w.sim.requests_of("subscribe"))
        reconnect = asyncio.create_task(w.reconnect(10))
        await w.until(lambda: w.sim.requests_of("reconnect"))
        w.sim.refuse_sockets(502)
        w.sim.drop_sockets()
        result = await reconnect
        assert result.outcome is Outcome.CONNECTION_LOST
        assert result.error is None
        assert result.seconds < 5
        assert len(w.sim.requests_of("reconnect")) == 1


ACCEPTED = '42["response",{"type":"response","requestId":"%s"}]'
REFUSED = '42["processingError",{"error":"ValidationError","requestId":"%s"}]'


@pytest.mark.parametrize(("answer", "form"), [(ACCEPTED, "socket"), (REFUSED, None)])
async def test_an_answer_after_the_authenticated(answer: str, form: str | None) -> None:
    """The terminal is back; the answer only shows whether the request was the cause."""
    async with watched(timing={"subscribe_settle": 1.0}) as w:
        await w.terminal(True)
        w.sim.set_reconnect_mode(w.id, "ignore")
        reconnect = asyncio.create_task(w.reconnect(10))
        (request,) = await w.until(lambda: w.sim.requests_of("reconnect"))
        w.sim.inject_event(w.id, {"type": "authenticated", "accountId": w.id})
        attempt: Any = w.monitor._accounts[w.id].attempt
        await w.until(lambda: attempt._proof.complete)
        await asyncio.sleep(0)
        w.sim.inject(answer % request.payload["requestId"])
        result = await reconnect
        assert result.outcome is Outcome.AUTHENTICATED
        assert w.monitor.reconnect_form == form
        assert len(w.sim.handshakes) == 1


async def test_the_second_form_fails_after_the_terminal_came_back() -> None:
    """The outcome is a success nevertheless."""
    async with watched(timing={"reconnect_response": 9.0}) as w:
        await w.terminal(True)
        (first,) = w.sim.sockets
        w.sim.set_reconnect_mode(w.id, "refuse", then="ignore")
        reconnect = asyncio.create_task(w.reconnect(10))
        await w.until(lambda: len(w.sim.requests_of("reconnect")) == 2)
        w.sim.inject_event(w.id, {"type": "authenticated", "accountId": w.id})
        attempt: Any = w.monitor._accounts[w.id].attempt
        await w.until(lambda: attempt._proof.complete)
        for socket in w.sim.sockets:
            if socket is not first:
                socket.drop()
        result = await reconnect
        assert result.outcome is Outcome.AUTHENTICATED
        assert result.seconds < 5
        assert w.monitor.reconnect_form is None
