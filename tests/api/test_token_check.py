"""When a token counts as refused: a socket may say so, REST decides."""

import asyncio

from api.link import LinkState
import pytest

from simulator.tokens import make_jwt

from .support import watched


@pytest.mark.parametrize(
    "form", ["http401", "close", "error_packet", "processing_error"]
)
async def test_revoked_token_ends_in_one_request_for_a_new_one(form: str) -> None:
    """However the server refuses it, REST confirms and everything stops, once."""
    async with watched(accounts=3, bad_token=form) as w:
        await w.terminal(True)
        w.sim.revoke()
        w.sim.drop_sockets()
        await w.until(lambda: w.monitor.token_refused)
        await w.until(lambda: w.hub[-1] is False)
        assert w.hub.count(False) == 1
        assert w.state == LinkState(available=False, status=None)
        attempts = len(w.sim.handshakes)
        result = await w.monitor.reconnect(w.id, 0.1)
        assert result.outcome == "no_connection"
        assert len(w.sim.handshakes) == attempts


async def test_401_that_rest_does_not_confirm_is_only_a_refusal() -> None:
    """The token is still good: go on, slowly."""
    async with watched(refuse_status=401, timing={"refused_floor": 0.3}) as w:
        await w.until(lambda: len(w.sim.handshakes) == 2)
        assert not w.monitor.token_refused
        w.sim.refuse_sockets(None)
        await w.terminal(True)


async def test_unauthorized_from_a_stray_error_is_checked_by_rest() -> None:
    """A processing error that says unauthorized does not by itself end everything."""
    async with watched() as w:
        await w.terminal(True)
        w.sim.inject('42["processingError",{"error":"UnauthorizedError"}]')
        await w.until(lambda: w.sim.rest_calls)
        await w.until(lambda: not w.monitor._token_check.running)
        assert not w.monitor.token_refused


async def test_unauthorized_errors_do_not_make_us_storm_rest() -> None:
    """However often a server says it, a good token is checked once in a while."""
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
    """Without access to REST, what the socket says in words decides, and nothing else does."""
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
    """Once it is refused, or nobody watches any more, nothing is asked."""
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
