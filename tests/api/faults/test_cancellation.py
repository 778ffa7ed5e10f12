"""Test cancellation at every await: after each number of rounds of the loop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from api.endpoints import Endpoints
from api.errors import MetaApiError
from api.model import Outcome
from api.timing import Timing
from api.token_check import try_subscribe
from api.transport.channel import Channel
from api.transport.connection import make_channel
import pytest

from tests.api.virtual_loop import current_loop

from .conftest import Tables
from .proxy import Answer, Proxy
from .rig import Census, Rig, rigged

TIMING = Timing()
ROUNDS = 2_000
"""More rounds than any operation here takes."""
GRACE = TIMING.close + 1.0
"""How long a canceled operation may take to unsubscribe and close."""

type Operation = Callable[[Rig], Awaitable[Any]]


async def cancel_after(rounds: int, operation: Awaitable[Any]) -> bool:
    """Run an operation and cancel it after some rounds of the loop; return whether it was done."""
    task = asyncio.ensure_future(operation)
    current_loop().after_rounds(rounds, task.cancel)
    with suppress(asyncio.CancelledError, MetaApiError):
        await task
    current_loop().after_rounds(0, lambda: None)
    return not task.cancelled()


async def settle(rig: Rig, census: Census, within: float = GRACE) -> None:
    """Check that nothing is left after a limited time."""
    await rig.until(lambda: not census.take(), within, f"left: {census.take()}")
    assert not census.take()


@dataclass
class Swept:
    """How many points of cancellation there were."""

    name: str
    moments: int = 0

    def describe(self) -> str:
        """Return the result in one line."""
        return f"canceled at each of {self.moments} rounds of the loop: {self.name}"


@asynccontextmanager
async def swept(tables: Tables, name: str) -> AsyncIterator[Swept]:
    """Return the record of how many points of cancellation an operation has."""
    sweep = Swept(name)
    yield sweep
    assert sweep.moments > 2, "the operation was done before it could be cancelled"
    tables.lines.append(sweep.describe())


def channel_of(rig: Rig) -> Channel:
    """Return a channel that is not open yet."""
    return make_channel(
        rig.session,
        rig.sim.token,
        application="test",
        on_synchronization=lambda event: None,
        on_unauthorized=lambda: None,
        timing=TIMING,
    )


def slow(proxy: Proxy) -> None:
    """Delay the answers to upgrades."""
    proxy.handshake_delay = 3.0


def well(_: Proxy) -> None:
    """Change nothing."""


@pytest.mark.parametrize("condition", [well, slow])
async def test_connect(condition: Callable[[Proxy], None], tables: Tables) -> None:
    """A canceled connect leaves no socket, and the next one works."""
    async with (
        rigged(reply_delay=0.0) as rig,
        swept(tables, f"connect, {condition.__name__}") as sweep,
    ):
        condition(rig.proxy)
        census = Census(rig.proxies)
        for rounds in range(ROUNDS):
            channel = channel_of(rig)
            done = await cancel_after(rounds, channel.connect(rig.proxy.url))
            if not done:
                assert not channel.connected
                await settle(rig, census)
            await channel.close()
            await settle(rig, census, 0.2)
            if done:
                break
            sweep.moments += 1
        assert done
        channel = channel_of(rig)
        await channel.connect(rig.proxy.url)
        assert channel.connected
        await channel.close()
        await settle(rig, census, 0.2)


async def test_request(tables: Tables) -> None:
    """A canceled request is forgotten, and the socket still works."""
    async with rigged(reply_delay=1.0) as rig, swept(tables, "request") as sweep:
        census = Census(rig.proxies)
        channel = channel_of(rig)
        await channel.connect(rig.proxy.url)
        for rounds in range(ROUNDS):
            done = await cancel_after(
                rounds, channel.request("subscribe", rig.sim.account.id)
            )
            assert not channel._pending
            assert channel.connected
            if done:
                break
            sweep.moments += 1
        assert done
        await channel.request("subscribe", rig.sim.account.id)
        await channel.close()
        await settle(rig, census, 0.2)


@pytest.mark.parametrize("frozen", [False, True], ids=["polite", "frozen"])
async def test_close_of_a_socket(frozen: bool, tables: Tables) -> None:
    """A canceled close is cut short, but still closes."""
    async with (
        rigged() as rig,
        swept(tables, f"close of a socket, {frozen=}") as sweep,
    ):
        census = Census(rig.proxies)
        for rounds in range(ROUNDS):
            channel = channel_of(rig)
            await channel.connect(rig.proxy.url)
            if frozen:
                rig.sim.freeze()
            done = await cancel_after(rounds, channel.close())
            if rounds > 1:  # It had begun
                await settle(rig, census)
            await channel.close()
            await settle(rig, census, 0.2)
            rig.sim.unfreeze()
            if done:
                break
            sweep.moments += 1
        assert done


async def test_judging_a_token(tables: Tables) -> None:
    """The subscribe that validates a token leaves nothing."""
    async with rigged() as rig, swept(tables, "try_subscribe") as sweep:
        census = Census(rig.proxies)
        zone = rig.monitor.endpoints.global_zone
        for rounds in range(ROUNDS):
            done = await cancel_after(
                rounds,
                try_subscribe(
                    rig.session,
                    rig.sim.token,
                    zone,
                    rig.sim.account.id,
                    application="test",
                ),
            )
            await settle(rig, census, 0.2 if done else GRACE)
            if done:
                break
            sweep.moments += 1
        assert done


async def all_on(rig: Rig) -> None:
    """Wait until all accounts are on."""
    await rig.until(lambda: all(rig.shown(one) is True for one in rig.seen), 60)


@pytest.mark.parametrize("mode", ["accept", "legacy_only", "refuse", "never"])
async def test_reconnect(mode: Any, tables: Tables) -> None:
    """A canceled caller has no effect on others, and the next reconnect works."""
    async with (
        rigged(reconnect_delay=0.5) as rig,
        swept(tables, f"reconnect, {mode}") as sweep,
    ):
        account_id = rig.sim.account.id
        rig.add(account_id)
        await all_on(rig)
        census = Census(rig.proxies)
        usual = len(census.take().tasks)
        for rounds in range(0, ROUNDS, 1 if mode == "accept" else 3):
            rig.sim.set_reconnect_mode(account_id, mode)
            done = await cancel_after(rounds, rig.reconnect(account_id, 3.0))
            await rig.until(
                lambda: rig.monitor._accounts[account_id].attempt is None, 3.0 + GRACE
            )
            rig.sim.set_reconnect_mode(account_id, "accept")
            if not rig.sim.account.up:
                rig.sim.set_terminal(account_id, up=True)
            await all_on(rig)
            # The proxy may notice a moment later that the extra socket is closed
            await rig.until(
                lambda: (
                    len(census.take().tasks) == usual
                    and len(rig.sim.sockets) == len(rig.proxy.connections) == 1
                ),
                GRACE,
            )
            if done:
                break
            sweep.moments += 1
        assert done
        result = await rig.reconnect(account_id, 10.0)
        assert result.outcome is Outcome.AUTHENTICATED


async def fill(rig: Rig) -> None:
    """Watch the accounts."""
    for account_id in rig.sim.accounts:
        rig.add(account_id)


async def test_remove(tables: Tables) -> None:
    """A canceled removal still removes the account and closes its socket."""
    async with rigged(1) as rig, swept(tables, "remove_account") as sweep:
        account_id = rig.sim.account.id
        census = Census(rig.proxies)
        for rounds in range(ROUNDS):
            await fill(rig)
            await all_on(rig)
            done = await cancel_after(rounds, rig.monitor.remove_account(account_id))
            if account_id in rig.monitor._accounts:
                assert rounds <= 1, "it had begun"
                await rig.monitor.remove_account(account_id)
            await rig.until(lambda: not census.take().tasks, GRACE)
            await rig.until(lambda: not rig.proxy.connections, 0.2)
            assert not rig.sockets()
            if done:
                break
            sweep.moments += 1
        assert done


STATES: dict[str, Callable[[Rig], Any]] = {
    "all is well": lambda rig: None,
    "refused": lambda rig: setattr(rig.proxy, "answer", Answer(502)),
    "handshake takes long": lambda rig: slow(rig.proxy),
    "half-open": lambda rig: rig.proxy.half_open(),
    "server stands still": lambda rig: rig.sim.freeze(),
}


@pytest.mark.parametrize("state", list(STATES))
async def test_close_from_every_state(
    state: str, tables: Tables, request: pytest.FixtureRequest
) -> None:
    """A monitor that is closed after any number of rounds leaves nothing."""
    async with swept(tables, f"life of a monitor, {state}") as sweep:
        every = request.config.getoption("--every-round")
        for rounds in range(600) if every else (*range(20), *range(20, 400, 19)):
            async with rigged(2, reconnect_delay=0.5) as rig:
                census = Census(rig.proxies)
                first, second = rig.sim.accounts
                if state in ("half-open", "server stands still"):
                    await fill(rig)
                    await all_on(rig)
                    STATES[state](rig)
                else:
                    STATES[state](rig)
                    await fill(rig)
                reconnect = asyncio.create_task(
                    rig.reconnect(first, 5.0), name="a person"
                )
                rig.monitor.place_account(second, "elsewhere")
                reached = asyncio.Event()
                current_loop().after_rounds(rounds, reached.set)
                await reached.wait()
                started = rig.now
                await rig.monitor.close()
                assert rig.now - started <= 2 * GRACE
                for _ in range(20):  # Rounds, not seconds
                    await asyncio.sleep(0)
                reconnect.cancel()
                left = census.take()
                assert not left, f"{left} after {rounds} rounds"
                done = reconnect.done()
                sweep.moments += 1
            if done and rounds > 200:
                break


async def test_close_of_a_monitor(tables: Tables) -> None:
    """A canceled close can be repeated, and then everything is closed."""
    async with swept(tables, "close of a monitor") as sweep:
        for rounds in range(ROUNDS):
            async with rigged(2) as rig:
                census = Census(rig.proxies)
                await fill(rig)
                await all_on(rig)
                done = await cancel_after(rounds, rig.monitor.close())
                if not done:
                    await rig.monitor.close()
                await settle(rig, census, 0.0 if done else GRACE)
            if done:
                break
            sweep.moments += 1
        assert done


async def test_close_right_after_a_move() -> None:
    """Everything is closed before the unsubscribe of the move has started."""
    async with rigged() as rig:
        census = Census(rig.proxies)
        account_id = rig.sim.account.id
        rig.add(account_id)
        await all_on(rig)
        rig.monitor.endpoints = Endpoints(api_url=rig.sim.url)
        rig.monitor.place_account(account_id, "")
        await rig.monitor.close()
        await settle(rig, census, 0.2)
